"""An engine that counts wrong is found out by the digests of its peer before anybody hears of its fill."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from lockstep.engine.implementations import NAMES, implementation
from lockstep.replica.effects import AckFrames, Effects, Journaled, PeerDigest, Role, StreamFrames
from lockstep.replica.machine import ReplicaMachine
from lockstep.replica.settings import ReplicaOptions
from lockstep.stream.batch import stamp_batch
from lockstep.stream.messages import Ack, Release, Stream
from lockstep.stream.records import (
    ADMIN,
    COMMAND,
    CONTROL,
    AccountFlag,
    CommandKind,
    Commands,
    EventKind,
    Events,
    OrderType,
    Side,
    TimeInForce,
    members_to_bits,
)

PRIMARY, STANDBY = 1, 2
SEQUENCER = 1
ALICE, BOB, ACME = 1, 2, 7
NOW_NS = 1_000_000_000


class MiscountingEngine:
    """An engine with an arithmetic error: the `wrong_fill`-th fill is one lot short. All else is the real engine."""

    def __init__(self, engine: Any, wrong_fill: int) -> None:
        self._engine = engine
        self._fills_until_wrong = wrong_fill

    def apply(self, commands: Commands, *, first_seq: int, timestamp_ns: int) -> Events:
        events: Events = self._engine.apply(commands, first_seq=first_seq, timestamp_ns=timestamp_ns)
        fills = np.flatnonzero(events["kind"] == EventKind.TRADE)
        wrong = self._fills_until_wrong - 1
        self._fills_until_wrong -= len(fills)
        if 0 <= wrong < len(fills):
            events = events.copy()
            events["quantity_lots"][fills[wrong]] -= 1
        return events

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


@dataclass
class Stamps:
    """Stamps batches as the leading sequencer of epoch 1 does."""

    next_seq: int = 1
    session_no: int = 0

    def stamp(self, records: Any) -> Stream:
        batch = stamp_batch(records, epoch=1, first_seq=self.next_seq, timestamp_ns=1_000 + self.next_seq)
        stamped = Stream(SEQUENCER, 1, 0, batch)
        self.next_seq += len(records)
        return stamped

    def epoch_start(self) -> Stream:
        record = np.zeros(1, dtype=CONTROL)
        record["kind"] = CommandKind.EPOCH_START
        record["epoch"] = 1
        record["sequencer"] = SEQUENCER
        record["primary"] = PRIMARY
        record["in_sync"] = members_to_bits((PRIMARY, STANDBY))
        return self.stamp(record)

    def definitions(self) -> Stream:
        records = np.zeros(3, dtype=ADMIN)
        records["kind"] = CommandKind.DEFINE_ACCOUNT
        records["kind"][0] = CommandKind.DEFINE_INSTRUMENT
        records["name"] = (b"ACME", b"alice", b"bob")
        records["instrument"][0] = ACME
        records["tick_micros"][0] = records["lot_units"][0] = 1
        records["account"][1:] = (ALICE, BOB)
        records["flags"][1:] = AccountFlag.UNLIMITED_CASH | AccountFlag.UNLIMITED_POSITIONS
        return self.stamp(records)

    def cross(self) -> Stream:
        """Alice offers ten lots, Bob takes them: one fill."""
        records = np.zeros(2, dtype=COMMAND)
        records["kind"] = CommandKind.NEW_ORDER
        records["session_id"] = 1
        records["session_no"] = self.session_no + np.arange(1, 3)
        records["account"] = (ALICE, BOB)
        records["side"] = (Side.SELL, Side.BUY)
        records["order_type"] = OrderType.LIMIT
        records["tif"] = TimeInForce.GTC
        records["instrument"] = ACME
        records["price_ticks"] = 100
        records["quantity_lots"] = 10
        self.session_no += 2
        return self.stamp(records)


@dataclass
class Cluster:
    """Two replicas in sync on one stream: every write is durable at once, every ack arrives."""

    primary: ReplicaMachine
    standby: ReplicaMachine
    stream: Stamps = field(default_factory=Stamps)
    released: list[Release] = field(default_factory=list)
    """Everything with events in it that the primary gave to the gateways."""
    now_ns: int = NOW_NS
    acks: dict[ReplicaMachine, Ack | None] = field(default_factory=dict)
    """What each acknowledged last."""
    digests: dict[tuple[ReplicaMachine, int], bytes] = field(default_factory=dict)
    """After each batch, as each engine has it in its tables."""

    def feed(self, stamped: Stream) -> None:
        """One batch through both, then the acks across."""
        for machine in (self.primary, self.standby):
            self.acks[machine] = self._take(machine, StreamFrames((stamped,)))
            self.digests[machine, machine.replica_state.applied_seq] = machine.replica_state.digest
        self._exchange()

    def go_on(self, ms: int) -> None:
        """Both repeat what they acknowledged last, as engines do, for a while."""
        for _ in range(ms // 20):
            self.now_ns += 20_000_000
            self._exchange()

    def _exchange(self) -> None:
        for machine, other in ((self.primary, self.standby), (self.standby, self.primary)):
            if (ack := self.acks[other]) is not None:
                self._take(machine, AckFrames((ack,)))

    def _take(self, machine: ReplicaMachine, event: Any) -> Ack | None:
        effects = self._step(machine, event)
        if effects.journal is not None and effects.journal.batches:
            effects = self._step(machine, Journaled(effects.journal.batches[-1].last_seq))
        return effects.ack

    def _step(self, machine: ReplicaMachine, event: Any) -> Effects:
        effects = machine.step(event, self.now_ns)
        self.released += [sent for sent in effects.releases if sent.count]
        if (asked := effects.ask) is not None:
            peer = self.primary if asked.peer == PRIMARY else self.standby
            self._step(machine, PeerDigest(asked.peer, asked.seq, self.digests[peer, asked.seq]))
        return effects

    def fills(self) -> list[tuple[int, int]]:
        """(seq, lots) of every fill that left the cluster."""
        return [
            (int(row["seq"]), int(row["quantity_lots"]))
            for sent in self.released
            for row in sent.events
            if row["kind"] == EventKind.TRADE
        ]


def cluster(primary: Any, standby: Any) -> Cluster:
    """Both engines in sync in epoch 1, with an instrument and two accounts defined and committed."""
    machines = [
        ReplicaMachine(ReplicaOptions(member, (PRIMARY, STANDBY)), engine)
        for member, engine in ((PRIMARY, primary), (STANDBY, standby))
    ]
    for machine in machines:
        machine.start()
    made = Cluster(primary=machines[0], standby=machines[1])
    made.feed(made.stream.epoch_start())
    made.feed(made.stream.definitions())
    assert [machine.replica_state.role for machine in machines] == [Role.PRIMARY, Role.STANDBY]
    assert made.primary.replica_state.committed_seq == made.primary.replica_state.applied_seq == 4
    return made


@pytest.fixture(params=NAMES)
def wrong_engine(request: pytest.FixtureRequest) -> MiscountingEngine:
    """Right in its first two fills, wrong in the third."""
    return MiscountingEngine(implementation(str(request.param))(), wrong_fill=3)


def right_engine(wrong: MiscountingEngine) -> Any:
    """The other implementation: design-diverse redundancy."""
    own = type(wrong._engine)
    (other,) = (engine for name in NAMES if type(engine := implementation(name)()) is not own)
    return other


@pytest.mark.parametrize("wrong_is_primary", [True, False])
def test_wrong_fill_diverges_before_any_release(wrong_engine: MiscountingEngine, wrong_is_primary: bool) -> None:
    right = right_engine(wrong_engine)
    made = cluster(wrong_engine, right) if wrong_is_primary else cluster(right, wrong_engine)
    made.feed(made.stream.cross())
    made.feed(made.stream.cross())
    committed = made.primary.replica_state.committed_seq
    assert made.fills() == [(6, 10), (8, 10)]

    made.feed(made.stream.cross())
    assert made.fills() == [(6, 10), (8, 10)], "a fill that the replicas do not agree on has left the cluster"

    made.feed(made.stream.cross())  # digests are chained: what each acknowledges next confirms the difference
    made.go_on(ms=200)  # a difference that stands, and that the other says itself, when it is asked
    assert made.primary.replica_state.role is made.standby.replica_state.role is Role.DIVERGED
    assert "digest" in made.primary.replica_state.diverged
    assert made.fills() == [(6, 10), (8, 10)], "a fill that the replicas do not agree on has left the cluster"

    made.feed(made.stream.cross())  # the stream goes on; nothing more is committed, acked or released
    assert made.primary.replica_state.committed_seq == made.standby.replica_state.committed_seq == committed
    assert made.fills() == [(6, 10), (8, 10)]


def test_same_stream_without_the_bug_commits_and_releases_every_fill() -> None:
    made = cluster(*(implementation(name)() for name in NAMES))
    for _ in range(4):
        made.feed(made.stream.cross())
    assert made.fills() == [(6, 10), (8, 10), (10, 10), (12, 10)]
    assert made.primary.replica_state.committed_seq == made.standby.replica_state.committed_seq == 12
