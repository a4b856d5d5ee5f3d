"""What a reader of several feeds believes: the first copy of everything, and nothing that no feed has said."""

import random

import pytest

from lockstep import Feed, FeedState, TradesMissed
from lockstep.book import FeedGap
from lockstep.feed_arbiter import FeedArbiter
from lockstep.feed_book import FeedBook
from lockstep.feed_machine import FeedMachine
from lockstep.v1 import feed_pb2

BUY, SELL = 1, 2


def arbiter_of(feed, legs=2, depth=0):
    return FeedArbiter(tuple(FeedMachine(feed, depth) for _ in range(legs)))


def level(side, price, lots, orders):
    return feed_pb2.BookLevel(side=side, price_ticks=price, quantity_lots=lots, orders=orders)


class History:
    """A book that changes at every seq, as any feed tells it from any seq to any other."""

    def __init__(self, seqs, seed=1):
        dice = random.Random(seed)
        self.changes = {seq: level(dice.choice((BUY, SELL)), 0, dice.randint(0, 5), 1) for seq in range(1, seqs + 1)}
        for row in self.changes.values():
            row.price_ticks = dice.randint(90, 99) if row.side == BUY else dice.randint(101, 110)

    def levels(self, seq, after=0):
        found = {}
        for at in range(after + 1, seq + 1):
            row = self.changes[at]
            found[row.side, row.price_ticks] = feed_pb2.BookLevel(
                side=row.side, price_ticks=row.price_ticks, quantity_lots=row.quantity_lots,
                orders=1 if row.quantity_lots else 0,
            )  # fmt: skip
        return list(found.values())

    def checksum(self, seq):
        book = FeedBook(1)
        book.apply_levels(self.levels(seq))
        return book.checksum()

    def frame(self, after, seq, *, snapshot=False, epoch=1):
        rows = [row for row in self.levels(seq, 0 if snapshot else after) if row.orders or not snapshot]
        update = feed_pb2.FeedUpdate(
            instrument=1, feed="FEED_L2", epoch=epoch, last_seq=seq, previous_last_seq=0 if snapshot else after,
            snapshot=snapshot, levels=rows, checksum=self.checksum(seq),
        )  # fmt: skip
        return feed_pb2.FeedFrame(updates=[update])


def recovered(instrument=1, feed="FEED_L2"):
    return feed_pb2.FeedFrame(recoveries=[feed_pb2.Recovery(instrument=instrument, feed=feed, recovered=True)])


@pytest.mark.parametrize("seed", range(20))
def test_the_book_shown_is_good_at_every_step_and_never_goes_back(seed):
    dice, history, arbiter = random.Random(seed), History(60, seed), arbiter_of(Feed.L2)
    at = [0, 0]
    up = [False, False]
    seen = 0
    while min(at) < 60:
        leg = dice.randrange(2)
        if not up[leg]:
            wanted = [one.seq for one in arbiter.positions(leg)]
            up[leg] = True
            if wanted:
                assert wanted == [at[leg]]
                arbiter.on_frame(leg, recovered())
            else:
                at[leg] = dice.randint(1, 5)
                arbiter.on_frame(leg, history.frame(0, at[leg], snapshot=True))
        elif dice.random() < 0.1 and up[1 - leg]:
            up[leg] = False
            assert arbiter.on_broken(leg) == []
        elif at[leg] < 60:
            to = min(60, at[leg] + dice.randint(1, 4))
            arbiter.on_frame(leg, history.frame(at[leg], to))
            at[leg] = to
        book = arbiter.books[1]
        assert book.state is FeedState.LIVE
        assert arbiter.state is FeedState.LIVE
        assert book.seq == max(at) >= seen
        assert book.checksum() == history.checksum(book.seq)
        seen = book.seq


def test_with_the_last_leg_the_book_is_recovering_and_comes_back_with_the_first():
    history, arbiter = History(20), arbiter_of(Feed.L2)
    arbiter.on_frame(0, history.frame(0, 5, snapshot=True))
    arbiter.on_frame(1, history.frame(0, 4, snapshot=True))
    book = arbiter.books[1]
    assert arbiter.on_broken(0) == []
    assert arbiter.on_broken(1) == [book]
    assert (book.state, arbiter.state) == (FeedState.RECOVERING, FeedState.RECOVERING)
    # What is shown is of seq 5, which the second leg comes to later: it stays right.
    arbiter.on_frame(1, recovered())
    assert (book.state, book.seq, book.checksum()) == (FeedState.LIVE, 5, history.checksum(5))


def test_a_book_that_begins_anew_does_not_disturb_what_another_leg_shows():
    history, arbiter = History(20), arbiter_of(Feed.L2)
    arbiter.on_frame(0, history.frame(0, 9, snapshot=True))
    arbiter.on_frame(1, history.frame(0, 8, snapshot=True))
    arbiter.on_broken(0)
    arbiter.on_frame(0, history.frame(0, 7, snapshot=True))
    book = arbiter.books[1]
    assert (book.seq, book.checksum(), book.state) == (9, history.checksum(9), FeedState.LIVE)


def test_a_wrong_checksum_of_the_leg_that_is_shown_is_never_live():
    history, arbiter = History(20), arbiter_of(Feed.L2)
    arbiter.on_frame(0, history.frame(0, 9, snapshot=True))
    arbiter.on_frame(1, history.frame(0, 9, snapshot=True))
    wrong = history.frame(9, 12)
    wrong.updates[0].checksum ^= 1
    book = arbiter.books[1]
    with pytest.raises(FeedGap, match="checksum") as gap:
        arbiter.on_frame(0, wrong)
    assert gap.value.items == [book]
    assert book.state is FeedState.RECOVERING
    arbiter.on_broken(0)
    arbiter.on_frame(1, history.frame(9, 10))
    assert (book.state, book.seq, book.checksum()) == (FeedState.LIVE, 10, history.checksum(10))


