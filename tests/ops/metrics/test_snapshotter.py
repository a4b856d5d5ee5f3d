"""A snapshotter's figures say how old, how far behind and how late its snapshots are."""

import time

from lockstep.replica.snapshotter_figures import SnapshotterFigures


def read(figures: SnapshotterFigures) -> dict[str, float]:
    return {
        sample.name.removeprefix("lockstep_snapshotter_"): sample.value
        for family in figures.families()
        for sample in family.samples
    }


def test_a_snapshot_is_late_from_the_first_look_that_wants_it_until_it_is_taken() -> None:
    figures = SnapshotterFigures()
    figures.on_looked(100, wanted=False, now_ns=1)
    assert read(figures)["overdue_seconds"] == 0
    began_ns = time.monotonic_ns() - 5_000_000_000
    figures.on_looked(200, wanted=True, now_ns=began_ns)
    figures.on_looked(300, wanted=True, now_ns=began_ns + 4_000_000_000)
    assert 5 <= read(figures)["overdue_seconds"] < 60
    figures.on_newest(300, 1_700_000_000_000_000_000, 4096)
    figures.on_taken(2_500_000_000)
    found = read(figures)
    assert (found["overdue_seconds"], found["snapshots_total"], found["last_duration_seconds"]) == (0, 1, 2.5)
    assert (found["snapshot_seq"], found["snapshot_bytes"], found["behind_commands"]) == (300, 4096, 0)
    assert found["snapshot_time_seconds"] == 1_700_000_000


def test_a_journal_that_cannot_be_read_makes_snapshots_late() -> None:
    figures = SnapshotterFigures()
    figures.on_looked(100, wanted=False, now_ns=1)
    figures.on_fault(time.monotonic_ns() - 5_000_000_000)
    figures.on_fault(time.monotonic_ns())
    found = read(figures)
    assert (found["following"], found["faults_total"]) == (0, 2)
    assert found["overdue_seconds"] >= 5
    figures.on_looked(100, wanted=False, now_ns=time.monotonic_ns())
    assert (read(figures)["following"], read(figures)["overdue_seconds"]) == (1, 0)


def test_without_a_snapshot_all_that_is_committed_is_behind() -> None:
    figures = SnapshotterFigures()
    figures.on_looked(100, wanted=False, now_ns=1)
    assert (read(figures)["behind_commands"], read(figures)["snapshot_time_seconds"]) == (100, 0)
