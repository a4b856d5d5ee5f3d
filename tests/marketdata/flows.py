"""Random flows of every feature, and what an engine says of its books, for the tests of the feed."""

import random

import numpy as np

from lockstep.engine.implementations import implementation
from lockstep.stream.records import Side
from tests.all_features import INSTRUMENTS, burst, opening


class Flow:
    """An engine, and the bursts of a seed. Each command has events of its own seq."""

    def __init__(self, seed: int, name: str = "native") -> None:
        self.pick = random.Random(seed)
        self.engine = implementation(name)()
        self.now_ns = 10
        self._session_no = 1
        self.first = self.engine.apply(np.concatenate(list(opening())), first_seq=1, timestamp_ns=1)

    @property
    def seq(self) -> int:
        return self.engine.last_seq

    def next(self, step_ns: int = 7):
        """The events of some commands, stamped together."""
        commands, self._session_no = burst(self.pick, self.now_ns, self._session_no)
        events = self.engine.apply(commands, first_seq=self.seq + 1, timestamp_ns=self.now_ns)
        self.now_ns += step_ns
        return events

    def each(self):
        """The same one by one: what each command did, while the engine is as it was after it."""
        commands, self._session_no = burst(self.pick, self.now_ns, self._session_no)
        for at in range(len(commands)):
            yield self.engine.apply(commands[at : at + 1], first_seq=self.seq + 1, timestamp_ns=self.now_ns)
        self.now_ns += 7


def each_seq(events, through_seq):
    """The events of each seq by themselves, in order, each with its seq; the last one's reaches to `through_seq`."""
    seqs = events["seq"]
    starts = [0, *(np.flatnonzero(seqs[1:] != seqs[:-1]) + 1).tolist()]
    for start, end in zip(starts, (*starts[1:], len(events)), strict=True):
        yield events[start:end], through_seq if end == len(events) else int(seqs[start])


def levels_of(engine, instrument, depth=1_000):
    """(price, lots, orders) of both sides, as the engine has them."""
    view = engine.book(instrument, depth)
    return [[(row.price_ticks, row.quantity_lots, row.orders) for row in half] for half in (view.bids, view.asks)]


def queues_of(engine, instrument, depth=1_000):
    """(price, [(order id, displayed lots)]) of both sides: what is displayed, in the order in which it trades."""
    found = []
    view = engine.book(instrument, depth)
    for side, half in ((Side.BUY, view.bids), (Side.SELL, view.asks)):
        found.append(
            [
                (row.price_ticks, [(order.order_id, order.shown_lots or order.leaves_lots)
                                   for order in engine.queue(instrument, side, row.price_ticks).orders
                                   if order.order_type != 2])
                for row in half
            ]
        )  # fmt: skip
    return found


__all__ = ["INSTRUMENTS", "Flow", "each_seq", "levels_of", "queues_of"]
