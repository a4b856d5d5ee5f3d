"""What the liveness links say about the other processes. Evidence only: nothing here decides who may do what."""

from dataclasses import dataclass

from lockstep.sequencer import events as ev
from lockstep.sequencer.events import Down, EnginePromised, GatewaySaid
from lockstep.sequencer.patience import Patience, Peer
from lockstep.stream.arrival import MAX_EPOCH
from lockstep.stream.delivery_mark import DeliveryMark


@dataclass(slots=True)
class PeerState:
    """One peer, as its liveness link shows it."""

    up: bool = False
    down: Down = Down.UNREACHED
    """Why it is not up; meaningless while it is."""
    since_ns: int = 0
    """When `up` or `down` last changed."""
    connected_ns: int = 0
    """When its connection began, of which silence is no end."""
    present: bool | None = None
    """Other sequencers: whether their leased key is in etcd; None: not known yet."""

    doubt_until_ns: int = 0
    """While it is silent: only from then on that counts as a loss; back after that: it has until then to speak."""
    mute: bool = False
    """Other sequencers: it lives, and says that its media driver is lost."""
    journal: int = 0
    """Engines: identity of the journal, from its newest ack; 0: not heard yet."""

    @property
    def seen(self) -> bool:
        """Whether it was ever reached since this process started."""
        return self.up or self.down is not Down.UNREACHED

    @property
    def lost(self) -> bool:
        """It was reached and is gone: a reason to act."""
        return not self.up and self.down is not Down.UNREACHED

    @property
    def crashed(self) -> bool:
        """Its connection ended."""
        return not self.up and self.down is Down.EOF

    def in_doubt(self, now_ns: int) -> bool:
        """It is silent, or was until now, and not for so long that it counts."""
        return now_ns < self.doubt_until_ns


Evidence = (
    ev.EngineUp | ev.EngineDown | ev.EngineStalled | ev.SequencerUp | ev.SequencerDown | ev.SequencerMute
    | ev.PresenceSeen
)  # fmt: skip


class Peers:
    """All watched peers of a sequencer."""

    __slots__ = ("delivered", "engines", "gateways", "highest_promised", "patience", "sequencers")

    def __init__(self, engines: tuple[int, ...], sequencers: tuple[int, ...], now_ns: int, patience: Patience) -> None:
        self.patience = patience
        self.engines = {engine: PeerState(since_ns=now_ns) for engine in engines}
        self.sequencers = {sequencer: PeerState(since_ns=now_ns) for sequencer in sequencers}
        self.gateways: dict[int, int] = {}
        """By gateway: the incarnation that it says itself; 0 or missing: it was not heard, or has ended."""
        self.delivered: dict[int, DeliveryMark] = {}
        """By gateway: how far it says that it has delivered; kept when it is gone."""
        self.highest_promised = 0
        """Highest epoch that any peer was heard to know: a new epoch is above it, even if etcd was wiped."""

    def on_event(self, event: Evidence, now_ns: int) -> None:
        """Note evidence. What is said of a peer that is not configured means nothing."""
        match event:
            case ev.EngineUp(engine, epoch) if engine in self.engines:
                self._on_up(self.engines[engine], ("engine", engine), epoch, now_ns)
            case ev.EngineDown(engine, reason) if engine in self.engines:
                self._on_down(self.engines[engine], ("engine", engine), reason, now_ns)
            case ev.EngineStalled(engine, for_ns) if engine in self.engines:
                self.patience.on_stop(engine, for_ns, now_ns)
            case ev.SequencerUp(sequencer, epoch) if sequencer in self.sequencers:
                self._on_up(self.sequencers[sequencer], ("sequencer", sequencer), epoch, now_ns)
            case ev.SequencerDown(sequencer, reason) if sequencer in self.sequencers:
                self._on_down(self.sequencers[sequencer], ("sequencer", sequencer), reason, now_ns)
            case ev.SequencerMute(sequencer, mute):
                self._on_mute(sequencer, mute, now_ns)
            case ev.PresenceSeen(sequencer, present) if sequencer in self.sequencers:
                self.sequencers[sequencer].present = present

    def _on_up(self, peer: PeerState, name: Peer, epoch: int, now_ns: int) -> None:
        self.patience.on_back(name, now_ns)
        peer.doubt_until_ns = now_ns + self.patience.hang_ns if peer.in_doubt(now_ns) else 0
        if not peer.up and peer.down is not Down.HANG:
            peer.connected_ns = now_ns
        peer.up, peer.since_ns, peer.mute = True, now_ns, False
        self.hear(epoch)

    def _on_down(self, peer: PeerState, name: Peer, reason: Down, now_ns: int) -> None:
        """A stronger reason (a hung peer's connection ends) replaces a weaker one."""
        if reason is Down.UNREACHED and peer.seen:
            # A crashed peer that does not listen again is still the crashed peer.
            reason = peer.down if not peer.up else Down.EOF
        if peer.up or peer.down is Down.UNREACHED:
            peer.since_ns = now_ns
        if reason is Down.HANG and peer.up:
            extra_ns = self.patience.on_silent(name, now_ns, connected_ns=peer.connected_ns)
            peer.doubt_until_ns = now_ns + extra_ns if extra_ns else 0
        elif reason is Down.EOF:
            self.patience.on_gone(name)
            peer.doubt_until_ns = 0
        peer.up, peer.down, peer.mute = False, reason, False

    def _on_mute(self, sequencer: int, mute: bool, now_ns: int) -> None:
        peer = self.sequencers.get(sequencer)
        if peer is not None and peer.up and peer.mute is not mute:
            peer.mute, peer.since_ns = mute, now_ns

    def on_said(self, event: GatewaySaid | EnginePromised) -> None:
        """What a process says of itself."""
        if isinstance(event, GatewaySaid):
            self.gateways[event.gateway] = event.incarnation
            if event.delivered.seq:
                self.delivered[event.gateway] = event.delivered
        else:
            self.hear(event.epoch)

    def hear(self, epoch: int) -> None:
        """An epoch was heard of. One that no cluster can reach explains nothing: a new epoch need not be above it."""
        if epoch <= MAX_EPOCH:
            self.highest_promised = max(self.highest_promised, epoch)

    def sequencer_up(self, member: int) -> bool:
        """Whether another sequencer answers."""
        peer = self.sequencers.get(member)
        return peer is not None and peer.up

    def live_sequencers_before(self, member: int, excluded: int) -> int:
        """How many live candidates have a smaller id."""
        return sum(
            1
            for other, peer in self.sequencers.items()
            if other < member and other != excluded and peer.up and not peer.mute
        )
