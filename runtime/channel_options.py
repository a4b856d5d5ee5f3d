"""gRPC options of the channels between the cluster's own processes and of operators' calls."""

from collections.abc import Sequence
from typing import Final

MAX_MESSAGE_BYTES: Final = 64 << 20

CHANNEL_OPTIONS: Final[Sequence[tuple[str, int]]] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # A restarted peer must be reachable at once: the default back-off grows to two minutes. gRPC adds a fifth of chance
    # to each pause. A peer that is down refuses at once and its port costs nobody anything, and those who ask are the
    # cluster's few processes (clients have options of their own), so a quarter of a second is pause enough.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 250),
    # This is no pause: it is how long an attempt may take, up to the peer's first HTTP/2 settings. Cut short, a peer
    # that is slow to accept (starved, far away, just continued) is never reached, and finds each attempt in its backlog
    # when it comes to it. A second is what TCP waits before it asks again, so a longer one would only keep an attempt
    # whose first packet is lost. No failover waits for it: takeovers use channels that are connected, a killed peer
    # refuses at once, and a stopped one keeps its connection.
    ("grpc.min_reconnect_backoff_ms", 1000),
    # Both are needed for a hung peer to be noticed: keepalive alone never fires in current gRPC.
    ("grpc.keepalive_time_ms", 1000),
    ("grpc.keepalive_timeout_ms", 500),
    ("grpc.http2.ping_timeout_ms", 500),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.enable_retries", 0),
)

_PATIENCE_MS: Final = 10_000
PATIENT_OPTIONS: Final[Sequence[tuple[str, int]]] = tuple(
    {
        **dict(CHANNEL_OPTIONS),
        "grpc.keepalive_timeout_ms": _PATIENCE_MS,
        "grpc.http2.ping_timeout_ms": _PATIENCE_MS,
    }.items()
)
"""For those who lose more by breaking off than by waiting: a ping behind a long transfer, an operator's change at a
host that is starved. A call that was broken off may have been done or not."""
