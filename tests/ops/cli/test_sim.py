"""`lockstep sim` says how far it has come, also when it is ended early."""

import os
import signal
from collections.abc import Iterator

import pytest

from lockstep.ops.cli import sim
from lockstep.trials.simulation.run import Outcome

from .conftest import RunHere


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """The command catches signals; the tests behind it have theirs again."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def outcome(seed: int, violation: str = "") -> Outcome:
    return Outcome(seed, 10, 3, 1, 1_000, {"kill": 2}, "f", violation)


def test_an_interrupted_run_says_how_many_seeds_were_clean(run_here: RunHere, monkeypatch: pytest.MonkeyPatch) -> None:
    def simulate(seed: int) -> Outcome:
        if seed == 12:
            os.kill(os.getpid(), signal.SIGINT)
        return outcome(seed)

    monkeypatch.setattr(sim, "simulate", simulate)
    ended = run_here("sim", "--seeds", 1000, "--start", 10, "--jobs", 1)
    assert ended.code == 130
    assert "stopped behind seed 12" in ended.out
    assert "3 seeds, 30 steps, 9 commands, 3 trades, 6 faults, 0 violations" in ended.out


def test_a_violation_ends_the_run_and_says_how_to_repeat_it(run_here: RunHere, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sim, "simulate", lambda seed: outcome(seed, "two primaries" if seed == 2 else ""))
    ended = run_here("sim", "--seeds", 9, "--jobs", 1)
    assert ended.code == 1
    assert "repeat with: lockstep sim --seeds 1 --start 2 --history" in ended.out
    assert "2 seeds," in ended.out
