"""What the books of a cluster were after each command: its journal, executed again by the reference engine."""

import struct
from dataclasses import dataclass, field

import grpc
from crc32c import crc32c

from lockstep.engine.reference import ReferenceEngine
from lockstep.runtime.process import CHANNEL_OPTIONS
from lockstep.stream.batch import Batch, decode_batch
from lockstep.stream.records import Side
from lockstep.v1 import replication_pb2, replication_pb2_grpc

CHECKED = 10


@dataclass
class Books:
    """Of one instrument: after which seqs its displayed book was another one, and its checksums from there on."""

    seqs: list[int] = field(default_factory=list)
    levels: list[int] = field(default_factory=list)
    """Checksums of the levels (L2)."""
    orders: list[int] = field(default_factory=list)
    """The same with the queues (L3)."""
    shown: tuple = ()


def journal_of(address: str) -> list[Batch]:
    """All that an engine has journaled."""
    with grpc.insecure_channel(address, options=list(CHANNEL_OPTIONS)) as channel:
        replies = replication_pb2_grpc.ReplicationStub(channel).FetchJournal(
            replication_pb2.FetchJournalRequest(from_seq=1), timeout=60
        )
        batches = [decode_batch(raw) for reply in replies for raw in reply.batches]
    assert [batch.first_seq for batch in batches[1:]] == [batch.last_seq + 1 for batch in batches[:-1]]
    return batches


def books_of(batches: list[Batch], instruments: tuple[int, ...]) -> dict[int, Books]:
    """Execute a journal, command by command."""
    engine, found = ReferenceEngine(), {number: Books() for number in instruments}
    for batch in batches:
        for at in range(batch.count):
            seq = batch.first_seq + at
            engine.apply(batch.records[at : at + 1], first_seq=seq, timestamp_ns=batch.timestamp_ns)
            for number, books in found.items():
                shown = _shown(engine, number)
                if shown != books.shown:
                    books.shown = shown
                    books.seqs.append(seq)
                    books.levels.append(_checksum(shown, orders=False))
                    books.orders.append(_checksum(shown, orders=True))
    return found


def _shown(engine: ReferenceEngine, number: int) -> tuple:
    """Both sides, best first: (price, lots, orders, ((order id, displayed lots), ...)) of each level."""
    view = engine.book(number, 1_000)
    if view is None:
        return ()
    halves = []
    for side, half in ((Side.BUY, view.bids), (Side.SELL, view.asks)):
        levels = []
        for row in half:
            queue = engine.queue(number, side, row.price_ticks)
            assert queue is not None
            ids = tuple((one.order_id, one.shown_lots or one.leaves_lots) for one in queue.orders)
            levels.append((row.price_ticks, row.quantity_lots, row.orders, ids))
        halves.append(tuple(levels))
    return tuple(halves)


def _checksum(shown: tuple, *, orders: bool) -> int:
    """By the words of docs/feed.md."""
    raw = b""
    for half in shown:
        for price, lots, count, queue in half[:CHECKED]:
            raw += struct.pack("<qqI", price, lots, count)
            if orders:
                raw += b"".join(struct.pack("<Q", order_id) for order_id, _ in queue)
    return crc32c(raw)
