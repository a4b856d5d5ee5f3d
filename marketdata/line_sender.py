"""Sends a feed's line over Aeron: to a multicast group, or from one address to whoever subscribes to it.

Nobody holds it back: Aeron's flow control follows the fastest receiver, and what a slower one loses it asks for again,
at any feed (`service_line.py`). So receivers subscribe with `reliable=false`: that the sender alone could send it again
would be of no use when the sender is what died.
"""

import ipaddress
from collections.abc import Sequence
from typing import Final

from lockstep.runtime.topology import Link, Member
from lockstep.runtime.transport import OutboundLink, Transport

STREAM_ID: Final = 1_984
_MTU: Final = 1_408
_TERM_KIB: Final = 1_024
_QUEUE_BYTES: Final = 4 << 20
"""Waits for a moment of Aeron's; what is more is lost for all, and asked for again."""


def channel_of(udp: str) -> str:
    """The Aeron channel that receivers subscribe to: `udp` of the feed."""
    if _is_group(udp.rpartition(":")[0]):
        return f"aeron:udp?endpoint={udp}"
    return f"aeron:udp?control={udp}|control-mode=dynamic"


def _is_group(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_multicast
    except ValueError:
        return False


class LineSender:
    """The sending end of one feed's line."""

    def __init__(self, member: Member, transport: Transport) -> None:
        """Raises DriverUnavailable: the media driver does not answer."""
        place = f"|interface={member.host}" if _is_group(member.udp.rpartition(":")[0]) else ""
        channel = f"{channel_of(member.udp)}{place}|mtu={_MTU}|term-length={_TERM_KIB}k|fc=max"
        link = Link(f"{member.name}/line", channel, STREAM_ID)
        self._link: OutboundLink = transport.outbound(link, queue_limit_bytes=_QUEUE_BYTES)

    @property
    def sent(self) -> int:
        """Datagrams handed to Aeron."""
        return self._link.sent

    @property
    def dropped(self) -> int:
        """Datagrams that nobody was there for, or that did not fit the queue."""
        return self._link.dropped

    def send(self, datagrams: Sequence[bytes]) -> None:
        """Send these, in order, behind what still waits."""
        for datagram in datagrams:
            self._link.send(datagram)

    def flush(self) -> None:
        """Send what waits."""
        self._link.flush()
