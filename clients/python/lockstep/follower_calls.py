"""Calls to a process that follows the cluster, a ledger or the alerts: the connection, and what a failed call means."""

from collections.abc import Collection
from typing import Any, Final

import grpc
import grpc.aio

from lockstep.arguments import bearer_token
from lockstep.channel import parse_addresses, refusal_code
from lockstep.enums import Code
from lockstep.errors import Refused, Unavailable

TIMEOUT_S: Final = 10.0
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.use_local_subchannel_pool", 1),
)


def channel_to(address: str, credentials: "grpc.ChannelCredentials | None") -> grpc.Channel:
    """A channel for blocking calls. Raises ValueError."""
    (parsed,) = parse_addresses((address,))
    if credentials is None:
        return grpc.insecure_channel(parsed, options=_OPTIONS)
    return grpc.secure_channel(parsed, credentials, options=_OPTIONS)


def aio_channel_to(address: str, credentials: "grpc.ChannelCredentials | None") -> grpc.aio.Channel:
    """The same for asyncio."""
    (parsed,) = parse_addresses((address,))
    if credentials is None:
        return grpc.aio.insecure_channel(parsed, options=_OPTIONS)
    return grpc.aio.secure_channel(parsed, credentials, options=_OPTIONS)


def metadata_of(token: "str | None") -> "tuple[tuple[str, str], ...]":
    """What goes with each call of a client with this token. Raises TypeError, ValueError."""
    checked = bearer_token(token)
    return (("authorization", f"Bearer {checked}"),) if checked else ()


def raised(error: Any, who: str, passing: "Collection[grpc.StatusCode]") -> "Refused | Unavailable":
    """What a failed call means; `passing`: statuses of a process, called `who`, that may answer the next time."""
    text = error.details() or error.code().name
    if error.code() in passing:
        return Unavailable(f"{who}: {text}")
    return Refused(refusal_code(error, Code.NOT_SUPPORTED), text)
