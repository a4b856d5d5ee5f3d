"""A short chaos run from end to end: real processes, real faults, and every promise kept."""

import json
from collections.abc import Callable
from pathlib import Path

from lockstep.trials.checker.promises import Promise

KEYS = {"faults", "commands", "acknowledged", "lost", "duplicated", "reordered", "divergences", "gaps_ms", "validators"}


def test_a_short_run_keeps_every_promise(run_cli: Callable, tmp_path: Path) -> None:
    out, page = tmp_path / "chaos.json", tmp_path / "chaos.html"
    arguments = ("--seed", 11, "--duration", 10, "--rate", 300, "--json", out, "--html", page)
    done = run_cli("chaos", *arguments, "--data-dir", tmp_path / "data", timeout=400)
    assert out.exists(), done.stdout + done.stderr
    result = json.loads(out.read_text())
    assert set(result) >= KEYS
    assert set(result["validators"]) >= {promise.value for promise in Promise}
    assert all(result["validators"].values()), done.stdout
    assert (result["lost"], result["duplicated"], result["reordered"], result["divergences"]) == (0, 0, 0, 0)
    assert result["commands"] == result["acknowledged"] > 1000
    assert sum(result["faults"].values()) >= 2
    assert done.returncode == 0
    assert "<svg" in page.read_text()


def test_a_directory_in_use_and_a_report_that_cannot_be_written_are_told_first(
    run_cli: Callable, tmp_path: Path
) -> None:
    (tmp_path / "old").write_text("something")
    used = run_cli("chaos", "--data-dir", tmp_path)
    assert used.returncode == 1
    assert "choose another --data-dir" in used.stderr
    nowhere = run_cli("chaos", "--html", tmp_path / "missing" / "report.html")
    assert nowhere.returncode == 2
    assert "choose another --html" in nowhere.stderr
