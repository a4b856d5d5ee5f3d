"""The principals that are made while the cluster runs, and how they change. Pure.

All stand in one document in etcd, so that a change is one compare-and-swap and every process sees the same whole.
Secrets are not in it: of a key or password only its hash. The document carries an HMAC by the cluster's key over the
cluster's name and all of it, so that whoever can write to etcd, and has not the key, can make no principal; a version,
so that an older one is noticed; and with each change the digest of what was changed, so that a history that goes on
from an older one is noticed, too (`why_not_after`).
"""

import hmac
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, field, replace
from hashlib import sha256
from typing import Any, Final

from lockstep.runtime.access.roles import GRANTABLE, Role
from lockstep.runtime.topology import OPERATOR_NUMBERS, Principal
from lockstep.stream.values import frozen

MAX_PRINCIPALS: Final = 1_000
MAX_CREDENTIALS: Final = 8
"""Of one principal."""
MAX_BYTES: Final = 1 << 20
"""Of the document; etcd takes a little more."""
KEPT_CHANGES: Final = 200
_FORMAT: Final = 2
_NAME: Final = 64


class RegistryRefused(ValueError):
    """The change can't be made; the text says why."""


class RegistryForged(ValueError):
    """The document was not written by somebody who has the cluster's key."""


@frozen
class Credential:
    """What a principal shows: an API key or a password (by its hash), or the public key that signs its logins."""

    id: str
    kind: str
    """"key", "password" or "public-key"."""
    secret: str = field(repr=False)
    """A hash (`secret_hash.py`), or a public key as PEM."""
    made_ns: int = 0
    until_ns: int = 0
    """When it ends; 0: never."""
    user: str = ""
    """Of a password: the name at the binary door."""


@frozen
class Entry:
    """One principal."""

    name: str
    roles: tuple[str, ...]
    number: int
    accounts: tuple[int, ...] = ()
    credentials: tuple[Credential, ...] = ()

    def principal(self, credential: Credential) -> Principal:
        """As whom a call is made that shows the credential."""
        roles = tuple(Role(role) for role in self.roles)
        return Principal(
            name=self.name, number=self.number, accounts=self.accounts, roles=roles, credential=credential.id
        )


@frozen
class Change:
    """Who changed what."""

    at_ns: int
    by: str
    what: str
    before: str = ""
    """Digest of the registry that was changed."""


@frozen
class Registry:
    """Invariants: names, numbers, users and credentials' ids are unique; no number is an operator's or a gateway's."""

    version: int = 0
    entries: tuple[Entry, ...] = ()
    changes: tuple[Change, ...] = ()
    retired: tuple[int, ...] = ()
    """Client numbers of revoked principals. Engines keep sessions for ever, and a session is its client number's."""
    restored_ns: int = 0
    """When an older document was last put in force on purpose; whatever was restored later comes after it."""

    def entry(self, name: str) -> Entry:
        """A principal by name.

        Raises:
            RegistryRefused: there is none.
        """
        for entry in self.entries:
            if entry.name == name:
                return entry
        known = ", ".join(entry.name for entry in self.entries) or "none"
        raise RegistryRefused(f"there is no principal {name!r}; there are: {known}")


Edit = Callable[[Registry], Registry]


def changed(before: Registry, edit: Edit, *, by: str, what: str, now_ns: int) -> Registry:
    """The registry after an edit, with the line that says so.

    Raises:
        RegistryRefused: it can't be made.
    """
    after = edit(before)
    changes = (*after.changes, Change(now_ns, by, what, digest(before)))[-KEPT_CHANGES:]
    after = replace(after, version=before.version + 1, changes=changes)
    _check(after)
    return after


def create(
    name: str, roles: Iterable[str], accounts: Iterable[int], number: int = 0, taken: Iterable[int] = ()
) -> Edit:
    """Add a principal. `number` 0: the lowest that nobody has or had; `taken`: of the configuration's clients."""

    def edit(registry: Registry) -> Registry:
        used = {*taken, *registry.retired, *(entry.number for entry in registry.entries)}
        chosen = number or next(free for free in range(1, len(used) + 2) if free not in used)
        if chosen in used:
            raise RegistryRefused(f"client number {chosen} is another principal's, or was a revoked one's")
        made = Entry(name, tuple(roles), chosen, tuple(accounts))
        return replace(registry, entries=(*registry.entries, made))

    return edit


