"""The audit trail of a process."""

import json
from pathlib import Path

import pytest

from lockstep.runtime.access import trail
from lockstep.runtime.access.trail import Trail, broken_line


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_each_line_follows_from_the_one_before_over_restarts(tmp_path: Path):
    for turn in range(3):
        kept = Trail(tmp_path, "engine-1")
        kept.deed("/x", "ada", "peer", "done")
        kept.refusal("/y", "", "peer", f"no token {turn}")
    found = lines(tmp_path / "engine-1.jsonl")
    assert len(found) == 6
    assert broken_line(found) == 0
    assert json.loads(found[0])["who"] == "ada"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_line_that_was_changed_or_taken_out_shows(tmp_path: Path, number: int):
    kept = Trail(tmp_path, "a")
    for turn in range(5):
        kept.note("something", turn=turn)
    found = lines(tmp_path / "a.jsonl")
    assert broken_line(found[:number] + found[number + 1 :]) == number + 1
    changed = [*found]
    changed[number] = changed[number].replace("something", "nothing")
    assert broken_line(changed) == number + 2


def test_a_flood_of_refusals_is_a_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    now = 1000.0
    monkeypatch.setattr("time.time", lambda: now)
    kept = Trail(tmp_path, "a")
    for _ in range(500):
        kept.refusal("/x", "", "peer", "no token")
    now = 1001.0
    kept.refusal("/x", "", "peer", "no token")
    found = [json.loads(line) for line in lines(tmp_path / "a.jsonl")]
    assert len(found) == trail.REFUSALS_PER_S + 2
    assert found[-2]["count"] == 500 - trail.REFUSALS_PER_S
    assert kept.refused == 501


def test_the_files_are_bounded_and_nobody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(trail, "MAX_BYTES", 2_000)
    monkeypatch.setattr(trail, "KEPT", 3)
    kept = Trail(tmp_path / "audit", "a")
    for turn in range(100):
        kept.note("something", turn=turn)
    files = sorted((tmp_path / "audit").iterdir())
    assert len(files) == 3
    assert all(file.stat().st_size < 3_000 and file.stat().st_mode & 0o077 == 0 for file in files)
    in_order = [line for name in ("a.jsonl.2", "a.jsonl.1", "a.jsonl") for line in lines(tmp_path / "audit" / name)]
    assert broken_line(in_order) == 0, "the chain goes on from file to file"


def test_a_full_disk_stops_nobody(tmp_path: Path):
    (tmp_path / "audit").write_text("in the way")
    kept = Trail(tmp_path / "audit", "a")
    kept.deed("/x", "ada", "peer")
    assert "audit" in kept.fault


def test_without_a_directory_nothing_is_kept():
    Trail(Path(), "a").deed("/x", "ada", "peer")
    assert not Path("a.jsonl").exists()
