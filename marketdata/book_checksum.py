"""The checksum of a book, by which its reader knows that it has what the feed has. Pure.

CRC32C (Castagnoli, as in RFC 3720) over integers: of each of the best ten levels, bids first, best first, price_ticks
int64, quantity_lots int64 and the number of orders uint32, little endian, 20 bytes. With orders (L3) each level is
followed by the ids of its orders, uint64, in the order of their queue, so that a wrong priority shows, too.
docs/feed.md has test vectors. A book of less depth has fewer levels in it.
"""

import struct
from collections.abc import Iterable
from typing import Final

from crc32c import crc32c

from lockstep.marketdata.order_books import Level, OrderBook
from lockstep.stream.records import Side

MOST_LEVELS: Final = 10
_LEVEL: Final = struct.Struct("<qqI")
_BUY, _SELL = int(Side.BUY), int(Side.SELL)


def levels_in(depth: int) -> int:
    """How many levels of a side are in the checksum of a book of a depth (0: all)."""
    return min(depth or MOST_LEVELS, MOST_LEVELS)


def checksum_of(book: OrderBook, depth: int = 0, *, orders: bool = False) -> int:
    """Of a book as it stands, cut to a depth (0: all); `orders`: with the queues."""
    most = levels_in(depth)
    return checksum((*book.best(_BUY, most), *book.best(_SELL, most)), orders=orders)


def checksum(levels: Iterable[Level], *, orders: bool = False) -> int:
    """Of the levels in this order."""
    pack = _LEVEL.pack
    if not orders:
        return crc32c(b"".join([pack(level.price, level.lots, len(level.orders)) for level in levels]))
    parts = []
    for level in levels:
        count = len(level.orders)
        parts.append(pack(level.price, level.lots, count))
        parts.append(struct.pack(f"<{count}Q", *level.orders))
    return crc32c(b"".join(parts))
