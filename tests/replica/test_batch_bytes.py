"""One batch, the same bytes: on links, in journals, in the digest, in a fetch, after a takeover, in an archive.

Over the real classes of sequencer, replica and operator.
"""

from contextlib import ExitStack

import numpy as np
import pytest
from blake3 import blake3

from lockstep.engine.reference import ReferenceEngine
from lockstep.ops.operator.archive import archived_batches
from lockstep.ops.operator.cold import ColdJournal
from lockstep.replica.divergence import EpochEntry
from lockstep.replica.effects import Journaled, StreamFrames
from lockstep.replica.events import EventStore
from lockstep.replica.fetches import Fetches
from lockstep.replica.journal import Journal
from lockstep.replica.machine import ReplicaMachine
from lockstep.replica.settings import ReplicaOptions
from lockstep.replica.snapshots import SnapshotStore
from lockstep.replica.view import view_of
from lockstep.sequencer.takeover import Recovery, missing_part
from lockstep.sequencer.window import Window, control_record
from lockstep.stream.arrival import decode_from
from lockstep.stream.batch import decode_batch
from lockstep.stream.digest import GENESIS, Digest
from lockstep.stream.messages import LAYOUTS, Stream, encode
from lockstep.stream.records import ADMIN, COMMAND, AccountFlag, CommandKind, Commands, members_to_bits
from lockstep.v1 import replication_pb2


def accounts(first: int, count: int) -> Commands:
    """Commands with effects."""
    records = np.zeros(count, ADMIN)
    records["kind"], records["flags"] = CommandKind.DEFINE_ACCOUNT, AccountFlag.UNLIMITED_CASH
    records["account"] = np.arange(first, first + count)
    records["name"] = [f"A{number}".encode() for number in range(first, first + count)]
    return records.view(COMMAND)


class Engine:
    """A replica's machine on a real journal; frames come to it as bytes."""

    def __init__(self, member: int, journal: Journal) -> None:
        self.journal = journal
        self.machine = ReplicaMachine(ReplicaOptions(member, (1, 2, 3)), ReferenceEngine())
        self.machine.start()
        self.events: list[bytes] = []

    def take(self, wire: bytes, sequencer: int) -> None:
        effects = self.machine.step(StreamFrames((decode_from(wire, Stream, sequencer),)), 1)
        write = effects.journal
        assert write is not None
        self.journal.write(write, sync=True)
        after = self.machine.step(Journaled(write.batches[-1].last_seq), 1)
        self.journal.derived.keep(after.applied)
        self.events += [batch.events.tobytes() for batch in after.applied]

    def fetch(self, from_seq: int) -> list[bytes]:
        """As a peer or a new leader asks for it."""
        store, events = SnapshotStore(self.journal.data_dir), EventStore(self.journal, 1)
        fetches = Fetches(1, self.journal, events, lambda: view_of(self.machine, ()), store)
        replies = fetches.journal(replication_pb2.FetchJournalRequest(from_seq=from_seq), "", lambda: False)
        return [raw for reply in replies if reply is not None for raw in reply.batches]


@pytest.fixture
def stack():
    with ExitStack() as made:
        yield made


def test_a_batch_is_the_same_bytes_wherever_it_lies(tmp_path, stack):
    journals = {member: Journal(tmp_path / f"engine-{member}", member) for member in (1, 2, 3)}
    for member in (1, 2):
        stack.callback(journals[member].close)
    one, two, three = (Engine(member, journal) for member, journal in journals.items())
    first = Window(sender=1, epoch=1, tip=0, time_ns=0, limit=1000)
    start = control_record(
        CommandKind.EPOCH_START, epoch=1, in_sync_bits=members_to_bits((1, 2)), primary=1, sequencer=1
    )
    stamped, wires = [], []
    for at, records in enumerate((start, accounts(1, 3), accounts(4, 1), accounts(5, 40))):
        sent = first.stamp(records, 100 + at, 0)
        stamped.append(sent.batch.raw)
        wires.append(encode(sent))
    # On the wire, and in two journals.
    size = LAYOUTS[Stream].size
    assert [wire[size:] for wire in wires] == stamped
    for engine in (one, two):
        for wire in wires:
            engine.take(wire, 1)
        assert list(engine.journal.raw_batches(1)) == stamped
    # In the digest.
    digest = GENESIS
    for raw, events in zip(stamped, one.events, strict=True):
        digest = Digest(blake3(digest + raw + events).digest(length=16))
    assert digest == one.machine.replica_state.digest == two.machine.replica_state.digest

    # A new leader fetches what some engine lacks, and sends it on under its own epoch.
    fetched = one.fetch(1)
    assert fetched == stamped
    recovery = Recovery(1, 0, one.machine.replica_state.applied_seq, 1, 0, 0)
    second = Window(sender=2, epoch=2, tip=recovery.tip_seq, tip_epoch=1, time_ns=200, limit=1000)
    second.recover(missing_part(tuple(decode_batch(raw) for raw in fetched), recovery))
    again = second.after(0, 7, 10_000)
    assert again is not None
    assert {(frame.sender, frame.leader_epoch, frame.committed_seq) for frame in again} == {(2, 2, 7)}
    for frame in again:
        assert encode(frame)[size:] == frame.batch.raw
        three.take(encode(frame), 2)
    assert list(three.journal.raw_batches(1)) == stamped
    assert three.machine.replica_state.digest == digest

    # What is discarded again, and what an operator reads of a stopped engine.
    archive = two.journal.truncate(1)
    assert [batch.raw for batch in archived_batches(archive)] == stamped[1:]
    journals[3].close()
    with ColdJournal(tmp_path / "engine-3") as cold:
        assert list(cold.raw_batches()) == stamped
        assert cold.summary.epochs == (EpochEntry(1, 1),)
