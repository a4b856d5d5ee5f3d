"""What schedulers do to a market: once each, in order, whatever happens to them. A real engine executes it."""

import datetime as dt
import random

import pytest

from lockstep.day.board import SetPhase
from lockstep.day.marks import END, RESTORE, START, Mark
from lockstep.day.survey import rows_of
from lockstep.stream.enums import Phase
from tests.day.world import MINUTE, SECOND, Market, Scheduler, day_of, instants, plans
from tests.seeds import seeds

WEDNESDAY, FRIDAY = dt.date(2024, 11, 27), dt.date(2024, 11, 29)
"""Thanksgiving is between, and Friday is a half day in New York, none in London."""


def begin_ns() -> int:
    """An hour before the day in London begins."""
    return day_of(2, WEDNESDAY).begin_ns - 3_600 * SECOND


ACME, GLOBEX, TEA = 1, 2, 3


def undisturbed(first=WEDNESDAY, last=FRIDAY):
    market = Market(begin_ns())
    scheduler = Scheduler(market)
    for at_ns in instants(first, last):
        market.tick(at_ns)
        scheduler.settle()
    return market


def new_york(date: dt.date, code: int) -> Mark:
    return Mark(1, date, code)


def at_open(minutes: int = 1) -> int:
    return day_of(1, WEDNESDAY).changes[2].at_ns + minutes * MINUTE


def market_at(now_ns: int):
    """New York's Wednesday, kept up to a time, and its scheduler."""
    market = Market(begin_ns())
    scheduler = Scheduler(market)
    for at_ns in [one for one in instants(WEDNESDAY, FRIDAY) if one <= now_ns]:
        market.tick(at_ns)
        scheduler.settle()
    market.tick(now_ns)
    scheduler.settle()
    return market, scheduler


def go_on(market: Market, scheduler: Scheduler, until_ns: int) -> None:
    for at_ns in [one for one in instants(WEDNESDAY, dt.date(2024, 12, 6)) if market.now_ns < one <= until_ns]:
        market.tick(at_ns)
        scheduler.settle()
    market.tick(until_ns)
    scheduler.settle()


def test_a_week_with_a_holiday_and_a_half_day_is_done_change_by_change_at_its_time():
    done = undisturbed().done()
    expected = []
    for number, ids in ((1, (ACME, GLOBEX)), (2, (TEA,))):
        for day in plans()[number].days:
            if WEDNESDAY <= day.date <= FRIDAY:
                for change in day.changes:
                    expected += [
                        (Mark(number, day.date, change.code), at, one, change.phase, change.at_ns)
                        for at, one in enumerate(ids, 1)
                    ]
    # Market opens with its instruments in CONTINUOUS, so the night before is ended first.
    started = [row for row in done if row[0].date >= WEDNESDAY]
    assert sorted(started, key=str) == sorted(expected, key=str)
    assert {row[0].date for row in done} - {WEDNESDAY, dt.date(2024, 11, 28), FRIDAY} == {dt.date(2024, 11, 26)}
    assert not [row for row in done if row[0] == new_york(dt.date(2024, 11, 28), START)], "Thanksgiving"
    close = next(row for row in done if row[0] == new_york(FRIDAY, END))[-1]
    assert dt.datetime.fromtimestamp(close / 1e9, dt.UTC).time() == dt.time(18, 1), "a half day"


@pytest.mark.parametrize("from_snapshot", [False, True], ids=["from seq 1", "from a snapshot"])
@pytest.mark.parametrize("point", ["before it decides", "before it sends", "before it arrives", "before the answer"])
def test_the_stream_is_the_same_if_the_scheduler_is_killed_at_any_step_of_any_change(point, from_snapshot):
    expected = undisturbed().done()
    market = Market(begin_ns())
    scheduler = Scheduler(market)
    killed = 0
    for at_ns in instants(WEDNESDAY, FRIDAY):
        market.tick(at_ns)
        while True:
            if point != "before it decides":
                scheduler.read()
                decision = scheduler.decide()
            late = None
            if point == "before it arrives":
                # A gateway has it, and its cluster is in a takeover: it comes later, and twice.
                late = decision
            elif point == "before the answer" and decision is not None:
                market.receive(decision)
            scheduler = Scheduler(market, from_snapshot=from_snapshot)
            killed += 1
            scheduler.read()
            again = scheduler.decide()
            if again is None:
                break
            market.receive(again)
            if late is not None:
                market.receive(late)
                market.receive(late)
    assert market.done() == expected
    assert killed >= len(expected) / 2


