"""A stage for one sequencer machine: the test plays etcd, the engines and the gateways, step by step."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from lockstep.runtime.topology import Limits, Timing
from lockstep.sequencer import events as ev
from lockstep.sequencer.config_record import ConfigRecord
from lockstep.sequencer.machine import SequencerMachine
from lockstep.sequencer.settings import MS, Settings
from lockstep.stream.batch import Batch
from lockstep.stream.messages import ACK_ENTRY, Ack, Receipt, Stream, Submit
from lockstep.stream.records import COMMAND, CONTROL, CommandKind, Commands

START_NS = 1_800_000_000_000_000_000


def digest_at(seq: int) -> bytes:
    """The digest that honest engines have at a seq."""
    return seq.to_bytes(16, "big")


@dataclass
class Stage:
    """Drives a machine and remembers what it ordered."""

    machine: SequencerMachine
    now_ns: int = START_NS
    log: list[ev.Effects] = field(default_factory=list)
    revision: int = 7
    pending_cas: ev.Cas | None = None

    def tell(self, *events: ev.Event) -> ev.Effects:
        """Feed events; returns the effects of the last."""
        effects = ev.NOTHING
        for event in events:
            effects = self.machine.step(event, self.now_ns)
            if effects.cas is not None:
                self.pending_cas = effects.cas
            self.log.append(effects)
        return effects

    def after(self, ms: float) -> ev.Effects:
        """Let time pass in one go, then tick."""
        self.now_ns += int(ms * MS)
        return self.tell(ev.Tick())

    def pass_time(self, ms: int) -> None:
        """Let time pass in steps of 5 ms, as a running process sees it."""
        for _ in range(ms // 5):
            self.after(5)

    # etcd

    def sees(self, record: ConfigRecord | None) -> ev.Effects:
        """The config key is seen in etcd."""
        self.revision += 1
        return self.tell(ev.ConfigSeen(record, self.revision))

    def wins(self) -> ev.Effects:
        """The swap under way is won."""
        assert self.pending_cas is not None, "no swap was ordered"
        record, self.pending_cas = self.pending_cas.record, None
        self.revision += 1
        return self.tell(ev.CasWon(record.attempt, self.revision))

    def loses(self, to: ConfigRecord) -> ev.Effects:
        """The swap under way is lost to another's record."""
        assert self.pending_cas is not None, "no swap was ordered"
        record, self.pending_cas = self.pending_cas.record, None
        self.revision += 1
        return self.tell(ev.CasLost(record.attempt, to, self.revision))

    # engines

    def promise(self, engine: int, tip: int = 0, **fields: object) -> ev.Effects:
        """An engine accepts the fence and reports its tip."""
        answer = ev.FenceAnswered(
            engine=engine, epoch=self.epoch, accepted=True, promised=self.epoch, tip_epoch=1 if tip else 0,
            tip_seq=tip, tip_digest=digest_at(tip),
        )  # fmt: skip
        return self.tell(replace(answer, **fields))  # type: ignore[arg-type]

    def ack(
        self, engine: int, seq: int, *, digest: bytes | None = None, epoch: int | None = None, rewind: bool = False,
        unjoined: bool = False, times: int = 2,
    ) -> ev.Effects:  # fmt: skip
        """An engine acknowledges a seq, or asks for what follows it."""
        entries = np.zeros(0 if rewind else 1, dtype=ACK_ENTRY)
        if not rewind:
            entries["last_seq"] = seq
            entries["digest"] = np.void(digest_at(seq) if digest is None else digest)
        acked = Ack(engine, self.epoch if epoch is None else epoch, seq, 0, 0, unjoined, rewind, entries)
        # As engines do, it repeats it: one odd frame alone is nobody's word.
        return self.tell(*[ev.AckReceived(acked)] * times)

    def ack_all(self, *engines: int) -> None:
        """These engines acknowledge the tip."""
        for engine in engines:
            self.ack(engine, self.tip)

    def settle(self) -> None:
        """Time passes until nobody counts as just started; who leads has everything acknowledged."""
        for _ in range(30):
            self.pass_time(100)
            if self.machine.reign is not None:
                self.ack_all(*self.machine.peers.engines)

    # gateways

    def submit(
        self, number: int, count: int, *, gateway: int = 1, incarnation: int = 5, reign: int = 0, says: bool = True
    ) -> ev.Effects:
        """A gateway sends `count` commands from a link number on; the cycle of polling ends.

        `says`: it says itself that this is its incarnation.
        """
        if says:
            self.tell(ev.GatewaySaid(gateway, incarnation))
        records = np.zeros(count, dtype=COMMAND)
        records["kind"] = CommandKind.NEW_ORDER
        records["session_no"] = np.arange(number, number + count)
        sent = Submit(
            sender=gateway, view_epoch=self.epoch, reign=reign or self.reign_id, first_link_no=number,
            incarnation=incarnation, administrative=False, records=records,
        )  # fmt: skip
        self.tell(ev.SubmitReceived(sent))
        return self.tell(ev.Tick())

    # what came of it

    @property
    def epoch(self) -> int:
        """The epoch that the machine knows."""
        return self.machine.epoch

    @property
    def reign_id(self) -> int:
        """Name of the present reign."""
        assert self.machine.reign is not None, f"not leading: {self.machine.why}"
        return self.machine.reign.office_epoch

    @property
    def tip(self) -> int:
        """Seq of the last stamped command."""
        assert self.machine.reign is not None, f"not leading: {self.machine.why}"
        return self.machine.reign.window.tip

    @property
    def committed(self) -> int:
        """Committed, as the sequencer knows it."""
        assert self.machine.reign is not None, f"not leading: {self.machine.why}"
        return self.machine.reign.agreement.committed

    def streamed_to(self, engine: int) -> list[Stream]:
        """All frames with commands that were sent to an engine."""
        return [
            stream.frame
            for effects in self.log
            for stream in effects.streams
            if engine in stream.engines and stream.frame.batch.count
        ]

    def sent_to(self, engine: int) -> list[Batch]:
        """All batches with commands that were sent to an engine."""
        return [frame.batch for frame in self.streamed_to(engine)]

    def receipts(self, gateway: int = 1) -> list[Receipt]:
        """All receipts that were sent to a gateway."""
        return [one.frame for effects in self.log for one in effects.receipts if one.gateway == gateway]

    def controls(self) -> list[tuple[CommandKind, Commands]]:
        """What the sequencer said in the stream to engine 1 or, where that is not served, engine 2."""
        frames = self.sent_to(1) or self.sent_to(2)
        said = [one.records.view(CONTROL)[0] for one in frames if one.records["kind"][0] >= CommandKind.EPOCH_START]
        return [(CommandKind(record["kind"]), record) for record in said]

    def notes(self) -> str:
        """Everything noted."""
        return "\n".join(f"{note.what} {note.fields}" for effects in self.log for note in effects.notes)

    # whole acts

    def raise_curtain(self) -> None:
        """All engines and the other sequencers are up."""
        for engine in self.machine.peers.engines:
            self.tell(ev.EngineUp(engine, 0))
        for sequencer in self.machine.peers.sequencers:
            self.tell(ev.SequencerUp(sequencer, 0))

    def lead(self) -> None:
        """Bootstrap with all engines, everything acknowledged."""
        self.raise_curtain()
        self.sees(None)
        self.wins()
        engines = tuple(self.machine.peers.engines)
        for engine in engines:
            self.promise(engine)
        self.wins()  # the founding is over
        self.ack_all(*engines)


