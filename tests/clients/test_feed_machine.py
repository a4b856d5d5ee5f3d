"""What a follower of a feed believes: the chain, the checksum, and nothing else."""

import asyncio
import re
from pathlib import Path

import pytest

from lockstep import Feed, FeedState, Refused, TradesMissed
from lockstep.book import FeedGap
from lockstep.checksum import crc32c
from lockstep.feed_book import FeedBook
from lockstep.feed_machine import FeedMachine
from lockstep.feeds import Feeds
from lockstep.v1 import feed_pb2, market_data_pb2

BUY, SELL = 1, 2


def level(side, price, lots, orders):
    return feed_pb2.BookLevel(side=side, price_ticks=price, quantity_lots=lots, orders=orders)


def checksum_of(levels, depth=0):
    book = FeedBook(1, depth)
    book.apply_levels(levels)
    return book.checksum()


def update(levels=(), *, seq, before=0, snapshot=False, checksum=None, epoch=1, feed="FEED_L2", **content):
    made = feed_pb2.FeedUpdate(
        instrument=1, feed=feed, epoch=epoch, last_seq=seq, previous_last_seq=before, snapshot=snapshot,
        levels=levels, checksum=checksum_of(levels) if checksum is None else checksum, **content,
    )  # fmt: skip
    return feed_pb2.FeedFrame(updates=[made])


FIRST = [level(BUY, 99, 5, 1), level(SELL, 101, 7, 2)]


def test_checksum_is_the_standards_and_that_of_the_docs():
    assert crc32c(b"123456789") == 0xE3069283
    # The client's distribution does without it.
    native_crc32c = pytest.importorskip("crc32c").crc32c
    for size in (0, 1, 20, 400):
        raw = bytes(i * 7 & 255 for i in range(size))
        assert crc32c(raw) == native_crc32c(raw)


def order(order_id, side, price, lots):
    return feed_pb2.BookOrder(order_id=order_id, side=side, price_ticks=price, quantity_lots=lots, last=True)


def test_vectors_of_the_docs():
    """docs/feed.md has them, for whoever writes a reader in another language."""
    deep = [level(BUY, 100 - i, 10 + i, 1 + i) for i in range(12)]
    deep += [level(SELL, 101 + i, 20 + i, 2 + i) for i in range(12)]
    queued = FeedBook(1)
    queued.apply_orders([order(11, BUY, 99, 3), order(12, BUY, 99, 2), order(13, SELL, 101, 7)])
    found = [checksum_of([]), checksum_of(FIRST), checksum_of(deep), queued.checksum()]
    queued.apply_orders([order(11, BUY, 99, 3)])
    found.append(queued.checksum())
    docs = (Path(__file__).parents[2] / "docs/feed.md").read_text()
    table = docs.partition("## Test vectors")[2].partition("\n## ")[0]
    assert found == [int(vector, 16) for vector in re.findall(r"`(0x[0-9a-f]{8})`", table)]


def test_an_update_that_follows_is_taken_and_the_book_is_live():
    machine = FeedMachine(Feed.L2)
    (book,) = machine.on_frame(update(FIRST, seq=10, snapshot=True))
    assert (book.state, machine.state, book.best_bid.price_ticks) == (FeedState.LIVE, FeedState.LIVE, 99)
    after = [*FIRST, level(BUY, 100, 1, 1)]
    machine.on_frame(update([level(BUY, 100, 1, 1)], seq=12, before=10, checksum=checksum_of(after)))
    assert (book.seq, book.best_bid.price_ticks, book.state) == (12, 100, FeedState.LIVE)


def test_a_gap_is_noticed_and_nothing_of_it_is_applied():
    machine = FeedMachine(Feed.L2)
    (book,) = machine.on_frame(update(FIRST, seq=10, snapshot=True))
    with pytest.raises(FeedGap, match="follows seq 11, the last one seen was 10"):
        machine.on_frame(update([level(BUY, 100, 1, 1)], seq=12, before=11, checksum=0))
    assert (book.state, book.best_bid.price_ticks) == (FeedState.RECOVERING, 99)
    assert [(one.instrument, one.epoch, one.seq) for one in machine.positions()] == [(1, 1, 10)]