@pytest.mark.parametrize("seed", seeds(60, quick=2))
def test_two_schedulers_that_lag_and_die_do_each_change_once_and_in_order(seed):
    pick = random.Random(seed)
    market = Market(begin_ns())
    lives = [Scheduler(market), Scheduler(market)]
    late = []
    ends = instants(WEDNESDAY, FRIDAY)
    for at_ns in ends:
        market.tick(at_ns)
        for _ in range(12):
            at = pick.randrange(2)
            draw = pick.random()
            if draw < 0.2:
                lives[at] = Scheduler(market, from_snapshot=pick.random() < 0.5)
            if draw < 0.8:
                lives[at].read()
            decision = lives[at].decide()
            if decision is not None:
                late.append(decision)
                if pick.random() < 0.6:
                    market.receive(decision)
            while late and pick.random() < 0.5:
                market.receive(pick.choice(late))
        lives[0].settle()
    for one in late:
        market.receive(one)
    assert market.done() == undisturbed().done()


@pytest.mark.parametrize("seed", seeds(200, quick=3))
def test_whoever_is_away_for_hours_or_days_ends_every_day_once_and_opens_none_that_is_over(seed):
    pick = random.Random(seed)
    last = dt.date(2024, 12, 6)
    market = Market(begin_ns())
    scheduler = Scheduler(market)
    scheduler.settle()
    away_until = 0
    for at_ns in instants(WEDNESDAY, last):
        if pick.random() < 0.15:
            away_until = at_ns + pick.choice((2, 20, 70, 90)) * 3_600 * SECOND
        market.tick(at_ns)
        if at_ns >= away_until:
            scheduler = Scheduler(market, from_snapshot=pick.random() < 0.5)
            scheduler.settle()
    market.tick(day_of(1, last).end_ns + SECOND)
    Scheduler(market).settle()
    check_order(market)
    ended = {(mark.segment, mark.date, instrument) for mark, _, instrument, *_ in market.done() if mark.code == END}
    for number, ids in ((1, (ACME, GLOBEX)), (2, (TEA,))):
        dates = {day.date for day in plans()[number].days if WEDNESDAY <= day.date <= last}
        assert {(number, date, one) for date in dates for one in ids} <= ended, "a day did not end"
    assert set(market.phases().values()) == {Phase.CLOSED}


def check_order(market: Market) -> None:
    """Of each instrument: every change once, days and changes of a day in order, none at a time that is not its."""
    seen: dict[int, list] = {}
    for mark, _, instrument, phase, at_ns in market.done():
        before = seen.setdefault(instrument, [])
        assert (mark.date, mark.code) not in before
        assert not before or before[-1] < (mark.date, mark.code), f"{mark} behind {before[-1]}"
        before.append((mark.date, mark.code))
        day = day_of(mark.segment, mark.date)
        if mark.code != END:
            assert day.begin_ns <= at_ns < day.end_ns, f"{mark} at {at_ns}: it was over"
            assert phase in (day.current(at_ns).phase, Phase.HALT), "or it is held"
        else:
            assert at_ns >= day.end_ns


def test_a_scheduler_that_comes_late_begins_the_day_in_the_phase_that_it_should_have_now():
    market = Market(at_open() - 86_400 * SECOND)
    market.tick(at_open())
    scheduler = Scheduler(market)
    scheduler.settle()
    rows = [row for row in market.done() if row[0].segment == 1]
    assert [(row[0], row[2], row[3]) for row in rows] == [
        (new_york(WEDNESDAY, START), ACME, Phase.CONTINUOUS),
        (new_york(WEDNESDAY, START), GLOBEX, Phase.CONTINUOUS),
    ]


def test_a_market_whose_close_is_past_is_not_opened():
    market = Market(begin_ns())
    market.tick(day_of(1, WEDNESDAY).end_ns + 3_600 * SECOND)
    Scheduler(market).settle()
    assert {row[3] for row in market.done()} == {Phase.CLOSED}
    assert market.phases() == {ACME: Phase.CLOSED, GLOBEX: Phase.CLOSED, TEA: Phase.CLOSED}


