"""Who may import whom: arrows go down, and nothing goes round in circles."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from .syntax import tree

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "clients/python/lockstep"
MAY_IMPORT = {
    "proto": "",
    "clients": "proto",
    "stream": "",
    "engine": "stream",
    "runtime": "stream engine proto",
    "sequencer": "runtime stream proto",
    "replica": "runtime stream engine proto",
    "marketdata": "runtime stream engine proto",
    "gateway": "runtime stream engine marketdata proto",
    "edge": "runtime stream engine gateway marketdata clients proto",
    "posttrade": "runtime stream engine proto",
    "reconciler": "runtime stream engine replica posttrade clients proto",
    "day": "runtime stream engine posttrade clients proto",
    "ops": "runtime stream engine sequencer replica posttrade reconciler clients proto",
    "trials": "runtime stream engine sequencer replica marketdata gateway edge posttrade reconciler clients proto ops",
    "bench": (
        "runtime stream engine sequencer replica marketdata gateway edge posttrade reconciler clients proto ops trials"
    ),
    "cli": (
        "runtime stream engine sequencer replica marketdata gateway edge posttrade reconciler day clients "
        "proto ops trials bench"
    ),
}
"""The rooms of the house, lowest first. `proto` is the generated code, `cli` is `ops/cli`, which nobody imports."""

Modules = dict[str, Path]
Imports = dict[str, set[str]]


@cache
def modules() -> Modules:
    found: Modules = {}
    for room in MAY_IMPORT:
        for file in (ROOT / room).rglob("*.py") if (ROOT / room / "__init__.py").exists() else ():
            found[name_of(file.relative_to(ROOT))] = file
    for file in CLIENT.rglob("*.py"):
        found[name_of(file.relative_to(CLIENT))] = file
    return found


def name_of(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(("lockstep", *(parts[:-1] if parts[-1] == "__init__" else parts)))


def room_of(module: str) -> str:
    first, *_ = [*module.split(".")[1:], ""]
    if module.startswith("lockstep.ops.cli"):
        return "cli"
    if first in ("v1", "wire"):
        return "proto"
    return first if first in MAY_IMPORT else "clients"


def imported(block: ast.AST, known: Modules) -> Iterator[str]:
    """Modules of ours that are imported, wherever it stands, but for what only type checkers see."""
    for node in _statements(block):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lockstep"):
            for name in node.names:
                inner = f"{node.module}.{name.name}"
                yield inner if inner in known else str(node.module)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.startswith("lockstep"))
        yield from imported(node, known)


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Those that stand directly in it, and the branches of `try` and `match`: no import stands in an expression."""
    for field in ("body", "handlers", "orelse", "finalbody", "cases"):
        below = getattr(node, field, ())
        yield from below if isinstance(below, list) else ()


@cache
def imports_of(module: str) -> frozenset[str]:
    """Modules of ours that it imports itself."""
    known = modules()
    return frozenset(imported(tree(known[module]), known))


@cache
def all_imports() -> Imports:
    return {name: set(imports_of(name)) for name in modules()}


def test_no_arrow_goes_up() -> None:
    wrong = [
        f"{name} imports {target}"
        for name, targets in all_imports().items()
        for target in targets
        if room_of(target) not in (room_of(name), *MAY_IMPORT[room_of(name)].split())
    ]
    assert not wrong, "\n".join(sorted(wrong))


def test_rooms_stand_one_above_the_other() -> None:
    floors = list(MAY_IMPORT)
    for room, allowed in MAY_IMPORT.items():
        assert all(floors.index(below) < floors.index(room) for below in allowed.split()), room


def test_no_module_imports_itself_through_others() -> None:
    imports = all_imports()
    assert not (circles := list(circles_in(imports))), "\n".join(circles)


def test_a_circle_would_be_found() -> None:
    assert list(circles_in({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}))
    assert not list(circles_in({"a": {"b", "c"}, "b": {"c"}, "c": set()}))


def test_every_room_says_what_it_is_for() -> None:
    """`proto` and `cli` are described where they stand: in `proto/`, in `ops/DESIGN.md`."""
    missing = [room for room in MAY_IMPORT if room not in ("proto", "cli") and not (ROOT / room / "DESIGN.md").exists()]
    assert not missing


def circles_in(imports: Imports) -> Iterator[str]:
    """Each circle once, from the place where it was noticed."""
    done: dict[str, bool] = defaultdict(bool)
    for start in imports:
        path: list[str] = []
        yield from _walk(start, imports, path, done)


def _walk(module: str, imports: Imports, path: list[str], done: dict[str, bool]) -> Iterator[str]:
    if module in path:
        yield " -> ".join([*path[path.index(module) :], module])
        return
    if done[module] or module not in imports:
        return
    path.append(module)
    for target in sorted(imports[module]):
        if target != module:
            yield from _walk(target, imports, path, done)
    path.pop()
    done[module] = True
