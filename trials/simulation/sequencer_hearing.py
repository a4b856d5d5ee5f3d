"""What a simulated sequencer hears in heartbeats: the time at its peers, and how far they have come."""

from collections.abc import Iterator

from lockstep.sequencer.ports import Beat, EngineBeat, GatewayBeat
from lockstep.stream.delivery_mark import NOTHING_DELIVERED
from lockstep.trials.simulation.host import Host, hears


class Hearing:
    """Of one sequencer, in one life."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._clocks: dict[str, int] = {}  # by peer: what its heartbeats since the last look say the time is

    def hear_clock(self, peer: Host) -> None:
        """A heartbeat of a peer has come."""
        self._clocks[peer.name] = peer.wall_ns()

    def clocks(self) -> tuple[tuple[str, int], ...]:
        """See `Ports`."""
        world = self._host.world
        for peer in (*world.of_kind("engine"), *world.of_kind("sequencer")):
            if peer is not self._host and hears(self._host, peer):
                self.hear_clock(peer)
        heard, self._clocks = tuple(self._clocks.items()), {}
        return heard

    def beats(self) -> Iterator[Beat]:
        """See `Ports`. What sequencers say of their drivers, and that an engine stood still, `watching` posts."""
        host, world = self._host, self._host.world
        for gateway in world.of_kind("gateway"):
            if not gateway.alive:
                yield GatewayBeat(gateway.id, 0, NOTHING_DELIVERED)
            elif hears(host, gateway):
                yield GatewayBeat(gateway.id, gateway.status_epoch(), gateway.delivered())
        for engine in world.of_kind("engine"):
            # A link that holds frames back holds heartbeats back, too.
            if hears(host, engine) and (engine.name, host.name) not in world.network.slow:
                yield EngineBeat(engine.id, engine.status_epoch())
