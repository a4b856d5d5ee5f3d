"""Who calls: what a caller shows, and the principal that it stands for. The same for every process and every door.

What is shown is a bearer token, of four kinds, told apart by how it begins:

* a client's of the configuration;
* one made with the cluster's key by a member or an operator (`access/cluster_key.py`): `lsk1.`;
* an API key, of which only the hash is stored (`access/registry.py`): `lk1.`;
* a JWT, signed with a key that a principal has registered, or that an issuer has published: `eyJ`.

What was verified once is remembered, so a call costs one look into a dictionary. An API key that was not seen before is
hashed slowly, in a thread and a few at a time (`identify`); `authenticate`, which never waits, does not know it then.
"""

import asyncio
import hmac
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Final, Self

from lockstep.runtime.access import jwt_login
from lockstep.runtime.access.callers import OPEN_CLIENT as OPEN_CLIENT
from lockstep.runtime.access.callers import NotLookedAt as NotLookedAt
from lockstep.runtime.access.callers import PrincipalsUnknown as PrincipalsUnknown
from lockstep.runtime.access.callers import TooManyLogins as TooManyLogins
from lockstep.runtime.access.callers import Unauthenticated as Unauthenticated
from lockstep.runtime.access.cluster_key import (
    PREFIX,
    ClusterKeys,
    Holder,
    NotByThisKey,
    by_any,
    load_keys,
    make_key,
    verify,
)
from lockstep.runtime.access.jwt_login import JwtKeys, NoSuchLogin
from lockstep.runtime.access.numbers import NOBODY, clashes, clashes_with_former
from lockstep.runtime.access.registry import Credential, Entry, Registry
from lockstep.runtime.access.secret_hash import KEY_PREFIX, fingerprint, key_id, key_number, matches
from lockstep.runtime.budget import Budgets
from lockstep.runtime.rate import Rate
from lockstep.runtime.topology import OPERATOR_NUMBERS as OPERATOR_NUMBERS
from lockstep.runtime.topology import Principal, Topology

_NOBODY: Final = "no client of this cluster has this token"
_NO_USER: Final = "no client of this cluster has this user and password"
_SCHEME: Final = "bearer "
_LONGEST: Final = 4096 + len(_SCHEME)
_REMEMBERED: Final = 4096
_HOLDER_S: Final = 60.0
_HEAR_S: Final = 3.0
HASHES_AT_ONCE: Final = 2
HASHES_WAITING: Final = 64
GUESSES_PER_S: Final = 1
GUESSES_AT_ONCE: Final = 10
"""Of wrong secrets for one API key or user."""


class Unverified(Unauthenticated):
    """It may be somebody's secret, which has to be hashed first: `identify` does."""

    def __init__(self, secret: str, entry: Entry, credential: Credential) -> None:
        super().__init__("this API key was not seen before, and is being looked at: try again")
        self.secret = secret
        self.entry = entry
        self.credential = credential


def _until_s(credential: Credential) -> float:
    return credential.until_ns / 1e9 if credential.until_ns else float("inf")


