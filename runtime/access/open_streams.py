"""How many streams one principal, and one address, may have open at a gRPC server. Pure.

gRPC itself bounds connections (`CLIENTS_OPTIONS`), all together: it says of none whose it is, and lets nobody end one.
Whose a stream is is known, so streams are counted here.
"""

from collections import Counter
from typing import Final

from lockstep.runtime.access.callers import OPEN_CLIENT
from lockstep.runtime.topology import Principal

MAX_OF_ONE: Final = 2_048
"""Of one principal: sessions, subscriptions and feeds."""
MAX_OF_HOST: Final = 8_192
"""From one address, of whomever."""


def host_of(peer: str) -> str:
    """The address in what gRPC says of a call's other end, as `ipv4:127.0.0.1:5000`."""
    return peer.rpartition(":")[0]


class OpenStreams:
    """Invariant: no count is negative, and none is kept at zero."""

    def __init__(self) -> None:
        self._of: Counter[tuple[str, str]] = Counter()

    def enter(self, principal: Principal, host: str) -> str:
        """One more is opened; why it may not be, empty: it is counted, until `leave`."""
        if principal is not OPEN_CLIENT and self._of["principal", principal.name] >= MAX_OF_ONE:
            return f"{principal.name!r} has {MAX_OF_ONE} streams open at this process: end some"
        if self._of["host", host] >= MAX_OF_HOST:
            return f"{MAX_OF_HOST} streams are open from this address: end some"
        for key in (("principal", principal.name), ("host", host)):
            self._of[key] += 1
        return ""

    def leave(self, principal: Principal, host: str) -> None:
        """It is over."""
        for key in (("principal", principal.name), ("host", host)):
            self._of[key] -= 1
            assert self._of[key] >= 0, f"{key} has {self._of[key]} streams"
            if not self._of[key]:
                del self._of[key]
