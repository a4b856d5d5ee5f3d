"""Commands and events of a chunk, one command at a time, as the world and the alerts take them. Pure."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from lockstep.posttrade.alerts.rules import OrderState
from lockstep.posttrade.alerts.world import FOR_AUCTION, FOR_CLOSE, IN_BOOK, OUTSIDE, Instrument, Order, World
from lockstep.posttrade.chunks import Chunk
from lockstep.stream.records import (
    DEFINITION_EVENT,
    LIMITS,
    MARKET,
    ORDER_EVENT,
    RULES,
    SETTING_EVENT,
    CommandKind,
    EventFlag,
    EventKind,
    OrderFlag,
    OrderType,
    Side,
    TimeInForce,
    join_records,
)
from lockstep.stream.values import frozen

_ACCEPTED: Final = int(EventKind.ACCEPTED)
_REJECTED: Final = int(EventKind.REJECTED)
_TRADE: Final = int(EventKind.TRADE)
_CANCELED: Final = int(EventKind.CANCELED)
_REPLACED: Final = int(EventKind.REPLACED)
_REDUCED: Final = int(EventKind.REDUCED)
_TRIGGERED: Final = int(EventKind.TRIGGERED)
_RARE: Final = tuple(
    int(kind)
    for kind in (
        EventKind.INSTRUMENT_DEFINED, EventKind.ACCOUNT_DEFINED, EventKind.CASH_ADJUSTED, EventKind.POSITION_ADJUSTED,
        EventKind.POSITION_TRANSFERRED, EventKind.PHASE_CHANGED, EventKind.ACCOUNT_STATUS_SET,
        EventKind.RISK_LIMITS_SET, EventKind.FEES_SET, EventKind.MARGIN_SET, EventKind.MARGIN_CALLED,
    )
)  # fmt: skip
_KINDS: Final = (_ACCEPTED, _REJECTED, _TRADE, _CANCELED, _REPLACED, _REDUCED, _TRIGGERED, *_RARE)
_BUY: Final = int(Side.BUY)
_BOOKS: Final = int(EventFlag.BOOKS)
_AUCTION: Final = int(EventFlag.AUCTION)
_WAITS: Final = int(EventFlag.WAITS)
_HIDDEN: Final = int(OrderFlag.HIDDEN)
_MARKET: Final = int(OrderType.MARKET)
_WAITING: Final = {int(TimeInForce.AT_CLOSE): FOR_CLOSE, int(TimeInForce.GOOD_FOR_AUCTION): FOR_AUCTION}
_NEW_ORDER: Final = int(CommandKind.NEW_ORDER)
_FIELDS: Final = (
    "kind", "seq", "index", "side", "code", "instrument", "account", "order_id", "client_order_id", "price_ticks",
    "quantity_lots", "leaves_lots", "maker_order_id", "maker_client_order_id", "maker_account", "maker_leaves_lots",
    "taker_fee_micros", "maker_fee_micros", "flags", "timestamp_ns",
)  # fmt: skip
_TERMS: Final = ("order_type", "tif", "order_flags", "stop_price_ticks")


@frozen
class Happened:
    """Something of an order, for the alerts of its account."""

    index: int
    leg: int
    """0: the order of the command, or the taker's; 1: the maker's."""
    account: int
    instrument: int
    order_id: int
    client_order_id: int
    state: int
    """`OrderState`."""
    side: int
    code: int
    price_ticks: int
    quantity_lots: int
    leaves_lots: int

    @property
    def is_fill(self) -> bool:
        """Whether it is a trade."""
        return self.state in (OrderState.PARTLY_FILLED, OrderState.FILLED)


@frozen
class Print:
    """A trade of an instrument has changed its last price."""

    index: int
    instrument: int


@frozen
class CommandEnd:
    """All of a command's events are in the world: what it touched may be looked at."""

    seq: int


@frozen
class CommandBegin:
    """The events of a command follow. Commands that have none that matter here have neither this nor `CommandEnd`."""

    seq: int
    timestamp_ns: int
    epoch: int


Step = CommandBegin | Happened | Print | CommandEnd


