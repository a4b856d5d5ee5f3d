"""Cluster views to plan on, and journals to examine, made in one line."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lockstep.engine.reference import ReferenceEngine
from lockstep.ops.operator.view import ClusterView, EngineSeen
from lockstep.replica.divergence import EpochEntry
from lockstep.replica.effects import AppliedBatch, JournalWrite
from lockstep.replica.journal import Journal
from lockstep.sequencer.window import control_record
from lockstep.stream.batch import Batch, stamp_batch
from lockstep.stream.digest import GENESIS, next_digest
from lockstep.stream.records import (
    ADMIN,
    COMMAND,
    CommandKind,
    Commands,
    Events,
    OrderType,
    Side,
    TimeInForce,
)

MakeView = Callable[..., ClusterView]


@pytest.fixture
def make_view() -> MakeView:
    """A healthy cluster of `engines` engines, with engine 1 as primary; `changes` by engine id, then of the view."""

    def make(engines: int = 3, changes: dict[int, dict[str, Any]] | None = None, **view: Any) -> ClusterView:
        seen = tuple(
            EngineSeen(
                member=member,
                address=f"127.0.0.1:{7000 + member}",
                up=True,
                role="primary" if member == 1 else "standby",
                epoch=4,
                seq=1000,
                committed_seq=1000,
                digest=b"d",
                in_sync=True,
            )
            for member in range(1, engines + 1)
        )
        seen = tuple(replace(engine, **(changes or {}).get(engine.member, {})) for engine in seen)
        healthy = ClusterView(
            name="test",
            leader=1,
            leader_address="127.0.0.1:6001",
            sequencers=((1, "127.0.0.1:6001", True), (2, "127.0.0.1:6002", True)),
            epoch=4,
            seq=1000,
            committed_seq=1000,
            primary=1,
            in_sync=tuple(engine.member for engine in seen if engine.in_sync),
            fenced=tuple(engine.member for engine in seen if engine.fenced),
            engines=seen,
            serving_gateways=1,
        )
        return replace(healthy, **view)

    return make


MakeJournal = Callable[..., Path]


@pytest.fixture
def make_journal(tmp_path: Path) -> MakeJournal:
    """Write the journal of an engine that has executed an epoch start, definitions and `orders` orders, then ended.

    `alter` may change the records of the batch at a seq before they are journaled and executed; `forge` the journaled
    entry alone; `tell` the events alone.
    """

    def make(
        name: str,
        *,
        member: int = 1,
        orders: int = 20,
        uuid: str = "u",
        alter: Callable[[int, Commands], Commands] = lambda _, records: records,
        forge: Callable[[int, Batch], Batch | None] = lambda _, made: made,
        tell: Callable[[int, Events], Events] = lambda _, events: events,
    ) -> Path:
        journal = Journal(tmp_path / name, member)
        engine, digest, seq = ReferenceEngine(), GENESIS, 1
        for records in _commands(orders):
            batch = alter(seq, records)
            made = stamp_batch(batch, epoch=1, first_seq=seq, timestamp_ns=10**9 + seq)
            events = tell(seq, engine.apply(made.records, first_seq=seq, timestamp_ns=made.timestamp_ns))
            digest = next_digest(digest, made.raw, memoryview(events.view(np.uint8)))
            written = forge(seq, made)
            if written is not None:
                epochs = (EpochEntry(1, 1),) if seq == 1 else ()
                journal.write(JournalWrite((written,), epochs, cluster_uuid=uuid if seq == 1 else ""), sync=True)
            journal.derived.keep((AppliedBatch(1, seq, made.last_seq, events, digest),))
            seq = made.last_seq + 1
        journal.close()
        return tmp_path / name

    return make


def _commands(orders: int) -> Iterator[Commands]:
    """An epoch start, definitions, then crossing orders in batches of four."""
    yield control_record(CommandKind.EPOCH_START, epoch=1, in_sync_bits=6, primary=1, sequencer=1, cause=1)
    define = np.zeros(2, ADMIN)
    define["kind"] = (CommandKind.DEFINE_INSTRUMENT, CommandKind.DEFINE_ACCOUNT)
    define["session_id"], define["session_no"] = 1, (1, 2)
    define["instrument"], define["account"] = (1, 0), (0, 1)
    define["name"], define["tick_micros"], define["lot_units"] = (b"ACME", b"A"), (10_000, 0), (1, 0)
    define["flags"] = (0, 3)
    yield define.view(COMMAND)
    for first in range(0, orders, 4):
        rows = np.zeros(4, COMMAND)
        rows["kind"], rows["order_type"], rows["tif"] = CommandKind.NEW_ORDER, OrderType.LIMIT, TimeInForce.GTC
        rows["side"] = (Side.BUY, Side.BUY, Side.SELL, Side.BUY)
        rows["session_id"], rows["session_no"] = 1, np.arange(first + 3, first + 7)
        rows["account"], rows["instrument"] = 1, 1
        rows["client_order_id"] = np.arange(first + 1, first + 5)
        rows["price_ticks"], rows["quantity_lots"] = 100, (5, 2, 3, 4)
        yield rows
