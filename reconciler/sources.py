"""Where journals, events and balances are read: from a live engine over gRPC, or from the files of one at rest.

A live engine's journal is read through the engine and not from its files: RocksDB lets a second process follow a
database only through its log files, and the journal uses these again (`recycle_log_file_num`), which followers can't
survive. What the engine sends are the bytes that it reads back from its journal. The gateways' intake logs do not
recycle theirs and are followed in place (`intake_reader.py`).
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import grpc
import numpy as np
from rocksdict import Rdict

from lockstep.reconciler.books import holdings_of_rows
from lockstep.reconciler.twin import Start
from lockstep.replica.marks import journal_path
from lockstep.replica.rocks import MEMTABLE_BYTES, JournalFault, database_options, family_options, faults
from lockstep.replica.snapshot_file import SnapshotDamaged, SnapshotHead, decode_snapshot_file
from lockstep.replica.snapshots import SnapshotStore, usable
from lockstep.replica.stored_journal import StoredJournal
from lockstep.replica.untouched import open_untouched
from lockstep.runtime.access.dialing import open_channel
from lockstep.runtime.cluster_view import rpc_text
from lockstep.runtime.engine_pages import event_pages
from lockstep.runtime.process import CHANNEL_OPTIONS
from lockstep.runtime.topology import Member
from lockstep.stream.batch import Batch, LayoutError, decode_batch
from lockstep.stream.digest import Digest
from lockstep.stream.records import EVENT, Events
from lockstep.v1 import common_pb2, replication_pb2, replication_pb2_grpc

CHUNK_BYTES: Final = 1 << 20
_TIMEOUT_S: Final = 20.0
# Engines give away some tens of megabytes a second at the most, whoever asks.
_SNAPSHOT_TIMEOUT_S: Final = 600.0
_SHORT_TIMEOUT_S: Final = 3.0
_LEARN_S: Final = 1.0
_LEARN_POLL_S: Final = 0.01
_LAST_INDEX: Final = 2**32 - 1
_LAST_ACCOUNT: Final = 2**32 - 1


class SourceAway(Exception):
    """It does not answer now; ask again later. The text says why."""


class SourceCut(SourceAway):
    """It holds what was asked for no more: its journal was cut behind a snapshot. The text says where."""


class SourceDamaged(Exception):
    """It can't be read: an entry is damaged. The text names the journal."""


@dataclass(frozen=True, slots=True)
class Tip:
    """How far a replica is."""

    applied_seq: int
    committed_seq: int
    """As far as it knows; of a journal at rest, what was written down last."""
    in_sync: bool
    uuid: str
    first_seq: int = 1
    """Where its journal begins; what is before was cut."""


@dataclass(frozen=True, slots=True)
class Balances:
    """What a replica says some accounts hold, after one command: all accounts of numbers `first` to `last`."""

    seq: int
    holdings: dict[tuple[int, int], int] = field(repr=False)
    first: int = 0
    last: int = 2**32 - 1


class ReplicaSource(Protocol):
    """One replica's account of the history. Every method may raise SourceAway or SourceDamaged."""

    name: str
    live: bool
    member: int

    def tip(self) -> Tip:
        """How far it is."""
        ...

    def raw_batches(self, from_seq: int, to_seq: int) -> list[bytes]:
        """Journal entries from the one that holds `from_seq` on, up to `to_seq` or about a megabyte, at least one."""
        ...

    def digest_at(self, last_seq: int) -> Digest | None:
        """The chain digest that it stored after the batch that ends at a seq; None if it has none."""
        ...

    def events(self, from_seq: int, to_seq: int) -> Events | None:
        """All events that it stored of a range; None if it does not keep them (any more)."""
        ...

    def session_events(self, session_id: int, to_seq: int) -> Iterator[Events] | None:
        """Events that concern a session, from the first on; None if it can't say."""
        ...

    def balances(self) -> Balances | None:
        """The balances of some accounts, the next ones each time; None if it can't say."""
        ...

    def snapshot(self) -> Start | None:
        """A state to start from where its journal does not reach back to the first command; None if it has none."""
        ...

    def close(self) -> None:
        """Release it."""
        ...


def decode(name: str, raw: bytes) -> Batch:
    """A journal entry. Raises SourceDamaged."""
    try:
        return decode_batch(raw)
    except LayoutError as error:
        raise SourceDamaged(f"journal of {name} is damaged: {error}") from error


