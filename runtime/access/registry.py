"""The principals that are made while the cluster runs, and how they change. Pure.

All stand in one document in etcd, so that a change is one compare-and-swap and every process sees the same whole.
Secrets are not in it: of a key or password only its hash. The document carries an HMAC by the cluster's key over the
cluster's name and all of it, so that whoever can write to etcd, and has not the key, can make no principal; a version,
so that an older one is noticed; and with each change the digest of what was changed, so that a history that goes on
from an older one is noticed, too (`why_not_after`).
"""

import hmac
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, field, replace
from hashlib import sha256
from typing import Any, Final

from lockstep.runtime.access.roles import GRANTABLE, Role
from lockstep.runtime.topology import OPERATOR_NUMBERS, Principal
from lockstep.stream.values import frozen

MAX_PRINCIPALS: Final = 1_000
MAX_CREDENTIALS: Final = 8
"""Of one principal."""
MAX_GROUPS: Final = 200
MAX_BYTES: Final = 1 << 20
"""Of the document; etcd takes a little more."""
KEPT_CHANGES: Final = 200
_FORMAT: Final = 2
_LIMITED_FORMAT: Final = 3
"""Of a document in which somebody is limited to instruments: software that would not look at that refuses it."""
_NAME: Final = 64
_SHOWN: Final = 20


class RegistryRefused(ValueError):
    """The change can't be made; the text says why."""


class RegistryForged(ValueError):
    """The document was not written by somebody who has the cluster's key."""


class NoDocument(RegistryForged):
    """It was written by nobody: it is something else."""


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
    instruments: tuple[int, ...] | None = None
    """It is limited to these, and to those of its groups; None, and no groups: it may trade and read all."""
    groups: tuple[str, ...] = ()
    budget_per_s: int = 0
    """0: as the configuration says."""

    def principal(self, credential: Credential | str) -> Principal:
        """As whom a call is made that shows the credential (an issuer's: by its name). Its groups are resolved."""
        assert not self.groups, "Registry.resolved"
        return Principal(
            name=self.name,
            number=self.number,
            accounts=self.accounts,
            instruments=self.instruments,
            roles=tuple(Role(role) for role in self.roles),
            credential=credential if isinstance(credential, str) else credential.id,
            budget_per_s=self.budget_per_s,
        )


@frozen
class Group:
    """Instruments under one name."""

    name: str
    instruments: tuple[int, ...] = ()


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
    groups: tuple[Group, ...] = ()
    """Of instruments."""

    def entry(self, name: str) -> Entry:
        """A principal by name.

        Raises:
            RegistryRefused: there is none.
        """
        for entry in self.entries:
            if entry.name == name:
                return entry
        known = _listed(entry.name for entry in self.entries)
        raise RegistryRefused(f"there is no principal {cut(name)}; there are: {known}")

    def resolved(self) -> "Registry":
        """The same with each principal's instruments in place of its groups."""
        of = {group.name: group.instruments for group in self.groups}

        def plain(entry: Entry) -> Entry:
            if not entry.groups:
                return entry
            found = {*(entry.instruments or ()), *(one for name in entry.groups for one in of[name])}
            return replace(entry, instruments=tuple(sorted(found)), groups=())

        return replace(self, entries=tuple(plain(entry) for entry in self.entries))


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
    name: str,
    roles: Iterable[str],
    accounts: Iterable[int],
    number: int = 0,
    taken: Iterable[int] = (),
    *,
    instruments: Iterable[int] | None = None,
    groups: Iterable[str] = (),
    budget_per_s: int = 0,
    above: int = 0,
) -> Edit:
    """Add a principal. `number` 0: the lowest above `above` that nobody has or had.

    `taken`: of the configuration's clients; `above`: see `numbers.py`.
    """

    def edit(registry: Registry) -> Registry:
        used = {*taken, *registry.retired, *(entry.number for entry in registry.entries)}
        chosen = number or next(free for free in range(above + 1, above + len(used) + 2) if free not in used)
        if chosen in used:
            raise RegistryRefused(f"client number {chosen} is another principal's, or was a revoked one's")
        listed = None if instruments is None else tuple(sorted(set(instruments)))
        made = Entry(name, tuple(roles), chosen, tuple(accounts), (), listed, tuple(groups), budget_per_s)
        return replace(registry, entries=(*registry.entries, made))

    return edit


