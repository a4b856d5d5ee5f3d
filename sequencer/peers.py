"""What the liveness links say about the other processes. Evidence only: nothing here decides who may do what."""

from dataclasses import dataclass

from lockstep.sequencer.events import Down


@dataclass(slots=True)
class PeerState:
    """One peer, as its liveness link shows it."""

    up: bool = False
    down: Down = Down.UNREACHED
    """Why it is not up; meaningless while it is."""
    since_ns: int = 0
    """When `up` or `down` last changed."""
    present: bool | None = None
    """Other sequencers: whether their leased key is in etcd; None: not known yet."""

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


class Peers:
    """All watched peers of a sequencer."""

    __slots__ = ("engines", "highest_promised", "sequencers")

    def __init__(self, engines: tuple[int, ...], sequencers: tuple[int, ...], now_ns: int) -> None:
        self.engines = {engine: PeerState(since_ns=now_ns) for engine in engines}
        self.sequencers = {sequencer: PeerState(since_ns=now_ns) for sequencer in sequencers}
        self.highest_promised = 0
        """Highest epoch that any peer was heard to know: a new epoch is above it, even if etcd was wiped."""

    def on_up(self, peer: PeerState | None, epoch: int, now_ns: int) -> None:
        """A peer answers. None: a peer that is not configured."""
        if peer is None:
            return
        peer.up, peer.since_ns, peer.mute = True, now_ns, False
        self.hear(epoch)

    def on_down(self, peer: PeerState | None, reason: Down, now_ns: int) -> None:
        """A peer is down. A stronger reason (a hung peer's connection ends) replaces a weaker one."""
        if peer is None:
            return
        if reason is Down.UNREACHED and peer.seen:
            # A crashed peer that does not listen again is still the crashed peer.
            reason = peer.down if not peer.up else Down.EOF
        if peer.up or peer.down is Down.UNREACHED:
            peer.since_ns = now_ns
        peer.up, peer.down, peer.mute = False, reason, False

    def on_mute(self, sequencer: int, mute: bool, now_ns: int) -> None:
        """Another sequencer speaks of its media driver."""
        peer = self.sequencers.get(sequencer)
        if peer is not None and peer.up and peer.mute is not mute:
            peer.mute, peer.since_ns = mute, now_ns

    def hear(self, epoch: int) -> None:
        """An epoch was heard of."""
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
