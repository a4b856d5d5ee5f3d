"""What the cluster needs from its configuration store, and nothing more.

Election, epoch allocation and discovery are written against `ConfigStore`, not against etcd: the interface is the
list of promises they depend on, so that a test, the simulation or another client library can stand in for
`EtcdStore`.

The one idea to know is *ambiguity*. A write whose answer is missing may have been applied, may still be applied
later, or never. `compare_and_swap` therefore wants a value that no other attempt ever writes (put an attempt id into
it): then "the compare failed but the stored value is mine" is the proof that an earlier try of the same attempt was
applied, and repeating the same call is always safe. `StoreAmbiguous` is raised only when even that did not settle it
in time; see `settle_ambiguous`.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol


class StoreError(Exception):
    """Base of everything a store raises."""


class StoreUnavailable(StoreError):
    """No member could be asked in time. A write that raises this was *not* applied and will not be."""


class StoreAmbiguous(StoreError):
    """A write was sent and no conclusive answer came: it may be applied already, later, or never."""


class StoreRefused(StoreError):
    """The store understood and says no (permission, credentials, malformed request). Repeating does not help."""


class StoreLeaseEnded(StoreRefused):
    """The lease that a write names has ended, perhaps while its holder stood still: take another one."""


class StoreClosed(StoreError):
    """This store object was closed by its owner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Versioned:
    """A key that exists, as of one revision."""

    key: bytes
    value: bytes
    mod_revision: int
    """Revision of the write that made this value, >= 1. The guard for `compare_and_swap`. Not a fencing token: a
    wiped or restored store hands out old revisions again."""
    create_revision: int
    """Revision of the write that made the key, 1 <= create_revision <= mod_revision."""
    lease: int = 0
    """The lease the key dies with; 0: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """A key that does not exist: it was deleted, its lease ended, or it never was."""

    key: bytes
    mod_revision: int
    """A revision at which the key was absent: that of the deletion if it was watched, else that of the read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CasWon:
    """The value of this attempt was written."""

    mod_revision: int
    """Revision of our write: the `expected_mod_revision` of the next swap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CasLost:
    """Nothing was written, or what was written has been replaced by somebody since."""

    current: Versioned | None
    """The key as the failed compare saw it; None: it does not exist."""
    requirement_held: bool = True
    """False: the `also_require` key did not have the required value, i.e. this is a foreign or wiped store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberStatus:
    """One member of the store's own cluster, asked directly."""

    endpoint: str
    version: str
    member_id: int
    cluster_id: int
    leader_id: int
    """Member id of the leader as this member sees it; 0: it knows none."""
    raft_term: int
    raft_index: int

    @property
    def is_leader(self) -> bool:
        """Whether this member leads, by its own account."""
        return self.member_id == self.leader_id


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberUnreachable:
    """A member that gave no status in time."""

    endpoint: str
    reason: str


class LeaseHandle(Protocol):
    """A lease that is being kept alive. For discovery and clean-up only: a live lease is *not* leadership."""

    @property
    def id(self) -> int:
        """Give this as `lease` to `ConfigStore.put`."""

    @property
    def ttl_s(self) -> int:
        """Seconds the store really granted (it has a minimum of its own)."""

    @property
    def alive(self) -> bool:
        """Whether the lease is certainly alive now, by this process's monotonic clock. Never true too long."""

    async def lost(self) -> None:
        """Return when the lease is lost or closed. Keys put under it are gone or about to go: take a new lease."""

    async def close(self) -> None:
        """Stop keeping it and revoke it (best effort: if no member answers, it ends by itself after its TTL)."""


class ConfigStore(Protocol):
    """A linearizable key-value store with compare-and-swap, watches and leases.

    Every method may raise `StoreRefused`. Times are seconds.
    """

    async def get(self, key: bytes, revision: int = 0) -> Versioned | None:
        """Linearizable read; with `revision`, of what stood there then. Raises `StoreUnavailable`, and `StoreRefused`
        if that revision was compacted away."""

    async def get_prefix(self, prefix: bytes) -> tuple[Versioned, ...]:
        """Linearizable read of all keys that begin with `prefix` (not empty), in key order. Raises
        `StoreUnavailable`."""

    async def compare_and_swap(
        self,
        key: bytes,
        expected_mod_revision: int,
        value: bytes,
        also_require: tuple[bytes, bytes] | None = None,
        timeout_s: float = 1.0,
    ) -> CasWon | CasLost:
        """Write `value` if the key's mod revision is the expected one (0: the key must not exist).

        `value` must be unique to this attempt (see the module's docstring). `also_require` is a (key, value) that
        must hold in the same atomic step. The key must never be deleted while contenders with
        `expected_mod_revision=0` are about. Raises `StoreUnavailable` (nothing was sent) or `StoreAmbiguous` (sent,
        not settled within `timeout_s`).
        """

    async def put(self, key: bytes, value: bytes, lease: int = 0) -> int:
        """Write unconditionally, at most once; returns the revision. Raises `StoreUnavailable` or `StoreAmbiguous`."""

    async def delete(self, key: bytes) -> bool:
        """Delete, at most once; whether the key existed. Raises `StoreUnavailable` or `StoreAmbiguous`."""

    def watch(self, key: bytes) -> AsyncIterator[Versioned | Deleted]:
        """Yield the key's present state, then each change, for ever.

        Survives disconnects, leader loss and compaction by reading again; then states in between may be skipped, the
        latest never. Iterate in one task; close the iterator (`aclose`) or cancel that task to end it.
        """

    async def keep_lease(self, ttl_s: int) -> LeaseHandle:
        """Take a lease and keep it alive until closed. Raises `StoreUnavailable`."""

    async def status(self) -> tuple[MemberStatus | MemberUnreachable, ...]:
        """Ask every member for its status; one entry per endpoint, in the order of the endpoints. Does not raise."""


async def settle_ambiguous(
    store: ConfigStore, key: bytes, expected_mod_revision: int, value: bytes
) -> CasWon | CasLost:
    """Resolve a `compare_and_swap` that raised `StoreAmbiguous`, by reading the key again.

    The stored value is ours: the attempt was applied. The revision has moved and the value is another's: the attempt
    can't win any more. Raises `StoreAmbiguous` again if the revision is still the expected one (the write may yet be
    applied: repeat the *same* swap with the same value, which is safe) and `StoreUnavailable` if the store can't be
    read.
    """
    current = await store.get(key)
    if current is not None and current.value == value:
        return CasWon(mod_revision=current.mod_revision)
    if (current.mod_revision if current is not None else 0) == expected_mod_revision:
        raise StoreAmbiguous(f"{key!r} is still at revision {expected_mod_revision}: repeat the same compare-and-swap")
    return CasLost(current=current)


def prefix_end(prefix: bytes) -> bytes:
    """The end of the half-open key range that holds exactly the keys with this prefix. Raises ValueError if empty."""
    if not prefix:
        raise ValueError("empty prefix: name the keys to read")
    stem = prefix.rstrip(b"\xff")
    if not stem:
        return b"\0"  # etcd's notation for "no upper bound"
    return stem[:-1] + bytes([stem[-1] + 1])