def retire(numbers: Iterable[int]) -> Edit:
    """These client numbers go to nobody any more, but for those who have them."""

    def edit(registry: Registry) -> Registry:
        more = set(numbers) - set(registry.retired) - {entry.number for entry in registry.entries}
        return replace(registry, retired=(*registry.retired, *sorted(more)))

    return edit


def alter(name: str, **fields: Any) -> Edit:
    """Change what a principal may: `roles`, `accounts`, `instruments`, `groups`, `budget_per_s`; the others stay."""
    assert fields.keys() <= {"roles", "accounts", "instruments", "groups", "budget_per_s"}, fields

    def edit(registry: Registry) -> Registry:
        entry = registry.entry(name)
        after = replace(entry, **fields)
        if after == entry:
            raise RegistryRefused(f"{name!r} has all that already; nothing was changed")
        return _with(registry, after)

    return edit


def regroup(name: str, instruments: Iterable[int] | None) -> Edit:
    """Make a group of instruments, or give it others; None: take it away."""

    def edit(registry: Registry) -> Registry:
        others = tuple(group for group in registry.groups if group.name != name)
        if instruments is not None:
            return replace(registry, groups=(*others, Group(name, tuple(sorted(set(instruments))))))
        if len(others) == len(registry.groups):
            known = _listed(group.name for group in others)
            raise RegistryRefused(f"there is no group {cut(name)}; there are: {known}")
        return replace(registry, groups=others)

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
            has = _listed(one.id for one in entry.credentials)
            raise RegistryRefused(f"{name!r} has no credential {cut(credential)}; it has: {has}")
        return _with(registry, replace(entry, credentials=left))

    return edit


@frozen
class Since:
    """How a document that is to be restored differs from a newer one that is known."""

    revoked: tuple[str, ...] = ()
    """Principals that were revoked since."""
    credentials: tuple[tuple[str, str], ...] = ()
    """(principal, credential) that were."""
    changed: tuple[str, ...] = ()
    """Principals that may something else since."""


def since(wanted: Registry, others: Sequence[Registry]) -> Since:
    """What was taken away between a document and the newest that is known of it."""
    newest = max(others, key=lambda one: (one.restored_ns, one.version), default=wanted)
    if (newest.restored_ns, newest.version) <= (wanted.restored_ns, wanted.version):
        return Since()
    now = {entry.name: entry for entry in newest.resolved().entries}
    revoked: list[str] = []
    credentials: list[tuple[str, str]] = []
    altered: list[str] = []
    for entry in wanted.resolved().entries:
        known = now.get(entry.name)
        if known is None or known.number != entry.number:
            revoked.append(entry.name)
            continue
        left = {one.id for one in known.credentials}
        credentials += [(entry.name, one.id) for one in entry.credentials if one.id not in left]
        if replace(known, credentials=()) != replace(entry, credentials=()):
            altered.append(entry.name)
    return Since(tuple(revoked), tuple(credentials), tuple(altered))


def restore(now_ns: int, others: Sequence[Registry] = (), *, revoked_too: bool = False) -> Edit:
    """Put a document in force though a newer one, or one with another history, was known.

    `others`: those that are known. Client numbers that stand in them are given to nobody, as those of revoked ones.
    Who was revoked since, as the newest of them says, is left out; `revoked_too`: it is back, with its credentials.
    """
    known = {number for one in others for number in (*one.retired, *(entry.number for entry in one.entries))}
    latest_ns = max((one.restored_ns for one in others), default=0)

    def edit(registry: Registry) -> Registry:
        gone = Since() if revoked_too else since(registry, others)
        kept = tuple(
            replace(
                entry,
                credentials=tuple(one for one in entry.credentials if (entry.name, one.id) not in gone.credentials),
            )
            for entry in registry.entries
            if entry.name not in gone.revoked
        )
        registry = replace(registry, entries=kept)
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


def digest(registry: Registry) -> str:
    """By which a registry is known again."""
    return sha256(_body(registry).encode()).hexdigest()[:32]


def _with(registry: Registry, entry: Entry) -> Registry:
    return replace(registry, entries=tuple(entry if one.name == entry.name else one for one in registry.entries))


def cut(said: str) -> str:
    """What somebody has said, as a message repeats it."""
    return repr(said) if len(said) <= _NAME else f"{said[:_NAME]!r}... ({len(said)} letters)"


