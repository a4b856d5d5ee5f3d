"""Schedules are a function of their seed, meet every kind, and leave time to heal."""

from itertools import pairwise

import pytest

from lockstep.trials.chaos.schedule import Kind, plan_faults


def test_equal_seeds_give_equal_schedules_and_others_do_not() -> None:
    first, again, other = (plan_faults(seed, duration_ms=60_000, not_run={}) for seed in (7, 7, 8))
    assert first == again
    assert first.faults != other.faults


@pytest.mark.parametrize("seed", range(20))
def test_two_minutes_hold_forty_faults_of_every_kind(seed: int) -> None:
    faults = plan_faults(seed, duration_ms=120_000, not_run={}).faults
    assert len(faults) >= 40
    assert {fault.kind for fault in faults} == set(Kind)
    assert [fault.number for fault in faults] == list(range(1, len(faults) + 1))


def test_a_schedule_has_quiet_before_and_after_and_overlaps_in_between() -> None:
    faults = plan_faults(3, duration_ms=120_000, not_run={}).faults
    assert faults[0].at_ms >= 1000
    assert faults[-1].at_ms <= 116_000
    steps = [after.at_ms - before.at_ms for before, after in pairwise(faults)]
    assert min(steps) < 500
    assert sum(step > 1500 for step in steps) > len(steps) / 2


def test_kinds_that_cannot_be_run_are_kept_with_their_reason() -> None:
    schedule = plan_faults(1, duration_ms=60_000, not_run={Kind.LATENCY: "no such device"})
    assert Kind.LATENCY not in {fault.kind for fault in schedule.faults}
    assert schedule.not_run == {Kind.LATENCY: "no such device"}


def test_nothing_is_planned_where_nothing_can_be_run() -> None:
    assert plan_faults(1, duration_ms=60_000, not_run=dict.fromkeys(Kind, "no")).faults == ()


def test_pauses_last_from_a_twentieth_of_a_second_to_two_seconds() -> None:
    faults = plan_faults(5, duration_ms=600_000, not_run={}).faults
    pauses = [fault.hold_ms for fault in faults if fault.kind.value.startswith("pause_")]
    assert min(pauses) >= 50
    assert max(pauses) <= 2000


def test_only_the_kinds_that_were_asked_for_are_planned() -> None:
    only = (Kind.KILL_DRIVER, Kind.PARTITION_MESH)
    schedule = plan_faults(1, duration_ms=60_000, not_run={}, only=only)
    assert {fault.kind for fault in schedule.faults} == set(only)
    assert not schedule.not_run
