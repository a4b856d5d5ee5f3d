"""The demonstration from end to end, shortened: real processes, real kills."""

import json
from collections.abc import Callable
from pathlib import Path


def test_demo_loses_nothing_when_primary_and_sequencer_are_killed(run_cli: Callable, tmp_path: Path) -> None:
    out = tmp_path / "demo.json"
    done = run_cli("demo", "--rate", 1000, "--calm", 1, "--json", out, "--data-dir", tmp_path / "data", timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(out.read_text())
    assert result["acknowledged"] > 2000
    assert result["fills"] > 100
    assert (result["lost"], result["duplicated"], result["digests_equal"]) == (0, 0, True)
    assert [failover["kind"] for failover in result["failovers"]] == ["primary", "sequencer"]
    assert all(0 < failover["gap_ms"] < 5000 for failover in result["failovers"])
    assert "PROVEN" in done.stdout