CLUSTER = "c1a5e000-0000-4000-8000-000000000001"


def config(**fields: object) -> ConfigRecord:
    """A config of a cluster of two engines that sequencer 1 leads in epoch 4."""
    base = ConfigRecord(
        uuid=CLUSTER, epoch=4, sequencer=1, primary=1, in_sync=(1, 2), learners=(), attempt="somebody.1"
    )
    return replace(base, **fields)  # type: ignore[arg-type]


@pytest.fixture
def stage() -> Callable[..., Stage]:
    """Make a stage: `stage(member=2, engines=(1, 2, 3), window_commands=...)`."""

    def build(member: int = 1, engines: tuple[int, ...] = (1, 2), tick_ms: int = 0, **limits: int) -> Stage:
        settings = Settings(
            member=member, identity=f"sequencer-{member}-x", fresh_uuid=CLUSTER, sequencers=(1, 2, 3),
            engines=engines, gateways=(1, 2), limits=Limits(**limits), timing=Timing(tick_ms=tick_ms, receipt_ms=10),
            jitter_ns=(20 * MS,),
        )  # fmt: skip
        return Stage(SequencerMachine(settings, START_NS, START_NS))

    return build


@pytest.fixture
def make_config() -> Callable[..., ConfigRecord]:
    """Make a config record."""
    return config
