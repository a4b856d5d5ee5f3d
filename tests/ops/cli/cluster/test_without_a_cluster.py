"""What an operator reads while nothing runs: one message, the right exit code, and what to do."""

from pathlib import Path

import pytest

from lockstep.ops.cli.cluster import venue
from lockstep.ops.local.ports import free_ports
from lockstep.runtime import config
from lockstep.runtime.config import parse, render

EXAMPLE = Path(config.__file__).resolve().parent / "cluster.example.toml"


@pytest.fixture
def stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration of a cluster of which nothing runs, where LOCKSTEP_CONFIG says."""
    ports = iter(free_ports(40))
    lines = [
        f"{line.partition('=')[0]}= {next(ports)}" if "_port =" in line and not line.startswith("#") else line
        for line in EXAMPLE.read_text().splitlines()
    ]
    topology = parse("\n".join(lines), origin="here", base=tmp_path)
    path = tmp_path / "cluster.toml"
    path.write_text(render(topology, heading="For a test."))
    monkeypatch.setenv("LOCKSTEP_CONFIG", str(path))
    return path


def test_a_command_that_no_gateway_took_has_changed_nothing(stopped, bare, monkeypatch) -> None:
    monkeypatch.setattr(venue, "_TIMEOUT_S", 0.3)
    for command in (("halt", "ACME"), ("kill-switch", "7")):
        done = bare(*command)
        assert done.code == 1, done.text
        assert "no gateway took the command within 0.3 s" in done.text
        assert "nothing was changed; `lockstep cluster status`" in done.text


def test_an_engine_that_is_not_configured_is_a_mistake_of_the_command_line(stopped, bare) -> None:
    for command in (("fence", "9"), ("reinit", "9"), ("is-primary", "9"), ("snapshot", "take", "9")):
        done = bare(*command)
        assert (done.code, done.out) == (2, "")
        assert "cluster example has no engine-9; use one of: engine-1, engine-2" in done.text


def test_is_primary_does_not_know_what_nobody_tells(stopped, bare) -> None:
    done = bare("is-primary", "engine-1")
    assert done.code == 4
    assert "not known: engine-1 does not answer (not reachable)" in done.text


@pytest.mark.parametrize(("columns", "addresses"), [(100, True), (99, False)])
def test_a_narrow_window_keeps_every_column_but_the_address(stopped, bare, monkeypatch, columns, addresses) -> None:
    monkeypatch.setattr("lockstep.ops.cli.options._PLAIN_WIDTH", columns)
    done = bare("status")
    assert done.code == 1
    header = next(line for line in done.out.splitlines() if line.startswith("process"))
    assert ("address" in header) is addresses
    assert all(name in header for name in ("role", "epoch", "seq", "lag", "committed", "in sync", "pid", "digest"))
    assert "engine-1: not reachable" in done.out
    assert max(map(len, done.out.splitlines())) <= columns
