"""Alerts in words, as `lockstep alerts add` takes them and `list` shows them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lockstep.ops.cli.options import InputFault

if TYPE_CHECKING:
    from lockstep.v1 import alerts_pb2

_FORMS = {
    "price": "INSTRUMENT last|bid|ask above|below|crossing TICKS",
    "change": "INSTRUMENT open|close|reference|TICKS above|below|crossing PPM",
    "volume": "INSTRUMENT LOTS",
    "fill": "ACCOUNT [INSTRUMENT]",
    "order": "ACCOUNT STATE[,STATE...] [INSTRUMENT]",
    "buying-power": "ACCOUNT above|below|crossing MICROS",
    "position-limit": "ACCOUNT INSTRUMENT above|below|crossing PPM",
    "kill-switch": "ACCOUNT",
    "margin-call": "ACCOUNT",
}
_KILLED = 4


def definition_from(words: Sequence[str], **more: Any) -> "alerts_pb2.AlertDefinition":
    """What the words mean. `more`: as `lockstep.alerts.definition` has it.

    Raises:
        InputFault: nothing.
    """
    from lockstep.alerts import definition

    kind, *rest = words
    form = _FORMS.get(kind)
    if form is None:
        raise InputFault(f"{kind!r} is none of {', '.join(_FORMS)}")
    least, most = len([one for one in form.split() if not one.startswith("[")]), len(form.split())
    if not least <= len(rest) <= most:
        raise InputFault(f"say: {kind} {form}")
    try:
        return definition(**_meaning(kind, rest), **more)
    except ValueError as error:
        raise InputFault(f"{error}; say: {kind} {form}") from error


def _meaning(kind: str, rest: Sequence[str]) -> dict[str, Any]:
    match kind, *rest:
        case "price", number, price, direction, ticks:
            found = {"instrument": int(number), "price": price, "direction": direction, "threshold": int(ticks)}
            return {"kind": "price"} | found
        case "change", number, base, direction, ppm:
            measured = {"base": "given", "base_ticks": int(base)} if base.isdecimal() else {"base": base}
            said = {"instrument": int(number), "direction": direction, "threshold": int(ppm)}
            return {"kind": "change"} | measured | said
        case "volume", number, lots:
            return {"kind": "volume", "instrument": int(number), "direction": "above", "threshold": int(lots)}
        case "fill", account, *number:
            return {"kind": "fill", "account": int(account), "instrument": int(number[0]) if number else 0}
        case "order", account, states, *number:
            said = {"account": int(account), "instrument": int(number[0]) if number else 0}
            return {"kind": "order_state", "states": states.split(",")} | said
        case "buying-power", account, direction, micros:
            return {
                "kind": "buying_power", "account": int(account), "direction": direction, "threshold": int(micros)
            }  # fmt: skip
        case "position-limit", account, number, direction, ppm:
            said = {"account": int(account), "instrument": int(number)}
            return {"kind": "position_limit", "direction": direction, "threshold": int(ppm)} | said
        case "kill-switch", account:
            return {"kind": "account_status", "account": int(account), "direction": "above", "threshold": _KILLED}
        case _:
            return {"kind": "margin_call", "account": int(rest[0]), "direction": "above", "threshold": 1}


def shown(one: "alerts_pb2.AlertDefinition") -> str:
    """An alert in one line."""
    from lockstep.v1 import alerts_pb2 as pb

    kind = pb.AlertKind.Name(one.kind).removeprefix("ALERT_KIND_").lower()
    words = [kind]
    if one.account:
        words.append(f"of account {one.account}")
    if one.instrument:
        words.append(f"in instrument {one.instrument}")
    if one.price:
        words.append(pb.AlertPrice.Name(one.price).removeprefix("ALERT_PRICE_").lower())
    if one.base:
        base = pb.AlertBase.Name(one.base).removeprefix("ALERT_BASE_").lower()
        words.append(f"against {one.base_ticks or base}")
    if one.direction:
        words.append(
            f"{pb.AlertDirection.Name(one.direction).removeprefix('ALERT_DIRECTION_').lower()} {one.threshold}"
        )
    if one.states:
        states = [name for name, bit in pb.AlertOrderState.items() if bit & one.states]
        words.append("/".join(name.removeprefix("ALERT_ORDER_STATE_").lower() for name in states))
    return " ".join(words)