class Entitlements:
    """The principals by what they show. `key`, `cluster`: of the cluster's key; empty: nobody comes by it.
    `other_keys`: by which one comes as well, while the key is changed.

    Belongs to one event loop; `authenticate` may be called from any thread.
    """

    def __init__(
        self,
        clients: Iterable[Principal],
        *,
        anonymous: bool = True,
        key: bytes = b"",
        other_keys: tuple[bytes, ...] = (),
        cluster: str = "",
        issuers: JwtKeys | None = None,
    ) -> None:
        self.budgets = Budgets()
        """What each may ask of this process; no bounds, until `access/entering.py` has set them."""
        self._clients = tuple(clients)
        self._open = anonymous and not self._clients
        self._keys = (key, *other_keys) if key else ()
        self._cluster = cluster
        self._issuers = issuers or JwtKeys(())
        self._by_digest = {fingerprint(client.token): client for client in self._clients if client.token}
        self._verified: dict[bytes, tuple[Principal, float, str]] = {}
        """By fingerprint: whose it is, until when (Unix time) that need not be looked at again, and the stored hash
        that it was compared with, if that took a slow one."""
        self._verifying: dict[bytes, asyncio.Task[Principal]] = {}
        """By fingerprint: those that are being hashed."""
        self._remembering = threading.Lock()
        """The thread of the figures identifies callers too."""
        self._registry = Registry()
        self.clashes: dict[str, str] = {}
        """Stored principals that are not let in, since a client of the configuration has their number, name or user,
        or one that can't be verified any more had their number."""
        self.former: Mapping[int, str] = {}
        """Who had which number, by principals that were kept and can't be verified (`access/numbers.py`)."""
        self.revived: tuple[str, ...] = ()
        """Clients of the configuration with the number, and so with the sessions, of a principal that was revoked."""
        self._by_credential: dict[str, tuple[Entry, Credential]] = {}
        self._watching: dict[object, tuple[Principal, Callable[[], None]]] = {}
        self._guesses: dict[str, Rate] = {}
        """By credential, or by name of a configured client at the binary door."""
        self._logged_in: dict[bytes, None] = {}
        """Fingerprints of what configured clients have shown at the binary door, with the host that they came from."""
        self._hashing = asyncio.Semaphore(HASHES_AT_ONCE)
        self._waiting = 0
        self._heard = asyncio.Event()
        """The stored principals were told of once, or nobody need wait for that."""
        self._unknown = bool(key)
        """Nothing is known of stored principals: whether there are any, even."""

    @classmethod
    def of(cls, topology: Topology) -> Self:
        """Those of a cluster. The key is made where it is missing and all of the cluster is on this machine.

        Raises:
            EnvironmentFault: the key can't be had.
        """
        if topology.open:
            return cls(())
        path = topology.access.key_file
        keys = None
        if path.name:
            if topology.on_loopback:
                make_key(path)
            keys = load_keys(path)
        issuers = jwt_login.load_keys(topology.access.jwks_file) if topology.access.jwks_file.name else None
        own, others = (keys.own, keys.others) if keys is not None else (b"", ())
        return cls(
            topology.clients, anonymous=False, key=own, other_keys=others, cluster=topology.name, issuers=issuers
        )

    @property
    def open(self) -> bool:
        """Everybody may do everything."""
        return self._open

    @property
    def key(self) -> bytes:
        """The cluster's; empty: this process has none."""
        return self._keys[0] if self._keys else b""

    @property
    def keys(self) -> tuple[bytes, ...]:
        """Those by which somebody may come: the cluster's, and others while it is changed."""
        return self._keys

    def rekey(self, keys: ClusterKeys) -> None:
        """The cluster's key is being changed, or was."""
        self._keys = keys.believed
        with self._remembering:
            # Members and operators show again what they have; it costs no slow hash.
            self._verified = {print_: one for print_, one in self._verified.items() if one[0].credential}

    # ---- principals that come and go ---------------------------------------------------------------------------------

    def replace(self, registry: Registry, *, heard: bool = True) -> None:
        """From now on these are the principals beside those of the configuration; who is none any more is ended.

        Not `heard`: they are what this process knew in an earlier life, and there may be newer ones.
        """
        registry = registry.resolved()
        self.clashes = clashes(registry, self._clients) | clashes_with_former(registry, self.former)
        revoked = dict.fromkeys(registry.retired, NOBODY)
        had = {**self.former, **revoked}
        self.revived = tuple(one.name for one in self._clients if had.get(one.number, one.name) != one.name)
        registry = replace(registry, entries=tuple(one for one in registry.entries if one.name not in self.clashes))
        self._registry = registry
        if heard:
            self._heard.set()
        self._unknown = not heard and not registry.version
        self._by_credential = {one.id: (entry, one) for entry in registry.entries for one in entry.credentials}
        with self._remembering:
            self._verified = dict(self._still_good())
        kept = self._by_credential.keys() | {_guesses_at(client) for client in self._clients}
        self._guesses = {one: rate for one, rate in self._guesses.items() if one in kept}
        self.end_over()

    def not_believed(self) -> None:
        """What stands in etcd was refused: nobody waits for what may never come. What was known stays."""
        self._heard.set()

    def _still_good(self) -> Iterator[tuple[bytes, tuple[Principal, float, str]]]:
        """Of what took a slow hash: a change of somebody else makes nobody prove a secret again."""
        for print_, (principal, _, secret) in self._verified.items():
            entry, credential = self._by_credential.get(principal.credential, (None, None))
            if entry is None or credential is None or not secret or credential.secret != secret:
                continue
            if entry.principal(credential) == principal:
                yield print_, (principal, _until_s(credential), secret)

    def end_over(self) -> None:
        """End what principals have open that are over: revoked, changed, or past their time."""
        now_ns = time.time_ns()
        for token, (principal, end) in list(self._watching.items()):
            if can_end(principal) and not self._stands(principal, now_ns):
                # Once: what is being ended may take a while.
                self._watching.pop(token, None)
                end()

    def _stands(self, principal: Principal, now_ns: int) -> bool:
        if 0 < principal.until_ns <= now_ns:
            return False
        if not principal.credential:
            return True
        entry, credential = self._by_credential.get(principal.credential, (None, None))
        if entry is None or credential is None:
            # By an issuer's JWT: as long as there is a principal of the name.
            named = {one.name: one for one in self._registry.entries}.get(principal.name)
            by_issuer = principal.credential.startswith(jwt_login.ISSUED)
            return by_issuer and named is not None and named.principal(principal.credential) == principal
        return not 0 < credential.until_ns <= now_ns and entry.principal(credential) == principal

    def watch(self, principal: Principal, end: Callable[[], None]) -> Callable[[], None]:
        """Something of a principal is open: `end` is called when the principal is one no more.

        Returns what is to be called when it is closed; as often as one likes.
        """
        token = object()
        self._watching[token] = principal, end

        def unwatch() -> None:
            self._watching.pop(token, None)

        return unwatch

    def numbered(self, number: int) -> Principal | None:
        """The principal of a number as it is now, whatever it shows; None: there is none."""
        if self._open:
            return OPEN_CLIENT
        known = (client for client in self._clients if client.number == number)
        stored = (one.principal("") for one in self._registry.entries if one.number == number)
        return next(known, None) or next(stored, None)

    def stores_user(self, user: str) -> bool:
        """Whether a stored principal has this name at the binary door: then its password takes a slow hash."""
        return any(one.kind == "password" and one.user == user for _, one in self._by_credential.values())

    # ---- who calls -----------------------------------------------------------------------------------------------

    def authenticate(self, authorization: str | None) -> Principal:
        """The principal whose token the `authorization` metadata carries, as far as that shows at once.

        Raises:
            Unverified: it takes a slow hash to know. Unauthenticated: there is none, or nobody has this token.
        """
        if self._open:
            return OPEN_CLIENT
        if authorization is None:
            raise Unauthenticated("no `authorization` metadata; send `authorization: Bearer <token>`")
        if authorization[: len(_SCHEME)].lower() != _SCHEME:
            raise Unauthenticated("`authorization` metadata must be `Bearer <token>`")
        if len(authorization) > _LONGEST or not authorization.isascii():
            raise Unauthenticated("the token is longer than any, or has letters that none has")
        token = authorization[len(_SCHEME) :].strip()
        print_ = fingerprint(token)
        # By its digest: how long it takes says nothing about the tokens that there are.
        found = self._by_digest.get(print_)
        if found is not None:
            return found
        return self._known(print_) or self._first_seen(token, print_)

    def _known(self, print_: bytes) -> Principal | None:
        """Who showed this before, while that is good."""
        principal, until_s, _ = self._verified.get(print_, (None, 0.0, ""))
        return principal if time.time() < until_s else None

    def _first_seen(self, token: str, print_: bytes) -> Principal:
        if token.startswith(PREFIX):
            return self._remember(print_, self._holder(token), time.time() + _HOLDER_S)
        if token.startswith(KEY_PREFIX):
            entry, credential = self._credential(key_id(token), "key")
            raise Unverified(token, entry, credential)
        if token.startswith(jwt_login.BEGINNING):
            try:
                principal = jwt_login.verify(token, self._registry, self._issuers, self._cluster)
            except NoSuchLogin as error:
                raise Unauthenticated(str(error)) from None
            return self._remember(print_, principal, principal.until_ns / 1e9)
        raise Unauthenticated(_NOBODY)

    async def identify(self, authorization: str | None) -> Principal:
        """As `authenticate`, and an API key that was not seen before is hashed meanwhile.

        Raises:
            Unauthenticated: there is no token, or nobody has this one. NotLookedAt: see there.
        """
        if not self._heard.is_set() and self._may_be_stored(authorization):
            await self._hear()
        try:
            return self.authenticate(authorization)
        except Unverified as unverified:
            return await self._verify(unverified)
        except Unauthenticated:
            self._require_known(authorization)
            raise

    def _require_known(self, authorization: str | None) -> None:
        """Raises PrincipalsUnknown: nobody can say whose this is. Who says no takes a good key for a wrong one."""
        if self._unknown and self._may_be_stored(authorization):
            raise PrincipalsUnknown from None

    def _may_be_stored(self, authorization: str | None) -> bool:
        token = (authorization or "")[len(_SCHEME) :].strip()
        return bool(self._keys) and token.startswith((KEY_PREFIX, jwt_login.BEGINNING))

    async def _hear(self) -> None:
        """A process that has just started learns a moment later who is stored: nobody is sent away for that."""
        if self._waiting >= HASHES_WAITING:
            return
        self._waiting += 1
        try:
            async with asyncio.timeout(_HEAR_S):
                await self._heard.wait()
        except TimeoutError:
            # etcd does not answer: nobody else waits for it. Those that were known are taken as they are.
            self._heard.set()
            return
        finally:
            self._waiting -= 1

    def authenticate_slowly(self, authorization: str | None) -> Principal:
        """The same for a thread that may wait, such as that of the figures.

        Raises:
            Unauthenticated: there is no token, or nobody has this one. TooManyLogins: see there.
        """
        try:
            return self.authenticate(authorization)
        except Unverified as unverified:
            credential = unverified.credential
            self._count_guess(credential.id)
            if not matches(unverified.secret, credential.secret):
                raise Unauthenticated(_NOBODY) from None
            return self._verified_now(credential, fingerprint(unverified.secret))
        except Unauthenticated:
            self._require_known(authorization)
            raise

    async def identify_soup_user(self, user: str, password: str, host: str = "") -> Principal:
        """The principal of a login to the binary door, from a host.

        Who guesses keeps nobody out who has logged in from that host before. Elsewhere each is counted: passwords are
        short.

        Raises:
            Unauthenticated: nobody has this user and password. TooManyLogins: see there.
        """
        for entry, credential in self._by_credential.values():
            if credential.kind == "password" and credential.user == user:
                print_ = _soup_print(user, password, host)
                return self._known(print_) or await self._verify(Unverified(password, entry, credential), print_)
        return self.of_soup_user(user, password, host)

    async def _verify(self, asked: Unverified, print_: bytes | None = None) -> Principal:
        """Calls that show the same at the same time wait for one hash."""
        print_ = print_ or fingerprint(asked.secret)
        running = self._verifying.get(print_)
        if running is None:
            running = self._verifying[print_] = asyncio.ensure_future(self._hash(asked, print_))
            running.add_done_callback(lambda done: self._hashed(print_, done))
        return await asyncio.shield(running)

    def _hashed(self, print_: bytes, done: "asyncio.Task[Principal]") -> None:
        self._verifying.pop(print_, None)
        if not done.cancelled():
            # Whoever asked may have gone.
            done.exception()

    async def _hash(self, asked: Unverified, print_: bytes) -> Principal:
        credential = asked.credential
        if self._waiting >= HASHES_WAITING:
            raise TooManyLogins
        self._count_guess(credential.id)
        self._waiting += 1
        try:
            async with self._hashing:
                same = await asyncio.to_thread(matches, asked.secret, credential.secret)
        finally:
            self._waiting -= 1
        if not same:
            raise Unauthenticated(_NOBODY)
        return self._verified_now(credential, print_)

    def _verified_now(self, hashed: Credential, print_: bytes) -> Principal:
        self._uncount_guess(hashed.id)
        # It may have been revoked while it was hashed, or have another secret by now.
        entry, credential = self._credential(hashed.id, hashed.kind)
        if credential.secret != hashed.secret:
            raise Unauthenticated(_NOBODY)
        return self._remember(print_, entry.principal(credential), _until_s(credential), credential.secret)

    def _count_guess(self, at: str) -> None:
        """Raises TooManyLogins: there were as many already."""
        rate = self._guesses.setdefault(at, Rate(GUESSES_PER_S, GUESSES_AT_ONCE))
        if rate.wait_ns(time.monotonic_ns()):
            raise TooManyLogins

    def _uncount_guess(self, at: str) -> None:
        """Only what is wrong is a guess."""
        rate = self._guesses.get(at)
        if rate is not None:
            rate.give_back()

    def _credential(self, id: str, kind: str) -> tuple[Entry, Credential]:
        found = self._by_credential.get(id)
        if found is None or found[1].kind != kind:
            raise Unauthenticated(_NOBODY)
        if 0 < found[1].until_ns <= time.time_ns():
            raise Unauthenticated("this token's time is over; get a new one: lockstep access rotate")
        return found

    def _remember(self, print_: bytes, principal: Principal, until_s: float, secret: str = "") -> Principal:
        with self._remembering:
            if len(self._verified) >= _REMEMBERED:
                del self._verified[next(iter(self._verified))]
            self._verified[print_] = principal, until_s, secret
        return principal

    def _holder(self, token: str) -> Principal:
        if not self._keys:
            raise Unauthenticated("this process has no cluster key to compare the token with: see key_file in [access]")
        try:
            now_s = int(time.time())
            holder, _ = by_any(self._keys, lambda key: verify(key, self._cluster, token, now_s), NotByThisKey)
        except NotByThisKey as error:
            raise Unauthenticated(str(error)) from None
        # A call that is made later shows a newer one; what is open a day after this one was made is not made anew.
        return replace(principal_of_holder(holder), until_ns=holder.until_s * 1_000_000_000)

    def of_soup_user(self, user: str, password: str, host: str = "") -> Principal:
        """The configured client of a login to the binary door, from a host.

        Raises:
            Unauthenticated: nobody has this user and password. TooManyLogins: see there.
        """
        client = next((one for one in self._clients if one.soup_password and one.soup_user == user), None)
        if client is None:
            raise Unauthenticated(_NO_USER)
        print_, at = _soup_print(user, password, host), _guesses_at(client)
        if print_ in self._logged_in:
            return client
        self._count_guess(at)
        if not hmac.compare_digest(client.soup_password.encode(), password.encode()):
            raise Unauthenticated(_NO_USER)
        self._uncount_guess(at)
        if len(self._logged_in) >= _REMEMBERED:
            del self._logged_in[next(iter(self._logged_in))]
        self._logged_in[print_] = None
        return client


def _guesses_at(client: Principal) -> str:
    # No credential's id has a blank.
    return f"user {client.soup_user}"


def _soup_print(user: str, password: str, host: str) -> bytes:
    return fingerprint(repr((user, password, host)))


def can_end(principal: Principal) -> bool:
    """Whether what it has open may have to be ended: all but what a client of the configuration has."""
    return bool(principal.credential or principal.until_ns)


def principal_of_holder(holder: Holder) -> Principal:
    """A member or operator as a principal. Its client number is of those that no client may have."""
    return Principal(name=holder.name, number=number_of_holder(holder.name), roles=holder.roles)


def number_of_holder(name: str) -> int:
    """Follows from the name, so that both ends know it."""
    return OPERATOR_NUMBERS + int.from_bytes(sha256(name.encode()).digest()[:2], "big")


def number_of(topology: Topology, token: str) -> int:
    """The client number that goes with a token, as far as it shows: what sessions are opened with. 0: it does not."""
    if token.startswith(PREFIX):
        name = token.removeprefix(PREFIX).split(".")[1:2]
        return number_of_holder(name[0]) if name else 0
    return key_number(token) or next((client.number for client in topology.clients if client.token == token), 0)
