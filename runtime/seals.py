"""What links need of those who seal and open their frames (`access/link_seals.py`), and nothing of how."""

from collections.abc import Callable, Sequence
from typing import Protocol

from lockstep.runtime.topology import Link, Member
from lockstep.stream.sealing import Drop
from lockstep.stream.values import frozen

Seal = Callable[[Sequence[bytes]], bytes]
"""The seal of a frame, which is the concatenation of what is given."""
Open = Callable[[bytes], bytes | Drop]
"""A frame without its seal, or why it is dropped, which is counted."""


@frozen
class WatchSeal:
    """Both directions of a liveness link, from one end."""

    seal: Seal
    open: Open


class Seals(Protocol):
    """Of one process."""

    def sealing(self, link: Link) -> Seal | None:
        """What seals the frames of a link that this process sends on; None: they are not sealed."""

    def opening(self, link: Link) -> Open | None:
        """What opens the frames of a link that this process receives; None: they are not sealed."""

    def watching(self, peer: Member) -> WatchSeal:
        """The liveness link from this process to one that it watches."""

    def watched_by(self, raw: bytes | bytearray) -> WatchSeal | None:
        """The liveness link of a process that watches this one, by its first frame; None: it names nobody."""
