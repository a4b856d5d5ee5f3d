"""From what a trader says (symbols, decimal prices, words) to what the wire carries (ids, ticks, numbers)."""

from decimal import Decimal, InvalidOperation
from enum import IntEnum
from typing import Final, NamedTuple, TypedDict

from lockstep.columns import COMMAND_FIELDS
from lockstep.enums import CommandKind, OrderFlag, OrderType, SelfTradePrevention, Side, TimeInForce
from lockstep.reference import Instrument

Price = Decimal | str | int
"""An amount of money for one unit, exactly. Floats are refused: 0.1 is not a tenth."""

_U32: Final = 2**32 - 1
_U64: Final = 2**64 - 1
_I64: Final = 2**63 - 1
_MICROS: Final = 1_000_000


class CommandRow(NamedTuple):
    """One command, in the order of `COMMAND_FIELDS`."""

    kind: int
    side: int = 0
    order_type: int = 0
    tif: int = 0
    stp: int = 0
    flags: int = 0
    account: int = 0
    instrument: int = 0
    client_order_id: int = 0
    order_id: int = 0
    price_ticks: int = 0
    quantity_lots: int = 0
    stop_price_ticks: int = 0
    display_lots: int = 0
    min_lots: int = 0
    expire_ns: int = 0
    trail_ticks: int = 0
    tag: int = 0


if CommandRow._fields != COMMAND_FIELDS:
    raise AssertionError("CommandRow and COMMAND_FIELDS are not in the same order")


class OrderTerms(TypedDict, total=False):
    """Optional terms of an order; each has a default.

    Prices: `price` is money for one unit (Decimal, str or int), `price_ticks` the same in ticks; give one of them, or
    none for a market order. The same holds for `stop_price` and for `trail`, the distance of a trailing stop.

    `order_type` follows from these: TRAILING_STOP with a trail, STOP or STOP_LIMIT with a stop price, else LIMIT with a
    price, else MARKET. `tif` is GTD if there is an `expire_ns` (nanoseconds since 1970), IOC for a market order, else
    GTC. `display_lots` makes an iceberg, `hidden` an order that is not displayed at all. `min_lots` must trade on
    entry, or the order is canceled. `stp` says what happens if the order would trade with its own account's.
    `client_order_id` must be unique among the account's live orders (0: none). `tag` is free for the client.
    """

    price: Price
    price_ticks: int
    order_type: OrderType | str
    tif: TimeInForce | str
    stp: SelfTradePrevention | str
    post_only: bool
    hidden: bool
    client_order_id: int
    stop_price: Price
    stop_price_ticks: int
    display_lots: int
    min_lots: int
    expire_ns: int
    trail: Price
    trail_ticks: int
    tag: int


def price_to_ticks(instrument: Instrument, price: Price) -> int:
    """A decimal price in ticks of its instrument.

    Raises:
        TypeError: a float. ValueError: not a number, or between two ticks; the text names the nearest ones.
    """
    if isinstance(price, float):
        raise TypeError(f"price {price!r} is a float; give a Decimal or a string, e.g. price={str(price)!r}")
    try:
        micros = Decimal(price) * _MICROS
    except InvalidOperation as error:
        raise ValueError(f"price {price!r} is not a decimal number") from error
    if not micros.is_finite():
        raise ValueError(f"price {price!r} is not a finite number")
    ticks, rest = divmod(micros, instrument.tick_micros)
    if rest:
        below = ticks_to_price(instrument, int(ticks))
        above = ticks_to_price(instrument, int(ticks) + 1)
        raise ValueError(f"price {price} is off the tick of {instrument.symbol}; the nearest are {below} and {above}")
    return int(ticks)


def ticks_to_price(instrument: Instrument, ticks: int) -> Decimal:
    """Money for one unit."""
    return Decimal(ticks * instrument.tick_micros).scaleb(-6).normalize() + 0


def needs_reference(terms: OrderTerms) -> bool:
    """Whether the terms hold a decimal price, which only the instrument's tick can tell in ticks."""
    return any(terms.get(name) is not None for name in ("price", "stop_price", "trail"))


