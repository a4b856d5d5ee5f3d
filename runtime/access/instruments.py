"""Which instruments a principal may trade and read, where it is limited to some. Pure."""

from collections.abc import Iterable
from typing import Final

from lockstep.runtime.topology import Principal

_SHOWN: Final = 20


def why_not(principal: Principal, instruments: Iterable[int]) -> str:
    """Why a principal may not have these; empty: it may. None named stands for all, as in subscriptions."""
    own = principal.instruments
    if own is None:
        return ""
    named = tuple(instruments)
    may = f"it may have {_listed(own)}" if own else "it may have none"
    if not named:
        return f"{principal.name!r} is limited to some instruments: name them; {may}"
    strange = [number for number in named if number not in own]
    return f"{principal.name!r} is not entitled to instrument {_listed(strange)}; {may}" if strange else ""


def may_read(principal: Principal, instrument: int) -> bool:
    """Whether a principal may see prices of an instrument, in a list that says of all which there are."""
    return principal.instruments is None or instrument in principal.instruments


def _listed(numbers: Iterable[int]) -> str:
    shown = [str(number) for number in numbers]
    return ", ".join(shown[:_SHOWN]) + (f" and {len(shown) - _SHOWN} others" if len(shown) > _SHOWN else "")
