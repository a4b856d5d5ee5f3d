"""How much a user may have, and what is refused to him. Pure."""

from typing import Final

from lockstep.posttrade.alerts.machine import AlertMachine
from lockstep.posttrade.alerts.rules import OF_INSTRUMENT, BadAlert, Definition, Kind, check
from lockstep.stream.codes import Code

MOST_ALERTS: Final = 500
MOST_REQUESTS: Final = 100_000
"""New and ended alerts of a user, in all: each is kept, because a rebuild needs it."""
MOST_WATCHLISTS: Final = 50
MOST_LISTED: Final = 500
"""Instruments of one list."""
MOST_ENDPOINTS: Final = 5


class Refused(Exception):
    """What a user asked for can't be had. The text says why; `full`: some bound is reached; not `known`: there is no
    such thing."""

    def __init__(
        self, text: str, *, full: bool = False, known: bool = True, code: Code = Code.FIELD_OUT_OF_RANGE
    ) -> None:
        super().__init__(text)
        self.code = code
        self.full = full
        self.known = known


def refuse(machine: AlertMachine, owner: int, one: Definition, requests: int) -> None:
    """Whether a user may have an alert; `requests`: how many he has made.

    Raises:
        Refused: he may not.
    """
    try:
        check(one)
    except BadAlert as bad:
        raise Refused(str(bad)) from None
    if len(machine.owned.get(owner, ())) >= MOST_ALERTS:
        raise Refused(f"you have {MOST_ALERTS} alerts, which is all that one user may have: remove some", full=True)
    if requests >= MOST_REQUESTS:
        raise Refused(f"you have made and removed {MOST_REQUESTS} alerts, which is all that is kept", full=True)
    world = machine.world
    needs_instrument = one.kind in OF_INSTRUMENT or one.kind == Kind.POSITION_LIMIT
    if (needs_instrument or one.instrument) and one.instrument not in world.instruments:
        raise Refused(f"there is no instrument {one.instrument}", known=False, code=Code.UNKNOWN_INSTRUMENT)
    if one.kind not in OF_INSTRUMENT and one.account not in world.accounts:
        raise Refused(f"there is no account {one.account}", known=False, code=Code.UNKNOWN_ACCOUNT)