@pytest.mark.parametrize("restarted", [False, True])
def test_an_operators_halt_outlasts_changes_and_closes_until_an_operator_lifts_it(restarted):
    market, scheduler = market_at(at_open())
    market.operate(SetPhase(ACME, Phase.HALT))

    def look(at_ns: int) -> dict[int, int]:
        nonlocal scheduler
        if restarted:
            scheduler = Scheduler(market, from_snapshot=True)
        go_on(market, scheduler, at_ns)
        return market.phases()

    wednesday, friday = day_of(1, WEDNESDAY), day_of(1, FRIDAY)
    assert look(wednesday.changes[3].at_ns) | {TEA: 0} == {ACME: Phase.HALT, GLOBEX: Phase.CLOSING_AUCTION, TEA: 0}
    assert [one.instrument for one in scheduler.desk.passed_over(market.now_ns)] == [ACME]
    assert look(wednesday.end_ns)[ACME] == Phase.CLOSED, "orders for the day end with it"
    assert look(wednesday.end_ns + 3_600 * SECOND)[ACME] == Phase.CLOSED
    assert look(friday.begin_ns)[ACME] == Phase.HALT
    assert look(friday.changes[2].at_ns) | {TEA: 0} == {ACME: Phase.HALT, GLOBEX: Phase.CONTINUOUS, TEA: 0}
    market.tick(friday.changes[2].at_ns + MINUTE)
    market.operate(SetPhase(ACME, Phase.CONTINUOUS))
    assert look(friday.changes[3].at_ns)[ACME] == Phase.CLOSING_AUCTION, "from here on it is with the others again"
    assert look(friday.end_ns)[ACME] == Phase.CLOSED
    check_order(market)


def test_a_halt_is_shown_whenever_it_stands():
    """Before the close, over it, and where it comes after it."""
    wednesday, friday = day_of(1, WEDNESDAY), day_of(1, FRIDAY)
    market, scheduler = market_at(at_open())

    def shown_as() -> list[tuple[int, str]]:
        scheduler.read()
        again = Scheduler(market, from_snapshot=True)
        both = [one.desk.passed_over(market.now_ns) for one in (scheduler, again)]
        assert both[0] == both[1], "a snapshot says the same"
        notes = {scheduler.desk.board.instruments[row.symbol]: row.note for row in rows_of(scheduler.desk) if row.note}
        assert notes == {one.instrument: one.why for one in both[0]}, "and so does the status"
        return [(one.instrument, one.why) for one in both[0]]

    assert shown_as() == []
    market.operate(SetPhase(ACME, Phase.HALT))
    assert shown_as() == [(ACME, "it is halted")]
    go_on(market, scheduler, wednesday.end_ns + MINUTE)
    assert market.phases()[ACME] == Phase.CLOSED
    assert shown_as() == [(ACME, "it is halted")], "it will be when the next day begins"
    market.operate(SetPhase(GLOBEX, Phase.HALT))
    assert shown_as() == [(ACME, "it is halted"), (GLOBEX, "it is halted")]
    assert scheduler.decide() is None
    go_on(market, scheduler, friday.begin_ns + MINUTE)
    assert shown_as() == [(ACME, "it is halted"), (GLOBEX, "it is halted")]
    for one in (ACME, GLOBEX):
        market.operate(SetPhase(one, Phase.PRE_OPEN))
    assert shown_as() == []


@pytest.mark.parametrize("closed", [False, True])
def test_a_phase_that_somebody_set_is_shown_until_the_next_change(closed):
    market, scheduler = market_at(day_of(1, WEDNESDAY).end_ns + MINUTE if closed else at_open())
    market.operate(SetPhase(ACME, Phase.VOLATILITY_AUCTION))
    market.operate(SetPhase(GLOBEX, Phase.HALT, Phase.CONTINUOUS, until_ns=market.now_ns + MINUTE))
    scheduler.read()
    assert [(one.instrument, one.why) for one in scheduler.desk.passed_over(market.now_ns)] == [
        (ACME, "somebody has set it to volatility_auction since"),
        (GLOBEX, "it pauses, and goes on by itself"),
    ]
    assert scheduler.decide() is None
    go_on(market, scheduler, day_of(1, FRIDAY).begin_ns if closed else day_of(1, WEDNESDAY).changes[3].at_ns)
    assert [one for one in scheduler.desk.passed_over(market.now_ns) if one.instrument in (ACME, GLOBEX)] == []


