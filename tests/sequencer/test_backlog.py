"""How many commands may wait for the engines follows what they can do."""

from collections import deque

import pytest

from lockstep.sequencer.backlog import AIM_NS, FIRST, LEAST, Backlog
from lockstep.sequencer.settings import MS

LIMIT = 32_768


class Engines:
    """They hold so many commands a millisecond, each `base_ms` later."""

    def __init__(self, backlog: Backlog, per_ms: float, base_ms: int = 2) -> None:
        self.backlog, self.per_ms = backlog, per_ms
        self._base_ms = base_ms
        self._now = 0
        self._tip = self._done = self._held = 0.0
        self._arriving: deque[tuple[int, float]] = deque()
        self._stamped: deque[tuple[int, float]] = deque()

    def play(self, ms: int, offered_per_ms: float = 1e9) -> int:
        """For so long, under that offer. The longest time that a command waited (ms), in the second half."""
        longest = 0
        end = self._now + ms
        while self._now < end:
            self._now += 1
            fresh = min(offered_per_ms, max(0.0, self.backlog.bound - (self._tip - self._held)))
            self._tip += fresh
            if fresh >= 1:
                self.backlog.on_stamped(int(self._tip), int(self._tip - self._held), self._now * MS)
                self._stamped.append((self._now, self._tip))
            self._done = min(self._tip, self._done + self.per_ms)
            self._arriving.append((self._now + self._base_ms, self._done))
            while self._arriving and self._arriving[0][0] <= self._now:
                self._held = self._arriving.popleft()[1]
            self.backlog.on_held(int(self._held), self._now * MS)
            while self._stamped and self._stamped[0][1] <= self._held:
                at, _ = self._stamped.popleft()
                if self._now > end - ms // 2:
                    longest = max(longest, self._now - at)
        return longest


@pytest.mark.parametrize("per_ms", [30, 60, 100, 250])
def test_what_waits_beyond_what_the_engines_can_do_waits_a_bounded_time(per_ms: int) -> None:
    backlog = Backlog(LIMIT)
    longest_ms = Engines(backlog, per_ms).play(14_000)
    assert longest_ms <= 1.3 * AIM_NS / MS
    assert LEAST < backlog.bound < LIMIT or per_ms > 200


def test_engines_that_are_fast_enough_have_the_whole_bound() -> None:
    backlog = Backlog(LIMIT)
    Engines(backlog, 400).play(5_000, offered_per_ms=200)
    assert backlog.bound == LIMIT


def test_a_slow_host_is_not_given_seconds_of_work_before_it_has_shown_what_it_can_do() -> None:
    backlog = Backlog(8 * LIMIT)
    longest_ms = Engines(backlog, 10).play(4_000)
    assert 0 < longest_ms <= FIRST / 10
    assert backlog.bound <= FIRST // 2


def test_it_recovers_at_once_when_the_engines_do() -> None:
    backlog = Backlog(LIMIT)
    engines = Engines(backlog, 20)
    engines.play(10_000)
    assert backlog.bound < LIMIT // 4
    engines.per_ms = 400
    engines.play(300)
    assert backlog.bound > LIMIT // 2


def test_slow_disks_alone_do_not_throttle() -> None:
    """What each write takes is not a queue: with fewer commands under way it takes as long."""
    backlog = Backlog(LIMIT)
    Engines(backlog, 100, base_ms=150).play(20_000)
    assert backlog.bound > 150 * 100


def test_one_stall_changes_nothing_and_two_in_a_row_halve_it_at_the_most() -> None:
    backlog = Backlog(LIMIT)
    bounds = []
    for turn, took_ms in enumerate((2_000, 10, 2_000, 2_000)):
        backlog.on_stamped(turn + 1, 9_000, 0)
        backlog.on_held(turn + 1, took_ms * MS)
        bounds.append(backlog.bound)
    grown = FIRST + FIRST // 4 + 1
    assert bounds == [FIRST, grown, grown, grown // 2]


def test_one_is_timed_at_a_time_and_what_is_held_already_says_nothing() -> None:
    backlog = Backlog(LIMIT)
    backlog.on_held(5, 9_000 * MS)
    for last in (10, 30):
        backlog.on_stamped(last, 10, 0)
        backlog.on_stamped(last + 10, 20, 1)
        backlog.on_held(last - 1, 9_000 * MS)
        assert backlog.bound == FIRST
        backlog.on_held(last, 9_000 * MS)
    assert backlog.bound == FIRST // 2


@pytest.mark.parametrize(("limit", "least"), [(1, 1), (100, 12), (LEAST, LEAST // 8), (2 * LIMIT, LEAST)])
def test_it_falls_to_an_eighth_of_a_small_limit_and_not_below_one(limit: int, least: int) -> None:
    backlog = Backlog(limit)
    for turn in range(50):
        backlog.on_stamped(turn + 1, 10**6, turn * 1_000 * MS)
        backlog.on_held(turn + 1, (turn + 1) * 1_000 * MS)
    assert backlog.bound == least
