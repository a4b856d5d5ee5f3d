"""Channels to the cluster's own processes, on which every call says who makes it.

Who this process is, is said once, by `introduce`; channels are opened by address all over the code. An address of a
cluster that lets everybody in, or of none that was introduced, is called without a name.
"""

import contextlib
import getpass
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Self

import grpc

from lockstep.runtime.access.cluster_key import LIFETIME_S, Holder, KeyFiles, load_key, mint
from lockstep.runtime.access.roles import Role
from lockstep.runtime.faults import EnvironmentFault
from lockstep.runtime.tls.authority import OPERATOR
from lockstep.runtime.tls.material import Material
from lockstep.runtime.topology import Topology
from lockstep.stream.values import frozen

Metadata = tuple[tuple[str, str | bytes], ...]
_LOOK_S: Final = 5.0
"""How often it is looked whether the certificate was replaced."""
_LOOK_AT_KEY_S: Final = 1.0
_RENEW_S: Final = LIFETIME_S // 2


class Identity:
    """Whom the calls of this process to one cluster name."""

    def __init__(self, key: bytes, cluster: str, holder: Holder, files: KeyFiles | None = None) -> None:
        """`files`: where the key is; None: it is never changed."""
        self._key = key
        self._cluster = cluster
        self.holder = holder
        self._renew_s = 0.0
        self._files = files
        self._next_look_s = 0.0
        self._metadata: Metadata = ()
        self._token = ""

    def is_member_of(self, key: bytes | None, cluster: str) -> bool:
        """Whether it is a process of the cluster, and not an operator."""
        return self._key == key and self._cluster == cluster and self.holder.role is Role.MEMBER

    def rekey(self, key: bytes) -> None:
        """From here on tokens are made with this key, whatever the files say."""
        self._key, self._files, self._renew_s = key, None, 0.0

    def _look(self, files: KeyFiles) -> None:
        """A key that was changed is used without a restart."""
        now_s = time.monotonic()
        if now_s < self._next_look_s:
            return
        self._next_look_s = now_s + _LOOK_AT_KEY_S
        # What can't be read its own process says; the others know the key that there was.
        with contextlib.suppress(EnvironmentFault):
            keys = files.refresh()
            if keys is not None and keys.own != self._key:
                self._key, self._renew_s = keys.own, 0.0

    @property
    def token(self) -> str:
        """A token that is good for hours."""
        if self._files is not None:
            self._look(self._files)
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


@frozen
class _Way:
    """How an address is called."""

    identity: Identity | None
    material: Material | None


_PLAIN: Final = _Way(None, None)
_ways: dict[str, _Way] = {}
"""By address."""


def introduce(topology: Topology, member: str = "") -> Identity | None:
    """From here on this process is `member` (or empty: an operator) to all processes of the cluster.

    Returns what it is known by; None: the cluster lets everybody in, or there is no key to be known by here.

    Raises:
        EnvironmentFault: the cluster's key, or the certificate, can't be read.
    """
    addresses = [one.grpc_address for one in topology.all_members()]
    path = topology.access.key_file
    key = load_key(path) if path.name and not topology.open else None
    before = _ways.get(addresses[0], _PLAIN)
    if not member and before.identity is not None and before.identity.is_member_of(key, topology.name):
        return before.identity
    holder = Holder(member, Role.MEMBER) if member else Holder(_person(), Role.OPERATOR)
    identity = Identity(key, topology.name, holder, KeyFiles(path)) if key is not None else None
    material = Material(topology.tls.cert_dir, member or OPERATOR) if topology.tls.on else None
    served = [(one.host, one.metrics_port) for one in topology.all_members()]
    beside = (topology.reconciler, topology.ledger, topology.alerts, topology.day)
    served += [(one.host, one.metrics_port) for one in beside]
    addresses += [f"{host}:{port}" for host, port in served if port]
    _ways.update(dict.fromkeys(addresses, _Way(identity, material)))
    return identity


def identity_for(topology: Topology) -> Identity | None:
    """By what this process was introduced to a cluster; None: there is no key to be known by here."""
    return _ways.get(topology.all_members()[0].grpc_address, _PLAIN).identity