def test_a_phase_that_an_operator_sets_stands_until_the_next_change():
    market, scheduler = market_at(at_open())
    market.operate(SetPhase(ACME, Phase.VOLATILITY_AUCTION))
    go_on(market, scheduler, at_open(60))
    assert market.phases()[ACME] == Phase.VOLATILITY_AUCTION
    market.operate(SetPhase(GLOBEX, Phase.HALT))
    market.tick(at_open(70))
    market.operate(SetPhase(GLOBEX, Phase.PRE_OPEN))
    go_on(market, scheduler, at_open(80))
    assert market.phases()[GLOBEX] == Phase.PRE_OPEN
    go_on(market, scheduler, day_of(1, WEDNESDAY).changes[3].at_ns)
    assert {market.phases()[ACME], market.phases()[GLOBEX]} == {Phase.CLOSING_AUCTION}


def test_an_instrument_that_was_closed_early_stays_closed_for_the_day_and_its_day_ends():
    market, scheduler = market_at(at_open())
    market.operate(SetPhase(ACME, Phase.CLOSED))
    go_on(market, scheduler, day_of(1, WEDNESDAY).changes[3].at_ns)
    assert market.phases()[ACME] == Phase.CLOSED
    go_on(market, scheduler, day_of(1, FRIDAY).begin_ns)
    assert market.phases()[ACME] == Phase.PRE_OPEN
    assert (new_york(WEDNESDAY, END), ACME) in [(row[0], row[2]) for row in market.done()]


def test_a_pause_goes_on_by_itself_and_yields_to_the_closing_auction():
    wednesday = day_of(1, WEDNESDAY)
    market, scheduler = market_at(wednesday.changes[2].at_ns - MINUTE)
    pause = (Phase.HALT, Phase.CONTINUOUS)
    market.operate(SetPhase(ACME, *pause, until_ns=wednesday.changes[2].at_ns + 5 * MINUTE))
    go_on(market, scheduler, wednesday.changes[2].at_ns + MINUTE)
    assert market.phases()[ACME] == Phase.HALT
    go_on(market, scheduler, wednesday.changes[2].at_ns + 6 * MINUTE)
    assert market.phases()[ACME] == Phase.CONTINUOUS
    market.operate(SetPhase(ACME, *pause, until_ns=wednesday.changes[3].at_ns + 5 * MINUTE))
    go_on(market, scheduler, wednesday.changes[3].at_ns)
    assert market.phases()[ACME] == Phase.CLOSING_AUCTION


@pytest.mark.parametrize("word", [Phase.HALT, Phase.CONTINUOUS])
@pytest.mark.parametrize("place", [0, 2, 3, 4])
def test_an_operators_word_that_crosses_a_change_on_its_way_is_given_back(place, word):
    """The change was decided before the operator's command came, and comes behind it."""
    change = day_of(1, WEDNESDAY).changes[place]
    market, scheduler = market_at(change.at_ns - MINUTE)
    if word is not Phase.HALT:
        market.operate(SetPhase(ACME, Phase.HALT))
    market.tick(change.at_ns)
    scheduler.read()
    decision = scheduler.decide()
    market.operate(SetPhase(ACME, word))
    if decision is not None:
        market.receive(decision)
    scheduler.settle()
    marks = [(row[0].code, row[2]) for row in market.done()]
    Scheduler(market).settle()
    assert marks == [(row[0].code, row[2]) for row in market.done()], "once"
    if word is Phase.HALT:
        assert market.phases()[ACME] == Phase.HALT
        assert (RESTORE, ACME) in marks
    elif place in (0, 4):
        assert market.phases()[ACME] == (Phase.CONTINUOUS if place == 0 else Phase.CLOSED)
        go_on(market, scheduler, day_of(1, FRIDAY).changes[2].at_ns)
        assert market.phases()[ACME] == Phase.CONTINUOUS, "it is not halted again"


def test_an_instrument_that_is_defined_in_the_middle_of_a_day_joins_it():
    market = Market(begin_ns(), symbols=("ACME", "TEA"))
    scheduler = Scheduler(market)
    go_on(market, scheduler, at_open())
    assert scheduler.desk.undefined() == ["GLOBEX"]
    market.define("GLOBEX")
    scheduler.settle()
    assert [(row[0], row[3]) for row in market.done() if row[2] == GLOBEX] == [
        (new_york(WEDNESDAY, START), Phase.CONTINUOUS)
    ]
