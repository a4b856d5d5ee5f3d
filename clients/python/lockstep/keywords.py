"""Arguments by name: a word that a call does not know is a TypeError that names it and the nearest one that it knows.

Python's own check does not see the terms that come as `**terms`, and would not know that `limit_price` means `price`.
"""

import inspect
import sys
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from functools import wraps
from typing import Final, ParamSpec, TypeVar, get_args

P = ParamSpec("P")
R = TypeVar("R")

# How others call it, without case and underscores -> our words; the first that the call knows is meant.
_ELSEWHERE: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(("limitprice", "limit", "px", "rate", "limitpx"), ("price",)),
    **dict.fromkeys(("quantity", "qty", "size", "volume", "shares", "lots", "orderqty"), ("quantity_lots",)),
    **dict.fromkeys(("amount", "cash", "money", "value"), ("amount", "quantity_lots")),
    **dict.fromkeys(("symbol", "ticker", "security", "market", "instrumentid"), ("instrument", "id")),
    **dict.fromkeys(("timeinforce", "duration", "validity"), ("tif",)),
    **dict.fromkeys(("type", "ordtype", "kind"), ("order_type",)),
    **dict.fromkeys(("stop", "stoppx", "triggerprice", "trigger", "stopprice"), ("stop_price", "stop_price_ticks")),
    **dict.fromkeys(("clordid", "clientid", "clientorder", "orderref", "coid"), ("client_order_id",)),
    **dict.fromkeys(("id", "orderid", "exchangeid"), ("order_id", "client_order_id")),
    **dict.fromkeys(("expiry", "expires", "expiretime", "goodtill", "goodtilldate", "gtd"), ("expire_ns",)),
    **dict.fromkeys(("iceberg", "maxfloor", "visible", "peak", "displayqty", "displayquantity"), ("display_lots",)),
    **dict.fromkeys(("minqty", "minquantity", "minimum"), ("min_lots",)),
    **dict.fromkeys(("selftradeprevention", "smp", "stpmode"), ("stp",)),
    **dict.fromkeys(("trailing", "trailamount", "trailoffset", "callback"), ("trail", "trail_ticks")),
    **dict.fromkeys(("maker", "makeronly", "participatedonotinitiate"), ("post_only",)),
    **dict.fromkeys(("acct", "accountid"), ("account",)),
    **dict.fromkeys(("direction", "buysell", "action"), ("side",)),
    **dict.fromkeys(("reduceonly", "closeposition"), ()),
}
_LEAST_ALIKE: Final = 0.6


def nearest(unknown: str, known: Iterable[str]) -> str | None:
    """The word among `known` that was probably meant; None if none comes near."""
    by_letters = {_letters(word): word for word in known}
    letters = _letters(unknown)
    if letters in by_letters:
        return by_letters[letters]
    if letters in _ELSEWHERE:
        words = set(by_letters.values())
        return next((word for word in _ELSEWHERE[letters] if word in words), None)
    found = get_close_matches(letters, by_letters, n=1, cutoff=_LEAST_ALIKE)
    return by_letters[found[0]] if found else None


def _letters(word: str) -> str:
    return word.replace("_", "").replace("-", "").casefold()


def named_arguments(call: Callable[P, R]) -> Callable[P, R]:
    """Decorates a call whose arguments are given by name, `**terms` of a TypedDict included."""
    known = frozenset(_known_to(call))

    @wraps(call)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        if not known.issuperset(kwargs):
            unknown = next(word for word in kwargs if word not in known)
            meant = nearest(unknown, sorted(known))
            hint = f"did you mean {meant!r}?" if meant else f"it takes {', '.join(sorted(known))}"
            raise TypeError(f"{call.__name__}() got an unexpected keyword argument {unknown!r}; {hint}")
        return call(*args, **kwargs)

    # Before Python 3.12 nothing shows `inspect` that it makes a coroutine; calling it is the same.
    if sys.version_info >= (3, 12) and inspect.iscoroutinefunction(call):
        return inspect.markcoroutinefunction(checked)
    return checked


def _known_to(call: Callable[..., object]) -> Iterable[str]:
    for parameter in list(inspect.signature(call).parameters.values()):
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            (terms,) = get_args(parameter.annotation)
            yield from terms.__annotations__
        elif parameter.name != "self":
            yield parameter.name
