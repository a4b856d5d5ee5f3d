"""Who calls, as far as pure code has to know: everybody, where a cluster is open, and nobody. Pure."""

from http import HTTPStatus
from typing import Final

from lockstep.runtime.access.roles import GRANTABLE
from lockstep.runtime.topology import Principal

OPEN_CLIENT: Final = Principal(name="", token="", number=0, accounts=(), admin=True, roles=GRANTABLE)
"""Stands for every caller of a cluster that lets everybody in: all accounts, all session ids, every role."""


class Unauthenticated(ValueError):
    """The call names no known principal. The text says what is missing."""


class NotLookedAt(Unauthenticated):
    """Whether it is somebody can't be said now. `RETRY_S` later it may be."""

    RETRY_S: Final = 1
    http = HTTPStatus.SERVICE_UNAVAILABLE


class PrincipalsUnknown(NotLookedAt):
    """It may be a stored principal, and this process knows of none: etcd has not told, or is not believed."""

    def __init__(self) -> None:
        super().__init__(
            "this process can't verify stored principals now: etcd does not tell of them, or what stands there was not "
            "written with the cluster's key (its log says which); try again, or another address"
        )


class TooManyLogins(NotLookedAt):
    """So many others wait, or were wrong."""

    http = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self) -> None:
        super().__init__("too many logins at once; try again in a second")
