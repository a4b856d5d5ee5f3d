"""Candles and statistics: what NumPy makes of the whole tape, however it was cut."""

import numpy as np
import pytest

from lockstep.marketdata import candles as module
from lockstep.marketdata.candles import LENGTHS_S, Candles, DayStatistics, bars_of
from lockstep.marketdata.trade_tape import Tape, TradePrint

SECOND = 10**9
DAY = 86_400 * SECOND
_RANGES = ((1, 3), (90, 110), (1, 50))


def tape_of(seed, count=4_000):
    dice = np.random.default_rng(seed)
    at = 1_790_000_000 * SECOND + np.cumsum(dice.integers(0, 40 * SECOND, count))
    rows = zip(at.tolist(), *(dice.integers(low, high, count).tolist() for low, high in _RANGES), strict=True)
    return [
        TradePrint(instrument, number, 0, price, lots, 1, 0, 7, 8, at_ns)
        for number, (at_ns, instrument, price, lots) in enumerate(rows, 1)
    ]


def in_bursts(trades, seed):
    dice = np.random.default_rng(seed)
    while trades:
        size = int(dice.integers(1, 30))
        yield trades[:size]
        trades = trades[size:]


def by_numpy(trades, instrument, length_s):
    """(begin, open, high, low, close, volume, turnover, trades) of each candle with trades."""
    rows = [one for one in trades if one.instrument == instrument]
    price = np.array([one.price_ticks for one in rows])
    lots = np.array([one.quantity_lots for one in rows])
    begin = np.array([one.timestamp_ns for one in rows]) // (length_s * SECOND) * (length_s * SECOND)
    found = []
    for start in np.unique(begin):
        p, q = price[begin == start], lots[begin == start]
        found.append((start, p[0], p.max(), p.min(), p[-1], q.sum(), (p * q).sum(), len(p)))
    return found


def rows_of(bars):
    return [
        (bar.begin_ns, bar.open_ticks, bar.high_ticks, bar.low_ticks, bar.close_ticks, bar.volume_lots, bar.turnover,
         bar.trades)
        for bar in bars
    ]  # fmt: skip


@pytest.mark.parametrize("length_s", LENGTHS_S)
@pytest.mark.parametrize("seed", range(2))
def test_candles_are_a_recomputation_of_the_tape(seed, length_s):
    trades = tape_of(seed)
    candles = Candles(0)
    for burst in in_bursts(trades, seed + 10):
        candles.add(bars_of(burst))
    for instrument in (1, 2):
        wanted = by_numpy(trades, instrument, length_s)[-module.MAX_SERIES :]
        assert rows_of(candles.latest(instrument, length_s, 10**6)) == wanted


def test_two_feeds_that_cut_the_tape_in_other_bursts_have_the_same_candles():
    trades = tape_of(3)
    both = [Candles(0), Candles(0)]
    for number, candles in enumerate(both):
        for burst in in_bursts(trades, number):
            candles.add(bars_of(burst))
    for length_s in LENGTHS_S:
        assert rows_of(both[0].latest(1, length_s, 10**6)) == rows_of(both[1].latest(1, length_s, 10**6))


def test_a_list_has_one_candle_for_each_time_and_the_close_before_where_nothing_traded():
    base = 1_790_000_000 * SECOND
    trades = [
        TradePrint(1, 1, 0, 100, 5, 1, 0, 7, 8, base),
        TradePrint(1, 2, 0, 104, 5, 1, 0, 7, 8, base + 3 * SECOND + 5),
    ]
    candles = Candles(0)
    candles.add(bars_of(trades))
    listed = candles.listed(1, 1, from_ns=base - 2 * SECOND, to_ns=base + 6 * SECOND, most=100)
    assert [(bar.begin_ns - base) // SECOND for bar in listed] == [0, 1, 2, 3, 4, 5]
    assert [bar.close_ticks for bar in listed] == [100, 100, 100, 104, 104, 104]
    assert [(bar.open_ticks, bar.volume_lots, bar.trades) for bar in listed[1:3]] == [(100, 0, 0)] * 2
    assert [bar.close_ticks for bar in candles.listed(1, 1, from_ns=0, to_ns=base + 6 * SECOND, most=4)] == [
        100, 104, 104, 104,
    ]  # fmt: skip
    assert candles.listed(2, 1, from_ns=0, to_ns=base, most=5) == []


def test_what_changed_since_a_seq_is_known_or_said_to_be_unknown(monkeypatch):
    monkeypatch.setattr(module, "MAX_SERIES", 5)
    trades = tape_of(4, 400)
    candles = Candles(0)
    candles.add(bars_of(trades))
    last = candles.latest(1, 1, 10)
    assert len(last) == 5
    assert candles.since(1, 1, last[2].last_seq) == last[3:]
    assert candles.since(1, 1, candles.changed(1, 1)) == []
    assert candles.since(1, 1, 1) is None


@pytest.mark.parametrize("seed", range(3))
def test_the_days_statistics_are_a_recomputation_of_the_tape(seed):
    trades = tape_of(seed, 8_000)
    days = DayStatistics(0)
    for burst in in_bursts(trades, seed):
        days.add(bars_of(burst))
    now_ns = trades[-1].timestamp_ns
    for instrument in (1, 2):
        (*_, before, today) = by_numpy(trades, instrument, 86_400)
        found = days.of(instrument, now_ns)
        assert rows_of([found.bar]) == [today]
        assert found.close_ticks == before[4]
        assert found.bar.vwap_micro_ticks == today[6] * 1_000_000 // today[5]
    tomorrow = days.of(1, now_ns + DAY)
    assert (tomorrow.bar.volume_lots, tomorrow.bar.close_ticks, tomorrow.close_ticks) == (
        0, days.of(1, now_ns).bar.close_ticks, days.of(1, now_ns).bar.close_ticks,
    )  # fmt: skip


def test_a_tape_has_every_trade_behind_a_seq_or_says_that_it_has_not(monkeypatch):
    monkeypatch.setattr("lockstep.marketdata.trade_tape.MAX_KEPT", 200)
    trades = tape_of(5, 1_000)
    tape = Tape(0)
    for burst in in_bursts(trades, 1):
        tape.add(burst)
    mine = [one for one in trades if one.instrument == 1]
    assert tape.since(1, mine[-50].seq) == mine[-49:]
    assert tape.since(1, mine[5].seq) is None
    assert tape.latest(1) == mine[-50:]
    assert tape.since(1, tape.changed(1)) == []