def test_a_leg_of_an_older_epoch_waits_until_it_has_come_to_the_newer_one():
    history, arbiter = History(20), arbiter_of(Feed.L2)
    arbiter.on_frame(0, history.frame(0, 5, snapshot=True))
    arbiter.on_frame(1, history.frame(0, 5, snapshot=True))
    arbiter.on_frame(0, history.frame(5, 6, epoch=2))
    assert arbiter.on_frame(1, history.frame(5, 8, epoch=1)) == []
    assert arbiter.books[1].seq == 6
    arbiter.on_frame(1, history.frame(8, 9, epoch=2))
    assert (arbiter.books[1].seq, arbiter.books[1].checksum()) == (9, history.checksum(9))


def test_a_leg_that_never_comes_to_the_newer_epoch_is_connected_again():
    history, arbiter = History(2), arbiter_of(Feed.L2)
    arbiter.on_frame(0, history.frame(0, 2, snapshot=True, epoch=2))
    beat = feed_pb2.FeedFrame(heartbeat=feed_pb2.Heartbeat(epoch=1, seq=1))
    for _ in range(256):
        assert arbiter.on_frame(1, beat) == []
    with pytest.raises(FeedGap, match="left behind"):
        arbiter.on_frame(1, beat)


def trades(seqs, *, seq, before=0, snapshot=False, epoch=1):
    rows = [feed_pb2.TapeTrade(seq=one, price_ticks=100, quantity_lots=1, aggressor="SIDE_BUY") for one in seqs]
    update = feed_pb2.FeedUpdate(
        instrument=1, feed="FEED_TRADES", epoch=epoch, last_seq=seq, previous_last_seq=before, snapshot=snapshot,
        trades=rows,
    )  # fmt: skip
    return feed_pb2.FeedFrame(updates=[update])


@pytest.mark.parametrize("seed", range(40))
def test_trades_come_once_each_in_order_whichever_legs_break(seed):
    """Each leg bundles them as it likes; a feed that comes back may not know what was before."""
    dice, arbiter = random.Random(seed), arbiter_of(Feed.TRADES)
    at, up, found, begun = [0, 0], [False, False], [], 0

    def take(leg, frame):
        try:
            found.extend(arbiter.on_frame(leg, frame))
        except FeedGap as gap:
            found.extend(gap.items)
            arbiter.on_broken(leg)
            up[leg] = False

    while min(at) < 200:
        leg = dice.randrange(2)
        if not up[leg]:
            positions = list(arbiter.positions(leg))
            up[leg] = True
            # As long as one feed has everything, another one may have forgotten.
            whole = up[1 - leg] and (1 - leg, 1) not in arbiter._holes
            if positions and (dice.random() < 0.7 or not whole):
                at[leg] = positions[0].seq
                take(leg, recovered(feed="FEED_TRADES"))
            else:
                # It begins anew, somewhat further on.
                at[leg] = max(at[leg], positions[0].seq if positions else 0) + dice.randint(1, 6)
                begun = begun or at[leg]
                take(leg, trades(range(max(1, at[leg] - 3), at[leg] + 1), seq=at[leg], snapshot=True))
        elif dice.random() < 0.08 and up[1 - leg]:
            arbiter.on_broken(leg)
            up[leg] = False
        else:
            to = at[leg] + dice.randint(1, 5)
            before, at[leg] = at[leg], to
            take(leg, trades(range(before + 1, to + 1), seq=to, before=before))
    assert not [one for one in found if isinstance(one, TradesMissed)]
    seqs = [one.seq for one in found]
    assert seqs == list(range(begun + 1, begun + 1 + len(seqs)))
    assert seqs[-1] >= min(at)


def test_trades_that_no_feed_has_any_more_are_said_to_be_missed():
    arbiter = arbiter_of(Feed.TRADES)
    arbiter.on_frame(0, trades([], seq=5, snapshot=True))
    assert [one.seq for one in arbiter.on_frame(0, trades([6], seq=6, before=5))] == [6]
    arbiter.on_broken(0)
    assert [one.seq for one in arbiter.positions(1)] == [6]
    missed, trade = arbiter.on_frame(1, trades([9], seq=9, snapshot=True))
    assert isinstance(missed, TradesMissed)
    assert (missed.after_seq, missed.until_seq, trade.seq) == (6, 9, 9)
    assert [one.seq for one in arbiter.on_frame(1, trades([10], seq=10, before=9))] == [10]


def candles(rows, *, seq, before=0, snapshot=False):
    update = feed_pb2.FeedUpdate(
        instrument=1, feed="FEED_CANDLES", candle_s=60, epoch=1, last_seq=seq, previous_last_seq=before,
        snapshot=snapshot, candles=[feed_pb2.Candle(open_ns=at * 60, last_seq=last) for at, last in rows],
    )  # fmt: skip
    return feed_pb2.FeedFrame(updates=[update])


def test_candles_never_go_back():
    arbiter = arbiter_of(Feed.CANDLES)
    found = arbiter.on_frame(0, candles([(1, 4), (2, 8)], seq=8, snapshot=True))
    found += arbiter.on_frame(1, candles([(1, 4), (2, 7)], seq=7, snapshot=True))
    found += arbiter.on_frame(0, candles([(2, 9), (3, 11)], seq=11, before=8))
    found += arbiter.on_frame(1, candles([(2, 9), (3, 10)], seq=10, before=7))
    found += arbiter.on_frame(1, candles([(3, 12)], seq=12, before=10))
    assert [(one.open_ns // 60, one.last_seq) for one in found] == [(1, 4), (2, 8), (2, 9), (3, 11), (3, 12)]
