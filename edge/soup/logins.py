"""Who logs in, and to which session. Pure.

A session's name is its number in decimal: the lower 32 bits of the session's id. The upper ones are the client's
number.
"""

import zlib
from dataclasses import dataclass
from typing import Final, Protocol

from lockstep.edge.soup.packets import Login
from lockstep.gateway.sessions import GATEWAY_CLIENT_BASE
from lockstep.runtime import topology
from lockstep.runtime.access.callers import OPEN_CLIENT, Unauthenticated
from lockstep.runtime.access.permissions import ORDER_DOOR
from lockstep.stream.records import SelfTradePrevention

CURRENT: Final = 1
"""The session of a login that names none."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who logged in, and what of."""

    client: topology.Principal
    session_id: int
    account: int
    """Of orders that name no firm."""
    self_trade: SelfTradePrevention

    @property
    def session(self) -> int:
        """Its name, as a number."""
        return self.session_id & 0xFFFF_FFFF


class Users(Protocol):
    """Whom the cluster's configuration knows (`runtime/tokens.py`)."""

    @property
    def open(self) -> bool:
        """Everybody may do everything."""

    def of_soup_user(self, user: str, password: str, host: str) -> topology.Principal:
        """Raises Unauthenticated: nobody has this user and password."""


def principal_of(login: Login, users: Users, host: str = "") -> Principal:
    """Who logs in, from a host.

    In a cluster that lists no clients everybody may: a user's name that is a number stands for the client and the
    account of that number, any other for a client number that follows from it, and account 1.

    Raises:
        Unauthenticated: nobody whom this cluster knows.
    """
    session = login.session or CURRENT
    if users.open:
        number = _open_number(login.user)
        account = number if login.user.isdecimal() else 1
        return Principal(OPEN_CLIENT, number << 32 | session, account, SelfTradePrevention.NONE)
    return of_client(login, users.of_soup_user(login.user, login.password, host))


def of_client(login: Login, client: topology.Principal) -> Principal:
    """What a client logs in to.

    Raises:
        Unauthenticated: it may not enter orders.
    """
    session = login.session or CURRENT
    if not client.may(ORDER_DOOR):
        raise Unauthenticated(f"{client.name!r} is no trader: this door takes orders")
    account = client.accounts[0] if client.accounts else client.number
    prevention = SelfTradePrevention[client.soup_self_trade.upper()]
    return Principal(client, client.number << 32 | session, account, prevention)


def _open_number(user: str) -> int:
    if user.isdecimal() and 0 < int(user) < GATEWAY_CLIENT_BASE:
        return int(user)
    if not user:
        raise Unauthenticated("the login names no user")
    return zlib.crc32(user.encode()) % (GATEWAY_CLIENT_BASE - 1) + 1
