"""The whole cluster under faults, from seeds: no rule is broken, and afterwards it converges."""

import subprocess
import sys

import pytest

from lockstep.trials.simulation.run import simulate

CHUNK = 10
CHUNKS = 1
MOST = 6
LATER = [pytest.param(chunk, marks=pytest.mark.slow) for chunk in range(CHUNKS, 100)]
"""A thousand seeds in all."""


@pytest.mark.parametrize("chunk", [*range(CHUNKS), *LATER])
def test_no_safety_rule_is_broken_and_the_cluster_converges(chunk: int) -> None:
    """And most runs have faults and trades, so that there is something to break."""
    outcomes = []
    for seed in range(1 + chunk * CHUNK, 1 + (chunk + 1) * CHUNK):
        outcomes.append(outcome := simulate(seed))
        assert not outcome.violation, f"{outcome.violation}\nrepeat with: {outcome.repeat} --history"
    assert sum(bool(outcome.faults) for outcome in outcomes) >= MOST
    assert sum(outcome.trades > 10 for outcome in outcomes) >= MOST


def test_equal_seeds_do_the_same_in_processes_with_other_hash_seeds() -> None:
    script = (
        "from lockstep.trials.simulation.run import simulate\nfor seed in (3, 40): print(simulate(seed).fingerprint)\n"
    )
    traces = [
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": hash_seed}, capture_output=True, text=True, check=True,
        ).stdout.split()
        for hash_seed in ("1", "4242")
    ]  # fmt: skip
    assert traces[0] == traces[1]
    assert len(set(traces[0])) == 2


def test_history_of_a_run_tells_faults_and_ends_in_peace() -> None:
    outcome = simulate(5, keep_history=True)
    assert any("fault:" in line for line in outcome.history)
    assert any(line.endswith("peace") for line in outcome.history)
    assert outcome.fingerprint == simulate(5).fingerprint
