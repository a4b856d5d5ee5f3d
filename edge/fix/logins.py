"""Who logs on over FIX, and to which session. Pure.

The same clients, with the same users and passwords, as at the binary door (`edge/soup/logins.py`). A session is known
by the client and its CompID; its number has the highest bit of the lower half set, so no session of the binary door
has it by chance.
"""

import hashlib
from typing import Final

from lockstep.edge.fix.values import Claim
from lockstep.edge.soup.logins import Principal, Users
from lockstep.edge.soup.logins import principal_of as soup_principal_of
from lockstep.edge.soup.packets import Login
from lockstep.runtime.access.callers import Unauthenticated

_FIX: Final = 1 << 31


def session_of(claim: Claim) -> int:
    """Lower half of the session's id: it follows from SenderCompID and SenderSubID."""
    name = claim.sender + b"\x01" + claim.sender_sub
    return _FIX | int.from_bytes(hashlib.blake2b(name, digest_size=4).digest(), "big") >> 1


def user_of(claim: Claim) -> tuple[str, str]:
    """User and password: Username (553), or else SenderCompID; Password (554)."""
    return (claim.username or claim.sender).decode("latin-1"), claim.password.decode("latin-1")


def principal_of(claim: Claim, users: Users, host: str) -> Principal:
    """Who logs on, from a host.

    Raises:
        Unauthenticated: nobody whom this cluster knows.
    """
    user, password = user_of(claim)
    if claim.raw_data and not password and not users.open:
        raise Unauthenticated("a signature (RawData, 96) is not taken here: send Password (554)")
    return soup_principal_of(Login(user, password, session_of(claim), 0), users, host)
