"""The house: arrows between rooms only fall, and no two files need each other."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = (  # a file may import from its own room and from rooms before it
    ("errors",),
    ("files", "statistics", "settings"),
    ("dialogue",),
    ("models",),
    ("engines",),
    ("chat",),
    ("evaluation",),
    ("training",),
    ("ratings",),
    ("ui", "terminal"),  # side by side: neither imports the other
    ("commands",),
    ("__main__", "app"),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
Imports = dict[str, set[str]]


def read_imports(root: Path) -> Imports:
    """The files of the project that each file imports, wherever the import stands: at the top,
    in a function, or under TYPE_CHECKING. Files are named as modules, such as ``pal.chat.session``."""
    files = {_name(path, root): path for path in (*root.glob("pal/**/*.py"), root / "app.py")}
    imports: Imports = {}
    for module, path in files.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {name for node in ast.walk(tree) for name in _names(node, path, module)}
        imports[module] = {_file(name, files) for name in names if name.partition(".")[0] in ("pal", "app")}
        imports[module] -= {module, "pal"}
    return imports


def _name(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def _names(node: ast.AST, path: Path, module: str) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    source = node.module or ""
    if node.level:
        package = module.split(".") if path.stem == "__init__" else module.split(".")[:-1]
        above = package[: len(package) - node.level + 1]
        source = ".".join([*above, source] if source else above)
    return [f"{source}.{alias.name}" for alias in node.names]


def _file(name: str, files: dict[str, Path]) -> str:
    """The file that holds a dotted name: itself, or what it is a name in."""
    while name not in files and "." in name:
        name = name.rpartition(".")[0]
    return name


def room(module: str) -> str:
    """The room of a file; a file of no room, such as ``pal.errors``, is one of its own."""
    return module.removeprefix("pal.").partition(".")[0]


def climbing(imports: Imports) -> list[str]:
    """The arrows that do not fall, each as a sentence."""
    return [
        f"{module} ({room(module)}) imports {target} ({room(target)}), which is not below it"
        for module, targets in sorted(imports.items())
        for target in sorted(targets)
        if room(module) != room(target) and FLOOR[room(module)] <= FLOOR[room(target)]
    ]


def circles(imports: Imports) -> list[str]:
    """The pairs of files that need each other, directly or through others, each as a sentence."""
    reached = {module: _reached(module, imports) for module in imports}
    return [
        f"{module} imports {target}, and {target} needs {module} again"
        for module, targets in sorted(imports.items())
        for target in sorted(targets)
        if module in reached[target]
    ]


def _reached(module: str, imports: Imports) -> set[str]:
    seen: set[str] = set()
    waiting = list(imports.get(module, ()))
    while waiting:
        target = waiting.pop()
        if target not in seen:
            seen.add(target)
            waiting += imports.get(target, ())
    return seen


@pytest.fixture(scope="module")
def imports() -> Imports:
    return read_imports(ROOT)


def test_every_file_has_a_room(imports):
    homeless = sorted(module for module in imports if module != "pal" and room(module) not in FLOOR)
    assert not homeless, f"not in the floor plan: {', '.join(homeless)}"


def test_arrows_between_rooms_only_fall(imports):
    assert not climbing(imports), "\n".join(["", *climbing(imports)])


def test_no_two_files_need_each_other(imports):
    assert not circles(imports), "\n".join(["", *circles(imports)])


@pytest.fixture
def house(tmp_path):
    """Writes files of a small project."""

    def write(**files: str) -> Imports:
        for name, text in {"app": "", **files}.items():
            path = tmp_path / (name.replace("__", "/") + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return read_imports(tmp_path)

    return write


@pytest.mark.parametrize(
    "text",
    [
        "from pal.evaluation.walk import Walk",
        "from pal.evaluation import walk",
        "import pal.evaluation.walk",
        "from ..evaluation import walk",
        "def later():\n    from pal.evaluation import walk",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pal.evaluation.walk import Walk",
    ],
)
def test_an_arrow_that_climbs_is_named(house, text):
    imports = house(pal__chat__session=text, pal__evaluation__walk="")
    [message] = climbing(imports)
    assert "pal.chat.session (chat) imports pal.evaluation.walk (evaluation)" in message


def test_rooms_side_by_side_do_not_import_each_other(house):
    [message] = climbing(house(pal__terminal__view="from pal.ui.render import NAMES", pal__ui__render=""))
    assert "pal.terminal.view" in message and "pal.ui.render" in message


def test_a_circle_is_named_even_through_a_third_file(house):
    imports = house(
        pal__models__a="from pal.models.b import x",
        pal__models__b="def later():\n    from pal.models import c",
        pal__models__c="from pal.models.a import y",
        pal__models__d="from pal.models.a import z",
    )
    messages = circles(imports)
    assert len(messages) == 3 and not climbing(imports)
    assert "pal.models.a imports pal.models.b, and pal.models.b needs pal.models.a again" in messages
