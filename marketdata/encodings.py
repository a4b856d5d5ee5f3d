"""Market data as bytes of `MarketDataUpdate`, made once and shared by all subscribers. Pure.

A message is a head (instrument, feed, seqs: its subscriber's own) and a body (a book, levels, best prices, a trade: one
for all subscribers that get the same). Protobuf lets both be written one after the other. Bodies of whole books are
kept until the book changes, within a bound; bodies of changes as long as the books stand still. Levels, of which there
are many, are written field by field, which takes a tenth of the time that messages would.
"""

import struct
from collections.abc import Iterable, Sequence
from typing import Final

from lockstep.marketdata.books import Best, Books, Level, Print
from lockstep.marketdata.tape import EventKey, Missed
from lockstep.v1 import common_pb2, market_data_pb2

L1: Final = market_data_pb2.FEED_L1
L2: Final = market_data_pb2.FEED_L2
TRADES: Final = market_data_pb2.FEED_TRADES
FEEDS: Final = (L1, L2, TRADES)

MAX_KEPT_BYTES: Final = 64 << 20
_MAX_KEPT_TRADES: Final = 16_384

# A level as a field of a snapshot or a change: tag, length, then side, price_ticks, quantity_lots and orders with tags.
_LEVEL: Final = struct.Struct("<BBBBBqBqBB")
_LEVEL_BYTES: Final = _LEVEL.size - 2
_LEVEL_HEAD: Final = struct.Struct("<BBBBBqBqB")
_SIDE_TAG, _PRICE_TAG, _LOTS_TAG, _ORDERS_TAG = 0x08, 0x11, 0x19, 0x20
_FIRST_TAG, _SECOND_TAG = 0x0A, 0x12
_SNAPSHOT_TAG, _BOOK_TAG = 0x32, 0x3A
_THROUGH: Final = struct.Struct("<BQ")
_THROUGH_TAG: Final = 0x59


def encode_level(level: Level, tag: int) -> bytes:
    """The level as field `tag` of a message."""
    orders = level.orders
    if orders < 128:
        return _LEVEL.pack(
            tag, _LEVEL_BYTES, _SIDE_TAG, level.side, _PRICE_TAG, level.price_ticks, _LOTS_TAG, level.quantity_lots,
            _ORDERS_TAG, orders,
        )  # fmt: skip
    many = _varint(orders)
    size = _LEVEL_BYTES - 1 + len(many)
    return (
        _LEVEL_HEAD.pack(
            tag, size, _SIDE_TAG, level.side, _PRICE_TAG, level.price_ticks, _LOTS_TAG, level.quantity_lots, _ORDERS_TAG
        )
        + many
    )


def encode_through(seq: int) -> bytes:
    """`trades_through`, to be put behind any message."""
    return _THROUGH.pack(_THROUGH_TAG, seq)


def encode_head(
    epoch: int,
    instrument: int,
    feed: market_data_pb2.Feed,
    *,
    seq: int,
    previous_seq: int,
    event_id: EventKey | None = None,
) -> bytes:
    """What comes before a body."""
    stamp = common_pb2.Stamp(epoch=epoch, seq=seq)
    if event_id is not None:
        stamp.event_id.seq, stamp.event_id.index = event_id
    update = market_data_pb2.MarketDataUpdate(
        stamp=stamp, instrument=instrument, feed=feed, seq=seq, previous_seq=previous_seq
    )
    return update.SerializeToString()


def encode_book(bids: Iterable[Level], asks: Iterable[Level]) -> bytes:
    """Body of a whole book."""
    rows = [encode_level(level, _FIRST_TAG) for level in bids] + [encode_level(level, _SECOND_TAG) for level in asks]
    return _field(_SNAPSHOT_TAG, b"".join(rows))


def encode_levels(levels: Iterable[Level]) -> bytes:
    """Body of a change."""
    return _field(_BOOK_TAG, b"".join(encode_level(level, _FIRST_TAG) for level in levels))


def encode_best(best: Best) -> bytes:
    """Body of the best prices."""
    message = market_data_pb2.BestBidOffer(
        bid_price_ticks=best.bid_price_ticks,
        bid_quantity_lots=best.bid_quantity_lots,
        ask_price_ticks=best.ask_price_ticks,
        ask_quantity_lots=best.ask_quantity_lots,
    )
    return market_data_pb2.MarketDataUpdate(best=message).SerializeToString()


def encode_trade(trade: Print) -> bytes:
    """Body of a trade."""
    message = market_data_pb2.Trade(
        event_id=common_pb2.EventId(seq=trade.seq, index=trade.index),
        price_ticks=trade.price_ticks,
        quantity_lots=trade.quantity_lots,
        aggressor=trade.aggressor,  # type: ignore[arg-type]  # same numbers
        taker_order_id=trade.taker_order_id,
        maker_order_id=trade.maker_order_id,
        timestamp_ns=trade.timestamp_ns,
    )
    return market_data_pb2.MarketDataUpdate(trade=message).SerializeToString()


def encode_missed(missed: Missed) -> bytes:
    """Body that says which trades can't be delivered."""
    message = market_data_pb2.TradesMissed(
        after=common_pb2.EventId(seq=missed.after[0], index=missed.after[1]),
        through_seq=missed.through_seq,
        void_from_seq=missed.void_from_seq,
        text=missed.text,
    )
    return market_data_pb2.MarketDataUpdate(missed=message).SerializeToString()


class Encodings:
    """Bodies of what the books show now. Invariant: a kept book is as the book stands."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self._kept: dict[int, dict[int, bytes]] = {}  # instrument -> depth -> body
        self._kept_bytes = 0
        self._trades: dict[EventKey, bytes] = {}
        self._changes: dict[tuple[int, int, int], bytes] = {}
        self._changes_seq = 0
        self.encoded_levels = 0
        """Levels put into bytes so far."""

    def on_changed(self, instruments: Iterable[int]) -> None:
        """These books changed."""
        for instrument in instruments:
            for body in self._kept.pop(instrument, {}).values():
                self._kept_bytes -= len(body)

    def book(self, instrument: int, depth: int) -> bytes:
        """Body of the whole book, cut to the depth (0: all)."""
        body = self._kept.get(instrument, {}).get(depth)
        if body is not None:
            return body
        bids, asks = self.books.levels(instrument, depth)
        body = encode_book(bids, asks)
        self.encoded_levels += len(bids) + len(asks)
        if self._kept_bytes + len(body) <= MAX_KEPT_BYTES:
            self._kept.setdefault(instrument, {})[depth] = body
            self._kept_bytes += len(body)
        return body

    def trade(self, trade: Print) -> bytes:
        """Body of a trade."""
        key = trade.seq, trade.index
        body = self._trades.get(key)
        if body is None:
            if len(self._trades) >= _MAX_KEPT_TRADES:
                self._trades.clear()
            body = self._trades[key] = encode_trade(trade)
        return body

    def change(self, instrument: int, depth: int, previous_seq: int, levels: Sequence[Level]) -> bytes:
        """Body of what changed since the message of `previous_seq`, at that depth.

        Subscribers that have the same instrument, at the same depth, as of the same seq, have received the same, and
        get the same now.
        """
        if self._changes_seq != self.books.seq:
            self._changes.clear()
            self._changes_seq = self.books.seq
        key = instrument, depth, previous_seq
        body = self._changes.get(key)
        if body is None:
            body = self._changes[key] = encode_levels(levels)
            self.encoded_levels += len(levels)
        return body


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _field(tag: int, body: bytes) -> bytes:
    return bytes((tag,)) + _varint(len(body)) + body
