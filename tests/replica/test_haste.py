"""A snapshot gives way to everybody, until it is late."""

from types import SimpleNamespace
from typing import Any

import pytest

from lockstep.replica import snapshotter
from lockstep.replica.haste import hurries
from lockstep.replica.snapshotter import hold_to
from lockstep.replica.snapshotter_figures import SnapshotterFigures
from lockstep.runtime.topology import Snapshots

SECOND = 1_000_000_000


@pytest.mark.parametrize(("every_s", "late_s"), [(600, 60), (3_600, 60), (100, 10), (10, 5), (1, 5), (0, 60)])
def test_snapshot_is_late_after_a_tenth_of_the_time_between_two(every_s: int, late_s: int) -> None:
    plan = Snapshots(every_s=every_s)
    assert not hurries(plan, 0)
    assert not hurries(plan, late_s * SECOND - 1)
    assert hurries(plan, late_s * SECOND)


class Manners:
    """In place of the process' priority."""

    def __init__(self) -> None:
        self.gives: bool | None = True

    def give(self) -> None:
        self.gives = True

    def take_back(self) -> None:
        self.gives = False


def test_late_snapshot_has_its_whole_share_until_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    now_ns = 0
    monkeypatch.setattr(snapshotter, "time", SimpleNamespace(monotonic_ns=lambda: now_ns))
    manners: Any = Manners()
    figures, said = SnapshotterFigures(), []
    log: Any = SimpleNamespace(warning=lambda event, **_: said.append(event))
    seen = []
    for now_ns in range(1 * SECOND, 100 * SECOND, SECOND):
        figures.on_looked(10, wanted=now_ns >= 10 * SECOND, now_ns=now_ns)
        if now_ns == 80 * SECOND:
            figures.on_taken(1)
        hold_to(manners, Snapshots(every_s=600), figures, log)
        seen.append(manners.gives)
    assert seen == [True] * 69 + [False] * 10 + [True] * 20
    assert said == ["snapshot_late"]
