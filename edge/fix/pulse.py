"""When a session that is open has to say something: heartbeats, test requests, requests for what is missing. Pure."""

from enum import Enum
from typing import Final

from lockstep.edge.fix.times import NS

GAP_NS: Final = 30 * NS
"""Without progress for so long, missing messages are requested again."""
UNFINISHED_NS: Final = 30 * NS
"""At most so long after its first byte, and no longer than the other side may be silent, a message has to be whole."""
GAP_REQUESTS: Final = 3
"""So often in all; then the session logs out."""


class Due(Enum):
    """What is to be done."""

    NOTHING = "nothing"
    HEARTBEAT = "a heartbeat"
    TEST = "a TestRequest"
    REQUEST = "another ResendRequest"
    UNFINISHED = "a message that began does not end"
    UNANSWERED = "what is missing was requested often enough"
    SILENCE = "the other side is gone"


class Pulse:
    """Invariant: a TestRequest is unanswered exactly while `_tested_ns` is set."""

    def __init__(self, now_ns: int) -> None:
        self.every_ns = 0
        """HeartBtInt; 0: no heartbeats."""
        self._heard_ns = self._said_ns = self._gap_ns = now_ns
        self._tested_ns = 0
        self._requests = 0
        self._began_ns: int | None = None

    def heard(self, now_ns: int) -> None:
        """A message came, whole. Bytes that are none, or not yet, are no word of the other side."""
        self._heard_ns = now_ns
        self._tested_ns = 0

    def holds(self, now_ns: int, *, anything: bool, new: bool) -> None:
        """Whether the beginning of a message waits for its rest, and whether it is `new`: one before it has ended."""
        if not anything:
            self._began_ns = None
        elif new or self._began_ns is None:
            self._began_ns = now_ns

    def said(self, now_ns: int) -> None:
        """Something was sent."""
        self._said_ns = now_ns

    def progress(self, now_ns: int) -> None:
        """The next message came."""
        self._gap_ns = now_ns

    def requested(self, now_ns: int, *, first: bool) -> None:
        """What is missing was requested, for the `first` time or again."""
        self._gap_ns = now_ns
        self._requests = 1 if first else self._requests + 1

    def due(self, now_ns: int, *, gap: bool) -> Due:
        """What is due. `gap`: something was requested that has not come."""
        if self._began_ns is not None and now_ns - self._began_ns >= self._whole_ns:
            return Due.UNFINISHED
        if gap and now_ns - self._gap_ns >= GAP_NS:
            return Due.REQUEST if self._requests < GAP_REQUESTS else Due.UNANSWERED
        if not self.every_ns:
            return Due.NOTHING
        if self._tested_ns and now_ns - self._tested_ns >= self.every_ns:
            return Due.SILENCE
        if not self._tested_ns and now_ns - self._heard_ns >= self._quiet_ns:
            self._tested_ns = now_ns
            return Due.TEST
        return Due.HEARTBEAT if now_ns - self._said_ns >= self.every_ns else Due.NOTHING

    def next_ns(self, *, gap: bool) -> int | None:
        """When something is due, if nothing happens before; None if never."""
        ends = [self._gap_ns + GAP_NS] if gap else []
        if self._began_ns is not None:
            ends.append(self._began_ns + self._whole_ns)
        if self.every_ns:
            silent_ns = self._tested_ns + self.every_ns if self._tested_ns else self._heard_ns + self._quiet_ns
            ends += (self._said_ns + self.every_ns, silent_ns)
        return min(ends, default=None)

    @property
    def _whole_ns(self) -> int:
        """So long a message may take from its first byte to its last."""
        return min(UNFINISHED_NS, self._quiet_ns) if self.every_ns else UNFINISHED_NS

    @property
    def _quiet_ns(self) -> int:
        """After so long without a word the other side is tested: its interval, and a fifth for the way."""
        return self.every_ns * 6 // 5
