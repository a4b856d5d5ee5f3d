"""What each engine kept of a run, read over gRPC from every engine separately, so that they can be compared."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import grpc
import numpy as np

from lockstep.engine.pages import instrument_rows
from lockstep.reconciler.books import holdings_of_rows
from lockstep.reconciler.proof import Balances
from lockstep.runtime.access.dialing import open_channel
from lockstep.runtime.cluster_view import StatusProbe, rpc_text
from lockstep.runtime.engine_pages import event_pages, query_pages
from lockstep.runtime.process import CHANNEL_OPTIONS, EnvironmentFault
from lockstep.runtime.topology import Member, Topology
from lockstep.stream.batch import decode_batch
from lockstep.stream.records import EVENT, Commands, Events, no_commands, no_events
from lockstep.v1 import common_pb2, replication_pb2, replication_pb2_grpc

_TIMEOUT_S: Final = 30.0
_LAST_INDEX: Final = 2**32 - 1


@dataclass(frozen=True, slots=True)
class EngineEvidence:
    """One engine's account of the whole run."""

    engine: str
    seq: int
    digest: bytes
    """Of the digest chain, after `seq`."""
    journal: tuple[bytes, ...] = field(repr=False)
    """Journaled batches."""
    events: Events = field(repr=False)
    balances: Balances = field(repr=False)
    value_micros: Mapping[int, int]
    """By instrument, what one lot at one tick is worth."""

    def commands(self) -> Commands:
        """All journaled commands, in order of seq."""
        records = [decode_batch(raw).records for raw in self.journal]
        return np.concatenate(records) if records else no_commands()


def collect(topology: Topology, *, settle_s: float = 15.0) -> tuple[EngineEvidence, ...]:
    """Read every engine once all of them stand at the same committed seq.

    Raises:
        EnvironmentFault: they don't get there in time, or one does not answer.
    """
    through = _wait_level(topology, settle_s)
    found = []
    for engine in topology.engines:
        with open_channel(engine.grpc_address, CHANNEL_OPTIONS) as channel:
            try:
                found.append(_read(engine, replication_pb2_grpc.ReplicationStub(channel), through))
            except grpc.RpcError as error:
                raise EnvironmentFault(f"{engine.name} does not give its history: {rpc_text(error)}") from error
    return tuple(found)


def _wait_level(topology: Topology, settle_s: float) -> int:
    deadline = time.monotonic() + settle_s
    engines = tuple((engine.name, engine.grpc_address) for engine in topology.engines)
    with StatusProbe(engines) as probe:
        while True:
            status = probe.ask()
            replies = [member.reply for member in status.members if member.reply is not None]
            levels = {reply.seq for reply in replies} | {reply.committed_seq for reply in replies}
            if len(replies) == len(engines) and len(levels) == 1:
                return next(iter(levels))
            if time.monotonic() > deadline:
                seen = ", ".join(
                    f"{m.name} {m.role} at {m.reply.seq} (committed {m.reply.committed_seq})"
                    if m.reply
                    else f"{m.name} down"
                    for m in status.members
                )
                raise EnvironmentFault(f"the engines do not come to the same seq within {settle_s:g} s: {seen}")
            time.sleep(0.05)


def _first_kept(stub: replication_pb2_grpc.ReplicationStub, through: int) -> int:
    """First seq that an engine's journal holds: later than 1 if it started from a snapshot.

    Found by asking: an engine refuses what lies before with OUT_OF_RANGE.
    """
    low, high = 1, through + 1
    while low < high:
        # The beginning first, which nearly every journal holds.
        seq = low if low == 1 else (low + high) // 2
        if _holds(stub, seq):
            high = seq
        else:
            low = seq + 1
    return low


def _holds(stub: replication_pb2_grpc.ReplicationStub, seq: int) -> bool:
    fetch = replication_pb2.FetchJournalRequest(from_seq=seq, max_bytes=1)
    try:
        for _ in stub.FetchJournal(fetch, timeout=_TIMEOUT_S):
            pass
    except grpc.RpcError as error:
        if error.code() == grpc.StatusCode.OUT_OF_RANGE:
            return False
        raise
    return True


def _read_journal(
    stub: replication_pb2_grpc.ReplicationStub, begin: int, through: int
) -> tuple[tuple[bytes, ...], bytes]:
    """Batches from `begin` to `through`, which ends a batch, and the digest there.

    The stream goes on meanwhile: time alone is a command.
    """
    journal: list[bytes] = []
    fetch = replication_pb2.FetchJournalRequest(from_seq=begin)
    for part in stub.FetchJournal(fetch, timeout=_TIMEOUT_S):
        journal.extend(raw for raw in part.batches if decode_batch(raw).last_seq <= through)
    last = replication_pb2.FetchJournalRequest(from_seq=max(through, 1), max_bytes=1)
    digest = b""
    for part in stub.FetchJournal(last, timeout=_TIMEOUT_S):
        digest = part.digest
    return tuple(journal), digest


def _read(engine: Member, stub: replication_pb2_grpc.ReplicationStub, through: int) -> EngineEvidence:
    begin = _first_kept(stub, through)
    journal, digest = _read_journal(stub, begin, through)
    events = [no_events()]
    before = common_pb2.EventId(seq=begin - 1, index=_LAST_INDEX) if begin > 1 else common_pb2.EventId()
    history = replication_pb2.FetchEventsRequest(after=before, to_seq=through)
    for piece in event_pages(stub, history, timeout_s=_TIMEOUT_S):
        events.append(np.frombuffer(piece.events, dtype=EVENT))
    cash: dict[int, int] = {}
    lots: dict[tuple[int, int], int] = {}
    for page in query_pages(stub, replication_pb2.QueryRequest(accounts_after=0), timeout_s=_TIMEOUT_S):
        for (account, instrument), amount in holdings_of_rows(page.account_rows, page.position_rows).items():
            if not instrument:
                cash[account] = amount
            elif amount:
                lots[account, instrument] = amount
    value_micros: dict[int, int] = {}
    for page in query_pages(stub, replication_pb2.QueryRequest(instruments_after=0), timeout_s=_TIMEOUT_S):
        rows = instrument_rows(page.instrument_rows)
        columns = (rows[name].tolist() for name in ("instrument", "tick_micros", "lot_units"))
        value_micros |= {number: tick * lot for number, tick, lot in zip(*columns, strict=True)}
    return EngineEvidence(
        engine=engine.name,
        seq=through,
        digest=digest,
        journal=journal,
        events=np.concatenate(events),
        balances=Balances(cash, dict(sorted(lots.items()))),
        value_micros=value_micros,
    )
