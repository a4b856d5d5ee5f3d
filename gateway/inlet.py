"""What comes in over Aeron: RECEIPT and RELEASE frames, polled in the asyncio loop when somebody has rung.

Aeron links have no descriptor to wait on, but the gateway's doorbell has one, and so have its liveness links: the loop
waits for them as for any socket. `poll` is called by the gateway's tick as well, for rings that were lost and for
senders on other hosts, which cannot ring.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from lockstep.ops.process import open_doorbell
from lockstep.stream.frames import Frame, FrameError, decode_frame
from lockstep.stream.topology import LinkKind, Member, Topology, inbound_links
from lockstep.stream.transport import InboundLink, Transport
from lockstep.stream.watch import WatchServer

# Per link and turn: the loop has clients to serve in between.
_FRAGMENTS: Final = 64


class Inlet:
    """Belongs to the loop that runs when it is made. `on_frames` gets each burst, in the order of each link."""

    def __init__(
        self,
        topology: Topology,
        member: Member,
        transport: Transport,
        watch: WatchServer,
        on_frames: Callable[[list[Frame]], None],
    ) -> None:
        """Raises DriverUnavailable or EnvironmentFault (another process has this member's name)."""
        self.damaged = 0
        """Messages that were no frames."""
        self._on_frames = on_frames
        self._watch = watch
        self._bell = open_doorbell(topology, member)
        self._links: list[InboundLink] = [
            transport.inbound(link)
            for (kind, _peer), link in inbound_links(topology, member).items()
            if kind in (LinkKind.RECEIPT, LinkKind.RELEASE)
        ]
        self._frames: list[Frame] = []
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._bell.fileno(), self._rung)
        self._loop.add_reader(watch.fileno(), self._watched)

    def poll(self) -> None:
        """Take in what has come, up to a bound; what is left comes in the loop's next turn."""
        collect, more = self._collect, False
        for link in self._links:
            more |= link.poll(collect, _FRAGMENTS) >= _FRAGMENTS
        frames = self._frames
        if frames:
            self._frames = []
            self._on_frames(frames)
        if more:
            self._loop.call_soon(self.poll)

    def close(self) -> None:
        """Nothing comes in any more; links and watch server belong to others."""
        self._loop.remove_reader(self._bell.fileno())
        self._loop.remove_reader(self._watch.fileno())
        self._bell.close()

    def _rung(self) -> None:
        self._bell.hear()
        self.poll()

    def _watched(self) -> None:
        self._watch.poll(time.monotonic_ns())

    def _collect(self, raw: bytes) -> None:
        try:
            self._frames.append(decode_frame(raw))
        except FrameError:
            self.damaged += 1
