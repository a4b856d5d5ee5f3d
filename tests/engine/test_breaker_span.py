"""The breaker over every span of its length, against a list of all trades."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from lockstep.engine.reference.stood import MOST_STOOD, Extremes
from lockstep.engine.snapshot_format import HIGHEST, LOWEST, decode_snapshot
from lockstep.stream.records import CommandKind, EventKind, Phase
from tests.seeds import seeds

HOUSE, BOB = 9, 2
WINDOW_NS, PAUSE_NS = 1_000, 5_000
PPM = 10**6


def breaker(venue: Any, ppm: int = 50_000) -> None:
    venue.price_limits(
        breaker_ppm=ppm, breaker_window_ns=WINDOW_NS, breaker_pause_ns=PAUSE_NS, breaker_phase=Phase.HALT
    )


def trade(venue: Any, price: int, at_ns: int = 0) -> bool:
    """A trade at a price, stamped `at_ns` (0: the next stamp); whether it set off the breaker."""
    venue.new(HOUSE, "S", 1, price)
    if at_ns:
        venue.now_ns = at_ns - 1
    kinds = [event.kind for event in venue.new(HOUSE, "B", 1, price)]
    assert kinds[:2] == [EventKind.ACCEPTED, EventKind.TRADE]
    return kinds[2:] == [EventKind.PHASE_CHANGED]


def spans(venue: Any) -> tuple[list[int], list[int]]:
    rows = decode_snapshot(venue.engine.snapshot()).stood
    highest, lowest = ([row.price_ticks for row in rows if row.queue == queue] for queue in (HIGHEST, LOWEST))
    return highest, lowest


@pytest.mark.parametrize("way", [1, -1])
def test_a_move_that_straddles_two_windows_is_seen(venue: Any, way: int) -> None:
    """A window that opens at 10 000 and another one at 1 000 ns would each see half of the move."""
    breaker(venue)
    assert not trade(venue, 1_000, 10_000)
    assert not trade(venue, 1_000 + 30 * way, 10_950)
    assert not trade(venue, 1_000 + 30 * way, 11_100)
    assert trade(venue, 1_000 + 82 * way, 11_500)


def test_the_lowest_of_the_span_counts_and_not_the_first(venue: Any) -> None:
    breaker(venue)
    for price, at_ns in ((1_000, 10_000), (960, 10_100), (1_000, 10_200)):
        assert not trade(venue, price, at_ns)
    assert not trade(venue, 1_008, 10_300), "5 % above 960 exactly: the limit is not exceeded"
    assert trade(venue, 1_009, 10_400)


@pytest.mark.parametrize(("at_ns", "is_set_off"), [(11_099, True), (11_100, False)])
def test_a_price_counts_until_the_span_is_over_since_the_next_trade(venue: Any, at_ns: int, is_set_off: bool) -> None:
    breaker(venue)
    for price, stamp in ((1_000, 10_000), (1_040, 10_100)):
        assert not trade(venue, price, stamp)
    assert trade(venue, 1_080, at_ns) is is_set_off


def test_the_price_that_stood_counts_however_old_it_is(venue: Any) -> None:
    breaker(venue)
    assert not trade(venue, 1_000, 10_000)
    assert trade(venue, 1_060, 10_000_000)


def test_a_sweep_is_measured_from_its_own_first_trade(venue: Any) -> None:
    breaker(venue)
    for price in (1_000, 1_030, 1_060):
        venue.new(BOB, "S", 1, price)
    kinds = [event.kind for event in venue.new(HOUSE, "B", 3, 1_060)]
    assert kinds == [EventKind.ACCEPTED, *[EventKind.TRADE] * 3, EventKind.PHASE_CHANGED]


def test_a_phase_and_new_limits_begin_the_span_anew(venue: Any) -> None:
    breaker(venue)
    for price in (1_000, 990, 1_010):
        trade(venue, price)
    assert spans(venue) == ([1_010], [990, 1_010])
    breaker(venue)
    assert spans(venue) == ([], [])
    assert not trade(venue, 1_040), "measured from 1 010"
    assert spans(venue) == ([1_040], [1_010, 1_040])
    venue.phase(Phase.HALT)
    venue.phase(Phase.CONTINUOUS)
    assert spans(venue) == ([], [])
    assert not trade(venue, 1_090), "measured from 1 040"
    venue.price_limits()
    trade(venue, 1_100)
    assert spans(venue) == ([], [])


def _is_too_far(stood: list[tuple[int, int]], now_ns: int, ppm: int) -> bool:
    """As the rule says it, over all (price, stamp) there were; the last one is the price now."""
    last = stood[-1][0]
    until = [stamp for _, stamp in stood[1:]] + [now_ns]
    within = [price for (price, _), end_ns in zip(stood, until, strict=True) if now_ns - end_ns < WINDOW_NS]
    return any(abs(last - price) * PPM > ppm * price for price in (min(within), max(within)))


@pytest.mark.parametrize("seed", seeds(3))
def test_the_breaker_is_exact_over_all_spans(venue: Any, seed: int) -> None:
    pick = random.Random(seed)
    ppm = 20_000
    breaker(venue, ppm)
    stood: list[tuple[int, int]] = []
    price, set_off = 1_000, 0
    for _ in range(220):
        price = max(900, min(1_100, price + pick.choice((-9, -4, -2, 0, 1, 3, 8))))
        at_ns = venue.now_ns + pick.choice((3, 3, 40, 40, 250, 900, 1_400))
        found = trade(venue, price, at_ns)
        stood.append((price, at_ns))
        assert found == _is_too_far(stood, at_ns, ppm)
        if found:
            set_off += 1
            stood = [(price, at_ns)]
            venue.phase(Phase.CONTINUOUS)
            # Another price, as it stands when the span begins.
            stood[0] = (price, venue.now_ns)
    assert set_off >= 3


def test_queues_are_exact_up_to_their_size_and_never_too_lax_beyond() -> None:
    pick = random.Random(7)
    extremes = {True: Extremes(is_highest=True), False: Extremes(is_highest=False)}
    seen: list[tuple[int, int]] = []
    now_ns, price, most = 0, 10**6, 0
    for at in range(12_000):
        now_ns += pick.randint(0, 3)
        # Long falls and rises, so that there are more extremes within a span than a queue holds.
        price += pick.choice((-1, -1, -1, 2)) if at // 4_000 % 2 == 0 else pick.choice((1, 1, 1, -2))
        for one in extremes.values():
            one.forget(now_ns, 5_000)
            one.stand(price, now_ns)
        seen.append((price, now_ns))
        if at % 37:
            continue
        until = [*(stamp for _, stamp in seen[1:]), now_ns]
        within = [one for (one, _), end_ns in zip(seen, until, strict=True) if now_ns - end_ns < 5_000]
        highest, lowest = extremes[True], extremes[False]
        most = max(most, len(highest.rows), len(lowest.rows))
        assert highest.furthest >= max(within)
        assert lowest.furthest <= min(within)
        if len(within) < MOST_STOOD:
            assert (highest.furthest, lowest.furthest) == (max(within), min(within))
    assert most > MOST_STOOD // 2 + 100, "the queues were never full"
    assert all(len(one.rows) <= MOST_STOOD for one in extremes.values())


def test_full_queues_are_the_same_in_both_engines(make_venue: Callable[..., Any], make_command: Any) -> None:
    """A fall of more ticks than a queue holds, in one span."""
    from lockstep.engine.native import NativeEngine

    raw = []
    for engine in (None, NativeEngine):
        venue = make_venue() if engine is None else make_venue(engine)
        breaker(venue, ppm=10**6)
        apply = venue.engine.apply
        for price in range(9_000, 9_000 - MOST_STOOD - 300, -1):
            for side in (1, 2):
                order = make_command(
                    CommandKind.NEW_ORDER, side=side, order_type=1, tif=2, account=HOUSE, instrument=7,
                    price_ticks=price, quantity_lots=1, session_id=5, session_no=venue.numbers[5] + 1,
                )  # fmt: skip
                venue.numbers[5] += 1
                apply(order, first_seq=venue.engine.last_seq + 1, timestamp_ns=venue.now_ns)
        highest, lowest = spans(venue)
        assert len(highest) == MOST_STOOD // 2 + 300
        assert highest[0] == 9_000
        assert lowest == [9_000 - MOST_STOOD - 299]
        raw.append(venue.engine.snapshot())
        assert type(venue.engine).restore(raw[-1]).snapshot() == raw[-1]
    assert raw[0] == raw[1]
