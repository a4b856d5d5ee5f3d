"""From what a trader says (symbols, decimal prices, words) to what the wire carries (ids, ticks, numbers)."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, TypedDict

from lockstep.arguments import I64, U32, Price, decimal_number, flag, floor_micros, from_micros, integer, shown, word
from lockstep.columns import COMMAND_BOUNDS
from lockstep.enums import CommandKind, OrderFlag, OrderType, SelfTradePrevention, Side, TimeInForce
from lockstep.keywords import nearest
from lockstep.reference import Instrument
from lockstep.rows import COMMAND_FIELDS, CommandRow


class MarketTerms(TypedDict, total=False):
    """Optional terms of a market order; see `OrderTerms`. Its `price` is protection: it trades no further than that."""

    price: Price | None
    price_ticks: int | None
    tif: TimeInForce | str
    stp: SelfTradePrevention | str
    client_order_id: int
    min_lots: int
    tag: int


class OrderTerms(MarketTerms, total=False):
    """Optional terms of an order; each has a default, which None stands for as well.

    Prices: `price` is money for one unit (Decimal, str or int), `price_ticks` the same in ticks; give one of them. The
    same holds for `stop_price` and for `trail`, the distance of a trailing stop.

    `order_type` follows from these: TRAILING_STOP with a trail, STOP or STOP_LIMIT with a stop price, else LIMIT with
    a price. Never MARKET: say `order_type="market"`, or call `place_market`. Never OCO (one cancels the other: a limit
    order that becomes a market order at its stop price): say `order_type="oco"` with both prices. `tif` is GTD if
    there is an `expire_ns` (nanoseconds since 1970), IOC for a market order, else GTC. `display_lots` makes an
    iceberg, `hidden` an order that is not displayed at all, `cancel_on_halt` one that ends when trading is halted or
    paused, `short_exempt` a sell that no short-sale restriction holds to a price. `min_lots` must trade on entry, or
    the order is canceled. `stp` says what happens if the order would trade with its own account's. `client_order_id`
    must be unique among the account's live orders (0: none). `tag` is free for the client. `parent_id` is the client
    order id of another order of the account, which this one waits for: when that has ended, this one goes to the
    market with what it traded.

    On the wire 0 says that there is no stop price, trail, display or expiry, so 0 is refused where one of these is
    given (ValueError): an order that should wait would trade at once.
    """

    order_type: OrderType | str
    post_only: bool
    hidden: bool
    cancel_on_halt: bool
    short_exempt: bool
    stop_price: Price | None
    stop_price_ticks: int | None
    display_lots: int
    expire_ns: int
    trail: Price | None
    trail_ticks: int | None
    parent_id: int


_TERMS: Final = frozenset(OrderTerms.__annotations__)
_KNOWN: Final = f"there are: {', '.join(sorted(_TERMS))}"
_NEEDED_BY: Final = {
    "price": (OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.OCO),
    "stop_price": (OrderType.STOP, OrderType.STOP_LIMIT, OrderType.OCO),
    "trail": (OrderType.TRAILING_STOP,),
}
# Fields whose 0 says on the wire that there is none, and what to do instead of giving 0.
_NEVER_ZERO: Final = {
    "stop_price_ticks": "leave it out if there is no stop price",
    "trail_ticks": "leave it out if there is no trail",
    "display_lots": "leave it out to display the whole order, or say hidden=True to display nothing",
    "expire_ns": "leave it out if the order does not expire",
}
_NEW_ORDER: Final = int(CommandKind.NEW_ORDER)
_FLAGS: Final = {
    "post_only": int(OrderFlag.POST_ONLY),
    "hidden": int(OrderFlag.HIDDEN),
    "cancel_on_halt": int(OrderFlag.CANCEL_ON_HALT),
    "short_exempt": int(OrderFlag.SHORT_EXEMPT),
}
_NOT_NEGATIVE: Final = ("price_ticks", "min_lots")
_IDS: Final = ("client_order_id", "tag", "parent_id")
_NO_TYPE: Final = (
    "an order without a price must say what it is: give price=... or price_ticks=... for a limit order, "
    'order_type="market" (or place_market) for a market order'
)


def price_to_ticks(instrument: Instrument, price: Price, *, name: str = "price") -> int:
    """A decimal price in ticks of its instrument, exactly. `name` is what errors call it.

    Raises:
        TypeError: a float, or no number.
        ValueError: not a decimal number, out of range, or between two ticks; the text names the nearest ones.
    """
    micros, exact = floor_micros(decimal_number(name, price))
    ticks, rest = divmod(micros, instrument.tick_micros)
    if rest or not exact:
        below, above = ticks_to_price(instrument, ticks), ticks_to_price(instrument, ticks + 1)
        text = str(price)[:60]
        raise ValueError(f"{name} {text} is off the tick of {instrument.symbol}; the nearest are {below} and {above}")
    if not -I64 <= ticks <= I64:
        raise ValueError(f"{name} {shown(price)} is out of range: more than {I64} ticks of {instrument.symbol}")
    return ticks


def ticks_to_price(instrument: Instrument, ticks: int) -> Decimal:
    """Money for one unit, exactly."""
    return from_micros(ticks * instrument.tick_micros)


def needs_reference(terms: OrderTerms) -> bool:
    """Whether the terms hold a decimal price, which only the instrument's tick can convert to ticks."""
    return any(terms.get(name) is not None for name in ("price", "stop_price", "trail"))


