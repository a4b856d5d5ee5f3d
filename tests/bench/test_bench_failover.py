"""The failover bench, on a real cluster."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.mark.slow
def test_silences_are_measured_and_every_order_is_answered(run_cli: Callable, tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    chosen = ("--rounds", 1, "--fault", "kill_primary", "--fault", "switchover", "--rate", 1000)
    done = run_cli("bench", "failover", *chosen, "--json", file, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(file.read_text())
    assert figures["orders"] > 1000
    assert figures["unanswered"] == 0
    for fault in ("kill_primary", "switchover"):
        (silence_ms,) = figures[fault]["silences_ms"]
        # A report every few milliseconds: no silence at all would mean that nothing was looked at.
        assert 1 < silence_ms < 5000
