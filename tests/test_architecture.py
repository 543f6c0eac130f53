"""The layering is true: no import that a contract cannot see, and no circle.

The contracts themselves are in pyproject.toml (`lint-imports`). They hold for what they can read,
so here the other half: nothing is imported by a string, and no two files need each other, wherever
in them the import stands. Each check is shown failing on a house made for it.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "kosmoscope"
BY_NAME = "optional.py"
"""The one file that may import by a string: optional libraries of others."""
_IMPORTERS = {"import_module", "__import__", "find_spec", "spec_from_file_location", "run_module"}


def string_imports(folder: Path) -> list[str]:
    """Return where a folder's files import (or could) by a string: ``file:line``."""
    found = []
    for file in sorted(folder.rglob("*.py")):
        shown = file.relative_to(folder).as_posix()
        tree = ast.parse(file.read_text(encoding="utf-8"))
        found += [f"{shown}:{line}" for line in sorted(set(_named(tree)))]
    return [place for place in found if place.partition(":")[0] != BY_NAME]


def _named(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) if name in _IMPORTERS:
                yield node.lineno
            case ast.alias(name=name) if name in _IMPORTERS or name in ("runpy", "pkgutil"):
                yield node.lineno
            case ast.Name(id="exec" | "eval" | "compile"):
                yield node.lineno
            case ast.Attribute(value=ast.Name(id="sys"), attr="modules"):
                yield node.lineno


def circles(package: str) -> list[list[str]]:
    """Return the circles of a package's files; imports inside functions and for types count."""
    graph = grimp.build_graph(package, cache_dir=None)
    # A package's __init__ only hands names on: what stands behind it is asked itself.
    modules = sorted(m for m in graph.modules if not graph.find_children(m))
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:  # Tarjan, SIAM J. Comput. 1 (1972) 146
        index[module] = low[module] = len(index)
        stack.append(module)
        for other in sorted(reached(module)):
            if other not in index:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], index[other])
        if low[module] == index[module]:
            at = stack.index(module)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    def reached(module: str) -> set[str]:
        straight = graph.find_modules_directly_imported_by(module)
        through = {n for m in straight if graph.find_children(m) for n in handed_on(m, {m})}
        return {m for m in straight | through if not graph.find_children(m)} - {module}

    def handed_on(face: str, seen: set[str]) -> set[str]:
        found: set[str] = set()
        for m in graph.find_modules_directly_imported_by(face) - seen:
            found |= handed_on(m, seen | {m}) if graph.find_children(m) else {m}
        return found

    for module in modules:
        if module not in index:
            visit(module)
    return found


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of two rooms, `low` and `high`, with a contract that they are layers."""
    folder = tmp_path / "madehouse"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "low.py").write_text("def name() -> str:\n    return 'low'\n")
    (folder / "high.py").write_text("from madehouse.low import name\n")
    (tmp_path / "contracts.toml").write_text(
        '[tool.importlinter]\nroot_package = "madehouse"\n[[tool.importlinter.contracts]]\n'
        'name = "layers"\ntype = "layers"\nlayers = ["madehouse.high", "madehouse.low"]\n'
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    for name in [n for n in sys.modules if n.partition(".")[0] == "madehouse"]:
        del sys.modules[name]


def linted(folder: Path) -> int:
    return int(
        lint_imports(config_filename=str(folder.parent / "contracts.toml"), no_cache=True) or 0
    )


def test_nothing_of_ours_is_imported_by_a_string() -> None:
    assert string_imports(PACKAGE) == []
    assert "import_module" in (PACKAGE / BY_NAME).read_text()


def test_no_two_files_need_each_other() -> None:
    assert circles("kosmoscope") == []


def test_a_sound_house_passes(house: Path) -> None:
    assert (linted(house), circles("madehouse"), string_imports(house)) == (0, [], [])


HIDDEN = {
    "in a function": "def name() -> str:\n    from madehouse import high\n    return high.x\n",
    "for types": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import madehouse.high\n",
}


@pytest.mark.parametrize("code", HIDDEN.values(), ids=HIDDEN)
def test_a_hidden_upward_import_breaks_contract_and_makes_a_circle(house: Path, code: str) -> None:
    (house / "low.py").write_text(code)
    assert linted(house) == 1
    assert circles("madehouse") == [["madehouse.high", "madehouse.low"]]


_WEB = ("fastapi", "starlette", "uvicorn", "pydantic", "prometheus_client")
_OTHERS = ("mcp", "mcp_types", "cvat_sdk", "fiftyone")
_STACKS = ("scipy", "nibabel", "pydicom", "SimpleITK", "tifffile", "skimage", "highdicom")


@pytest.mark.parametrize(
    "library", ["torch", "transformers", "typer", "rich", *_WEB, *_OTHERS, *_STACKS]
)
def test_a_library_in_the_wrong_room_breaks_contract(house: Path, library: str) -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    head, _, contracts = text.partition("[tool.importlinter]")[2].partition("[[")
    forbidden = [c for c in contracts.split("[[") if 'source_modules = ["kosmoscope"]' in c]
    rules = "[[".join(["[tool.importlinter]" + head, *forbidden])
    (house.parent / "contracts.toml").write_text(rules.replace("kosmoscope", "madehouse"))
    (house / "cli").mkdir()
    (house / "cli" / "__init__.py").write_text("")
    (house / "cli" / "app.py").write_text("import typer\nfrom rich import table\n")
    (house / "server").mkdir()
    (house / "server" / "__init__.py").write_text("")
    (house / "server" / "app.py").write_text("".join(f"import {name}\n" for name in _WEB))
    for room, needs in (("mcp", ("pydantic", "mcp")), ("plugins", ("cvat_sdk", "fiftyone"))):
        (house / room).mkdir()
        (house / room / "__init__.py").write_text("")
        (house / room / "tools.py").write_text("".join(f"import {name}\n" for name in needs))
    (house / "stacks").mkdir()
    (house / "stacks" / "__init__.py").write_text("")
    (house / "stacks" / "solids.py").write_text("import scipy\n")
    assert linted(house) == 0
    (house / "low.py").write_text(f"def name() -> str:\n    import {library}\n")
    assert linted(house) == 1


@pytest.mark.parametrize("code", [
    "from importlib import import_module\nx = import_module('madehouse.high')\n",
    "import importlib\ndef f():\n    return importlib.import_module('madehouse' + '.high')\n",
    "from importlib import import_module as m\nx = m('madehouse.high')\n",
    "x = __import__('madehouse.high')\n",
    "import sys\nx = sys.modules['madehouse.high']\n",
    "exec('import madehouse.high')\n",
])  # fmt: skip
def test_an_upward_import_by_a_string_is_found(house: Path, code: str) -> None:
    (house / "low.py").write_text(code)
    assert linted(house) == 0, "what the contract cannot see"
    assert [place.partition(":")[0] for place in string_imports(house)][:1] == ["low.py"]


def test_every_room_has_its_place() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = config["tool"]["importlinter"]["contracts"][0]["layers"]
    placed = {room.strip() for layer in layers for room in layer.split("|")}
    rooms = {
        f"kosmoscope.{p.stem}" for p in PACKAGE.iterdir()
        if p.suffix == ".py" or (p / "__init__.py").is_file()
    }  # fmt: skip
    faces = {"kosmoscope.__init__", "kosmoscope._version"}
    assert rooms - faces == placed
    table = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").splitlines()
    named = {
        n
        for row in table
        if row.startswith("| `")
        for n in re.findall("`(\\w+)`", row.split("|")[1])
    }
    assert {f"kosmoscope.{name}" for name in named} == placed
