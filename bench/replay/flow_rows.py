"""The rows of an order-flow file: from the fields of a line to the numbers of a command."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from lockstep.bench.replay.flow_fields import Place, is_zero, shown
from lockstep.bench.replay.flow_names import Names
from lockstep.bench.replay.numbers import U64_MAX, file_id_to_client
from lockstep.stream.records import (
    I64_MAX,
    CommandKind,
    MassCancelFlag,
    OrderFlag,
    OrderType,
    Phase,
    SelfTradePrevention,
    Side,
    TimeInForce,
)

REQUIRED: Final = ("action", "order_id", "account", "instrument", "side", "type", "tif", "price", "quantity")
OPTIONAL: Final = (
    "stop_price",
    "display_quantity",
    "min_quantity",
    "post_only",
    "stp",
    "time_ns",
    "hidden",
    "trail",
    "expire_ns",
    "tag",
    "block",
    "phase",
    "protection_price",
    "parent_order_id",
    "cancel_on_halt",
    "short_exempt",
)
ACTIONS: Final = {
    "N": CommandKind.NEW_ORDER,
    "C": CommandKind.CANCEL,
    "R": CommandKind.REPLACE,
    "M": CommandKind.MASS_CANCEL,
    "P": CommandKind.SET_PHASE,
}
NOBODY: Final = -1
"""Index of no account, or of no instrument: of all of them."""
NO_TIME: Final = -1
"""A row without `time_ns`; 0 is a time like any other."""

_SIDES: Final = {"B": int(Side.BUY), "S": int(Side.SELL)}
_TYPES: Final = {kind.name.lower(): int(kind) for kind in OrderType}
_TIFS: Final = {tif.name.lower(): int(tif) for tif in TimeInForce}
_STPS: Final = {stp.name.lower(): int(stp) for stp in SelfTradePrevention}
_PHASES: Final = {phase.name.lower(): int(phase) for phase in Phase}
_ORDERS_ONLY: Final = (
    "hidden",
    "cancel_on_halt",
    "short_exempt",
    "trail",
    "expire_ns",
    "protection_price",
    "parent_order_id",
)
_LIMITED: Final = (OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.OCO)
_STOPS: Final = (OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP, OrderType.OCO)


class FlowRow(NamedTuple):
    """One command. Accounts and instruments by index, NOBODY for all; prices in ticks, quantities in lots."""

    kind: int
    account: int = NOBODY
    instrument: int = NOBODY
    client_order_id: int = 0
    side: int = 0
    order_type: int = 0
    tif: int = 0
    stp: int = 0
    flags: int = 0
    price_ticks: int = 0
    quantity_lots: int = 0
    stop_price_ticks: int = 0
    display_lots: int = 0
    min_lots: int = 0
    expire_ns: int = 0
    trail_ticks: int = 0
    parent_id: int = 0
    tag: int = 0
    phase: int = 0
    time_ns: int = NO_TIME


class _Fields(NamedTuple):
    """The fields of a line, in the order of REQUIRED and OPTIONAL; empty where the file has no such column."""

    action: str
    order_id: str
    account: str
    instrument: str
    side: str
    type: str
    tif: str
    price: str
    quantity: str
    stop_price: str
    display_quantity: str
    min_quantity: str
    post_only: str
    stp: str
    time_ns: str
    hidden: str
    trail: str
    expire_ns: str
    tag: str
    block: str
    phase: str
    protection_price: str
    parent_order_id: str
    cancel_on_halt: str
    short_exempt: str


if _Fields._fields != (*REQUIRED, *OPTIONAL):
    raise AssertionError("the fields and the columns are not in the same order")


class RowParser:
    """Makes commands of lines. It remembers whose order is which, so that C and R need not say it again."""

    def __init__(self, place: Place, names: Names) -> None:
        self._place = place
        self._names = names
        self._orders: dict[int, tuple[int, int, int]] = {}

    def row(self, values: Sequence[str]) -> FlowRow:
        """One line.

        Raises:
            FlowError: something in it is wrong.
        """
        line = _Fields(*values)
        kind = ACTIONS.get(line.action)
        if kind is None:
            raise self._place.error(
                f"action {shown(line.action)}",
                "use N (new), C (cancel) or R (replace); M is a mass cancel, P a phase",
            )
        time_ns = self._place.whole(line.time_ns, "time_ns", 0, I64_MAX) if line.time_ns else NO_TIME
        tag = self._place.whole(line.tag, "tag", 0, U64_MAX) if line.tag else 0
        if kind is CommandKind.NEW_ORDER:
            row = self._new(line)
        elif kind is CommandKind.MASS_CANCEL:
            row = self._mass_cancel(line)
        elif kind is CommandKind.SET_PHASE:
            row = self._phase(line)
        else:
            row = self._change(kind, line)
        return row._replace(time_ns=time_ns, tag=tag)

    def _new(self, line: _Fields) -> FlowRow:
        self._unused(line, ("block", "phase"))
        order_id = self._place.whole(line.order_id, "order_id", 0, U64_MAX - 1)
        account, instrument = self._names.account(line.account), self._names.instrument(line.instrument)
        order_type = self._place.word(line.type, _TYPES, "type")
        self._orders[order_id] = (account, instrument, order_type)
        quantity = self._names.quantity
        return FlowRow(
            int(CommandKind.NEW_ORDER),
            account,
            instrument,
            file_id_to_client(order_id),
            self._place.word(line.side, _SIDES, "side"),
            order_type,
            tif := self._place.word(line.tif, _TIFS, "tif"),
            self._place.word(line.stp, _STPS, "stp") if line.stp else 0,
            self._flags(line),
            self._order_price(order_type, line, instrument),
            quantity(line.quantity, instrument, "quantity"),
            self._stop_price(order_type, line.stop_price, instrument),
            quantity(line.display_quantity, instrument, "display_quantity") if line.display_quantity else 0,
            quantity(line.min_quantity, instrument, "min_quantity") if line.min_quantity else 0,
            self._expiry(tif, line.expire_ns),
            self._trail(order_type, line.trail, instrument),
            self._parent(line.parent_order_id),
        )

    def _change(self, kind: CommandKind, line: _Fields) -> FlowRow:
        self._unused(line, ("block", "phase", *_ORDERS_ONLY))
        order_id = self._place.whole(line.order_id, "order_id", 0, U64_MAX - 1)
        account, instrument, order_type = self._named(order_id, line)
        named = FlowRow(int(kind), account, instrument, file_id_to_client(order_id))
        if kind is CommandKind.CANCEL:
            return named
        # What waits for a stop price has no other one, unless it is a stop limit order.
        bare = order_type in (OrderType.STOP, OrderType.TRAILING_STOP) or (not order_type and bool(line.stop_price))
        price = 0 if bare and is_zero(line.price) else self._names.price(line.price, instrument, "price")
        return named._replace(
            price_ticks=price,
            quantity_lots=self._names.quantity(line.quantity, instrument, "quantity"),
            stop_price_ticks=self._names.price(line.stop_price, instrument, "stop_price") if line.stop_price else 0,
        )

    def _mass_cancel(self, line: _Fields) -> FlowRow:
        self._unused(line, ("order_id", "type", "tif", "price", "quantity", "stop_price", "phase", *_ORDERS_ONLY))
        if not line.account and not line.instrument:
            raise self._place.error(
                "a mass cancel of nobody's orders in nothing", "name an account, an instrument or both"
            )
        block = self._place.flag(line.block, "block")
        if block and not line.account:
            raise self._place.error("block 1 without an account", "name the account that may trade no more")
        return FlowRow(
            int(CommandKind.MASS_CANCEL),
            self._names.account(line.account) if line.account else NOBODY,
            self._names.instrument(line.instrument) if line.instrument else NOBODY,
            side=self._place.word(line.side, _SIDES, "side") if line.side else 0,
            flags=int(MassCancelFlag.BLOCK) if block else 0,
        )

    def _phase(self, line: _Fields) -> FlowRow:
        self._unused(
            line,
            ("order_id", "account", "side", "type", "tif", "quantity", "stop_price", "block", "tag", *_ORDERS_ONLY),
        )
        instrument = self._names.instrument(line.instrument) if line.instrument else NOBODY
        if line.price and instrument == NOBODY:
            raise self._place.error(
                f"price {shown(line.price)} for every instrument", "name the instrument, or leave it empty"
            )
        return FlowRow(
            int(CommandKind.SET_PHASE),
            instrument=instrument,
            phase=self._place.word(line.phase, _PHASES, "phase"),
            price_ticks=self._names.price(line.price, instrument, "price") if line.price else 0,
        )

    def _unused(self, line: _Fields, columns: tuple[str, ...]) -> None:
        for column in columns:
            text = str(getattr(line, column))
            if not is_zero(text):
                raise self._place.error(
                    f"{column} {shown(text)} means nothing with action {line.action}", "leave it empty"
                )

    def _named(self, order_id: int, line: _Fields) -> tuple[int, int, int]:
        """Account, instrument and type (0: unknown) of an order that C or R names; what is left out is the order's."""
        own = self._orders.get(order_id)
        if own is None:
            if not (line.account and line.instrument):
                raise self._place.error(f"order {order_id} was never entered", "fill in account and instrument")
            return self._names.account(line.account), self._names.instrument(line.instrument), 0
        account = self._names.account(line.account) if line.account else own[0]
        return account, self._names.instrument(line.instrument) if line.instrument else own[1], own[2]

    def _flags(self, line: _Fields) -> int:
        post_only = OrderFlag.POST_ONLY if self._place.flag(line.post_only, "post_only") else 0
        hidden = OrderFlag.HIDDEN if self._place.flag(line.hidden, "hidden") else 0
        halts = OrderFlag.CANCEL_ON_HALT if self._place.flag(line.cancel_on_halt, "cancel_on_halt") else 0
        exempt = OrderFlag.SHORT_EXEMPT if self._place.flag(line.short_exempt, "short_exempt") else 0
        return int(post_only) | int(hidden) | int(halts) | int(exempt)

    def _order_price(self, order_type: int, line: _Fields, instrument: int) -> int:
        name = OrderType(order_type).name.lower()
        protection = line.protection_price
        if protection and order_type != OrderType.MARKET:
            raise self._place.error(
                f"protection_price {shown(protection)} on a {name} order", "leave it empty: it is for market orders"
            )
        if order_type in _LIMITED:
            return self._names.price(line.price, instrument, "price")
        if not is_zero(line.price):
            remedy = "leave it empty"
            if order_type == OrderType.MARKET:
                remedy += ", or give it as protection_price: the order trades no further than that"
            raise self._place.error(f"price {shown(line.price)} on a {name} order", remedy)
        return self._names.price(protection, instrument, "protection_price") if protection else 0

    def _stop_price(self, order_type: int, text: str, instrument: int) -> int:
        if order_type in (OrderType.STOP, OrderType.STOP_LIMIT, OrderType.OCO) or (order_type in _STOPS and text):
            return self._names.price(text, instrument, "stop_price")
        if text:
            raise self._place.error(
                f"stop_price {shown(text)} on an order without a stop", "leave it empty, or use type stop"
            )
        return 0

    def _trail(self, order_type: int, text: str, instrument: int) -> int:
        if order_type == OrderType.TRAILING_STOP:
            return self._names.price(text, instrument, "trail")
        if text:
            raise self._place.error(
                f"trail {shown(text)} on an order that does not trail", "leave it empty, or use type trailing_stop"
            )
        return 0

    def _parent(self, text: str) -> int:
        return file_id_to_client(self._place.whole(text, "parent_order_id", 0, U64_MAX - 1)) if text else 0

    def _expiry(self, tif: int, text: str) -> int:
        if tif == TimeInForce.GTD:
            if not text:
                others = ", ".join(word for word in _TIFS if word != "gtd")
                raise self._place.error(
                    "tif 'gtd' without expire_ns",
                    f"fill in expire_ns (nanoseconds since 1970), or use one of: {others}",
                )
            return self._place.whole(text, "expire_ns", 1, I64_MAX)
        if text:
            raise self._place.error(
                f"expire_ns {shown(text)} on an order that does not expire", "leave it empty, or use tif gtd"
            )
        return 0
