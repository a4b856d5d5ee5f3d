"""A sequencer on paper: stamps frames for replica machines, and runs their effects without any I/O."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from lockstep.engine.reference import ReferenceEngine
from lockstep.replica.effects import AckFrames, Effects, Event, Journaled, PeerDigest, StreamFrames
from lockstep.replica.machine import ReplicaMachine
from lockstep.replica.settings import ReplicaOptions, Restored
from lockstep.stream.batch import Batch, stamp_batch
from lockstep.stream.messages import Ack, Stream
from lockstep.stream.records import ADMIN, CONTROL, AccountFlag, CommandKind, members_to_bits

MS = 1_000_000


class Sequencer:
    """Stamps frames as a leading sequencer does."""

    def __init__(self, id: int = 1, epoch: int = 1, next_seq: int = 1, time_ns: int = 1_000) -> None:
        self.id, self.epoch, self.leader, self.next_seq, self.time_ns = id, epoch, epoch, next_seq, time_ns

    def stamp(self, records: np.ndarray, committed_seq: int = 0) -> Stream:
        self.time_ns += 1_000
        made = Stream(
            self.id,
            self.leader,
            committed_seq,
            stamp_batch(records, epoch=self.epoch, first_seq=self.next_seq, timestamp_ns=self.time_ns),
        )
        self.next_seq += len(records)
        return made

    def commands(self, count: int = 3, committed_seq: int = 0) -> Stream:
        """Unnumbered admin commands: every one yields one event."""
        records = np.zeros(count, dtype=ADMIN)
        records["kind"] = CommandKind.DEFINE_ACCOUNT
        records["account"] = np.arange(self.next_seq, self.next_seq + count)
        records["name"] = [f"A{seq}".encode() for seq in range(self.next_seq, self.next_seq + count)]
        records["flags"] = AccountFlag.UNLIMITED_CASH
        return self.stamp(records, committed_seq)

    def control(self, kind: CommandKind, **fields: int) -> Stream:
        record = np.zeros(1, dtype=CONTROL)
        record["kind"] = kind
        record["epoch"] = self.epoch
        record["sequencer"] = self.id
        for name, value in fields.items():
            record[name] = value
        return self.stamp(record)

    def epoch_start(self, *in_sync: int, primary: int, epoch: int | None = None) -> Stream:
        if epoch is not None:
            self.epoch = self.leader = epoch
        return self.control(CommandKind.EPOCH_START, in_sync=members_to_bits(in_sync), primary=primary)

    def heartbeat(self, committed_seq: int = 0) -> Stream:
        return self.stamp(np.empty(0, dtype=CONTROL), committed_seq)


@dataclass
class Node:
    """A machine and a disk that keeps what was written to it; effects are collected."""

    member: int
    engines: tuple[int, ...] = (1, 2)
    machine: ReplicaMachine = field(init=False)
    disk: list[Batch] = field(default_factory=list)
    promise: tuple[int, int] = (0, 0)
    committed_hint: int = 0
    effects: list[Effects] = field(default_factory=list)
    now_ns: int = 1_000_000_000

    def __post_init__(self) -> None:
        self.restart()

    def restart(self, keep_through: int | None = None) -> None:
        if keep_through is not None:
            self.disk = [kept for kept in self.disk if kept.last_seq <= keep_through]
        restored = Restored(self.promise, "", self.committed_hint)
        self.machine = ReplicaMachine(ReplicaOptions(self.member, self.engines), ReferenceEngine(), restored)
        for kept in self.disk:
            self.machine.replay(kept)
        self.machine.start()

    def step(self, event: Event, *, journal: bool = True) -> Effects:
        """One step; with `journal` the write completes at once and the effects of both steps are joined."""
        effects = self.machine.step(event, self.now_ns)
        self.effects.append(effects)
        write = effects.journal
        if write is None or not journal:
            return effects
        self.disk += write.batches
        self.promise = write.promise or self.promise
        self.committed_hint = write.committed_seq
        if not write.batches:
            return effects
        after = self.step(Journaled(write.batches[-1].last_seq))
        return Effects(
            write,
            effects.truncate_after if effects.truncate_after is not None else after.truncate_after,
            effects.install or after.install,
            effects.fence_answers + after.fence_answers,
            after.ack,
            after.applied,
            effects.releases + after.releases,
            effects.rewind or after.rewind,
            effects.fetch or after.fetch,
            effects.ask or after.ask,
            effects.fetch_snapshot or after.fetch_snapshot,
            effects.notices + after.notices,
        )

    def stream(self, *frames: Stream) -> Effects:
        return self.step(StreamFrames(frames))

    def acks(self, *frames: Ack | None, times: int = 2) -> Effects:
        """As engines do, they repeat them: one odd frame alone is nobody's word."""
        return self.step(AckFrames(tuple(ack for ack in frames if ack is not None) * times))

    def acks_that_stand(self, ack: Ack, *, delivered: bytes | None = None) -> Effects:
        """An engine repeats it for a while, is asked, and says the same (or `delivered`) itself."""
        self.acks(ack)
        self.wait(100)
        asked = self.acks(ack, times=1).ask
        assert asked is not None
        assert asked.peer == ack.sender
        digest = bytes(ack.entries["digest"][-1]) if delivered is None else delivered
        return self.step(PeerDigest(asked.peer, asked.seq, digest))

    def wait(self, ms: int) -> None:
        self.now_ns += ms * MS


@pytest.fixture
def sequencer() -> Sequencer:
    return Sequencer()


@pytest.fixture
def new_sequencer() -> type[Sequencer]:
    return Sequencer


@pytest.fixture
def new_node() -> type[Node]:
    return Node


@pytest.fixture
def pair(sequencer: Sequencer) -> tuple[Node, Node]:
    """Engines 1 (primary) and 2 in sync in epoch 1; seq 1 is committed on both."""
    primary, standby = Node(1), Node(2)
    first = sequencer.epoch_start(1, 2, primary=1)
    one, two = primary.stream(first), standby.stream(first)
    primary.acks(two.ack)
    standby.acks(one.ack)
    assert primary.machine.replica_state.committed_seq == standby.machine.replica_state.committed_seq == 1
    return primary, standby
