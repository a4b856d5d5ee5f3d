"""Connections to gateways: addresses, channel options, and what a gRPC status means to a client."""

import re
from collections.abc import Sequence
from typing import Any, Final

import grpc
import grpc.aio

from lockstep.enums import Code

CHANNEL_OPTIONS: Final[tuple[tuple[str, int], ...]] = (
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.max_send_message_length", 64 << 20),
    # A gateway that comes back must be reachable at once; gRPC's own back-off grows to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
    # A hung gateway is found by pings. keepalive_timeout alone never fires in current gRPC; ping_timeout does.
    ("grpc.keepalive_time_ms", 500),
    ("grpc.keepalive_timeout_ms", 500),
    ("grpc.http2.ping_timeout_ms", 500),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # Retries are this package's: only it knows which call may be repeated.
    ("grpc.enable_retries", 0),
    # Two clients in one process must not share a connection, or one's flow would hold the other's back.
    ("grpc.use_local_subchannel_pool", 1),
)

_PORT: Final = re.compile(r"\d{1,5}", re.ASCII)
_CODE_METADATA: Final = "lockstep-code"
SESSION_METHOD: Final = "/lockstep.v1.OrderEntry/Session"

_FATAL: Final = {
    grpc.StatusCode.UNAUTHENTICATED: Code.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED: Code.NOT_ENTITLED,
    grpc.StatusCode.INVALID_ARGUMENT: Code.MALFORMED_BATCH,
    grpc.StatusCode.UNIMPLEMENTED: Code.NOT_SUPPORTED,
    grpc.StatusCode.FAILED_PRECONDITION: Code.NOT_SUPPORTED,
    grpc.StatusCode.NOT_FOUND: Code.UNKNOWN_ORDER,
}


def refusal_code(error: Any, default: Code) -> int:
    """The numeric code that a gateway puts beside the status of a refused call; `default` if it put none."""
    for key, value in error.trailing_metadata() or ():
        if key == _CODE_METADATA and value.isdigit():
            return int(value)
    return int(default)


def fatal_code(status: grpc.StatusCode) -> Code:
    """Why trying again is of no use, or OK if it may be."""
    return _FATAL.get(status, Code.OK)


def parse_addresses(addresses: str | Sequence[str]) -> tuple[str, ...]:
    """`host:port` of one or several gateways; a string may hold several, with commas between.

    Raises:
        TypeError: not strings. ValueError: none, or one without a port of 1 to 65535.
    """
    parts = addresses.split(",") if isinstance(addresses, str) else addresses
    if not all(isinstance(part, str) for part in parts):
        raise TypeError(f"gateway addresses must be strings, not {addresses!r}")
    found = tuple(part.strip() for part in parts if part.strip())
    if not found:
        raise ValueError('no gateway address; give one or several, e.g. Client("127.0.0.1:7450")')
    for address in found:
        _, colon, port = address.rpartition(":")
        if not colon or not _PORT.fullmatch(port) or not 1 <= int(port) <= 65_535:
            raise ValueError(f'gateway address {address!r} has no port; write it like "127.0.0.1:7450"')
    return found


class Channels:
    """One channel for each gateway address, opened when it is first needed. Belongs to one event loop."""

    def __init__(
        self,
        addresses: Sequence[str],
        *,
        token: str | None,
        credentials: grpc.ChannelCredentials | None,
    ) -> None:
        self.addresses = tuple(addresses)
        self.metadata: tuple[tuple[str, str], ...] = (("authorization", f"Bearer {token}"),) if token else ()
        self._credentials = credentials
        self._open: dict[int, Any] = {}

    def address(self, index: int) -> str:
        """The address that an index means."""
        return self.addresses[index % len(self.addresses)]

    def channel(self, index: int) -> Any:
        """A `grpc.aio.Channel` to address `index` (modulo their number)."""
        place = index % len(self.addresses)
        if place not in self._open:
            address = self.addresses[place]
            if self._credentials is None:
                self._open[place] = grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
            else:
                self._open[place] = grpc.aio.secure_channel(address, self._credentials, options=CHANNEL_OPTIONS)
        return self._open[place]

    def session_call(self, index: int) -> Any:
        """A new session stream whose messages are bytes in both directions."""
        method = self.channel(index).stream_stream(
            SESSION_METHOD, request_serializer=_same, response_deserializer=_same
        )
        return method(metadata=self.metadata)

    async def close(self) -> None:
        """Close all channels."""
        for channel in self._open.values():
            await channel.close()
        self._open.clear()


def _same(message: bytes) -> bytes:
    return message
