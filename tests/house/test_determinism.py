"""The core modules keep the contract of docs/determinism.md: no clock, I/O, randomness, floats, or order of sets."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

CORE = (
    "stream/codes.py",
    "stream/detector.py",
    "stream/digest.py",
    "stream/frames.py",
    "stream/records.py",
    "engine/contract.py",
    "engine/snapshot_format.py",
    "engine/reference/*.py",
    "sequencer/agreement.py",
    "sequencer/clock.py",
    "sequencer/config_record.py",
    "sequencer/events.py",
    "sequencer/hold.py",
    "sequencer/intake.py",
    "sequencer/machine.py",
    "sequencer/membership.py",
    "sequencer/peers.py",
    "sequencer/reign.py",
    "sequencer/takeover.py",
    "sequencer/window.py",
    "replica/catchup.py",
    "replica/commit.py",
    "replica/divergence.py",
    "replica/effects.py",
    "replica/evidence.py",
    "replica/execution.py",
    "replica/log.py",
    "replica/machine.py",
    "replica/outbox.py",
    "replica/release.py",
    "ops/operator/history.py",
    "ops/operator/plans.py",
    "ops/operator/view.py",
    "marketdata/books.py",
    "marketdata/depth.py",
    "marketdata/encodings.py",
    "marketdata/market.py",
    "gateway/downlink.py",
    "gateway/entitlement.py",
    "gateway/machine.py",
    "gateway/resumption.py",
    "gateway/sessions.py",
    "marketdata/tape.py",
    "gateway/uplink.py",
    "gateway/validation.py",
    "reconciler/books.py",
    "reconciler/checks.py",
    "reconciler/rules.py",
    "reconciler/twin.py",
    "clients/python/lockstep/book.py",
    "clients/python/lockstep/session_machine.py",
    "clients/python/lockstep/session_events.py",
    "clients/python/lockstep/session_parcels.py",
)
"""Everything that decides."""

FORBIDDEN = frozenset(
    {
        "asyncio", "datetime", "grpc", "io", "logging", "multiprocessing", "os", "pathlib", "pyaeron", "queue",
        "random", "rocksdict", "secrets", "select", "selectors", "signal", "socket", "structlog", "subprocess",
        "sys", "tempfile", "threading", "time", "uuid", "lockstep.runtime.process_log",
    }
)  # fmt: skip


def _core() -> list[Path]:
    found = sorted(path for pattern in CORE for path in ROOT.glob(pattern))
    assert len(found) >= len(CORE), "a pattern of CORE matches nothing"
    return found


def _imports(tree: ast.Module) -> list[tuple[int, str]]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append((node.lineno, node.module or ""))
    return names


@pytest.mark.parametrize("path", _core(), ids=lambda path: str(path.relative_to(ROOT)))
def test_core_module_has_no_clock_io_or_randomness(path: Path) -> None:
    names = _imports(ast.parse(path.read_text()))
    found = [(line, name) for line, name in names if name in FORBIDDEN or name.split(".")[0] in FORBIDDEN]
    assert not found, f"forbidden in a core module: {found}"


@pytest.mark.parametrize("path", _core(), ids=lambda path: str(path.relative_to(ROOT)))
def test_core_module_computes_in_integers(path: Path) -> None:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            found.append((node.lineno, repr(node.value)))
        if isinstance(node, ast.Div) or (isinstance(node, ast.Name) and node.id == "float"):
            found.append((getattr(node, "lineno", 0), "true division or float()"))
    assert not found, f"floating point in a core module: {found}"


@pytest.mark.parametrize("path", _core(), ids=lambda path: str(path.relative_to(ROOT)))
def test_core_module_takes_no_order_from_sets_hashes_or_addresses(path: Path) -> None:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.For | ast.comprehension) and isinstance(node.iter, ast.Set | ast.SetComp):
            found.append((getattr(node, "lineno", 0), "iterates over a set"))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("hash", "id"):
            found.append((node.lineno, node.func.id))
    assert not found, f"order that differs between processes: {found}"
