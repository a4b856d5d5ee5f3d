"""What comes in over Aeron: RECEIPT and RELEASE frames, polled in the asyncio loop when somebody has rung.

For gateways and feeds, whose loops are asyncio's. Aeron links have no descriptor to wait on, but the process' doorbell
has one, and so have its liveness links: the loop waits for them as for any socket. `poll` is called by the process'
tick as well, for rings that were lost and for senders on other hosts, which cannot ring.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from lockstep.runtime.process import open_doorbell
from lockstep.runtime.seals import Seals
from lockstep.runtime.sequencer_watches import SequencerWatches
from lockstep.runtime.topology import LinkKind, Member, Topology, inbound_links
from lockstep.runtime.transport import InboundLink, Transport
from lockstep.runtime.watch import PeerStatus, WatchServer
from lockstep.stream.arrival import decode_from
from lockstep.stream.batch import LayoutError
from lockstep.stream.messages import Receipt, Release

# Per link and turn: the loop has clients to serve in between.
_FRAGMENTS: Final = 64
_HEARD_NS: Final = 2_000_000
_TYPES: Final[dict[LinkKind, type[Receipt] | type[Release]]] = {
    LinkKind.RECEIPT: Receipt,
    LinkKind.RELEASE: Release,
    LinkKind.FEED: Release,
}


class Inlet:
    """Belongs to the loop that runs when it is made. `on_frames` gets each burst, in the order of each link."""

    def __init__(
        self,
        topology: Topology,
        member: Member,
        transport: Transport,
        watch: WatchServer | PeerStatus,
        on_frames: Callable[[list[Receipt | Release]], None],
        on_said: Callable[[int, int, bool], None],
        on_accepted: Callable[[int], None],
        seals: Seals | None = None,
    ) -> None:
        """`watch`: where peers watch this process, or, if none does, what it says of itself to the sequencers.
        `seals`: of its liveness links, if there are; `transport` has its own.

        Raises:
            DriverUnavailable, EnvironmentFault: another process has this member's name.
        """
        self.damaged = 0
        """Messages that were no frames, or not what their link carries."""
        self._on_frames = on_frames
        self._on_said = on_said
        self._on_accepted = on_accepted
        self._watch = watch if isinstance(watch, WatchServer) else None
        status = watch.status if isinstance(watch, WatchServer) else watch
        self._sequencers = SequencerWatches(topology, status, seals)
        self._heard_due_ns = 0
        self._bell = open_doorbell(topology, member)
        self._links: list[tuple[InboundLink, Callable[[bytes], None]]] = [
            (transport.inbound(link), partial(self._collect, _TYPES[kind], peer))
            for (kind, peer), link in inbound_links(topology, member).items()
            if kind in _TYPES
        ]
        self._frames: list[Receipt | Release] = []
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._bell.fileno(), self._rung)
        if self._watch is not None:
            self._loop.add_reader(self._watch.fileno(), self._watched)

    def poll(self) -> None:
        """Handle what has come, up to a bound; what is left comes in the loop's next turn."""
        more, now_ns = False, time.monotonic_ns()
        if now_ns >= self._heard_due_ns:
            self._heard_due_ns = now_ns + _HEARD_NS
            for said in self._sequencers.heard(now_ns):
                self._on_said(*said)
            self._on_accepted(self._sequencers.accepted_epoch)
        for link, collect in self._links:
            link.poll(collect, _FRAGMENTS)
            more |= link.full
        frames = self._frames
        if frames:
            self._frames = []
            self._on_frames(frames)
        if more:
            self._loop.call_soon(self.poll)

    def close(self) -> None:
        """Nothing comes in any more; links and watch server belong to others."""
        self._loop.remove_reader(self._bell.fileno())
        if self._watch is not None:
            self._loop.remove_reader(self._watch.fileno())
        self._bell.close()
        self._sequencers.close()

    def _rung(self) -> None:
        self._bell.hear()
        self.poll()

    def _watched(self) -> None:
        assert self._watch is not None, "nobody watches this process"
        self._watch.poll(time.monotonic_ns())

    def _collect(self, expected: type[Receipt] | type[Release], sender: int, raw: bytes) -> None:
        try:
            self._frames.append(decode_from(raw, expected, sender))
        except LayoutError:
            self.damaged += 1
