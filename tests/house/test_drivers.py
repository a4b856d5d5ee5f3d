"""What a machine says is done in one place: no module but a driver reads the fields of `Effects`."""

import ast
from pathlib import Path

import pytest

from .syntax import nodes
from .test_rooms import modules

ROOT = Path(__file__).resolve().parents[2]
ROLES = {
    "gateway": (
        ("events.py", "machine.py", "resumption.py", "single_call.py"),
        ("driver.py", "stream_driver.py", "call_driver.py"),
    ),
    "sequencer": (("events.py", "machine.py"), ("driver.py",)),
    "replica": (("effects.py", "machine.py", "outbox.py"), ("driver.py",)),
    "marketdata": (("feed_events.py", "machine.py"), ("driver.py",)),
    "clients/python/lockstep": (("session_events.py", "session_machine.py"), ("session_driver.py",)),
}
"""Roles whose driver both worlds share: the modules that make effects, and those that do them."""
KNOWING = {f"{room}/{name}" for room, parts in ROLES.items() for part in parts for name in part}
READERS = sorted(
    path
    for room in (*ROLES, "trials/simulation")
    for path in (ROOT / room).rglob("*.py")
    if str(path.relative_to(ROOT)) not in KNOWING
)
STEPS = {"step"}


def _modules() -> set[str]:
    return {
        f"lockstep.{room}.{name.removesuffix('.py')}".replace("clients/python/lockstep.", "")
        for room, (machines, _) in ROLES.items()
        for name in machines
    }


def test_every_machine_that_is_named_is_there() -> None:
    missing = [name for name in KNOWING if not (ROOT / name).exists()] + sorted(_modules() - set(modules()))
    assert not missing


@pytest.mark.parametrize("path", READERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_drivers_know_what_effects_there_are(path: Path) -> None:
    found = []
    for node in nodes(path):
        if isinstance(node, ast.ImportFrom) and node.module in _modules():
            found += [node.lineno for alias in node.names if alias.name == "Effects"]
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "ev.Effects":
            found.append(node.lineno)
    assert not found, f"a machine's effects are its driver's to do: lines {found}"


@pytest.mark.parametrize("path", READERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_drivers_step_the_machines(path: Path) -> None:
    """Who calls a machine for its effects has to do them."""
    found = [
        (node.lineno, ast.unparse(node.func))
        for node in nodes(path)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in STEPS
        and ast.unparse(node.func.value).endswith("machine")
    ]
    assert not found, f"stepped beside the driver: {found}"


HOSTS = sorted((ROOT / "trials/simulation").glob("*_host.py"))


@pytest.mark.parametrize("path", HOSTS, ids=lambda path: path.name)
def test_a_simulated_host_only_supplies_ports(path: Path) -> None:
    """One that grows has begun to decide, or to do what a driver does."""
    assert len(path.read_text().splitlines()) < 150
