"""Connections to gateways: addresses, channel options, and what a gRPC status means to a client."""

import gc
import os
import re
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

import grpc
import grpc.aio

from lockstep.backoff import Patience
from lockstep.enums import Code
from lockstep.errors import CalledAfterFork, Unavailable
from lockstep.ownership import Owner
from lockstep.values import Budget

_OPTIONS: Final[tuple[tuple[str, int], ...]] = (
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.max_send_message_length", 64 << 20),
    # A gateway that comes back must be reachable at once; gRPC's own back-off grows to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
    # This is how long a connection may take to be made. Cut short, busy hosts make them again and again.
    ("grpc.min_reconnect_backoff_ms", 5000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # Retries are this package's: only it knows which call may be repeated.
    ("grpc.enable_retries", 0),
    # Two clients in one process must not share a connection, or one's flow would hold the other's back.
    ("grpc.use_local_subchannel_pool", 1),
)


def _options(ping_ms: tuple[int, int]) -> tuple[tuple[str, int], ...]:
    after_ms, answer_ms = ping_ms
    return (
        *_OPTIONS,
        # A hung gateway is found by pings. keepalive_timeout alone never fires in current gRPC; ping_timeout does.
        ("grpc.keepalive_time_ms", after_ms),
        ("grpc.keepalive_timeout_ms", answer_ms),
        ("grpc.http2.ping_timeout_ms", answer_ms),
    )


# Part of the name of the thread that grpc.aio keeps while it is in use.
_POLLER: Final = "_poll_wrapper"
_SILENCE: Final = "ping timeout"
_PORT: Final = re.compile(r"\d{1,5}", re.ASCII)
_CODE_METADATA: Final = "lockstep-code"
_RETRY_METADATA: Final = "lockstep-retry-after-ms"
_BUDGET_METADATA: Final = ("lockstep-budget-left", "lockstep-budget-per-s", "lockstep-budget-at-once")
# What a gateway says is bounded here: a wrong number must not keep a client away for hours.
_MOST_RETRY_MS: Final = 10_000
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


def retry_after_ms(error: Any) -> int:
    """How long a gateway asks to stay away, in the metadata of a refused call; 0: it does not say."""
    for key, value in error.trailing_metadata() or ():
        if key == _RETRY_METADATA and value.isdigit():
            return min(int(value), _MOST_RETRY_MS)
    return 0


def budget_of(metadata: Any) -> Budget | None:
    """Where the caller's budget stands, as a call's trailing metadata says; None: it does not."""
    said = {key: int(value) for key, value in metadata or () if key in _BUDGET_METADATA and value.isdigit()}
    return Budget(*(said[key] for key in _BUDGET_METADATA)) if len(said) == len(_BUDGET_METADATA) else None


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


class _ForkMemory:
    """Whether gRPC's asyncio part had been used when this process was forked: then it can't be used here.

    Its threads, of the process and not of a channel, are not taken along by a fork, and nothing starts others (grpcio
    1.7x to 1.8x; a call then waits for ever). Closing all channels before does not help always: the core ends its
    threads later, by itself. Where nothing used it before the fork, the first channel here starts them.
    """

    def __init__(self) -> None:
        self.inherited = False
        self.used = False
        """Whether this process has made a channel."""
        if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
            os.register_at_fork(before=self._before_fork, after_in_child=self._after_fork)

    def _before_fork(self) -> None:
        self.used |= any(_POLLER in thread.name for thread in threading.enumerate())

    def _after_fork(self) -> None:
        if self.used:
            self.inherited = True
            # Whatever of gRPC is garbage here must stay: to end a call or a channel would ask the lost threads for it
            # (seen: a failed check in its core aborts the process).
            gc.freeze()


_FORKS: Final = _ForkMemory()


def check_usable_here() -> None:
    """Raises CalledAfterFork where no client of this process's own can work."""
    if _FORKS.inherited:
        raise CalledAfterFork(
            f"process {os.getpid()} was forked after its parent had used a client (or anything else of grpc.aio): that "
            "part of gRPC does not survive a fork, and a client made here could wait for ever. Fork before the parent "
            'uses a client, or start processes with multiprocessing.get_context("spawn") or "forkserver"'
        )


class Channels:
    """One channel for each gateway address, opened when it is first needed. Belongs to one event loop.

    Raises:
        CalledAfterFork: see `check_usable_here`; also from `channel`, in a process forked from the one that made it.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        *,
        token: str | None,
        credentials: grpc.ChannelCredentials | None,
    ) -> None:
        check_usable_here()
        self.owner = Owner()
        self.addresses = tuple(addresses)
        self.metadata: tuple[tuple[str, str], ...] = (("authorization", f"Bearer {token}"),) if token else ()
        self._credentials = credentials
        self._open: dict[int, Any] = {}
        self._patience: dict[int, Patience] = {}
        self._replaced: list[Any] = []
        """Channels whose connections were abandoned too soon; streams may still be on them."""
        self.closed = False

    def address(self, index: int) -> str:
        """The address that an index means."""
        return self.addresses[index % len(self.addresses)]

    def channel(self, index: int) -> Any:
        """A `grpc.aio.Channel` to address `index` (modulo their number). Raises Unavailable once closed."""
        self.owner.check_process("a call")
        if self.closed:
            raise Unavailable("the client is closed; make a new one")
        place = index % len(self.addresses)
        if place not in self._open:
            address = self.addresses[place]
            options = _options(self._patience.setdefault(place, Patience(time.monotonic())).ping_ms)
            _FORKS.used = True
            if self._credentials is None:
                opened = grpc.aio.insecure_channel(address, options=options)
            else:
                opened = grpc.aio.secure_channel(address, self._credentials, options=options)
            self._open[place] = opened
        return self._open[place]

    def on_break(self, index: int, reason: str) -> None:
        """A call to address `index` broke; for silence, as gRPC's words show, the next connection gets more time."""
        place = index % len(self.addresses)
        if _SILENCE in reason and place in self._open and self._patience[place].on_silence(time.monotonic()):
            self._replaced.append(self._open.pop(place))

    def session_call(self, index: int) -> Any:
        """A new session stream whose messages are bytes in both directions."""
        method = self.channel(index).stream_stream(
            SESSION_METHOD, request_serializer=_same, response_deserializer=_same
        )
        return method(metadata=self.metadata)

    async def close(self) -> None:
        """Close all channels."""
        self.closed = True
        for channel in (*self._open.values(), *self._replaced):
            await channel.close()
        self._open.clear()
        self._replaced.clear()


def _same(message: bytes) -> bytes:
    return message
