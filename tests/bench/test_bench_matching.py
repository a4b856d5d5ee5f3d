"""The matching benchmark measures the load that it says, on every engine the same."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lockstep.bench.matching import MatchingPlan, measure, run_matching_bench
from lockstep.engine.implementations import NAMES, implementation
from lockstep.stream.records import CommandKind, TimeInForce
from lockstep.trials.matching_flow import MatchingFlow, make_flow


@pytest.fixture(scope="module")
def flow() -> MatchingFlow:
    return make_flow(6_000, books=3, resting=900)


def test_flow_has_the_mix_that_is_named(flow: MatchingFlow) -> None:
    rows = flow.commands
    new = rows["kind"] == CommandKind.NEW_ORDER
    ioc = new & (rows["tif"] == TimeInForce.IOC)
    shares = [np.mean(new & ~ioc), np.mean(rows["kind"] == CommandKind.CANCEL)]
    shares += [np.mean(rows["kind"] == CommandKind.REPLACE), np.mean(ioc)]
    assert shares == pytest.approx([0.5, 0.4, 0.08, 0.02], abs=0.02)
    assert sorted(set(rows["instrument"].tolist())) == [1, 2, 3]


def test_same_seed_makes_the_same_flow_and_another_seed_another(flow: MatchingFlow) -> None:
    again = make_flow(6_000, books=3, resting=900)
    other = make_flow(6_000, books=3, resting=900, seed=2)
    assert again.commands.tobytes() == flow.commands.tobytes()
    assert again.opening.tobytes() == flow.opening.tobytes()
    assert other.commands.tobytes() != flow.commands.tobytes()


def test_engines_do_the_same_work(flow: MatchingFlow) -> None:
    native, reference = (measure(implementation(name), flow, flow.commands, batch=64, runs=1) for name in NAMES)
    for name in ("books", "resting", "resting_at_end", "mix", "commands", "trades", "missed", "refused"):
        assert getattr(native, name) == getattr(reference, name), name
    assert native.resting == 900
    assert native.trades > 100
    assert native.refused == native.missed < 60, "few commands may name an order that is gone; none else is refused"
    assert 0 < native.ns_p50 <= native.ns_p99 <= native.ns_p999 <= native.ns_max


def test_figures_are_under_the_engines_names() -> None:
    figures = run_matching_bench(MatchingPlan(commands=1_000, resting=0, runs=1), lambda _: None)
    assert tuple(figures) == NAMES


@pytest.mark.slow
def test_command_writes_the_figures_as_json(run_cli: Callable, tmp_path: Path) -> None:
    out = tmp_path / "matching.json"
    done = run_cli("bench", "matching", "--commands", 1_000, "--runs", 1, "--resting", 100, "--json", out)
    assert done.returncode == 0, done.stderr
    result = json.loads(out.read_text())
    for name in NAMES:
        row = result[name]
        assert {"commands_per_s", "ns_p50", "ns_p99", "ns_p999", "books", "resting", "mix"} <= set(row)
        assert (row["books"], row["resting"], row["commands"]) == (1, 100, 1_000)
    assert result["machine"]["cores"]
