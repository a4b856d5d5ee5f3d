"""Where etcd is, who we are to it, and how patient we are.

The defaults fit a cluster whose etcd runs with `--grpc-keepalive-min-time` of `keepalive_time_s` or less (Lockstep's
own local etcd does). An etcd with its default of 5 s answers faster pings with GOAWAY "too_many_pings": set
`keepalive_time_s=5` there, at the price of noticing a frozen member later.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

_TIMES = (
    "call_timeout_s", "hedge_after_s", "token_refresh_s", "keepalive_time_s", "keepalive_timeout_s", "tls_look_s",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsOptions:
    """PEM bytes, not paths: reading files is the configuration's business."""

    ca: bytes
    """Certificate authority that signed the members' certificates."""
    cert: bytes | None = None
    """Our client certificate, for mutual TLS. Needs `key`."""
    key: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            raise ValueError("etcd TLS: give both cert and key for mutual TLS, or neither")


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdOptions:
    """Everything `EtcdStore` wants to know. Raises ValueError for what can't work."""

    endpoints: tuple[str, ...]
    """`host:port` of every member, optionally with http:// or https://. One channel is kept to each."""
    tls: TlsOptions | None = None
    newer_tls: Callable[[], TlsOptions | None] | None = field(default=None, repr=False)
    """Asked every `tls_look_s`: what `tls` is by now. Connections are made anew when it has changed. None: it never
    does. It must not block."""
    tls_look_s: float = 1.0
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    call_timeout_s: float = 2.0
    """Deadline of every call that has no timeout argument of its own; includes all its retries."""
    hedge_after_s: float = 0.015
    """Silence after which a read or a swap is also sent to the next member."""
    token_refresh_s: float = 150.0
    """Age at which the login token is renewed. Keep it well below the server's `--auth-token-ttl` (300 s): a login
    costs the server some 65 ms and must not fall into a takeover."""
    keepalive_time_s: float = 0.5
    """Silence on a connection after which it is pinged."""
    keepalive_timeout_s: float = 0.3
    """Wait for the ping's answer before the connection counts as dead."""

    def __post_init__(self) -> None:
        if not self.endpoints:
            raise ValueError("etcd: no endpoints; give at least one host:port")
        if len({target(endpoint) for endpoint in self.endpoints}) != len(self.endpoints):
            raise ValueError(f"etcd: an endpoint is named twice in {', '.join(self.endpoints)}")
        for endpoint in self.endpoints:
            host, colon, port = target(endpoint).rpartition(":")
            if not (host and colon and port.isdecimal() and 0 < int(port) < 65536):
                raise ValueError(f"etcd endpoint {endpoint!r}: expected host:port, for example 127.0.0.1:2379")
            if endpoint.startswith("https://") and self.tls is None:
                raise ValueError(f"etcd endpoint {endpoint!r} is https: set the TLS options (at least the CA)")
            if endpoint.startswith("http://") and self.tls is not None:
                raise ValueError(f"etcd endpoint {endpoint!r} is plain http but TLS options are set: use https://")
        if (self.user is None) != (self.password is None):
            raise ValueError("etcd: give both user and password, or neither")
        for name in _TIMES:
            if getattr(self, name) <= 0:
                raise ValueError(f"etcd: {name} must be positive")


def target(endpoint: str) -> str:
    """The gRPC target of an endpoint: without scheme and trailing slash."""
    return endpoint.removeprefix("https://").removeprefix("http://").rstrip("/")
