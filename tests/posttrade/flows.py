"""Histories for followers: seeded commands of every kind, stamped, executed, cut into chunks as a test wants them."""

import random
from collections.abc import Iterator, Sequence

import numpy as np

from lockstep.engine.implementations import implementation
from lockstep.posttrade.chunks import Chunk
from lockstep.stream.batch import Batch, stamp_batch
from lockstep.stream.records import ADMIN, CONTROL, RULES, TRANSFER, CommandKind, join_records
from tests.all_features import ACCOUNTS, INSTRUMENTS, burst, opening, record

START_NS = 1_700_000_000_000_000_000


def epoch_start(epoch: int, previous: int = 0):
    return record(
        CommandKind.EPOCH_START, CONTROL, epoch=epoch, previous=previous, primary=1, in_sync=0b110, sequencer=1
    )


def money(pick: random.Random):
    """Deposits, withdrawals, transfers; some are refused."""
    account, other = pick.sample(ACCOUNTS, 2)
    instrument = pick.choice(INSTRUMENTS)
    return pick.choice((
        record(CommandKind.ADJUST_CASH, ADMIN, account=account, amount_micros=pick.randint(-5_000, 20_000)),
        record(
            CommandKind.ADJUST_POSITION, ADMIN, account=account, instrument=instrument,
            quantity_lots=pick.randint(-30, 60),
        ),
        record(
            CommandKind.TRANSFER_POSITION, TRANSFER, account=account, to_account=other, instrument=instrument,
            quantity_lots=pick.randint(1, 15),
        ),
        record(CommandKind.ADJUST_CASH, ADMIN, account=99, amount_micros=5),
    ))  # fmt: skip


class History:
    """Batches and what they led to, one engine that executed them, and a new epoch now and then."""

    def __init__(self, seed: int, engine: str = "reference") -> None:
        self.pick = random.Random(seed)
        self.engine = implementation(engine)()
        self.batches: list[Batch] = []
        self.events: list[np.ndarray] = []
        self.epoch = 1
        self._now_ns = START_NS
        self._number = 1
        self.stamp(epoch_start(1))
        self.stamp(np.concatenate(list(opening())))
        for number, (maker, taker) in zip(INSTRUMENTS, ((500, 2_000), (-300, 1_000)), strict=True):
            self.stamp(record(CommandKind.SET_FEES, RULES, instrument=number, maker_fee_ppm=maker, taker_fee_ppm=taker))

    def stamp(self, commands) -> None:
        self._now_ns += self.pick.randint(1, 40)
        first_seq = self.engine.last_seq + 1
        batch = stamp_batch(commands, epoch=self.epoch, first_seq=first_seq, timestamp_ns=self._now_ns)
        self.batches.append(batch)
        events = self.engine.apply(batch.records, first_seq=first_seq, timestamp_ns=self._now_ns)
        self.events.append(events.copy())

    def go_on(self, bursts: int) -> Iterator[int]:
        """So many more batches; the index of each."""
        for _ in range(bursts):
            draw = self.pick.random()
            if draw < 0.01:
                self.epoch += self.pick.randint(1, 2)
                self.stamp(epoch_start(self.epoch))
            elif draw < 0.12:
                self.stamp(money(self.pick))
            else:
                commands, self._number = burst(self.pick, self._now_ns, self._number)
                self.stamp(commands)
            yield len(self.batches) - 1

    def chunk(self, first: int, last: int) -> Chunk:
        """Of batches `first` to `last`, by their index."""
        batches = tuple(self.batches[first : last + 1])
        events = join_records([np.ascontiguousarray(part) for part in self.events[first : last + 1]])
        return Chunk(batches, events, batches[-1].last_seq, batches[-1].last_seq, batches[-1].epoch)

    def chunks(self, sizes: Sequence[int] | int, begin: int = 0) -> Iterator[Chunk]:
        """All from batch `begin` on, of so many batches each, or of random sizes out of these."""
        at = begin
        while at < len(self.batches):
            size = sizes if isinstance(sizes, int) else self.pick.choice(sizes)
            yield self.chunk(at, min(at + size, len(self.batches)) - 1)
            at += size


def history(seed: int, bursts: int, engine: str = "native") -> History:
    made = History(seed, engine)
    for _ in made.go_on(bursts):
        pass
    return made