def material_for(topology: Topology) -> Material | None:
    """The certificate by which this process was introduced to a cluster."""
    return _ways.get(topology.all_members()[0].grpc_address, _PLAIN).material


def headers_for(address: str) -> dict[str, str]:
    """What a reader of the figures at an address shows."""
    identity = _ways.get(address, _PLAIN).identity
    return {} if identity is None else {"Authorization": f"Bearer {identity.token}"}


def _person() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "operator"


def open_channel(address: str, options: Sequence[tuple[str, int]], *, named: bool = True) -> Any:
    """A `grpc.Channel` to a process of the cluster. Not `named`: its calls say themselves who makes them."""
    return _open(grpc, address, options, named=named)


def open_aio_channel(address: str, options: Sequence[tuple[str, int]], *, named: bool = True) -> Any:
    """A `grpc.aio.Channel` to a process of the cluster. Not `named`: see `open_channel`."""
    return _open(grpc.aio, address, options, named=named)


def _open(kind: Any, address: str, options: Sequence[tuple[str, int]], *, named: bool) -> Any:
    way = _ways.get(address, _PLAIN)
    identity, material = way.identity if named else None, way.material

    def make() -> Any:
        if material is None:
            return kind.insecure_channel(address, options=list(options))
        return kind.secure_channel(address, material.channel_credentials(), options=list(options))

    return make() if identity is None and material is None else _Channel(make, identity, material)


class _Channel:
    """A channel whose calls say who makes them, and which is opened anew when the certificate was replaced.

    gRPC's interceptors do the first at several times the cost. Channels that were replaced stay open until this is
    closed: something may still be under way on them.
    """

    def __init__(self, make: Callable[[], Any], identity: Identity | None, material: Material | None) -> None:
        self._make = make
        self._identity = identity
        self._material = material
        self._opened = [make()]
        self.generation = self._seen = material.generation if material is not None else 0
        self._look_s = time.monotonic() + _LOOK_S

    @property
    def metadata(self) -> Metadata:
        """What goes with a call."""
        return self._identity.metadata if self._identity is not None else ()

    def current(self) -> Any:
        """The channel for a call that is made now."""
        if self._material is not None and time.monotonic() > self._look_s:
            self._look_s = time.monotonic() + _LOOK_S
            self._material.refresh()
            if self._material.generation != self._seen:
                self._seen = self._material.generation
                self._opened.append(self._make())
                self.generation = self._seen
        return self._opened[-1]

    def __getattr__(self, name: str) -> Any:
        if name not in ("unary_unary", "unary_stream", "stream_unary", "stream_stream"):
            return getattr(self._opened[-1], name)
        return lambda *args, **kwargs: _Call(self, name, args, kwargs)

    def close(self) -> Any:
        """Close all that was opened; to be awaited if it is asyncio's."""
        for replaced in self._opened[:-1]:
            if isinstance(replaced, grpc.Channel):
                replaced.close()
        return self._opened[-1].close()

    def __enter__(self) -> Self:
        self._opened[-1].__enter__()
        return self

    def __exit__(self, *error: Any) -> Any:
        return self._opened[-1].__exit__(*error)


class _Call:
    """A method of a channel."""

    def __init__(self, channel: _Channel, kind: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._channel = channel
        self._made_of = kind, args, kwargs
        self._generation = -1
        self._call: Any = None

    def _now(self) -> Any:
        current = self._channel.current()
        if self._generation != self._channel.generation:
            kind, args, kwargs = self._made_of
            self._call, self._generation = getattr(current, kind)(*args, **kwargs), self._channel.generation
        return self._call

    def __call__(self, *args: Any, metadata: Metadata | None = None, **options: Any) -> Any:
        return self._now()(*args, metadata=(*(metadata or ()), *self._channel.metadata), **options)

    def future(self, *args: Any, metadata: Metadata | None = None, **options: Any) -> Any:
        """See `grpc.UnaryUnaryMultiCallable`."""
        return self._now().future(*args, metadata=(*(metadata or ()), *self._channel.metadata), **options)
