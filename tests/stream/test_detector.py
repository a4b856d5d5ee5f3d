"""The adaptive deadline."""

from __future__ import annotations

import pytest

from lockstep.stream.detector import HeartbeatDetector

MS = 1_000_000


def detector(**changes: int) -> HeartbeatDetector:
    values = {"interval_ns": 20 * MS, "floor_ns": 100 * MS, "factor": 4, "cap_ns": 250 * MS, **changes}
    return HeartbeatDetector(**values)


def beat(watched: HeartbeatDetector, start_ms: int, gaps_ms: list[int]) -> int:
    """Feeds heartbeats with the given gaps, ticking every 5 ms between them; returns the time of the last, in ms."""
    now_ms = start_ms
    for gap_ms in gaps_ms:
        for tick_ms in range(now_ms, now_ms + gap_ms, 5):
            watched.note_tick(tick_ms * MS)
        now_ms += gap_ms
        watched.note_tick(now_ms * MS)
        watched.on_heartbeat(now_ms * MS)
    return now_ms


def test_nothing_expires_before_the_first_heartbeat() -> None:
    watched = detector()
    watched.note_tick(0)
    assert watched.deadline_ns is None
    assert not watched.expired(10**12)


def test_regular_heartbeats_give_the_floor() -> None:
    watched = detector()
    last_ms = beat(watched, 0, [20] * 50)
    assert watched.timeout_ns == 100 * MS
    assert not watched.expired((last_ms + 100) * MS)
    assert watched.expired((last_ms + 101) * MS)


def test_a_late_heartbeat_raises_the_deadline_at_once_and_it_decays_slowly() -> None:
    watched = detector()
    last_ms = beat(watched, 0, [20] * 10 + [45])
    assert watched.timeout_ns == 180 * MS
    last_ms = beat(watched, last_ms, [20])
    assert 160 * MS < watched.timeout_ns < 180 * MS
    beat(watched, last_ms, [20] * 20)
    assert watched.timeout_ns == 100 * MS


def test_the_deadline_never_passes_the_cap() -> None:
    watched = detector()
    beat(watched, 0, [20, 90, 200])
    assert watched.timeout_ns == 250 * MS


def test_a_gap_that_was_a_failure_is_not_learnt() -> None:
    watched = detector()
    beat(watched, 0, [20] * 5 + [3000])
    assert watched.timeout_ns == 100 * MS


def test_a_watcher_that_was_paused_does_not_accuse() -> None:
    watched = detector()
    last_ms = beat(watched, 0, [20] * 5)
    watched.note_tick((last_ms + 10) * MS)
    watched.note_tick((last_ms + 1010) * MS)
    assert not watched.expired((last_ms + 1010) * MS)
    assert watched.deadline_ns == (last_ms + 100 + 1000) * MS


def test_a_peer_that_died_during_the_pause_is_found_after_it() -> None:
    watched = detector()
    last_ms = beat(watched, 0, [20] * 5)
    watched.note_tick(last_ms * MS)
    now_ms = last_ms + 1000
    watched.note_tick(now_ms * MS)
    while not watched.expired(now_ms * MS):
        now_ms += 5
        watched.note_tick(now_ms * MS)
    assert now_ms - (last_ms + 1000) <= 105


def test_the_watchers_pause_is_not_learnt_as_the_peers_gap() -> None:
    watched = detector()
    last_ms = beat(watched, 0, [20] * 5)
    watched.note_tick(last_ms * MS)
    watched.note_tick((last_ms + 200) * MS)
    watched.on_heartbeat((last_ms + 200) * MS)
    assert watched.timeout_ns == 100 * MS


def test_short_tick_gaps_excuse_nothing() -> None:
    watched = detector()
    watched.on_heartbeat(0)
    for tick_ms in range(0, 120, 40):
        assert watched.note_tick(tick_ms * MS) == 0
    assert watched.expired(101 * MS)


@pytest.mark.parametrize(
    "changes", [{"interval_ns": 0}, {"floor_ns": 20 * MS}, {"cap_ns": 99 * MS}, {"factor": 0}], ids=str
)
def test_contradicting_numbers_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="interval_ns"):
        detector(**changes)
