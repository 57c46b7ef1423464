"""The command line, ``python -m pal``: the only place that calls across rooms."""