def new_order_row(
    *,
    account: int,
    instrument_id: int,
    instrument: Instrument | None,
    side: Side | str,
    quantity_lots: int,
    terms: OrderTerms,
) -> CommandRow:
    """A new order.

    Raises:
        TypeError, ValueError: an argument is wrong; the text names it.
    """
    price_ticks = _ticks("price", terms.get("price"), terms.get("price_ticks"), instrument)
    stop_ticks = _ticks("stop_price", terms.get("stop_price"), terms.get("stop_price_ticks"), instrument)
    trail_ticks = _ticks("trail", terms.get("trail"), terms.get("trail_ticks"), instrument)
    default_type = _order_type(price_ticks, stop_ticks, trail_ticks)
    order_type = word(OrderType, "order_type", terms.get("order_type", default_type))
    default_tif = TimeInForce.IOC if order_type is OrderType.MARKET else TimeInForce.GTC
    default_tif = TimeInForce.GTD if terms.get("expire_ns") else default_tif
    flags = (OrderFlag.POST_ONLY if terms.get("post_only") else 0) | (OrderFlag.HIDDEN if terms.get("hidden") else 0)
    return CommandRow(
        kind=int(CommandKind.NEW_ORDER),
        side=int(word(Side, "side", side)),
        order_type=int(order_type),
        tif=int(word(TimeInForce, "tif", terms.get("tif", default_tif))),
        stp=int(word(SelfTradePrevention, "stp", terms.get("stp", SelfTradePrevention.NONE))),
        flags=int(flags),
        account=_within("account", account, 0, _U32),
        instrument=_within("instrument", instrument_id, 0, _U32),
        client_order_id=_within("client_order_id", terms.get("client_order_id", 0), 0, _U64),
        price_ticks=_within("price_ticks", price_ticks or 0, -_I64, _I64),
        quantity_lots=_within("quantity_lots", quantity_lots, -_I64, _I64),
        stop_price_ticks=_within("stop_price_ticks", stop_ticks or 0, -_I64, _I64),
        display_lots=_within("display_lots", terms.get("display_lots", 0), 0, _I64),
        min_lots=_within("min_lots", terms.get("min_lots", 0), 0, _I64),
        expire_ns=_within("expire_ns", terms.get("expire_ns", 0), 0, _I64),
        trail_ticks=_within("trail_ticks", trail_ticks or 0, 0, _I64),
        tag=_within("tag", terms.get("tag", 0), 0, _U64),
    )


def _order_type(price_ticks: int | None, stop_ticks: int | None, trail_ticks: int | None) -> OrderType:
    if trail_ticks:
        return OrderType.TRAILING_STOP
    if stop_ticks:
        return OrderType.STOP if price_ticks is None else OrderType.STOP_LIMIT
    return OrderType.MARKET if price_ticks is None else OrderType.LIMIT


def cancel_row(*, account: int, order_id: int, client_order_id: int) -> CommandRow:
    """Cancel one order, named by either id."""
    return CommandRow(kind=int(CommandKind.CANCEL), **_order_ref(account, order_id, client_order_id))


def replace_row(
    *,
    account: int,
    order_id: int,
    client_order_id: int,
    price: Price | None,
    price_ticks: int | None,
    quantity_lots: int,
    instrument: Instrument | None,
    stop_price_ticks: int = 0,
) -> CommandRow:
    """New price and new open quantity for one order, named by either id; a new stop price for one that waits for it."""
    ticks = _ticks("price", price, price_ticks, instrument)
    if ticks is None and stop_price_ticks:
        ticks = 0
    if ticks is None:
        raise ValueError("a replace needs the order's new price: price=... (with instrument=...) or price_ticks=...")
    return CommandRow(
        kind=int(CommandKind.REPLACE),
        price_ticks=_within("price_ticks", ticks, -_I64, _I64),
        quantity_lots=_within("quantity_lots", quantity_lots, -_I64, _I64),
        stop_price_ticks=_within("stop_price_ticks", stop_price_ticks, -_I64, _I64),
        **_order_ref(account, order_id, client_order_id),
    )


def mass_cancel_row(
    *, account: int, instrument_id: int, side: Side | str | None, session_id: int = 0, block: bool = False
) -> CommandRow:
    """Cancel all orders of an account, of one instrument (0: all), of one side (None: both), of one session (0: all).

    Account 0, everybody's orders, and `block`, the kill switch, need the admin entitlement.
    """
    return CommandRow(
        kind=int(CommandKind.MASS_CANCEL),
        flags=int(block),
        order_id=_within("session_id", session_id, 0, _U64),
        account=_within("account", account, 0, _U32),
        instrument=_within("instrument", instrument_id, 0, _U32),
        side=0 if side is None else int(word(Side, "side", side)),
    )


def _order_ref(account: int, order_id: int, client_order_id: int) -> dict[str, int]:
    if not order_id and not client_order_id:
        raise ValueError("name the order: order_id=... (the exchange's) or client_order_id=... (its account's)")
    return {
        "account": _within("account", account, 0, _U32),
        "order_id": _within("order_id", order_id, 0, _U64),
        "client_order_id": _within("client_order_id", client_order_id, 0, _U64),
    }


def _ticks(name: str, price: Price | None, ticks: int | None, instrument: Instrument | None) -> int | None:
    if price is None:
        return ticks
    if ticks is not None:
        raise ValueError(f"give {name} or {name}_ticks, not both")
    if instrument is None:
        raise ValueError(f"a decimal {name} needs the instrument, for its tick; or give {name}_ticks")
    return price_to_ticks(instrument, price)


def _within(name: str, value: int, low: int, high: int) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{name} must be an integer, not {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{name} {value} is outside {low}..{high}")
    return value


def word[E: IntEnum](words: type[E], name: str, value: E | str) -> E:
    """A member of an enum, from itself or its name in any case.

    Raises:
        ValueError: there is none; the text names those that there are.
    """
    if isinstance(value, str):
        try:
            return words[value.upper()]
        except KeyError:
            known = ", ".join(word.name.lower() for word in words)
            raise ValueError(f"{name} {value!r} is unknown; use one of: {known}") from None
    return words(value)
