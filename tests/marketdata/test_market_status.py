"""Phases, bands, indications and definitions are the engine's, by its events, and by its snapshot."""

import numpy as np
import pytest

from lockstep.engine.implementations import implementation
from lockstep.engine.snapshot_format import decode_snapshot
from lockstep.marketdata.market_fold import MarketFold
from lockstep.marketdata.market_status import Status
from lockstep.stream.records import RULES, SETTING, CommandKind, EventKind, Phase, no_events
from tests.all_features import opening, record

from .flows import INSTRUMENTS, Flow


def check(fold, engine):
    image = decode_snapshot(engine.snapshot())
    for row in image.instruments:
        status, definition = fold.statuses.of(row.instrument), fold.statuses.definitions[row.instrument]
        assert status.phase == row.phase
        assert status.reference_ticks == row.reference_ticks
        if row.next_phase:
            assert status.until_ns == row.until_ns
        assert status.band_ppm in (None, row.band_ppm)
        of_bands = [(one.low_ticks, one.high_ticks) for one in image.bands if one.instrument == row.instrument]
        assert [status.moving_band] == (of_bands or [(0, 0)])
        states = [(one.state, one.until_ns) for one in image.bands if one.instrument == row.instrument]
        assert [(status.limit_state, status.limit_until_ns)] == (states or [(0, 0)])
        assert (definition.symbol.encode(), definition.tick_micros, definition.lot_units) == (
            row.symbol, row.tick_micros, row.lot_units,
        )  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_status_is_the_engines_after_every_burst(seed):
    flow = Flow(seed)
    fold = MarketFold()
    fold.apply(flow.first, flow.seq)
    indications = 0
    for turn in range(250):
        events = flow.next()
        fold.apply(events, flow.seq)
        check(fold, flow.engine)
        said = events[events["kind"] == EventKind.INDICATIVE]
        indications += len(said)
        if len(said) and not fold.statuses.of(int(said[-1]["instrument"])).seq > int(said[-1]["seq"]):
            status = fold.statuses.of(int(said[-1]["instrument"]))
            told = (status.indicative_ticks, status.indicative_lots, status.imbalance_lots, status.imbalance_side)
            fields = ("price_ticks", "quantity_lots", "leaves_lots", "side")
            assert told == tuple(int(said[-1][name]) for name in fields)
        if turn % 50 == 49:
            image = decode_snapshot(flow.engine.snapshot())
            check(MarketFold(image.last_seq, image, 1), flow.engine)
    assert indications


def test_a_band_is_not_known_until_the_command_was_read_and_told_with_what_follows():
    engine = implementation("native")()
    fold = MarketFold()
    commands = [*opening(), record(CommandKind.SET_PHASE, SETTING, instrument=7, value=Phase.CONTINUOUS,
                                   reference_price_ticks=1_000)]  # fmt: skip
    fold.apply(engine.apply(np.concatenate(commands), first_seq=1, timestamp_ns=1), engine.last_seq)
    assert fold.statuses.of(7).band == (0, 0)
    limits = record(CommandKind.SET_PRICE_LIMITS, RULES, instrument=7, band_ppm=100_000)
    fold.apply(engine.apply(limits, first_seq=engine.last_seq + 1, timestamp_ns=2), engine.last_seq)
    set_at = engine.last_seq
    assert fold.statuses.limits_set == {7: set_at}
    assert fold.statuses.of(7).band_ppm is None
    fold.statuses.learn_band(7, 55, set_at - 1)
    fold.statuses.learn_band(7, 100_000, set_at)
    tick = record(CommandKind.TICK)
    changes = fold.apply(engine.apply(tick, first_seq=engine.last_seq + 1, timestamp_ns=3), engine.last_seq)
    assert changes.statuses == [7]
    assert (fold.statuses.of(7).band, fold.statuses.of(7).seq) == ((900, 1_100), engine.last_seq)
    assert not fold.statuses.limits_set


def test_bands_are_shown_while_the_instrument_trades_and_the_narrower_limit_counts():
    status = Status(1, reference_ticks=1_000, band_ppm=50_000, moving_band=(960, 1_060))
    assert status.band == (960, 1_050)
    status.phase = Phase.VOLATILITY_AUCTION
    assert status.band == (950, 1_050)
    status.band_ppm, status.phase = 0, Phase.CONTINUOUS
    assert status.band == (960, 1_060)


def test_nothing_moves_but_the_seq_where_nothing_happened():
    fold = MarketFold()
    assert not fold.apply(no_events(), 12).books
    assert fold.seq == 12
    assert fold.instruments() == []
    assert INSTRUMENTS