def _listed(names: Iterable[str]) -> str:
    shown = list(names)
    more = f" and {len(shown) - _SHOWN} others" if len(shown) > _SHOWN else ""
    return ", ".join(shown[:_SHOWN]) + more or "none"


def _check_name(name: str) -> None:
    if not name.isprintable() or not 0 < len(name) <= _NAME or set(name) & set("/. "):
        raise RegistryRefused(f"the name {cut(name)} is not 1 to {_NAME} letters without blanks, dots and slashes")


def _check(registry: Registry) -> None:
    groups = {group.name for group in registry.groups}
    for name in groups:
        _check_name(name)
    if len(groups) > MAX_GROUPS:
        raise RegistryRefused(f"there are {MAX_GROUPS} groups, and no more may be")
    for entry in registry.entries:
        _check_name(entry.name)
        unknown = [role for role in entry.roles if role not in GRANTABLE]
        if unknown or not entry.roles:
            raise RegistryRefused(f"{unknown or 'no role'}: use one or several of {', '.join(GRANTABLE)}")
        if not 0 < entry.number < OPERATOR_NUMBERS:
            raise RegistryRefused(f"client number {entry.number} is outside 1 to {OPERATOR_NUMBERS - 1}")
        if len(entry.credentials) > MAX_CREDENTIALS:
            raise RegistryRefused(f"{entry.name!r} has {MAX_CREDENTIALS} credentials: revoke one first")
        missing = [name for name in entry.groups if name not in groups]
        if missing:
            raise RegistryRefused(f"{entry.name!r} has the group {cut(missing[0])}, which there is not")
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
    limited = any(entry.instruments is not None or entry.groups for entry in registry.entries)
    format_ = _LIMITED_FORMAT if limited else _FORMAT
    raw = json.dumps({"v": format_, "mac": _mac(key, cluster, body), "registry": body}).encode()
    if len(raw) > MAX_BYTES:
        raise RegistryRefused(f"the principals take {len(raw)} bytes, and {MAX_BYTES} are the most")
    return raw


def _body(registry: Registry) -> str:
    # What is not used is left out, so that a document of before has the digest that it had.
    rows = asdict(registry)
    rows["entries"] = [{key: one for key, one in row.items() if key not in _NEWER or one} for row in _given(rows)]
    if not rows["groups"]:
        del rows["groups"]
    return json.dumps(rows, separators=(",", ":"), sort_keys=True)


def _given(rows: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Limited to no instrument is something else than not limited."""
    for row in rows["entries"]:
        if row["instruments"] is None:
            yield row
        else:
            yield {**row, "limited": True}


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
        known = outer["v"] in (_FORMAT, _LIMITED_FORMAT)
        genuine = known and hmac.compare_digest(_mac(key, cluster, body), str(outer["mac"]))
        if not genuine:
            raise RegistryForged(f"the principals were not written with this cluster's key for {cluster!r}")
        inner = json.loads(body)
        entries = tuple(_entry(row) for row in inner["entries"])
        changes = tuple(Change(**row) for row in inner["changes"])
        groups = tuple(Group(row["name"], tuple(row["instruments"])) for row in inner.get("groups", ()))
        return Registry(inner["version"], entries, changes, tuple(inner["retired"]), inner["restored_ns"], groups)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if isinstance(error, RegistryForged):
            raise
        raise NoDocument("this is no document of principals") from None


def _entry(row: dict[str, Any]) -> Entry:
    credentials = tuple(Credential(**one) for one in row["credentials"])
    return Entry(
        row["name"],
        tuple(row["roles"]),
        row["number"],
        tuple(row["accounts"]),
        credentials,
        tuple(row.get("instruments", ())) if row.get("limited") else None,
        tuple(row.get("groups", ())),
        row.get("budget_per_s", 0),
    )


_NEWER: Final = ("instruments", "groups", "budget_per_s")


def _mac(key: bytes, cluster: str, body: str) -> str:
    # As JSON the name has no line's end: nothing of it passes for a part of the body.
    return hmac.new(key, f"principals\n{json.dumps(cluster)}\n{body}".encode(), sha256).hexdigest()


def registry_key(cluster: str) -> bytes:
    """Where the document stands in etcd."""
    return f"/lockstep/{cluster}/access".encode()
