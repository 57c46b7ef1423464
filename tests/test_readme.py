"""The README's lists against what is there: every file of the house, every setting."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from pal.commands.main import COMMANDS
from pal.settings import PREFIX, READ_ELSEWHERE, REPOSITORY, Settings

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
DOCUMENTS = ("README.md", "assets/MODEL_CARD.md", "assets/results/experiments.md", "assets/results/notes.md")
DEPENDS_ON_THE_MACHINE = {"PAL_DATA", "PAL_CACHE"}


def section(title: str) -> str:
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rooms() -> dict[str, str]:
    """Folder → its lines in “What is where”."""
    block = section("What is where").split("```")[1]
    entries = re.findall(r"^(\S+)((?:.*\n(?:\s+.*\n)*))", block, re.MULTILINE)
    return dict(entries)


def test_every_file_is_in_the_line_of_its_room():
    listed = {folder: set(re.findall(r"\w+(?:\.py)?", text)) for folder, text in rooms().items()}
    listed["pal/commands/"] |= {f"{name}.py" for name in listed["pal/commands/"]}
    missing = [
        str(path.relative_to(REPOSITORY))
        for path in sorted(REPOSITORY.glob("pal/**/*.py"))
        if path.name != "__init__.py"
        and path.name not in listed[f"{path.parent.relative_to(REPOSITORY).as_posix()}/"]
    ]
    assert not missing, f"not in “What is where”: {', '.join(missing)}"


def test_no_line_names_a_file_that_is_gone():
    for folder, text in rooms().items():
        for name in re.findall(r"[\w/]+\.(?:py|yaml|md|js|json|jsonl)\b", text):
            places = [REPOSITORY / folder / name, *(REPOSITORY / folder).rglob(name)]
            assert any(path.exists() for path in places), f"{folder}: {name}"
    assert all(command.replace("-", "_") in rooms()["pal/commands/"] for command in COMMANDS)


def shown(value: object) -> str:
    """A default as the table has it."""
    if isinstance(value, bool):
        return "`on`" if value else "`off`"
    if isinstance(value, Path):
        value = value.relative_to(REPOSITORY).as_posix()
    return f"`{value}`" if value not in ("", None) else "–"


def test_the_table_of_settings_has_each_with_its_default():
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| .+ \|$", section("Settings"), re.MULTILINE)
    table = dict(rows)
    assert len(rows) == len(table)
    names = {
        "DATABASE_URL" if item.name == "database_url" else PREFIX + item.name.upper(): item.name
        for item in fields(Settings)
    }
    assert set(table) == {*names, *READ_ELSEWHERE}
    for variable in names.keys() - DEPENDS_ON_THE_MACHINE:
        assert table[variable] == shown(getattr(Settings(), names[variable])), variable


@pytest.mark.parametrize("name", DOCUMENTS, ids=lambda name: Path(name).stem)
def test_files_that_documents_name_are_there(name):
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    paths = set(re.findall(r"\b((?:pal|assets|tests)/[\w./-]+\.\w+)", text))
    assert not [path for path in paths if not (REPOSITORY / path).exists()]


@pytest.mark.parametrize("name", DOCUMENTS, ids=lambda name: Path(name).stem)
def test_commands_that_documents_name_are_there(name):
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    assert set(re.findall(r"python -m pal ([a-z][\w-]*)", text)) <= set(COMMANDS)
