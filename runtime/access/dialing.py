"""Channels to the cluster's own processes, on which every call says who makes it.

Who this process is, is said once, by `introduce`; channels are opened by address all over the code. An address of a
cluster that lets everybody in, or of none that was introduced, is called without a name.
"""

import getpass
import time
from collections.abc import Sequence
from typing import Any, Final, Self

import grpc

from lockstep.runtime.access.cluster_key import LIFETIME_S, Holder, load_key, mint
from lockstep.runtime.access.roles import Role
from lockstep.runtime.topology import Topology

Metadata = tuple[tuple[str, str | bytes], ...]
_RENEW_S: Final = LIFETIME_S // 2


class Identity:
    """Whom the calls of this process to one cluster name."""

    def __init__(self, key: bytes, cluster: str, holder: Holder) -> None:
        self._key = key
        self._cluster = cluster
        self.holder = holder
        self._renew_s = 0.0
        self._metadata: Metadata = ()
        self._token = ""

    def is_member_of(self, key: bytes | None, cluster: str) -> bool:
        """Whether it is a process of the cluster, and not an operator."""
        return self._key == key and self._cluster == cluster and self.holder.role is Role.MEMBER

    @property
    def token(self) -> str:
        """A token that is good for hours."""
        now_s = time.time()
        # Also after a clock was set back.
        if not self._renew_s - _RENEW_S <= now_s < self._renew_s:
            self._token = mint(self._key, self._cluster, self.holder, int(now_s))
            self._metadata = (("authorization", f"Bearer {self._token}"),)
            self._renew_s = now_s + _RENEW_S
        return self._token

    @property
    def metadata(self) -> Metadata:
        """What goes with a call."""
        _ = self.token
        return self._metadata


_known: dict[str, Identity] = {}
"""By address."""


def introduce(topology: Topology, member: str = "") -> Identity | None:
    """From here on this process is `member` (or empty: an operator) to all processes of the cluster.

    Returns what it is known by; None: the cluster lets everybody in, or there is no key to be known by here.

    Raises:
        EnvironmentFault: the cluster's key can't be read.
    """
    addresses = [one.grpc_address for one in topology.all_members()]
    path = topology.access.key_file
    key = load_key(path) if path.name and not topology.open else None
    before = _known.get(addresses[0])
    if not member and before is not None and before.is_member_of(key, topology.name):
        return before
    if key is None:
        for address in addresses:
            _known.pop(address, None)
        return None
    holder = Holder(member, Role.MEMBER) if member else Holder(_person(), Role.OPERATOR)
    identity = Identity(key, topology.name, holder)
    _known.update(dict.fromkeys(addresses, identity))
    return identity


def _person() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "operator"


def open_channel(address: str, options: Sequence[tuple[str, int]], *, named: bool = True) -> Any:
    """A `grpc.Channel` to a process of the cluster. Not `named`: its calls say themselves who makes them."""
    channel = grpc.insecure_channel(address, options=list(options))
    return _named(channel, address) if named else channel


def open_aio_channel(address: str, options: Sequence[tuple[str, int]]) -> Any:
    """A `grpc.aio.Channel` to a process of the cluster."""
    return _named(grpc.aio.insecure_channel(address, options=list(options)), address)


def _named(channel: Any, address: str) -> Any:
    identity = _known.get(address)
    return channel if identity is None else _NamedChannel(channel, identity)


class _NamedChannel:
    """A channel whose calls say who makes them. gRPC's interceptors do the same at several times the cost."""

    def __init__(self, channel: Any, identity: Identity) -> None:
        self._channel = channel
        self._identity = identity

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._channel, name)
        if name not in ("unary_unary", "unary_stream", "stream_unary", "stream_stream"):
            return found
        return lambda *args, **kwargs: _NamedCall(found(*args, **kwargs), self._identity)

    def __enter__(self) -> Self:
        self._channel.__enter__()
        return self

    def __exit__(self, *error: Any) -> Any:
        return self._channel.__exit__(*error)


class _NamedCall:
    """A method of a channel."""

    def __init__(self, call: Any, identity: Identity) -> None:
        self._call = call
        self._identity = identity

    def __call__(self, *args: Any, metadata: Metadata | None = None, **options: Any) -> Any:
        return self._call(*args, metadata=(*(metadata or ()), *self._identity.metadata), **options)

    def future(self, *args: Any, metadata: Metadata | None = None, **options: Any) -> Any:
        """See `grpc.UnaryUnaryMultiCallable`."""
        return self._call.future(*args, metadata=(*(metadata or ()), *self._identity.metadata), **options)
