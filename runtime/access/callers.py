"""Who calls, as far as pure code has to know: everybody, where a cluster is open, and nobody. Pure."""

from typing import Final

from lockstep.runtime.access.roles import GRANTABLE
from lockstep.runtime.topology import Principal

OPEN_CLIENT: Final = Principal(name="", token="", number=0, accounts=(), admin=True, roles=GRANTABLE)
"""Stands for every caller of a cluster that lets everybody in: all accounts, all session ids, every role."""


class Unauthenticated(ValueError):
    """The call names no known principal. The text says what is missing."""


class TooManyLogins(Unauthenticated):
    """Whether it is somebody is not looked at now: so many others wait, or were wrong. `RETRY_S` later it is."""

    RETRY_S: Final = 1

    def __init__(self) -> None:
        super().__init__("too many logins at once; try again in a second")
