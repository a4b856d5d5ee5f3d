"""What a machine says is done in one place: no module but a driver reads the fields of `Effects`."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MACHINES = ("gateway/machine.py", "gateway/resumption.py")
"""Roles whose driver both worlds share."""
DRIVERS = ("gateway/driver.py", "gateway/stream_driver.py")
READERS = sorted(
    path
    for room in ("gateway", "trials/simulation")
    for path in (ROOT / room).rglob("*.py")
    if str(path.relative_to(ROOT)) not in (*MACHINES, *DRIVERS)
)


def _imports_effects(tree: ast.Module) -> bool:
    modules = {f"lockstep.{machine.removesuffix('.py').replace('/', '.')}" for machine in MACHINES}
    return any(
        isinstance(node, ast.ImportFrom)
        and node.module in modules
        and any(alias.name == "Effects" for alias in node.names)
        for node in ast.walk(tree)
    )


@pytest.mark.parametrize("path", READERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_drivers_know_what_effects_there_are(path: Path) -> None:
    assert not _imports_effects(ast.parse(path.read_text())), "a machine's effects are its driver's to do"


@pytest.mark.parametrize("path", READERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_drivers_step_the_gateways_machines(path: Path) -> None:
    """Who calls a machine for its effects has to do them."""
    steps = {"on_frames", "on_tick", "on_fetched", "flush"}
    found = [
        (node.lineno, node.func.attr)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in steps
        and ast.unparse(node.func.value).endswith(("machine", "gateway.machine"))
    ]
    assert not found, f"stepped beside the driver: {found}"