def grant(name: str, credential: Credential, *, end_others_ns: int = 0) -> Edit:
    """Give a principal a credential. `end_others_ns`: when its others of the kind end; 0: as before."""

    def edit(registry: Registry) -> Registry:
        entry = registry.entry(name)
        kept = tuple(
            replace(one, until_ns=end_others_ns)
            if end_others_ns and one.kind == credential.kind and not 0 < one.until_ns <= end_others_ns
            else one
            for one in entry.credentials
            if not 0 < one.until_ns <= credential.made_ns
        )
        return _with(registry, replace(entry, credentials=(*kept, credential)))

    return edit


def revoke(name: str, credential: str = "") -> Edit:
    """Take a principal away, or one of its credentials."""

    def edit(registry: Registry) -> Registry:
        entry = registry.entry(name)
        if not credential:
            left_over = tuple(one for one in registry.entries if one is not entry)
            return replace(registry, entries=left_over, retired=(*registry.retired, entry.number))
        left = tuple(one for one in entry.credentials if one.id != credential)
        if len(left) == len(entry.credentials):
            has = ", ".join(one.id for one in entry.credentials) or "none"
            raise RegistryRefused(f"{name!r} has no credential {credential!r}; it has: {has}")
        return _with(registry, replace(entry, credentials=left))

    return edit


def restore(now_ns: int, others: Sequence[Registry] = ()) -> Edit:
    """Put a document in force though a newer one, or one with another history, was known.

    `others`: those that are known. Client numbers that stand in them are given to nobody, as those of revoked ones.
    """
    known = {number for one in others for number in (*one.retired, *(entry.number for entry in one.entries))}
    latest_ns = max((one.restored_ns for one in others), default=0)

    def edit(registry: Registry) -> Registry:
        lost = known - {entry.number for entry in registry.entries} - set(registry.retired)
        at_ns = max(now_ns, registry.restored_ns + 1, latest_ns + 1)
        return replace(registry, restored_ns=at_ns, retired=(*registry.retired, *sorted(lost)))

    return edit


def why_not_after(known: Registry, found: Registry) -> str:
    """Why what was found can't have come after what is known; empty: it can.

    What is known of version 0 is nothing, and everything comes after it.
    """
    if (found.restored_ns, found.version) < (known.restored_ns, known.version):
        return f"version {found.version} of the principals came after {known.version}: somebody put it back"
    steps = found.version - known.version
    if found.restored_ns == known.restored_ns and known.version and steps <= len(found.changes):
        before = found.changes[-steps].before if steps else digest(found)
        if before != digest(known):
            return (
                f"version {found.version} of the principals does not go on from the {known.version} that is known "
                "here: somebody put an older one back, and it was changed then"
            )
    return ""


def clashes(registry: Registry, clients: Iterable[Principal]) -> dict[str, str]:
    """Stored principals that have something of a client of the configuration, by name, and what it is.

    A session is its client number's, a budget its name's: two who share one would have each other's.
    """
    found: dict[str, str] = {}
    for client in clients:
        for entry in registry.entries:
            users = {one.user for one in entry.credentials if one.user}
            shared = [
                *([f"client number {client.number}"] if entry.number == client.number else ()),
                *(["name"] if entry.name == client.name else ()),
                *([f"user {client.soup_user!r} of the binary door"] if client.soup_user in users else ()),
            ]
            if shared:
                found[entry.name] = f"it has the {' and the '.join(shared)} of the [[client]] {client.name!r}"
    return found


def digest(registry: Registry) -> str:
    """By which a registry is known again."""
    return sha256(_body(registry).encode()).hexdigest()[:32]


def _with(registry: Registry, entry: Entry) -> Registry:
    return replace(registry, entries=tuple(entry if one.name == entry.name else one for one in registry.entries))