@dataclass(frozen=True, slots=True)
class OrderDraft:
    """A new order, checked as far as it can be without its instrument's tick."""

    fields: dict[str, int]
    """By name of a `CommandRow`'s field; the instrument and what `decimals` holds are missing."""
    decimals: tuple[tuple[str, Decimal], ...]
    """Term and value of the decimal prices."""

    @property
    def needs_tick(self) -> bool:
        """Whether `row` needs the instrument itself, not only its id."""
        return bool(self.decimals)

    def row(self, instrument_id: int, instrument: Instrument | None) -> CommandRow:
        """The order.

        Raises:
            TypeError, ValueError: a price is wrong for this instrument.
        """
        fields = {**self.fields, "instrument": _field("instrument", instrument_id)}
        for name, price in self.decimals:
            if instrument is None:
                raise ValueError(f"a decimal {name} needs the instrument, for its tick; or give {name}_ticks")
            fields[f"{name}_ticks"] = price_to_ticks(instrument, price, name=name)
        return CommandRow(_NEW_ORDER, **fields)


def draft_order(*, account: int, side: Side | str, quantity_lots: int, terms: OrderTerms) -> OrderDraft:
    """Check a new order's arguments.

    Raises:
        TypeError, ValueError: an argument is wrong; the text names it.
    """
    given = _terms_given(terms)
    fields = {
        "side": word(Side, "side", side).value,
        "account": _field("account", account),
        "quantity_lots": _not_negative("quantity_lots", quantity_lots),
    }
    order_type = _order_type(given)
    decimals = _decimals_of(given)
    if order_type not in _NEEDED_BY["price"] and 0 in (given.get("price_ticks"), dict(decimals).get("price")):
        raise ValueError(f"price 0 of a {order_type.name.lower()} order would be none at all: leave it out")
    fields["order_type"] = order_type.value
    tif = TimeInForce.IOC if order_type is OrderType.MARKET else TimeInForce.GTC
    if "expire_ns" in given:
        tif = TimeInForce.GTD
    fields["tif"] = (word(TimeInForce, "tif", given["tif"]) if "tif" in given else tif).value
    fields["flags"] = 0
    for name, value in given.items():
        if name in _FLAGS:
            fields["flags"] |= _FLAGS[name] * flag(name, value)
        elif name in _NEVER_ZERO:
            fields[name] = _given(name, value)
        elif name in _NOT_NEGATIVE:
            fields[name] = _not_negative(name, value)
        elif name in _IDS:
            fields[name] = _field(name, value)
        elif name == "stp":
            fields[name] = word(SelfTradePrevention, name, value).value
    return OrderDraft(fields, decimals)


def _decimals_of(given: dict[str, Any]) -> tuple[tuple[str, Decimal], ...]:
    found = []
    for name in ("price", "stop_price", "trail"):
        if name in given:
            number = decimal_number(name, given[name])
            if floor_micros(number)[0] > I64:
                # One unit of it would be worth more than any account can hold.
                raise ValueError(f"{name} {shown(given[name])} is out of range: above {from_micros(I64)}")
            if number < 0:
                raise ValueError(f"{name} {shown(given[name])} is below 0")
            if not number and f"{name}_ticks" in _NEVER_ZERO:
                raise ValueError(f"{name} {shown(given[name])} must be above 0; {_NEVER_ZERO[f'{name}_ticks']}")
            found.append((name, number))
    return tuple(found)


def new_order_row(
    *,
    account: int,
    instrument_id: int,
    instrument: Instrument | None,
    side: Side | str,
    quantity_lots: int,
    terms: OrderTerms,
) -> CommandRow:
    """A new order at once, where the instrument is known already.

    Raises:
        TypeError, ValueError: an argument is wrong; the text names it.
    """
    draft = draft_order(account=account, side=side, quantity_lots=quantity_lots, terms=terms)
    return draft.row(instrument_id, instrument)


