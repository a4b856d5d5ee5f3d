"""Fetching what a returning subscriber has missed, from engines that fail, have cut it, or know another history."""

import asyncio

import numpy as np
import pytest

from lockstep.marketdata import missed_trades
from lockstep.marketdata.books import trades_of
from lockstep.marketdata.encodings import TRADES
from lockstep.marketdata.market import Subscription
from lockstep.marketdata.missed_trades import SEQS_BACK, MissedTrades
from lockstep.marketdata.tape import LAST_INDEX, Missed, TapeState
from lockstep.runtime.engines import EnginesUnavailable, EventsGone
from lockstep.stream.records import EVENT, EventKind

ACME, OTHER = 7, 8


def trades(seqs, instrument=ACME):
    rows = np.zeros(len(seqs), dtype=EVENT)
    rows["kind"], rows["seq"], rows["instrument"] = EventKind.TRADE, seqs, instrument
    rows["price_ticks"], rows["quantity_lots"], rows["side"] = 100, 1, 1
    return rows


class Engines:
    """One cluster's history; `failures` are raised first, one for each fetch, after its first event."""

    def __init__(self, events, *failures, cut=0, diverged_at=0):
        self.history, self.failures, self.cut, self.diverged = events, list(failures), cut, diverged_at
        self.fetches = []

    async def diverged_at(self, *, delivered_epoch, delivered_seq, min_epoch):
        self.fetches.append(("diverged", delivered_epoch, delivered_seq, min_epoch))
        return self.diverged

    async def events(self, *, after, to_seq, min_epoch):
        after_seq, after_index = after
        self.fetches.append((after_seq, after_index, to_seq, min_epoch))
        if after_seq < self.cut:
            raise EventsGone("cut", self.cut + 1)
        rows = self.history
        wanted = (rows["seq"] > after_seq) | ((rows["seq"] == after_seq) & (rows["index"] > after_index))
        rows = rows[wanted & (rows["seq"] <= to_seq)]
        for part in range(len(rows)):
            yield rows[part : part + 1], (int(rows["seq"][part]), int(rows["index"][part]))
            if self.failures:
                raise self.failures.pop(0)


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.setattr(missed_trades, "_PATIENCE_S", 0.05)
    monkeypatch.setattr(missed_trades, "_RETRY_PAUSE_S", 0.005)


def bring(engines, last_seen, boundary=100, *, instruments=(ACME,), last_epoch=3, epoch=3, live=()):
    async def run():
        subscription = Subscription(instruments, [TRADES], 0, last_seen)
        subscription.tape.begin(boundary, in_doubt=last_epoch < epoch)
        for seq in live:
            subscription.tape.on_live([(ACME, row) for _, row in trades_of(trades([seq]))])
        why = await MissedTrades(engines, lambda: epoch).bring(subscription, asyncio.Event(), last_epoch)
        delivered = [subscription.tape.take() for _ in range(len(subscription.tape))]
        return why, [one if isinstance(one, Missed) else one[1].seq for one in delivered], subscription.tape.state

    return asyncio.run(run())


def test_missed_trades_come_in_order_once_although_engines_fail_in_between():
    engines = Engines(trades([3, 5, 8, 13, 21]), EnginesUnavailable("down"), EnginesUnavailable("down"))
    assert bring(engines, (4, LAST_INDEX), live=(101, 102)) == ("", [5, 8, 13, 21, 101, 102], TapeState.LIVE)
    assert [fetch[0] for fetch in engines.fetches] == [4, 5, 8]


def test_trades_of_other_instruments_are_left_out_and_all_are_told_to_who_wants_all():
    history = np.concatenate([trades([5, 8]), trades([6], OTHER)])
    history = history[np.argsort(history["seq"])]
    assert bring(Engines(history), (4, 0))[1] == [5, 8]
    assert bring(Engines(history), (4, 0), instruments=())[1] == [5, 6, 8]


def test_who_begins_anew_or_has_everything_makes_no_engine_search():
    engines = Engines(trades([5]))
    for last_seen in (None, (100, LAST_INDEX), (120, 3)):
        assert bring(engines, last_seen, live=(130,)) == ("", [130], TapeState.LIVE)
    assert engines.fetches == []


def test_what_was_cut_is_said_and_what_is_left_is_told():
    engines = Engines(trades([60, 70]), cut=50)
    gone = Missed((4, 0), 50, "they were cut from every engine's journal")
    assert bring(engines, (4, 0)) == ("", [gone, 60, 70], TapeState.LIVE)


def test_what_was_cut_beyond_the_boundary_is_said_up_to_there():
    gone = Missed((4, 0), 100, "they were cut from every engine's journal")
    assert bring(Engines(trades([]), cut=500), (4, 0), live=(101,)) == ("", [gone, 101], TapeState.LIVE)


def test_engines_that_do_not_answer_end_it_with_their_reason():
    class Silent(Engines):
        async def events(self, **_wanted):
            raise EnginesUnavailable("all are down")
            yield  # makes it a generator

    why, delivered, state = bring(Silent(trades([])), (4, 0), live=(101,))
    assert why == "the trades after seq 4 can't be fetched now: all are down"
    assert (delivered, state) == ([], TapeState.CATCHING_UP)


def test_no_more_than_a_bounded_part_of_history_is_searched():
    boundary = 3 * SEQS_BACK
    engines = Engines(trades([5, boundary - 10]))
    gone = Missed((4, 0), 2 * SEQS_BACK, f"no more than {SEQS_BACK} commands are searched for trades")
    assert bring(engines, (4, 0), boundary)[1] == [gone, boundary - 10]
    assert min(fetch[0] for fetch in engines.fetches) == 2 * SEQS_BACK


def test_long_gap_is_fetched_in_pieces_so_that_others_get_their_turn():
    engines = Engines(trades(range(1, 100_000, 1000)))
    assert bring(engines, (0, LAST_INDEX), 100_000)[1] == list(range(1, 100_000, 1000))
    assert all(fetch[2] - fetch[0] <= 20_000 for fetch in engines.fetches)
    assert len(engines.fetches) == 5


def test_what_was_seen_under_an_epoch_before_is_asked_for_first():
    engines = Engines(trades([5, 8]))
    assert bring(engines, (5, 0), last_epoch=2)[1] == [8]
    assert engines.fetches[0] == ("diverged", 2, 5, 3)


def test_void_trades_are_said_and_those_in_their_place_are_told():
    engines = Engines(trades([3, 5, 8]), diverged_at=4)
    text = "from seq 4 on history is another one: an operator had the cluster go on without it"
    void = Missed((3, LAST_INDEX), 3, text, 4)
    assert bring(engines, (120, 0), last_epoch=2, live=(101,)) == ("", [void, 5, 8, 101], TapeState.LIVE)