def _check(registry: Registry) -> None:
    for entry in registry.entries:
        if not entry.name.isprintable() or not 0 < len(entry.name) <= _NAME or set(entry.name) & set("/. "):
            raise RegistryRefused(
                f"the name {entry.name!r} is not 1 to {_NAME} letters without blanks, dots and slashes"
            )
        unknown = [role for role in entry.roles if role not in GRANTABLE]
        if unknown or not entry.roles:
            raise RegistryRefused(f"{unknown or 'no role'}: use one or several of {', '.join(GRANTABLE)}")
        if not 0 < entry.number < OPERATOR_NUMBERS:
            raise RegistryRefused(f"client number {entry.number} is outside 1 to {OPERATOR_NUMBERS - 1}")
        if len(entry.credentials) > MAX_CREDENTIALS:
            raise RegistryRefused(f"{entry.name!r} has {MAX_CREDENTIALS} credentials: revoke one first")
    if len(registry.entries) > MAX_PRINCIPALS:
        raise RegistryRefused(f"there are {MAX_PRINCIPALS} principals, and no more may be")
    _unique("name", (entry.name for entry in registry.entries))
    _unique("client number", (entry.number for entry in registry.entries))
    credentials = [one for entry in registry.entries for one in entry.credentials]
    _unique("credential", (one.id for one in credentials))
    _unique("user of the binary door", (one.user for one in credentials if one.user))


def _unique(what: str, values: Iterable[object]) -> None:
    seen: set[object] = set()
    for value in values:
        if value in seen:
            raise RegistryRefused(f"the {what} {value!r} is there already")
        seen.add(value)


# ---- the document ----------------------------------------------------------------------------------------------------


def encode(registry: Registry, key: bytes, cluster: str) -> bytes:
    """The document of a cluster.

    Raises:
        RegistryRefused: it is too long for etcd.
    """
    body = _body(registry)
    raw = json.dumps({"v": _FORMAT, "mac": _mac(key, cluster, body), "registry": body}).encode()
    if len(raw) > MAX_BYTES:
        raise RegistryRefused(f"the principals take {len(raw)} bytes, and {MAX_BYTES} are the most")
    return raw


def _body(registry: Registry) -> str:
    return json.dumps(asdict(registry), separators=(",", ":"), sort_keys=True)


def decode(raw: bytes | None, key: bytes, cluster: str) -> Registry:
    """The registry of a cluster's document; None: there is none yet.

    Raises:
        RegistryForged: it was not written for this cluster by somebody who has the key, or is none.
    """
    if raw is None:
        return Registry()
    try:
        if len(raw) > MAX_BYTES:
            raise RegistryForged(f"what stands for the principals has {len(raw)} bytes, and they never do")
        outer = json.loads(raw)
        body = str(outer["registry"])
        genuine = outer["v"] == _FORMAT and hmac.compare_digest(_mac(key, cluster, body), str(outer["mac"]))
        if not genuine:
            raise RegistryForged(f"the principals were not written with this cluster's key for {cluster!r}")
        inner = json.loads(body)
        entries = tuple(_entry(row) for row in inner["entries"])
        changes = tuple(Change(**row) for row in inner["changes"])
        return Registry(inner["version"], entries, changes, tuple(inner["retired"]), inner["restored_ns"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if isinstance(error, RegistryForged):
            raise
        raise RegistryForged(f"the principals can't be read ({error})") from None


def _entry(row: dict[str, Any]) -> Entry:
    credentials = tuple(Credential(**one) for one in row["credentials"])
    return Entry(row["name"], tuple(row["roles"]), row["number"], tuple(row["accounts"]), credentials)


def _mac(key: bytes, cluster: str, body: str) -> str:
    # As JSON the name has no line's end: nothing of it passes for a part of the body.
    return hmac.new(key, f"principals\n{json.dumps(cluster)}\n{body}".encode(), sha256).hexdigest()


def registry_key(cluster: str) -> bytes:
    """Where the document stands in etcd."""
    return f"/lockstep/{cluster}/access".encode()
