"""How a firing is delivered to a webhook: signature, back-off, when it is discarded. Pure.

Signatures are those of Standard Webhooks (standardwebhooks.com, version 1), for which there are libraries: HMAC-SHA256
of `id.timestamp.body`. The id is the firing's, the same in every attempt: a receiver that sees one twice knows it.
"""

import base64
import hashlib
import hmac
from enum import Enum
from typing import Final

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 300.0
MOST_REFUSALS: Final = 10
"""So often a receiver may refuse a firing; then it is discarded, and the next one has its turn."""
ATTEMPT_S: Final = 10.0
"""So long one attempt may take, from the connection to the answer."""
SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - how all of them begin
SECRET_BYTES: Final = 32
_TOO_EARLY: Final = (408, 425, 429)


class Verdict(Enum):
    """What an answer means."""

    TAKEN = "it has it"
    REFUSED = "it does not want it, and hardly ever will"
    AGAIN = "it can't take it now"


def verdict_of(status: int) -> Verdict:
    """Of an answer's HTTP status."""
    if 200 <= status < 300:
        return Verdict.TAKEN
    if 300 <= status < 500 and status not in _TOO_EARLY:
        return Verdict.REFUSED
    return Verdict.AGAIN


def pause_s(attempts: int, draw: float) -> float:
    """Before the next attempt, after so many without success: twice as long each time; `draw`, in [0, 1), spreads it
    over the upper half, so that receivers that come back are not called by all at once."""
    assert attempts >= 1
    longest = min(FIRST_PAUSE_S * 2.0 ** min(attempts - 1, 30), LONGEST_PAUSE_S)
    return longest * (0.5 + draw / 2)


def secret_text(secret: bytes) -> str:
    """As a client gets it."""
    return SECRET_PREFIX + base64.b64encode(secret).decode("ascii")


def headers_of(id_: str, unix_s: int, body: bytes, secret: bytes) -> dict[str, str]:
    """Of one attempt."""
    signed = f"{id_}.{unix_s}.".encode() + body
    signature = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode("ascii")
    return {
        "webhook-id": id_,
        "webhook-timestamp": str(unix_s),
        "webhook-signature": f"v1,{signature}",
        "idempotency-key": id_,
        "content-type": "application/json",
        "user-agent": "lockstep-alerts",
    }