class LiveEngine:
    """An engine that runs, over its `Replication` service."""

    live = True

    def __init__(self, member: Member) -> None:
        self.name = member.name
        self.member = member.id
        self._channel = open_channel(member.grpc_address, CHANNEL_OPTIONS)
        self._stub = replication_pb2_grpc.ReplicationStub(self._channel)
        self._uuid = ""
        self._balances_after = 0

    def tip(self) -> Tip:
        request = replication_pb2.FetchJournalRequest(from_seq=2**63, max_bytes=1)
        try:
            call = self._stub.FetchJournal(request, timeout=_SHORT_TIMEOUT_S)
            uuid = dict(call.initial_metadata()).get("lockstep-cluster-uuid", "")
            reply = next(call)
            call.cancel()
        except grpc.RpcError as error:
            raise self._fault(error) from error
        self._uuid = uuid if isinstance(uuid, str) else uuid.decode()
        return Tip(reply.tip.seq, reply.committed_seq, reply.in_sync, self._uuid, reply.first_seq)

    def raw_batches(self, from_seq: int, to_seq: int) -> list[bytes]:
        request = replication_pb2.FetchJournalRequest(from_seq=from_seq, max_bytes=CHUNK_BYTES)
        raws: list[bytes] = []
        try:
            for part in self._stub.FetchJournal(request, timeout=_TIMEOUT_S):
                raws.extend(part.batches)
        except grpc.RpcError as error:
            raise self._fault(error) from error
        return [raw for raw in raws if decode(self.name, raw).last_seq <= to_seq]

    def digest_at(self, last_seq: int) -> Digest | None:
        request = replication_pb2.FetchJournalRequest(from_seq=last_seq, max_bytes=1)
        try:
            replies = list(self._stub.FetchJournal(request, timeout=_SHORT_TIMEOUT_S))
        except grpc.RpcError as error:
            raise self._fault(error) from error
        raws = [raw for reply in replies for raw in reply.batches]
        if not raws or decode(self.name, raws[-1]).last_seq != last_seq:
            return None
        return Digest(replies[-1].digest) if replies[-1].digest else None

    def events(self, from_seq: int, to_seq: int) -> Events | None:
        after = common_pb2.EventId(seq=from_seq - 1, index=_LAST_INDEX)
        return self._join(replication_pb2.FetchEventsRequest(after=after, to_seq=to_seq))

    def _join(self, request: replication_pb2.FetchEventsRequest) -> Events | None:
        # What another replica knows to be committed, this one may learn a moment later; until then it keeps it back.
        deadline = time.monotonic() + _LEARN_S
        while True:
            try:
                parts = list(event_pages(self._stub, request, timeout_s=_TIMEOUT_S))
            except grpc.RpcError as error:
                fault = self._fault(error)
                if isinstance(fault, SourceCut):
                    return None
                raise fault from error
            through = parts[-1].through_seq if parts else 0
            if through >= request.to_seq:
                return np.frombuffer(b"".join(part.events for part in parts), dtype=EVENT)
            if time.monotonic() > deadline:
                raise self._not_answered(through, request.to_seq)
            time.sleep(_LEARN_POLL_S)

    def _not_answered(self, through: int, to_seq: int) -> SourceAway:
        return SourceAway(f"{self.name}: it knows up to seq {through} to be committed, and {to_seq} was asked for")

    def session_events(self, session_id: int, to_seq: int) -> Iterator[Events] | None:
        request = replication_pb2.FetchEventsRequest(session_id=session_id, to_seq=to_seq)
        return self._each(request)

    def _each(self, request: replication_pb2.FetchEventsRequest) -> Iterator[Events]:
        through = 0
        try:
            for part in event_pages(self._stub, request, timeout_s=_TIMEOUT_S):
                through = part.through_seq
                yield np.frombuffer(part.events, dtype=EVENT)
        except grpc.RpcError as error:
            raise self._fault(error) from error
        if through < request.to_seq:
            raise self._not_answered(through, request.to_seq)

    def balances(self) -> Balances | None:
        request = replication_pb2.QueryRequest(accounts_after=self._balances_after)
        try:
            reply = self._stub.Query(request, timeout=_SHORT_TIMEOUT_S)
        except grpc.RpcError as error:
            raise self._fault(error) from error
        first = self._balances_after + 1 if self._balances_after else 0
        last = reply.next.account if reply.more else _LAST_ACCOUNT
        self._balances_after = reply.next.account if reply.more else 0
        return Balances(reply.stamp.seq, holdings_of_rows(reply.account_rows, reply.position_rows), first, last)

    def snapshot(self) -> Start | None:
        try:
            parts = list(self._stub.FetchSnapshot(replication_pb2.FetchSnapshotRequest(), timeout=_SNAPSHOT_TIMEOUT_S))
            head, state = decode_snapshot_file(b"".join(part.chunk for part in parts))
        except grpc.RpcError as error:
            if isinstance(error, grpc.Call) and error.code() == grpc.StatusCode.NOT_FOUND:
                return None
            raise self._fault(error) from error
        except SnapshotDamaged as damage:
            raise SourceAway(f"{self.name}: its snapshot can't be read: {damage}") from damage
        return Start(head.seq, head.epoch, head.base.timestamp_ns, head.base.digest, state)

    def _fault(self, error: grpc.RpcError) -> SourceAway | SourceDamaged:
        details = str(error.details() or "") if isinstance(error, grpc.Call) else ""
        if isinstance(error, grpc.Call) and error.code() == grpc.StatusCode.OUT_OF_RANGE:
            return SourceCut(f"{self.name}: {details}")
        if "journal" in details and ("damaged" in details or "cannot read" in details):
            return SourceDamaged(f"{self.name}: {details}")
        return SourceAway(f"{self.name}: {rpc_text(error)}")

    def close(self) -> None:
        self._channel.close()


