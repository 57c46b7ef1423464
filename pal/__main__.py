"""``python -m pal``: the command line of PAL."""

from pal.commands.main import main

if __name__ == "__main__":
    raise SystemExit(main())
