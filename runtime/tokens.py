"""Who calls: what a caller shows, and the principal that it stands for. The same for every process and every door.

What is shown is a bearer token: a client's of the configuration, or one made with the cluster's key
(`access/cluster_key.py`) by a member or an operator. Nothing is hashed slowly here, and what was found is remembered:
a call costs one look into a dictionary.
"""

import hmac
import time
from collections.abc import Iterable
from hashlib import sha256
from typing import Final, Self

from lockstep.runtime.access.cluster_key import PREFIX, Holder, NotByThisKey, load_key, make_key, verify
from lockstep.runtime.access.roles import GRANTABLE
from lockstep.runtime.topology import Principal, Topology

OPEN_CLIENT: Final = Principal(name="", token="", number=0, accounts=(), admin=True, roles=GRANTABLE)
"""Stands for every caller of a cluster that lets everybody in: all accounts, all session ids, every role."""
OPERATOR_NUMBERS: Final = 0x7FFE0000
"""Client numbers from here up to the gateways' are operators'."""

_SCHEME: Final = "bearer "
_LONGEST: Final = 4096 + len(_SCHEME)
_REMEMBERED: Final = 1024


class Unauthenticated(ValueError):
    """The call names no known principal. The text says what is missing."""


class Entitlements:
    """The principals by what they show. `key`, `cluster`: of the cluster's key; empty: nobody comes by it."""

    def __init__(
        self, clients: Iterable[Principal], *, anonymous: bool = True, key: bytes = b"", cluster: str = ""
    ) -> None:
        self._clients = tuple(clients)
        self._open = anonymous and not self._clients
        self._key = key
        self._cluster = cluster
        self._by_digest = {_digest(client.token): client for client in self._clients if client.token}
        self._holders: dict[str, tuple[Principal, float]] = {}
        """By token: who made it, and until when that need not be looked at again."""

    @classmethod
    def of(cls, topology: Topology) -> Self:
        """Those of a cluster. The key is made where it is missing and all of the cluster is on this machine.

        Raises:
            EnvironmentFault: the key can't be had.
        """
        if topology.open:
            return cls(())
        path = topology.access.key_file
        key = None
        if path.name:
            key = make_key(path) if topology.on_loopback else load_key(path)
        return cls(topology.clients, anonymous=False, key=key or b"", cluster=topology.name)

    @property
    def open(self) -> bool:
        """Everybody may do everything."""
        return self._open

    @property
    def has_key(self) -> bool:
        """Members and operators can be known."""
        return bool(self._key)

    def authenticate(self, authorization: str | None) -> Principal:
        """The principal whose token the `authorization` metadata carries.

        Raises:
            Unauthenticated: there is none, or nobody has this token.
        """
        if self._open:
            return OPEN_CLIENT
        if authorization is None:
            raise Unauthenticated("no `authorization` metadata; send `authorization: Bearer <token>`")
        if not authorization[: len(_SCHEME)].lower() == _SCHEME:
            raise Unauthenticated("`authorization` metadata must be `Bearer <token>`")
        if len(authorization) > _LONGEST:
            raise Unauthenticated("the token is longer than any")
        token = authorization[len(_SCHEME) :].strip()
        if token.startswith(PREFIX):
            return self._holder(token)
        # By its digest: how long it takes says nothing about the tokens that there are.
        found = self._by_digest.get(_digest(token))
        if found is None:
            raise Unauthenticated("no client of this cluster has this token")
        return found

    def _holder(self, token: str) -> Principal:
        now_s = time.time()
        found, until_s = self._holders.get(token, (None, 0.0))
        if found is not None and now_s < until_s:
            return found
        if not self._key:
            raise Unauthenticated("this process has no cluster key to compare the token with: see key_file in [access]")
        try:
            holder = verify(self._key, self._cluster, token, int(now_s))
        except NotByThisKey as error:
            raise Unauthenticated(str(error)) from None
        if len(self._holders) >= _REMEMBERED:
            self._holders.clear()
        principal = principal_of_holder(holder)
        # Not for its whole life: a clock that was set is noticed.
        self._holders[token] = principal, now_s + 60
        return principal

    def of_soup_user(self, user: str, password: str) -> Principal:
        """The principal of a login to the binary door.

        Raises:
            Unauthenticated: nobody has this user and password.
        """
        found: Principal | None = None
        for client in self._clients:
            same_user = hmac.compare_digest(client.soup_user.encode(), user.encode())
            same_password = hmac.compare_digest(client.soup_password.encode(), password.encode())
            if same_user and same_password and client.soup_user:
                found = client
        if found is None:
            raise Unauthenticated("no client of this cluster has this user and password")
        return found


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
    return next((client.number for client in topology.clients if client.token == token), 0)


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()
