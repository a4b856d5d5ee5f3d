"""The core modules keep the contract of docs/determinism.md: no clock, I/O, randomness, floats, or order of sets."""

import ast
from pathlib import Path

import pytest

from .core import CORE, ROOT
from .syntax import nodes

FORBIDDEN = frozenset(
    {
        "asyncio", "datetime", "grpc", "io", "logging", "multiprocessing", "os", "pathlib", "pyaeron", "queue",
        "random", "rocksdict", "secrets", "select", "selectors", "signal", "socket", "structlog", "subprocess",
        "sys", "tempfile", "threading", "time", "uuid", "lockstep.runtime.process_log",
    }
)  # fmt: skip


SECONDS = ("clients/python/lockstep/arguments.py", "clients/python/lockstep/backoff.py")
"""Reached by the session machine for other things: seconds that users give, and pauses of shells, are floats there."""


def _imports(path: Path) -> list[tuple[int, str]]:
    names = []
    for node in nodes(path):
        if isinstance(node, ast.Import):
            names += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append((node.lineno, node.module or ""))
    return names


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(ROOT)))
def test_core_module_has_no_clock_io_or_randomness(path: Path) -> None:
    names = _imports(path)
    found = [(line, name) for line, name in names if name in FORBIDDEN or name.split(".")[0] in FORBIDDEN]
    assert not found, f"forbidden in a core module: {found}"


@pytest.mark.parametrize(
    "path",
    [path for path in CORE if str(path.relative_to(ROOT)) not in SECONDS],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_core_module_computes_in_integers(path: Path) -> None:
    found = []
    for node in nodes(path):
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            found.append((node.lineno, repr(node.value)))
        if isinstance(node, ast.Div) or (isinstance(node, ast.Name) and node.id == "float"):
            found.append((getattr(node, "lineno", 0), "true division or float()"))
    assert not found, f"floating point in a core module: {found}"


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(ROOT)))
def test_core_module_takes_no_order_from_sets_hashes_or_addresses(path: Path) -> None:
    found = []
    for node in nodes(path):
        if isinstance(node, ast.For | ast.comprehension) and isinstance(node.iter, ast.Set | ast.SetComp):
            found.append((getattr(node, "lineno", 0), "iterates over a set"))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("hash", "id"):
            found.append((node.lineno, node.func.id))
    assert not found, f"order that differs between processes: {found}"