class ColdJournal:
    """The data directory of an engine that does not run, opened for reading only.

    Raises:
        SourceDamaged: there is no journal, or it can't be opened.
    """

    live = False

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.name = data_dir.name
        if not (journal_path(data_dir) / "CURRENT").exists():
            raise SourceDamaged(f"{data_dir} holds no journal; name an engine's data directory")
        try:
            self._journal = StoredJournal(data_dir)
            self._summary = self._journal.summary()
            self.member = self._summary.member
            self._derived = _open_derived(data_dir)
        except (JournalFault, LayoutError) as fault:
            raise SourceDamaged(str(fault)) from fault

    @property
    def tip_uuid(self) -> str:
        """Identity of the cluster that the journal belongs to."""
        return self._summary.cluster_uuid

    @property
    def base_seq(self) -> int:
        """The seq before the first one that the journal holds: what is up to there is in snapshots only."""
        return self._summary.base_seq

    def tip(self) -> Tip:
        summary = self._summary
        # Until the cluster has admitted it, a journal is no account of what was committed, whatever it holds.
        return Tip(summary.tip_seq, summary.committed_seq, summary.joined, summary.cluster_uuid, summary.base_seq + 1)

    def raw_batches(self, from_seq: int, to_seq: int) -> list[bytes]:
        if from_seq <= self.base_seq:
            raise SourceCut(f"{self.name}: its journal was cut after seq {self.base_seq}")
        found: list[bytes] = []
        size = 0
        try:
            for raw in self._journal.raw_batches(from_seq):
                if size >= CHUNK_BYTES or decode(self.name, raw).last_seq > to_seq:
                    break
                found.append(raw)
                size += len(raw)
        except (JournalFault, LayoutError) as fault:
            raise SourceDamaged(f"{self.name}: {fault}") from fault
        return found

    def digest_at(self, last_seq: int) -> Digest | None:
        if self._derived is None:
            return None
        with faults("read", self.data_dir):
            value = self._derived.get_column_family("digests").get(last_seq.to_bytes(8, "big"))
        return Digest(value) if value is not None else None

    def events(self, from_seq: int, to_seq: int) -> Events | None:
        if self._derived is None:
            return None
        parts: list[bytes] = []
        covered = from_seq - 1
        with faults("read", self.data_dir):
            cursor: Any = self._derived.get_column_family("events").iter()
            cursor.seek_for_prev(from_seq.to_bytes(8, "big"))
            if not cursor.valid():
                cursor.seek(from_seq.to_bytes(8, "big"))
            while cursor.valid() and int.from_bytes(cursor.key(), "big") <= to_seq:
                parts.append(cursor.value())
                covered = int(np.frombuffer(parts[-1], dtype=EVENT)["seq"][-1])
                cursor.next()
        events = np.frombuffer(b"".join(parts), dtype=EVENT)
        # What a crash kept from being stored is not there: an engine makes it again from the journal.
        if covered < to_seq:
            return None
        return events[(events["seq"] >= from_seq) & (events["seq"] <= to_seq)]

    def session_events(self, session_id: int, to_seq: int) -> Iterator[Events] | None:
        del session_id, to_seq
        return None

    def balances(self) -> Balances | None:
        return None

    def snapshot(self) -> Start | None:
        # The oldest, so that as much as possible is executed.
        return self._first_readable(reversed(self._usable_heads()))

    def snapshot_before(self, seq: int) -> Start | None:
        """The newest state that is no later than a seq; None if there is none."""
        return self._first_readable(head for head in self._usable_heads() if head.seq <= seq)

    def _usable_heads(self) -> tuple[SnapshotHead, ...]:
        summary = self._summary
        return usable(
            SnapshotStore(self.data_dir).heads(),
            cluster_uuid=summary.cluster_uuid,
            epochs=summary.epochs,
            tip_seq=summary.tip_seq,
            base_seq=summary.base_seq,
        )

    def _first_readable(self, heads: Iterable[SnapshotHead]) -> Start | None:
        store = SnapshotStore(self.data_dir)
        for head in heads:
            try:
                _, state = decode_snapshot_file(store.read(head.seq))
            except SnapshotDamaged:
                continue
            return Start(head.seq, head.epoch, head.base.timestamp_ns, head.base.digest, state)
        return None

    def close(self) -> None:
        self._journal.close()
        if self._derived is not None:
            self._derived.close()


def _open_derived(data_dir: Path) -> Rdict | None:
    path = data_dir / "derived"
    if not (path / "CURRENT").exists():
        return None
    families = {"events": family_options(MEMTABLE_BYTES), "digests": family_options(4 << 20)}
    with faults("open", path):
        return open_untouched(path, database_options(recycle_logs=0), families)
