"""Limit up, limit down: bands around the mean of the latest trades, limit states, pauses."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from lockstep.engine.reference.bands import MOST_SALES, Bands, BandTerms
from lockstep.engine.snapshot_format import BandRow, decode_snapshot
from lockstep.stream.codes import Code
from lockstep.stream.records import BANDS, SETTING, CommandKind, EventKind, LimitState, Phase

ACME, OTHER = 7, 8
ALICE, HOUSE = 1, 9
SECOND_NS = 10**9
START_NS = 1_000 * SECOND_NS
US = {
    "high_ppm": 50_000,
    "middle_ppm": 200_000,
    "low_ppm": 750_000,
    "step_ppm": 10_000,
    "high_above_ticks": 300,
    "low_below_ticks": 75,
    "low_most_ticks": 15,
    "window_ns": 300 * SECOND_NS,
    "limit_ns": 15 * SECOND_NS,
    "pause_ns": 300 * SECOND_NS,
}
"""Tier 1 of the US plan, a tick being a cent."""
Send = Callable[..., list[SimpleNamespace]]


@pytest.fixture
def set_bands(venue: Any, make_command: Any) -> Send:
    """SET_BANDS of ACME."""
    venue.now_ns = START_NS

    def send(**terms: int) -> list[SimpleNamespace]:
        fields = {"instrument": ACME} | terms
        found: list[SimpleNamespace] = venue.send(make_command(CommandKind.SET_BANDS, BANDS, **fields), session=0)
        return found

    return send


@pytest.fixture
def set_width(venue: Any, make_command: Any) -> Send:
    """SET_BAND_WIDTH."""

    def send(value: int, instrument: int = ACME, price: int = 0) -> list[SimpleNamespace]:
        fields = {"instrument": instrument, "value": value, "reference_price_ticks": price}
        row = make_command(CommandKind.SET_BAND_WIDTH, SETTING, **fields)
        found: list[SimpleNamespace] = venue.send(row, session=0)
        return found

    return send


def open_at(venue: Any, set_bands: Send, price: int, **terms: int) -> tuple[int, int]:
    """Bands around a first trade; the limits."""
    trade(venue, price)
    *_, moved = set_bands(**US | terms)
    assert (moved.kind, moved.reference_price_ticks) == (EventKind.BANDS_MOVED, price)
    return moved.value, moved.previous_value


def trade(venue: Any, price: int, lots: int = 1) -> list[SimpleNamespace]:
    """A trade of the house with itself; what came of it, behind the TRADE."""
    venue.new(HOUSE, "S", lots, price)
    events: list[SimpleNamespace] = venue.new(HOUSE, "B", lots, price)
    assert [event.kind for event in events[:2]] == [EventKind.ACCEPTED, EventKind.TRADE]
    return events[2:]


def row(venue: Any) -> BandRow:
    (found,) = decode_snapshot(venue.engine.snapshot()).bands
    return found


def kinds(events: list[SimpleNamespace]) -> list[EventKind]:
    return [event.kind for event in events]


def codes(events: list[SimpleNamespace]) -> list[int]:
    return [event.code for event in events]


@pytest.mark.parametrize(
    ("close", "rate", "low", "high"),
    [
        pytest.param(10_000, 50_000, 9_500, 10_500, id="tier 1 above $3"),
        pytest.param(10_000, 100_000, 9_000, 11_000, id="tier 2 above $3"),
        pytest.param(301, 50_000, 286, 316, id="$3.01, to the nearest cent"),
        pytest.param(300, 50_000, 240, 360, id="$3 belongs to the middle"),
        pytest.param(75, 50_000, 60, 90, id="and so does 75 cents"),
        pytest.param(74, 50_000, 59, 89, id="below: 15 cents"),
        pytest.param(10, 50_000, 2, 18, id="or 75 % if that is less"),
    ],
)
def test_the_widths_of_the_plan(
    venue: Any, set_bands: Send, set_width: Send, close: int, rate: int, low: int, high: int
) -> None:
    assert open_at(venue, set_bands, close, high_ppm=rate) == (low, high)
    changed, moved = set_width(2)[:2]
    assert (changed.kind, changed.value) == (EventKind.BAND_WIDTH_SET, 2)
    assert (moved.value, moved.previous_value) == (max(1, 2 * low - close), 2 * high - close)
    moved = set_width(1)[1]
    assert (moved.value, moved.previous_value) == (low, high)


def test_the_previous_close_says_which_width(venue: Any, set_bands: Send) -> None:
    venue.market(CommandKind.SET_INDEX, instrument=ACME, close_price_ticks=300)
    assert open_at(venue, set_bands, 310) == (248, 372)


def test_a_limit_beyond_its_band_is_refused_and_one_that_nobody_meets_is_not(venue: Any, set_bands: Send) -> None:
    open_at(venue, set_bands, 1_000)
    assert codes(venue.new(ALICE, "B", 1, 1_051)) == [Code.OUTSIDE_BAND]
    assert codes(venue.new(HOUSE, "S", 1, 949)) == [Code.OUTSIDE_BAND]
    assert codes(venue.new(HOUSE, "S", 1, 1_100, cid=4))[0] == Code.OK
    assert codes(venue.new(ALICE, "B", 1, 900, cid=3))[0] == Code.OK
    assert codes(venue.replace(ALICE, 3, 1_060, 1)) == [Code.OUTSIDE_BAND]
    assert codes(venue.new(ALICE, "B", 1, 2_000, tif=7))[0] == Code.OK, "it waits for an auction, where no band is"


def test_a_market_order_trades_no_further_than_its_band(venue: Any, set_bands: Send) -> None:
    open_at(venue, set_bands, 1_000)
    venue.new(HOUSE, "S", 2, 1_050)
    venue.new(HOUSE, "S", 2, 1_051)
    events = venue.new(HOUSE, "B", 3, tif=3)
    assert kinds(events)[:3] == [EventKind.ACCEPTED, EventKind.TRADE, EventKind.CANCELED]
    assert (events[1].price_ticks, events[1].quantity_lots) == (1_050, 2)


def test_the_reference_moves_with_the_mean_in_steps_of_one_percent(venue: Any, set_bands: Send) -> None:
    open_at(venue, set_bands, 1_000)
    venue.now_ns += 40 * SECOND_NS
    assert trade(venue, 1_009) == []
    (moved,) = trade(venue, 1_011)
    assert (moved.kind, moved.reference_price_ticks) == (EventKind.BANDS_MOVED, 1_010)
    assert (moved.value, moved.previous_value) == (959, 1_061), "50.5 ticks are 51: halves up"


def test_a_reference_stays_for_thirty_seconds(venue: Any, set_bands: Send) -> None:
    open_at(venue, set_bands, 1_000)
    assert trade(venue, 1_040) == []
    venue.now_ns = START_NS + 29 * SECOND_NS
    assert venue.tick() == []
    (moved,) = venue.tick(START_NS + 31 * SECOND_NS)
    assert (moved.kind, moved.reference_price_ticks) == (EventKind.BANDS_MOVED, 1_040)


def test_what_leaves_the_window_moves_the_reference_at_a_tick(venue: Any, set_bands: Send) -> None:
    open_at(venue, set_bands, 1_000)
    venue.now_ns += 100 * SECOND_NS
    trade(venue, 1_030)
    first_ns = venue.now_ns
    venue.now_ns += 100 * SECOND_NS
    trade(venue, 1_000)
    assert row(venue).reference_ticks == 1_015
    venue.tick(first_ns + 300 * SECOND_NS - 1)
    assert row(venue).reference_ticks == 1_015
    (moved,) = venue.tick(first_ns + 300 * SECOND_NS)
    assert moved.reference_price_ticks == 1_000
    venue.tick(first_ns + 10_000 * SECOND_NS)
    assert row(venue).reference_ticks == 1_000, "without a trade in the window it stays"


def test_orders_that_a_band_moves_over_end(venue: Any, set_bands: Send, set_width: Send) -> None:
    open_at(venue, set_bands, 1_000)
    venue.new(ALICE, "B", 3, 1_040, cid=1)
    venue.new(HOUSE, "S", 3, 1_060, cid=2)
    events = set_width(1, price=980)
    assert kinds(events) == [EventKind.BAND_WIDTH_SET, EventKind.BANDS_MOVED, *kinds(events)[2:]]
    ended = [event for event in events if event.kind == EventKind.CANCELED]
    assert [(event.order_id, event.code, event.session_id) for event in ended] == [(ended[0].order_id, 5013, 0)]
    assert ended[0].account == ALICE
    assert venue.book() == ([], [(1_060, 3, 1)])


def test_a_limit_state_of_fifteen_seconds_ends_in_a_pause_with_an_auction(venue: Any, set_bands: Send) -> None:
    open_at(venue, set_bands, 1_000)
    *_, state = venue.new(ALICE, "B", 3, 1_050, cid=1)
    assert (state.kind, state.value, state.previous_value) == (
        EventKind.LIMIT_STATE_CHANGED,
        LimitState.LIMIT_UP,
        LimitState.NORMAL,
    )
    assert state.until_ns == venue.now_ns + 15 * SECOND_NS
    assert trade_with(venue, 1_050) == [EventKind.ACCEPTED, EventKind.TRADE], "it goes on at the band"
    assert venue.tick(state.until_ns - 1) == []
    (paused, _) = venue.tick(state.until_ns)
    assert (paused.kind, paused.value) == (EventKind.PHASE_CHANGED, Phase.VOLATILITY_AUCTION)
    assert paused.until_ns == venue.now_ns + 300 * SECOND_NS
    assert row(venue).state == LimitState.NORMAL
    # The band does not hold in the auction.
    venue.new(HOUSE, "S", 3, 1_100)
    venue.new(HOUSE, "B", 3, 1_120)
    reopened, traded, moved, *rest = venue.tick(paused.until_ns)
    assert (reopened.kind, reopened.value) == (EventKind.PHASE_CHANGED, Phase.CONTINUOUS)
    assert (traded.kind, traded.price_ticks) == (EventKind.TRADE, 1_100)
    assert (moved.kind, moved.value, moved.previous_value) == (EventKind.BANDS_MOVED, 1_045, 1_155)
    assert rest == []
    assert row(venue).reference_ticks == 1_100


def trade_with(venue: Any, price: int) -> list[EventKind]:
    return kinds(venue.new(HOUSE, "S", 1, price))


def test_a_limit_state_is_over_when_its_orders_are_gone(venue: Any, set_bands: Send) -> None:
    open_at(venue, set_bands, 1_000)
    venue.new(HOUSE, "S", 3, 950, cid=1)
    assert row(venue).state == LimitState.LIMIT_DOWN
    venue.now_ns += 10 * SECOND_NS
    canceled, state = venue.cancel(HOUSE, 1)
    assert (canceled.kind, state.kind) == (EventKind.CANCELED, EventKind.LIMIT_STATE_CHANGED)
    assert (state.value, state.previous_value, state.until_ns) == (LimitState.NORMAL, LimitState.LIMIT_DOWN, 0)
    assert venue.tick(venue.now_ns + 20 * SECOND_NS) == []
    *_, again = venue.new(HOUSE, "S", 1, 950)
    assert again.until_ns == venue.now_ns + 15 * SECOND_NS, "another one begins anew"


def test_the_reference_does_not_move_in_a_limit_state(venue: Any, set_bands: Send) -> None:
    open_at(venue, set_bands, 1_000)
    venue.new(ALICE, "B", 5, 1_050, cid=1)
    until_ns = row(venue).until_ns
    trade_with(venue, 1_050)
    assert venue.tick(until_ns - 1) == []
    assert row(venue).reference_ticks == 1_000


def test_a_straddle_is_reported(venue: Any, set_bands: Send) -> None:
    open_at(venue, set_bands, 1_000)
    *_, state = venue.new(ALICE, "B", 1, 940, cid=1)
    assert (state.kind, state.value, state.until_ns) == (EventKind.LIMIT_STATE_CHANGED, LimitState.STRADDLE, 0)
    *_, state = venue.new(ALICE, "B", 1, 960, cid=2)
    assert (state.value, state.previous_value) == (LimitState.NORMAL, LimitState.STRADDLE)
    *_, state = venue.new(HOUSE, "S", 1, 1_051)
    assert state.value == LimitState.STRADDLE


def test_an_opening_auction_sets_the_reference(venue: Any, set_bands: Send) -> None:
    venue.phase(Phase.OPENING_AUCTION)
    assert kinds(set_bands(**US)) == [EventKind.BANDS_SET]
    assert codes(venue.new(HOUSE, "S", 1, 5_000))[0] == Code.OK
    venue.new(HOUSE, "B", 1, 5_000)
    events = venue.phase(Phase.CONTINUOUS)
    assert kinds(events) == [EventKind.PHASE_CHANGED, EventKind.TRADE, EventKind.BANDS_MOVED]
    assert row(venue).reference_ticks == 5_000
    (sales,) = decode_snapshot(venue.engine.snapshot()).sales
    assert (sales.trades, sales.ticks) == (1, 5_000), "the opening is one trade, however many orders took part"


def test_without_any_price_the_first_trade_is_the_reference(venue: Any, set_bands: Send) -> None:
    assert kinds(set_bands(**US)) == [EventKind.BANDS_SET]
    assert kinds(trade(venue, 777)) == [EventKind.BANDS_MOVED]
    assert row(venue).reference_ticks == 777


def test_a_stop_limit_that_is_set_off_beyond_the_band_ends(venue: Any, set_bands: Send) -> None:
    open_at(venue, set_bands, 1_000)
    assert codes(venue.new(HOUSE, "B", 1, 1_200, order_type=4, stop_price_ticks=1_010, cid=5)) == [0]
    after = trade(venue, 1_010)
    assert kinds(after)[:2] == [EventKind.TRIGGERED, EventKind.CANCELED]
    assert after[1].code == Code.OUTSIDE_BAND


def test_the_bands_of_all_instruments_are_doubled_at_once(venue: Any, set_bands: Send, set_width: Send) -> None:
    venue.define_instrument(OTHER, b"OTHER")
    open_at(venue, set_bands, 1_000)
    set_bands(**US, instrument=OTHER)
    events = set_width(2, instrument=0)
    assert [(event.kind, event.instrument) for event in events] == [
        (EventKind.BAND_WIDTH_SET, 0),
        (EventKind.BANDS_MOVED, ACME),
    ]
    assert [one.factor for one in decode_snapshot(venue.engine.snapshot()).bands] == [2, 2]


def test_bands_can_be_taken_away(venue: Any, set_bands: Send, set_width: Send) -> None:
    open_at(venue, set_bands, 1_000)
    venue.new(HOUSE, "S", 1, 950, cid=1)
    (event,) = set_bands()
    assert (event.kind, event.value) == (EventKind.BANDS_SET, 0)
    assert decode_snapshot(venue.engine.snapshot()).bands == ()
    assert codes(venue.new(HOUSE, "S", 1, 1))[0] == Code.OK
    venue.cancel(HOUSE, 1)
    assert codes(set_width(2)) == [Code.BAD_DEFINITION]
    assert codes(set_width(2, instrument=99)) == [Code.UNKNOWN_INSTRUMENT]


@pytest.mark.parametrize(
    "terms",
    [
        {"high_ppm": 0},
        {"step_ppm": 10**6 + 1},
        {"low_below_ticks": 301},
        {"high_above_ticks": 2**40},
        {"low_most_ticks": -1},
        {"window_ns": 0},
        {"pause_ns": 2**50 + 1},
    ],
)
def test_bands_that_make_no_sense_are_refused(set_bands: Send, terms: dict[str, int]) -> None:
    assert codes(set_bands(**US | terms)) == [Code.BAD_DEFINITION]
    assert codes(set_bands(**US, instrument=99)) == [Code.UNKNOWN_INSTRUMENT]


@pytest.mark.parametrize(("value", "price"), [(0, 0), (3, 0), (1, -1), (1, 2**40)])
def test_a_width_that_makes_no_sense_is_refused(
    venue: Any, set_bands: Send, set_width: Send, value: int, price: int
) -> None:
    open_at(venue, set_bands, 1_000)
    assert codes(set_width(value, price=price)) == [Code.BAD_DEFINITION]


def test_the_window_is_the_mean_of_a_list_of_all_trades_and_stays_small() -> None:
    """Exact while trades are further apart than a 1 024th of it; else one may be forgotten that much too early."""
    bands = Bands(BandTerms(**US))
    far = [(at * SECOND_NS, 1_000 + at * 7 % 31) for at in range(1_000)]
    for now_ns, price in far:
        bands.note(price, now_ns)
        inside = [one for when, one in far if 0 <= now_ns - when < US["window_ns"]]
        assert bands.mean() == (2 * sum(inside) + len(inside)) // (2 * len(inside))
    for step in range(20_000):
        bands.note(1_000, 2_000 * SECOND_NS + step * 10**8)
        assert len(bands.sales) <= MOST_SALES
    assert 2_990 <= sum(sales.trades for sales in bands.sales) <= 3_000
