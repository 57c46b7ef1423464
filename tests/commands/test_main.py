"""The command line: instant help, one line for a user's mistake."""

import subprocess
import sys

import pytest

from pal.commands.main import COMMANDS, main


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert f"pal {command}" in capsys.readouterr().out


def test_a_users_mistake_is_one_line(tmp_path, capsys):
    status = main(["train", "stage1", "--data", str(tmp_path), "--out", str(tmp_path / "run")])
    output = capsys.readouterr()
    assert status == 1
    assert output.err.startswith("error: ") and output.err.count("\n") == 1 and "no such file" in output.err


def test_import_and_help_load_nothing_heavy():
    code = (
        "import sys, pal, pal.dialogue.prompt, pal.chat.responder, pal.commands.main\n"
        "try: pal.commands.main.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'transformers', 'gradio', 'xllamacpp', 'pandas'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip().endswith("[]")
