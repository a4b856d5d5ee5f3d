"""Who calls: bearer tokens, as the topology lists them; the same at gateways and feeds. Pure.

A topology without clients lets everybody in: for development on one's own machine.
"""

import hmac
from collections.abc import Iterable
from typing import Final

from lockstep.runtime.topology import Client

OPEN_CLIENT: Final = Client(name="", token="", number=0, accounts=(), admin=True)
"""Stands for every client of a cluster that lists none: all accounts, all session ids, administration."""

_SCHEME: Final = "bearer "


class Unauthenticated(ValueError):
    """The call names no known client. The text says what is missing."""


class Entitlements:
    """The clients by token, and what each may touch."""

    def __init__(self, clients: Iterable[Client]) -> None:
        self._clients = tuple(clients)

    @property
    def open(self) -> bool:
        """No client is listed: everybody may do everything."""
        return not self._clients

    def authenticate(self, authorization: str | None) -> Client:
        """The client whose token the `authorization` metadata carries.

        Raises:
            Unauthenticated: there is none, or no client has this token.
        """
        if not self._clients:
            return OPEN_CLIENT
        if authorization is None:
            raise Unauthenticated("no `authorization` metadata; send `authorization: Bearer <token>`")
        if not authorization.lower().startswith(_SCHEME):
            raise Unauthenticated("`authorization` metadata must be `Bearer <token>`")
        token = authorization[len(_SCHEME) :].strip().encode()
        found: Client | None = None
        for client in self._clients:
            # All are compared, in constant time each: how long it takes says nothing about the tokens.
            if hmac.compare_digest(client.token.encode(), token):
                found = client
        if found is None:
            raise Unauthenticated("no client of this cluster has this token")
        return found

    def of_soup_user(self, user: str, password: str) -> Client:
        """The client of a login to the binary door.

        Raises:
            Unauthenticated: no client has this user and password.
        """
        found: Client | None = None
        for client in self._clients:
            same_user = hmac.compare_digest(client.soup_user.encode(), user.encode())
            same_password = hmac.compare_digest(client.soup_password.encode(), password.encode())
            if same_user and same_password and client.soup_user:
                found = client
        if found is None:
            raise Unauthenticated("no client of this cluster has this user and password")
        return found