def test_a_wrong_checksum_is_never_live_and_no_ground_to_go_on_from():
    machine = FeedMachine(Feed.L2)
    (book,) = machine.on_frame(update(FIRST, seq=10, snapshot=True))
    with pytest.raises(FeedGap, match="checksum is wrong at seq 12"):
        machine.on_frame(update([level(BUY, 98, 1, 1)], seq=12, before=10, checksum=1))
    assert book.state is FeedState.RECOVERING
    assert machine.checksum_errors == 1
    assert not list(machine.positions())


def test_after_a_break_it_is_recovering_until_what_was_missed_is_in():
    machine = FeedMachine(Feed.L2)
    (book,) = machine.on_frame(update(FIRST, seq=10, snapshot=True))
    assert machine.on_broken() == [book]
    assert (machine.state, book.state) == (FeedState.RECOVERING, FeedState.RECOVERING)
    frame = update([level(BUY, 99, 0, 0)], seq=15, before=10, checksum=checksum_of(FIRST[1:]))
    frame.recoveries.add(instrument=1, feed="FEED_L2", recovered=True)
    machine.on_frame(frame)
    assert (book.state, book.best_bid, machine.recovered, machine.restarted) == (FeedState.LIVE, None, 1, 0)


def test_who_missed_nothing_is_live_again_by_the_answer_alone():
    machine = FeedMachine(Feed.L2)
    (book,) = machine.on_frame(update(FIRST, seq=10, snapshot=True))
    machine.on_broken()
    frame = feed_pb2.FeedFrame()
    frame.recoveries.add(instrument=1, feed="FEED_L2", recovered=True)
    machine.on_frame(frame)
    assert book.state is FeedState.LIVE


def test_a_feed_of_a_lower_epoch_was_left_behind():
    machine = FeedMachine(Feed.L2)
    machine.on_frame(update(FIRST, seq=10, snapshot=True, epoch=4))
    with pytest.raises(FeedGap, match="left behind"):
        machine.on_frame(update((), seq=12, before=10, checksum=0, epoch=3))


def test_levels_beyond_the_depth_are_no_ghosts():
    machine = FeedMachine(Feed.L2, 1)
    frame = update(FIRST, seq=10, snapshot=True)
    frame.updates[0].depth = 1
    (book,) = machine.on_frame(frame)
    better = [level(BUY, 100, 4, 1)]
    frame = update(better, seq=11, before=10, checksum=checksum_of([*better, FIRST[1]], 1))
    machine.on_frame(frame)
    assert [row.price_ticks for row in book.bids()] == [100]


def trades(seqs, **words):
    rows = [feed_pb2.TapeTrade(seq=seq, price_ticks=100, quantity_lots=1, aggressor="SIDE_BUY") for seq in seqs]
    return update(checksum=0, feed="FEED_TRADES", trades=rows, **words)


def test_trades_come_once_and_what_is_missing_is_said():
    machine = FeedMachine(Feed.TRADES)
    assert machine.on_frame(trades([3, 4], seq=4, snapshot=True)) == []
    assert [one.seq for one in machine.on_frame(trades([5], seq=5, before=4))] == [5]
    machine.on_broken()
    items = machine.on_frame(trades([5, 8, 9], seq=9, snapshot=True))
    assert isinstance(items[0], TradesMissed)
    assert (items[0].after_seq, items[0].until_seq) == (5, 9)
    assert [one.seq for one in items[1:]] == [8, 9]


def test_a_cluster_without_feeds_says_so():
    async def none():
        return market_data_pb2.ListFeedsReply()

    with pytest.raises(Refused, match="runs no feed"):
        asyncio.run(Feeds(none, list).channels())