def _terms_given(terms: OrderTerms) -> dict[str, Any]:
    for name in terms:
        if name not in _TERMS:
            meant = nearest(name, sorted(_TERMS))
            raise TypeError(f"unknown term of an order {name!r}; {f'did you mean {meant!r}?' if meant else _KNOWN}")
    given = {name: value for name, value in terms.items() if value is not None}
    for name in ("price", "stop_price", "trail"):
        if name in given and f"{name}_ticks" in given:
            raise ValueError(f"give {name} or {name}_ticks, not both")
    return given


def _order_type(given: dict[str, Any]) -> OrderType:
    """As it was said, or as it follows from the prices that were given (whatever their values are)."""
    priced = "price" in given or "price_ticks" in given
    stops = "stop_price" in given or "stop_price_ticks" in given
    trails = "trail" in given or "trail_ticks" in given
    if "order_type" not in given:
        if trails:
            return OrderType.TRAILING_STOP
        if stops:
            return OrderType.STOP_LIMIT if priced else OrderType.STOP
        if not priced:
            raise ValueError(_NO_TYPE)
        return OrderType.LIMIT
    order_type = word(OrderType, "order_type", given["order_type"])
    for name, there in (("price", priced), ("stop_price", stops), ("trail", trails)):
        if not there and order_type in _NEEDED_BY[name]:
            what = order_type.name.lower()
            raise ValueError(f"a {what} order needs {name}=... or {name}_ticks=...")
    return order_type


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
    stop_price_ticks: int | None = None,
) -> CommandRow:
    """New price and new open quantity for one order, named by either id; a new stop price for one that waits for it."""
    named = _order_ref(account, order_id, client_order_id)
    if price is not None and price_ticks is not None:
        raise ValueError("give price or price_ticks, not both")
    if price is not None:
        if instrument is None:
            raise ValueError("a decimal price needs the instrument, for its tick; or give price_ticks")
        price_ticks = price_to_ticks(instrument, price)
    stop_ticks = 0 if stop_price_ticks is None else _given("stop_price_ticks", stop_price_ticks)
    if price_ticks is None:
        if not stop_ticks:
            raise ValueError(
                "a replace needs the order's new price: price=... (with instrument=...) or price_ticks=..."
            )
        # A stop order that waits has no other price.
        price_ticks = 0
    return CommandRow(
        kind=int(CommandKind.REPLACE),
        price_ticks=_not_negative("price_ticks", price_ticks),
        quantity_lots=_not_negative("quantity_lots", quantity_lots),
        stop_price_ticks=stop_ticks,
        **named,
    )


def mass_cancel_row(
    *, account: int, instrument_id: int, side: Side | str | None, session_id: int = 0, block: bool = False
) -> CommandRow:
    """Cancel all orders of an account, of one instrument (0: all), of one side (None: both), of one session (0: all).

    Account 0, everybody's orders, and `block`, the kill switch, need the admin entitlement.
    """
    return CommandRow(
        kind=int(CommandKind.MASS_CANCEL),
        flags=int(flag("block", block)),
        order_id=integer("session_id", session_id, *COMMAND_BOUNDS["order_id"]),
        account=_field("account", account),
        instrument=_field("instrument", instrument_id),
        side=0 if side is None else int(word(Side, "side", side)),
    )


def checked_row(row: CommandRow) -> CommandRow:
    """A row that the caller made himself, with every value in the range of its field.

    Raises:
        TypeError: no row, or a value is no integer. ValueError: a value does not fit its field.
    """
    if not isinstance(row, CommandRow):
        raise TypeError(f"a command must be a CommandRow or an administrative command, not {shown(row)}")
    return CommandRow(*(_field(name, value) for name, value in zip(COMMAND_FIELDS, row, strict=True)))


def instrument_id(found: Instrument | None, instrument: str | int) -> int:
    """The id of an instrument that was looked up; one that is not known may be named by its id only."""
    return found.id if found is not None else integer("instrument", instrument, 0, U32)


def _order_ref(account: int, order_id: int, client_order_id: int) -> dict[str, int]:
    named = {
        "account": _field("account", account),
        "order_id": _field("order_id", order_id),
        "client_order_id": _field("client_order_id", client_order_id),
    }
    if named["order_id"] == 0 and named["client_order_id"] == 0:
        raise ValueError("name the order: order_id=... (the exchange's) or client_order_id=... (its account's)")
    return named


def _field(name: str, value: object) -> int:
    return integer(name, value, *COMMAND_BOUNDS[name])


def _not_negative(name: str, value: object) -> int:
    """Of what is never below 0. Whether 0 or a very high value makes sense is for the market to say."""
    return integer(name, value, 0, I64)


def _given(name: str, value: object) -> int:
    """A value whose 0 on the wire means that there is none."""
    number = integer(name, value, -I64, I64)
    if number < 1:
        raise ValueError(f"{name} {shown(number)} must be 1 or more; {_NEVER_ZERO[name]}")
    return number
