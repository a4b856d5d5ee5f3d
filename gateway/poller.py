"""The thread that polls the inbound links, so that the asyncio loop waits for nothing but its own events.

Aeron links have no file descriptor to wait on. This thread sleeps on the gateway's doorbell, polls RECEIPT and RELEASE
links and the liveness server, decodes and checks the frames, and wakes the loop once for each burst. It owns its own
Aeron client: links belong to one thread.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from lockstep.ops.process import open_doorbell
from lockstep.stream.frames import Frame, FrameError, decode_frame
from lockstep.stream.topology import LinkKind, Member, Topology, inbound_links
from lockstep.stream.transport import DriverState, DriverUnavailable, InboundLink, Transport
from lockstep.stream.watch import WatchServer

_FRAGMENTS: Final = 64
_REBUILD_PAUSE_S: Final = 0.05
# The loop is this many frames behind: stop reading, so that the senders' windows close instead of our memory filling.
_MAX_WAITING_FRAMES: Final = 4096


class Poller:
    """Start it with `start`, end it with `stop`; frames are taken by `take` in the loop's thread."""

    def __init__(self, topology: Topology, member: Member, watch: WatchServer, wake: Callable[[], None]) -> None:
        """`wake` is called in the poller's thread when frames are there, once until they are taken.

        Raises:
            DriverUnavailable: there is no media driver.
            EnvironmentFault: another process has this member's name.
        """
        self._wake = wake
        self._watch = watch
        self._transport = Transport(topology.aeron_dir)
        self._bell = open_doorbell(topology, member)
        self._bell.watch(watch.fileno())
        self._links: list[InboundLink] = [
            self._transport.inbound(link)
            for (kind, _peer), link in inbound_links(topology, member).items()
            if kind in (LinkKind.RECEIPT, LinkKind.RELEASE)
        ]
        self._frames: deque[Frame] = deque()
        self._woken = False
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="poller", daemon=True)
        self.damaged = 0
        """Messages that were no frames."""
        self.status = (0, 0, 0)
        """(role, epoch, seq) for the liveness links; set by the loop."""
        self.failure: BaseException | None = None
        """What ended the thread, if it was not `stop`."""

    def start(self) -> None:
        """Begin to poll."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and close the links; blocks for some milliseconds."""
        self._stopping = True
        self._bell.ring()
        self._thread.join()

    def take(self) -> list[Frame]:
        """Frames that came since the last call, in the order of their arrival on each link."""
        # Before the frames are taken: what comes from here on wakes the loop again.
        self._woken = False
        frames = self._frames
        return [frames.popleft() for _ in range(len(frames))]

    def _run(self) -> None:
        try:
            self._poll_until_stopped()
        except BaseException as failure:
            self.failure = failure
            self._wake()
            raise
        finally:
            self._transport.close()
            self._bell.close()

    def _poll_until_stopped(self) -> None:
        status = self.status
        while not self._stopping:
            now_ns = time.monotonic_ns()
            work = 0
            if len(self._frames) < _MAX_WAITING_FRAMES:
                for link in self._links:
                    work += link.poll(self._collect, _FRAGMENTS)
            if work and not self._woken:
                self._woken = True
                self._wake()
            if self.status is not status:
                status = self.status
                self._watch.set_status(*status)
            self._watch.poll(now_ns)
            if self._transport.check(now_ns) in (DriverState.DEAD, DriverState.DETACHED):
                self._rebuild()
            self._bell.idle(work)

    def _collect(self, raw: bytes) -> None:
        try:
            self._frames.append(decode_frame(raw))
        except FrameError:
            self.damaged += 1

    def _rebuild(self) -> None:
        try:
            self._transport.rebuild()
        except DriverUnavailable:
            time.sleep(_REBUILD_PAUSE_S)
