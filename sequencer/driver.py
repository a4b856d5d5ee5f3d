"""Does what the sequencer's machine says, and gives it what has come: the same in the process and in the simulation.

Order of a turn: what happened elsewhere; frames, acknowledgements first; the clocks; the time; what heartbeats say. All
that is asked or sent goes over `Ports`. Heartbeats repeat; the machine hears of each change once.
"""

from typing import Final

from lockstep.sequencer import events as ev
from lockstep.sequencer.clock import LOOK_NS
from lockstep.sequencer.machine import SequencerMachine
from lockstep.sequencer.ports import Beat, EngineBeat, GatewayBeat, Ports, SequencerBeat
from lockstep.stream.delivery_mark import NOTHING_DELIVERED
from lockstep.stream.messages import Ack, Submit
from lockstep.v1 import replication_pb2

_BEATS_NS: Final = 2_000_000
"""Nothing that heartbeats say is more urgent."""


class SequencerDriver:
    """One life of a sequencer."""

    def __init__(self, machine: SequencerMachine, ports: Ports, *, member: int) -> None:
        self.machine = machine
        self._ports = ports
        self._member = member
        self._now_ns = ports.now_ns()
        self._look_due_ns = 0
        self._beats_due_ns = 0
        # What the machine has heard of each peer.
        self._mute: dict[int, bool] = {}
        self._stalled_ns: dict[int, int] = {}
        self._promised: dict[int, int] = {}
        self._incarnations: dict[int, int] = {}

    def turn(self) -> int:
        """One cycle; returns how many events came. Raises what `happenings` raises, BrokenInvariant."""
        ports, machine = self._ports, self.machine
        now_ns = self._now_ns = ports.now_ns()
        work = 0
        for event in ports.happenings():
            work += 1
            self._on_event(event)
        work += ports.poll(self._on_ack, self._on_submit)
        if now_ns >= self._look_due_ns:
            self._look_due_ns = now_ns + LOOK_NS
            self.step(ev.ClocksRead(ports.wall_ns(), ports.clocks()))
        if machine.work_due or now_ns >= machine.due_ns:
            self.step(ev.Tick())
        if now_ns >= self._beats_due_ns:
            self._beats_due_ns = now_ns + _BEATS_NS
            for beat in ports.beats():
                self._on_beat(beat)
        return work

    def step(self, event: ev.Event) -> None:
        """One step of the machine, and what it says."""
        effects = self.machine.step(event, self._now_ns)
        if effects is not ev.NOTHING:
            self._perform(effects)

    def _on_event(self, event: ev.Event) -> None:
        match event:
            case ev.EngineUp():
                # Whoever answers a fence has said its time before.
                self._look_due_ns = 0
                self._ports.warm(event.engine)
            case ev.SequencerUp():
                self._look_due_ns = 0
                # The machine has to hear anew what it says of its driver.
                self._mute.pop(event.sequencer, None)
            case ev.GatewaySaid():
                self._incarnations[event.gateway] = event.incarnation
            case ev.EngineDown(reason=ev.Down.EOF):
                self._ports.drop_queued(event.engine)
            case ev.FenceAnswered():
                # What a log is held against.
                for beat in self._ports.beats():
                    if isinstance(beat, GatewayBeat):
                        self._on_gateway(beat)
            case _:
                pass
        self.step(event)

    def _on_ack(self, frame: Ack) -> None:
        self.step(ev.AckReceived(frame))

    def _on_submit(self, frame: Submit) -> None:
        self.step(ev.SubmitReceived(frame))

    # ---- heartbeats ----------------------------------------------------------------------------------------------

    def _on_beat(self, beat: Beat) -> None:
        match beat:
            case GatewayBeat():
                self._on_gateway(beat)
            case EngineBeat(engine, promised, stalled_ns):
                stopped_ns = stalled_ns - self._stalled_ns.get(engine, 0)
                self._stalled_ns[engine] = stalled_ns
                if stopped_ns > 0:
                    self.step(ev.EngineStalled(engine, stopped_ns))
                if promised and promised != self._promised.get(engine, 0):
                    self._promised[engine] = promised
                    self.step(ev.EnginePromised(engine, promised))
            case SequencerBeat(sequencer, mute):
                if mute is not self._mute.get(sequencer, False):
                    self._mute[sequencer] = mute
                    self.step(ev.SequencerMute(sequencer, mute))

    def _on_gateway(self, beat: GatewayBeat) -> None:
        """Which life of it this is, and how far it has delivered. What it says of this very reign is no news to its
        leader."""
        reign = self.machine.reign
        delivered = beat.delivered
        if delivered == self.machine.peers.delivered.get(beat.gateway, NOTHING_DELIVERED) or (
            reign is not None and delivered.epoch >= reign.office_epoch
        ):
            delivered = NOTHING_DELIVERED
        if beat.incarnation != self._incarnations.get(beat.gateway, 0) or delivered != NOTHING_DELIVERED:
            self._incarnations[beat.gateway] = beat.incarnation
            self.step(ev.GatewaySaid(beat.gateway, beat.incarnation, delivered))

    # ---- effects -------------------------------------------------------------------------------------------------

    def _perform(self, effects: ev.Effects) -> None:
        ports = self._ports
        for stream in effects.streams:
            ports.send_stream(stream.engines, stream.frame)
        for receipt in effects.receipts:
            ports.send_receipt(receipt.gateway, receipt.frame)
        if effects.cas is not None:
            ports.swap(effects.cas)
        if effects.read_config:
            ports.read_config()
        for fence in effects.fences:
            self._fence(fence)
        if effects.fetch is not None:
            request = replication_pb2.FetchJournalRequest(from_seq=effects.fetch.from_seq)
            ports.fetch_journal(effects.fetch.engine, request, effects.fetch)
        for answer in effects.answers:
            ports.answer(answer)
        for line in effects.history:
            ports.record(line)
        for note in effects.notes:
            ports.note(note)

    def _fence(self, order: ev.FenceOrder) -> None:
        request = replication_pb2.FenceRequest(
            cluster_uuid=order.uuid, epoch=order.epoch, sequencer=self._member, settled=order.settled
        )
        self._ports.fence(order.engine, request, order)


def fence_answered(order: ev.FenceOrder, reply: replication_pb2.FenceReply) -> ev.FenceAnswered:
    """What an engine said to a fence."""
    return ev.FenceAnswered(
        engine=order.engine,
        epoch=order.epoch,
        accepted=reply.accepted,
        promised=reply.promised,
        tip_epoch=reply.tip.epoch,
        tip_seq=reply.tip.seq,
        tip_digest=reply.tip.digest,
        committed_seq=reply.committed_seq,
        timestamp_ns=reply.timestamp_ns,
        blank=reply.blank,
        journal=reply.journal,
    )
