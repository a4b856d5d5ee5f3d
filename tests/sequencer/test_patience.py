"""Silence: at once a loss on a calm cluster, later and later on one whose failovers for it were without effect."""

from collections.abc import Callable
from typing import Any

import pytest

from lockstep.runtime.topology import Limits, Timing
from lockstep.sequencer.patience import Patience
from lockstep.sequencer.settings import MS, Settings

Build = Callable[..., Any]
ENGINE = ("engine", 1)
RIVAL = ("sequencer", 2)


@pytest.fixture
def patience() -> Patience:
    """Of a sequencer with a `hang_ms` of 200."""
    settings = Settings(
        member=1, identity="s", fresh_uuid="00000001-0000-4000-8000-000000000001", sequencers=(1, 2), engines=(1, 2, 3),
        gateways=(1,), limits=Limits(), timing=Timing(hang_ms=200),
    )  # fmt: skip
    return Patience(settings)


def silent_for(patience: Patience, ms: int, at_ms: int, *, peer: tuple[str, int] = ENGINE) -> int:
    """One is silent beyond its deadline for so long; when it is back, in ms."""
    patience.on_silent(peer, at_ms * MS)
    patience.on_back(peer, (at_ms + ms) * MS)
    return at_ms + ms


def extra_ms(patience: Patience, at_ms: int) -> int:
    return patience.extra_ns(at_ms * MS) // MS


def test_first_silence_counts_at_its_deadline(patience: Patience) -> None:
    assert extra_ms(patience, 0) == 0


def test_each_failover_in_vain_doubles_the_silence_that_counts_up_to_a_bound(patience: Patience) -> None:
    now_ms, seen = 0, []
    for _ in range(7):
        now_ms = silent_for(patience, extra_ms(patience, now_ms) + 300, now_ms + 1_500)
        seen.append(extra_ms(patience, now_ms))
    assert seen == [200, 600, 1_400, 3_000, 3_000, 3_000, 3_000]
    assert patience.without_effect == 7


@pytest.mark.parametrize("peer", [ENGINE, ("engine", 3), RIVAL])
def test_lesson_is_the_hosts_whoever_was_silent(patience: Patience, peer: tuple[str, int]) -> None:
    now_ms = silent_for(patience, 400, 0, peer=peer)
    assert extra_ms(patience, now_ms) == 200


def test_hang_that_lasts_was_no_failover_in_vain(patience: Patience) -> None:
    now_ms = silent_for(patience, 1_800, 0)
    assert extra_ms(patience, now_ms) == 0


def test_crash_after_a_hang_was_no_failover_in_vain(patience: Patience) -> None:
    patience.on_silent(ENGINE, 0)
    patience.on_gone(ENGINE)
    patience.on_back(ENGINE, 600 * MS)
    assert extra_ms(patience, 600) == 0


def test_restart_of_a_crashed_peer_teaches_nothing(patience: Patience) -> None:
    patience.on_gone(ENGINE)
    patience.on_back(ENGINE, 300 * MS)
    assert (extra_ms(patience, 300), patience.unsteadiness(1, 300 * MS)) == (0, 0)


def test_stop_of_the_whole_host_is_one_lesson(patience: Patience) -> None:
    for peer in (ENGINE, ("engine", 2), RIVAL):
        patience.on_silent(peer, 0)
    for peer in (ENGINE, ("engine", 2), RIVAL):
        patience.on_back(peer, 300 * MS)
    assert extra_ms(patience, 300) == 200


def test_leader_that_was_deposed_while_it_was_there_has_learnt_the_same(patience: Patience) -> None:
    patience.on_deposed(0)
    assert extra_ms(patience, 0) == 200


def test_leader_that_was_deposed_after_a_long_stop_of_its_own_has_not(patience: Patience) -> None:
    patience.on_turn(0)
    patience.on_deposed(2_000 * MS)
    assert extra_ms(patience, 2_000) == 0
    patience.on_turn(2_100 * MS)
    patience.on_deposed(2_200 * MS)
    assert extra_ms(patience, 2_200) == 0


@pytest.mark.parametrize("gap_ms", [10, 60, 99, 1_000, 2_000])
def test_short_naps_and_one_long_stop_of_its_own_say_nothing_about_the_host(patience: Patience, gap_ms: int) -> None:
    for turn in range(20 if gap_ms < 100 else 2):
        patience.on_turn(turn * gap_ms * MS)
    assert extra_ms(patience, 20 * gap_ms) == 0


def test_calm_minute_takes_one_doubling_back(patience: Patience) -> None:
    for at_ms in (0, 2_000, 4_000):
        now_ms = silent_for(patience, extra_ms(patience, at_ms) + 300, at_ms)
    later = [extra_ms(patience, now_ms + s * 1_000) for s in (0, 59, 61, 121, 181, 10_000)]
    assert later == [1_400, 1_400, 600, 200, 0, 0]


def test_silence_that_was_waited_out_keeps_the_patience_and_does_not_raise_it(patience: Patience) -> None:
    now_ms = silent_for(patience, 300, 0)
    for _ in range(10):
        now_ms = silent_for(patience, 150, now_ms + 50_000)
        assert extra_ms(patience, now_ms) == 200
    assert patience.without_effect == 1


def test_engine_that_stops_again_and_again_is_chosen_last(patience: Patience) -> None:
    """120 ms of every 400: too short for any deadline."""
    for at_ms in range(0, 4_000, 400):
        patience.on_stop(1, 120 * MS, at_ms * MS)
    assert patience.steadiest_first((1, 2, 3), 4_000 * MS) == (2, 3, 1)


def test_one_short_stop_and_equal_stops_change_no_order(patience: Patience) -> None:
    patience.on_stop(1, 120 * MS, 0)
    assert patience.steadiest_first((1, 2, 3), 0) == (1, 2, 3)
    for engine in (1, 2, 3):
        patience.on_stop(engine, 1_000 * MS, 10 * MS)
    assert patience.steadiest_first((1, 2, 3), 20 * MS) == (1, 2, 3)


def test_stops_are_forgotten_with_time(patience: Patience) -> None:
    patience.on_stop(1, 4_000 * MS, 0)
    grades = [patience.unsteadiness(1, s * 1_000 * MS) for s in (0, 10, 20, 30, 40, 50, 3_600)]
    assert grades == [5, 4, 3, 2, 1, 0, 0]


def test_long_silence_of_an_engine_counts_against_it(patience: Patience) -> None:
    now_ms = silent_for(patience, 1_800, 0)
    assert patience.steadiest_first((1, 2), now_ms * MS) == (2, 1)
