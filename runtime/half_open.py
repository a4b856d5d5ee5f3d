"""Connections whose other end is gone, or takes nothing, end by themselves: the kernel looks, at no loop's cost."""

import socket
from collections.abc import Iterable
from typing import Any, Final

GONE_AFTER_S: Final = 30
"""Without a sign of life, or with bytes that the other end does not take."""
_PROBES: Final = 3


def end_half_open(listening: Iterable[Any]) -> None:
    """Set it up on listening sockets, whose connections inherit it (Linux: tcp(7))."""
    for sock in listening:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, max(1, GONE_AFTER_S // 3))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, GONE_AFTER_S // 3 // _PROBES))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1_000 * GONE_AFTER_S)
