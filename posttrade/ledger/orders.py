"""Orders and their whole life, worked out as columns. Pure.

An order's row is what its events add up to: `quantity = filled + leaves + canceled` at every moment. Several events of
one order in one chunk become one row.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lockstep.posttrade.ledger import schema
from lockstep.posttrade.ledger.lots import I64_MAX
from lockstep.posttrade.ledger.rows import ORDER_ADD, ORDER_SET, ORDER_TERMS, Ints, Rows, columns_of
from lockstep.stream.records import EVENT, ORDER_EVENT, CommandKind, Commands, EventKind, Events, OrderType, Side

_ACCEPTED: Final = int(EventKind.ACCEPTED)
_REJECTED: Final = int(EventKind.REJECTED)
_TRADE: Final = int(EventKind.TRADE)
_CANCELED: Final = int(EventKind.CANCELED)
_REPLACED: Final = int(EventKind.REPLACED)
_REDUCED: Final = int(EventKind.REDUCED)
_TRIGGERED: Final = int(EventKind.TRIGGERED)
_LIFE: Final = (_ACCEPTED, _CANCELED, _REPLACED, _REDUCED, _TRIGGERED)
"""Kinds that change an order, but for trades."""
_ASKED: Final = (int(EventKind.CANCEL_REJECTED), int(EventKind.REPLACE_REJECTED))
_PPM: Final = 1_000_000
_HALF: Final = 32
_LOW: Final = 2**32 - 1
_MARKET: Final = int(OrderType.MARKET)
_OCO: Final = int(OrderType.OCO)
_NEW: Final = {name: place for place, name in enumerate(columns_of("orders"))}
_LAST: Final = {name: place for place, name in enumerate(ORDER_SET)}


@dataclass(slots=True)
class Context:
    """Of each event: what one lot at one tick is worth, and the highest fee of a buy and rebate of a sell."""

    unit: Ints
    buy_ppm: Ints
    sell_ppm: Ints


def order_rows(commands: Commands, events: Events, first_seq: int, context: Context) -> Rows:
    """Orders, how they changed, and their events."""
    rows = Rows()
    kinds = events["kind"]
    asked = commands["kind"][(events["seq"] - np.uint64(first_seq)).astype(np.int64)]
    refused = (kinds == _REJECTED) & (asked == CommandKind.NEW_ORDER)
    rows.order_events = _events(events, kinds, refused)
    new = _new(commands, events, first_seq, context, np.flatnonzero((kinds == _ACCEPTED) | refused))
    ids, last, added = _touched(events, kinds, context)
    terms_ids, terms = _terms(events, kinds, context)
    where = np.searchsorted(new[:, 0], ids)
    is_new = np.zeros(len(ids), dtype=bool)
    inside = where < len(new)
    is_new[inside] = new[where[inside], 0] == ids[inside]
    at = where[is_new]
    new[np.ix_(at, [_NEW[name] for name in ORDER_SET])] = last[is_new]
    new[np.ix_(at, [_NEW[name] for name in ORDER_ADD])] += added[is_new]
    rows.orders_changed = np.column_stack((ids, last, added))[~is_new]
    where = np.searchsorted(new[:, 0], terms_ids)
    inside = where < len(new)
    fresh = np.zeros(len(terms_ids), dtype=bool)
    fresh[inside] = new[where[inside], 0] == terms_ids[inside]
    new[np.ix_(where[fresh], [_NEW[name] for name in ORDER_TERMS])] = terms[fresh]
    rows.order_terms = np.column_stack((terms_ids, terms))[~fresh]
    rows.orders = new
    return rows


def _column(rows: NDArray[np.void], name: str) -> Ints:
    found: Ints = rows[name].astype(np.int64) if rows[name].dtype != np.uint64 else rows[name].view(np.int64)
    return found


def _stack(rows: NDArray[np.void], *names: str) -> Ints:
    if not len(rows):
        return np.empty((0, len(names)), dtype=np.int64)
    return np.column_stack([_column(rows, name) for name in names])


def _events(events: Events, kinds: NDArray[np.uint8], refused: NDArray[np.bool_]) -> Ints:
    """A row for each order that an event concerns: a trade has two."""
    own = events[(np.isin(kinds, (*_LIFE, *_ASKED)) & (events["order_id"] != 0)) | refused]
    names = ("seq", "index", "kind", "code", "price_ticks", "quantity_lots", "leaves_lots")
    zero = np.zeros((len(own), 1), dtype=np.int64)
    ids = np.where(own["kind"] == _REJECTED, own["seq"], own["order_id"]).astype(np.uint64).view(np.int64)
    parts = [np.column_stack((ids, _stack(own, *names), zero, _column(own, "timestamp_ns")))]
    trades = events[kinds == _TRADE]
    for order, leaves, fee in (
        ("order_id", "leaves_lots", "taker_fee_micros"),
        ("maker_order_id", "maker_leaves_lots", "maker_fee_micros"),
    ):
        columns = (order, *names[:-1], leaves, fee, "timestamp_ns")
        parts.append(_stack(trades, *columns))
    # In the order of their keys, so that neighbours go into the same page of a tree.
    found = np.concatenate(parts)
    return found[np.lexsort((found[:, 2], found[:, 1], found[:, 0]))]


def _new(commands: Commands, events: Events, first_seq: int, context: Context, places: NDArray[np.intp]) -> Ints:
    """Rows of new orders as their command and first event have them, ascending by id."""
    said = events[places]
    asked = commands[(said["seq"] - np.uint64(first_seq)).astype(np.int64)]
    new = np.zeros((len(places), len(_NEW)), dtype=np.int64)

    def put(name: str, values: Ints) -> None:
        new[:, _NEW[name]] = values

    refused = said["kind"] == _REJECTED
    put("order_id", _column(said, "seq"))
    for name in (
        "account", "instrument", "session_id", "session_no", "client_order_id", "side", "order_type", "tif", "stp",
        "flags", "price_ticks", "stop_price_ticks", "quantity_lots", "min_lots", "display_lots", "expire_ns",
        "received_ns",
    ):  # fmt: skip
        put(name, _column(asked, name))
    accepted = said.view(ORDER_EVENT)
    for name in ("order_type", "tif", "stp", "price_ticks", "stop_price_ticks", "display_lots", "expire_ns"):
        put(name, np.where(refused, new[:, _NEW[name]], _column(accepted, name)))
    # A child binds nothing before its parent has ended; its TRIGGERED says that it has.
    put("lot_micros", np.where(refused | (asked["parent_id"] != 0), 0, _lot_micros(said, context, places)))
    put("canceled_lots", np.where(refused, new[:, _NEW["quantity_lots"]], 0))
    put("state", np.where(refused, schema.REJECTED, schema.LIVE))
    put("code", _column(said, "code"))
    put("leaves_lots", np.where(refused, 0, _column(said, "leaves_lots")))
    put("entered_ns", _column(said, "timestamp_ns"))
    put("updated_ns", _column(said, "timestamp_ns"))
    put("updated_seq", _column(said, "seq"))
    put("updated_index", _column(said, "index"))
    return new


def _lot_micros(said: Events, context: Context, places: NDArray[np.intp]) -> Ints:
    """What one lot reserves of a buy, and brings of a sell (docs/engine.md, *New order*, "Worth").

    A MARKET order that gathers is held to the price that it names or to a band that is tighter, which no event says:
    with a price of its own it counts as much as that, without one nothing. One that trades at once has ended when its
    command has.
    """
    orders = said.view(ORDER_EVENT)
    named = (orders["price_ticks"] != 0) | (orders["order_type"] == _MARKET)
    price = np.where(named, orders["price_ticks"], orders["stop_price_ticks"])
    # An OCO buy must be able to pay the dearer of its two prices.
    dearer = (orders["order_type"] == _OCO) & (said["side"] == Side.BUY)
    price = np.where(dearer, orders["stop_price_ticks"], price)
    ppm = np.where(said["side"] == Side.BUY, context.buy_ppm[places], context.sell_ppm[places])
    value = price * context.unit[places]
    # Rounded up, in two parts so that no product leaves 64 bits.
    found: Ints = value + value // _PPM * ppm + -(-(value % _PPM * ppm) // _PPM)
    return found


def _touched(events: Events, kinds: NDArray[np.uint8], context: Context) -> tuple[Ints, Ints, Ints]:
    """(order ids, what was last, what was added) of all orders that events changed."""
    life = events[np.isin(kinds, _LIFE)]
    kind, leaves, lots = life["kind"], _column(life, "leaves_lots"), _column(life, "quantity_lots")
    ended = (kind == _CANCELED) | ((kind == _REPLACED) & (leaves == 0))
    off = np.where((kind == _CANCELED) | (kind == _REDUCED), lots, 0)
    before = _column(life, "previous_leaves_lots")
    more = np.where(kind == _REPLACED, leaves - before, 0)
    zero = np.zeros(len(life), dtype=np.int64)
    parts = [
        np.column_stack((
            _stack(life, "order_id", "seq", "index"), leaves, np.where(ended, schema.CANCELED, schema.LIVE),
            _column(life, "code"), _column(life, "timestamp_ns"), more, zero, zero, zero, off,
        ))
    ]  # fmt: skip
    trades = events[kinds == _TRADE]
    lots = _column(trades, "quantity_lots")
    value = _column(trades, "price_ticks") * lots * context.unit[np.flatnonzero(kinds == _TRADE)]
    zero = np.zeros(len(trades), dtype=np.int64)
    for order, left, fee in (
        ("order_id", "leaves_lots", "taker_fee_micros"),
        ("maker_order_id", "maker_leaves_lots", "maker_fee_micros"),
    ):
        leaves = _column(trades, left)
        parts.append(
            np.column_stack((
                _stack(trades, order, "seq", "index"), leaves, np.where(leaves == 0, schema.FILLED, schema.LIVE),
                zero, _column(trades, "timestamp_ns"), zero, lots, value, _column(trades, fee), zero,
            ))
        )  # fmt: skip
    return _by_order(np.concatenate(parts))


def _by_order(touches: Ints) -> tuple[Ints, Ints, Ints]:
    if not len(touches):
        return touches[:, 0], np.empty((0, len(ORDER_SET)), np.int64), np.empty((0, len(ORDER_ADD)), np.int64)
    kept = touches[np.lexsort((touches[:, 2], touches[:, 1], touches[:, 0]))]
    begins = np.flatnonzero(np.append(True, np.diff(kept[:, 0]) != 0))
    ends = np.append(begins[1:], len(kept)) - 1
    last = kept[ends]
    # id, seq, index, leaves, state, code, stamp -> in the order of ORDER_SET.
    found = last[:, [3, 4, 5, 1, 2, 6]]
    assert tuple(_LAST) == ("leaves_lots", "state", "code", "updated_seq", "updated_index", "updated_ns")
    return kept[begins, 0], found, _sums(kept[:, 7:], begins)


def _sums(columns: Ints, begins: NDArray[np.intp]) -> Ints:
    """Sums from each beginning to the next one, held at 2^63 - 1 on either side: in two halves, which do not wrap."""
    low = np.add.reduceat(columns & _LOW, begins, axis=0)
    high = np.add.reduceat(columns >> _HALF, begins, axis=0) + (low >> _HALF)
    found = np.where(high >= 2**31, I64_MAX, (high << _HALF) + (low & _LOW))
    return np.where(high < -(2**31), -I64_MAX, np.maximum(found, -I64_MAX))


def _terms(events: Events, kinds: NDArray[np.uint8], context: Context) -> tuple[Ints, Ints]:
    """(order ids, `ORDER_TERMS`) of those that were replaced or set off, as they were last."""
    places = np.flatnonzero((kinds == _REPLACED) | (kinds == _TRIGGERED))
    if not len(places):
        return np.empty(0, np.int64), np.empty((0, len(ORDER_TERMS)), np.int64)
    said = events[places]
    orders = said.view(ORDER_EVENT)
    table = np.column_stack((
        _stack(orders, "session_id", "order_type", "tif", "stp", "order_flags", "price_ticks", "stop_price_ticks",
               "display_lots", "expire_ns"),
        _lot_micros(said, context, places),
    ))  # fmt: skip
    ids = _column(said, "order_id")
    # The last of each: the first in the reverse.
    found, at = np.unique(ids[::-1], return_index=True)
    return found, table[::-1][at]


assert EVENT.itemsize == ORDER_EVENT.itemsize, "overlays of one size"
