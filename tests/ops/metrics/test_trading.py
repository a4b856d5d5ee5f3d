"""Business figures are sums over the released events, whatever the batches were."""

import numpy as np

from lockstep.runtime.metrics.trading import LABELLED, TradingTally
from lockstep.stream.codes import Code
from lockstep.stream.records import EVENT, EventKind, Events


def events(*rows: tuple[EventKind, int, int, int]) -> Events:
    """Rows of (kind, instrument, lots, code)."""
    made = np.zeros(len(rows), EVENT)
    for i, (kind, instrument, lots, code) in enumerate(rows):
        made[i]["kind"], made[i]["instrument"] = kind, instrument
        made[i]["quantity_lots"], made[i]["code"] = lots, code
    return made


def read(tally: TradingTally, name: str) -> dict[str, float]:
    """Samples of one family by the value of their only label."""
    family = next(family for family in tally.families() if f"{family.name}_total" == name)
    return {next(iter(sample.labels.values())): sample.value for sample in family.samples}


def test_orders_trades_and_lots_are_counted_by_instrument() -> None:
    tally = TradingTally()
    tally.add(events((EventKind.ACCEPTED, 1, 10, 0), (EventKind.ACCEPTED, 2, 7, 0)), 0)
    tally.add(events((EventKind.ACCEPTED, 1, 5, 0), (EventKind.TRADE, 1, 5, 0), (EventKind.CANCELED, 2, 7, 5001)), 0)
    tally.on_tick(10**9)
    assert read(tally, "lockstep_orders_total") == {"1": 2, "2": 1}
    assert read(tally, "lockstep_ordered_lots_total") == {"1": 15, "2": 7}
    assert read(tally, "lockstep_trades_total") == {"1": 1, "2": 0}
    assert read(tally, "lockstep_traded_lots_total") == {"1": 5, "2": 0}
    assert read(tally, "lockstep_cancels_total") == {"1": 0, "2": 1}
    assert read(tally, "lockstep_events_total")["accepted"] == 3


def test_refusals_are_counted_by_code_and_known_codes_begin_at_zero() -> None:
    tally = TradingTally()
    refused = (EventKind.REJECTED, 1, 1, Code.INSUFFICIENT_CASH)
    tally.add(events(refused, refused, (EventKind.CANCEL_REJECTED, 1, 0, Code.UNKNOWN_ORDER)), 0)
    tally.on_tick(10**9)
    found = read(tally, "lockstep_refusals_total")
    assert (found["insufficient_cash"], found["unknown_order"], found["price_collar"]) == (2, 1, 0)
    assert "cancel_requested" not in found


def test_instruments_beyond_the_bound_share_one_label() -> None:
    tally = TradingTally()
    trade = EventKind.TRADE
    tally.add(events((trade, LABELLED, 1, 0), (trade, LABELLED + 1, 1, 0), (trade, 4_000_000_000, 1, 0)), 0)
    tally.on_tick(10**9)
    assert read(tally, "lockstep_trades_total") == {str(LABELLED): 1, "other": 2}


def test_records_of_other_layouts_are_not_taken_for_orders() -> None:
    tally = TradingTally()
    tally.add(events((EventKind.EPOCH_STARTED, 7, 3, 0), (EventKind.INSTRUMENT_DEFINED, 1, 0, 0)), 0)
    tally.on_tick(10**9)
    assert read(tally, "lockstep_trades_total") == {}


def test_many_rows_are_counted_at_once_and_few_after_a_second() -> None:
    tally = TradingTally()
    tally.add(events((EventKind.TRADE, 1, 1, 0)), 0)
    tally.on_tick(10**9 - 1)
    assert read(tally, "lockstep_trades_total") == {}
    tally.add(np.repeat(events((EventKind.TRADE, 1, 1, 0)), 5000), 10)
    assert read(tally, "lockstep_trades_total") == {"1": 5001}