class Reader:
    """Applies a chunk to a world event by event, and says in between what happened."""

    def __init__(self, chunk: Chunk, world: World) -> None:
        self._world = world
        self._first_seq = chunk.first_seq
        self._commands = join_records([batch.records for batch in chunk.batches])
        self._batches = chunk.batches
        self._events = chunk.events[np.isin(chunk.events["kind"], _KINDS)]
        self._asked = self._commands["kind"].tolist()
        self._parents = self._commands["parent_id"].tolist()

    def steps(self) -> Iterator[Step]:
        """In order. What is said last is in the world already."""
        events = self._events
        columns = zip(*(events[name].tolist() for name in _FIELDS), strict=True)
        orders = events.view(ORDER_EVENT)
        terms = zip(*(orders[name].tolist() for name in _TERMS), strict=True)
        at = epoch_at = 0
        for place, (row, term) in enumerate(zip(columns, terms, strict=True)):
            seq = row[1]
            if seq != at:
                if at:
                    yield CommandEnd(at)
                while self._batches[epoch_at].last_seq < seq:
                    epoch_at += 1
                at = seq
                yield CommandBegin(seq, row[19], self._batches[epoch_at].epoch)
            kind = row[0]
            if kind == _TRADE:
                yield from self._trade(row)
            elif kind in _RARE:
                self._rare(kind, place, seq)
            else:
                yield from self._order(row, term)
        if at:
            yield CommandEnd(at)

    def _trade(self, row: tuple[int, ...]) -> Iterator[Step]:
        world = self._world
        (_, _, index, side, _, number, taker, order_id, name, price, lots, leaves, maker_id, maker_name, maker,
         maker_leaves, taker_fee, maker_fee, flags, stamp) = row  # fmt: skip
        value = price * lots * world.instruments[number].unit
        bought = side == _BUY
        world.settled(maker, number, -lots if bought else lots, (value if bought else -value) - maker_fee)
        world.settled(taker, number, lots if bought else -lots, (-value if bought else value) - taker_fee)
        world.leaves(maker_id, maker_leaves)
        world.leaves(order_id, leaves)
        world.traded(number, price, lots, stamp, auction=bool(flags & _AUCTION))
        yield Print(index, number)
        sides = ((0, taker, order_id, name, side, leaves), (1, maker, maker_id, maker_name, 3 - side, maker_leaves))
        for leg, account, one, its_name, its_side, left in sides:
            state = OrderState.PARTLY_FILLED if left else OrderState.FILLED
            yield Happened(index, leg, account, number, one, its_name, state, its_side, 0, price, lots, left)

    def _order(self, row: tuple[int, ...], term: tuple[int, ...]) -> Iterator[Step]:
        kind, seq, index, side, code, number, account, order_id, name, price, lots, leaves, *_, flags, _stamp = row
        order_type, tif, order_flags, stop = term
        world = self._world
        state = OrderState.CANCELED
        if kind == _REJECTED:
            if self._asked[seq - self._first_seq] != _NEW_ORDER:
                return
            state, order_id = OrderState.REJECTED, seq
        elif kind == _ACCEPTED:
            state = OrderState.ACCEPTED
            child = self._parents[seq - self._first_seq] != 0
            place = IN_BOOK if flags & _BOOKS else _WAITING.get(tif, OUTSIDE) if flags & _WAITS else OUTSIDE
            seen = not (order_flags & _HIDDEN or order_type == _MARKET)
            worth = world.worth(number, side, order_type, price, stop)
            world.enter(
                Order(order_id, account, number, side, price, leaves, worth, int(not child), place, int(seen), name)
            )
        elif kind in (_REPLACED, _TRIGGERED):
            state = OrderState.REPLACED if kind == _REPLACED else OrderState.TRIGGERED
            order = world.orders.get(order_id)
            if order is not None:
                worth = world.worth(number, side, order_type, price, stop)
                world.change(order, price, leaves, worth, binds=bool(order.binds) or kind == _TRIGGERED)
                if flags & _BOOKS and leaves:
                    world.rest(order)
        else:
            world.leaves(order_id, leaves)
            if kind == _REDUCED:
                return
        yield Happened(index, 0, account, number, order_id, name, state, side, code, price, lots, leaves)

    def _rare(self, kind: int, place: int, seq: int) -> None:
        world, event = self._world, self._events[place : place + 1]
        number, account = int(event["instrument"][0]), int(event["account"][0])
        at = seq - self._first_seq
        command = self._commands[at : at + 1]
        match kind:
            case EventKind.INSTRUMENT_DEFINED:
                said = event.view(DEFINITION_EVENT)[0]
                world.define_instrument(
                    Instrument(number, int(said["tick_micros"]), int(said["lot_units"]), symbol=_text(said["name"]))
                )
            case EventKind.ACCOUNT_DEFINED:
                world.account_changes(account).flags = int(event.view(DEFINITION_EVENT)["flags"][0])
            case EventKind.CASH_ADJUSTED:
                world.account_changes(account).cash = int(event.view(DEFINITION_EVENT)["amount_micros"][0])
            case EventKind.POSITION_ADJUSTED | EventKind.POSITION_TRANSFERRED:
                world.position(account, number, int(event.view(DEFINITION_EVENT)["quantity_lots"][0]))
            case EventKind.PHASE_CHANGED:
                said = event.view(SETTING_EVENT)[0]
                world.phase(number, int(said["value"]), int(said["reference_price_ticks"]))
            case EventKind.ACCOUNT_STATUS_SET:
                world.account_changes(account).status = int(event.view(SETTING_EVENT)["value"][0])
            case EventKind.RISK_LIMITS_SET:
                limit = int(command.view(LIMITS)["max_position_lots"][0])
                world.account_changes(account).max_position_lots = limit
            case EventKind.FEES_SET:
                terms = command.view(RULES)[0]
                one = world.instrument_changes(number)
                one.maker_fee_ppm, one.taker_fee_ppm = int(terms["maker_fee_ppm"]), int(terms["taker_fee_ppm"])
            case EventKind.MARGIN_SET:
                margin = int(command.view(MARKET)["initial_margin_ppm"][0])
                world.instrument_changes(number).initial_margin_ppm = margin
            case _:
                said = event.view(SETTING_EVENT)[0]
                world.account_changes(account).margin_called = int(said["value"] < said["previous_value"])


def _text(name: bytes) -> str:
    return bytes(name).rstrip(b"\0").decode("ascii")
