"""The canonical snapshot: one sequence of bytes for one engine state, whichever engine wrote it.

All numbers are little endian, nothing is padded to alignment, and nothing derived is stored (reservations, price
levels and client-id maps follow from the orders). Sections stand one after the other:

* header, once: magic `LKSTSNAP`, version u32, last_seq u64, last_timestamp_ns i64, pot of fees in micros (16 bytes,
  unsigned), the market's breaker: levels 1 to 3 ppm u32 each, pause_ns i64, day i64 and level u8 reached, until_ns
  i64; the market's throttle: orders_per_second, burst_orders and tat ns i64 each (all 0 if it has none); then the
  number of rows of each of the twelve sections, u64 each;
* instruments, by id: id u32, symbol 32 bytes (NUL padded), tick_micros i64, lot_units i64, phase u8, next_phase u8,
  until_ns i64 (both 0 if none follows), reference price i64, last price i64, maker fee ppm i32, taker fee ppm, band
  ppm, collar ppm, breaker ppm, u32 each, breaker window_ns i64, breaker pause_ns i64, breaker phase u8, initial and
  maintenance margin ppm u32 each, index weight i64, previous close i64, its throttle as the market's;
* accounts, by id: id u32, flags u32, name 32 bytes (NUL padded), cash_micros i64, status u8, the limits
  (max_order_lots, max_order_micros, max_position_lots, max_orders_per_day, orders_per_second, burst_orders,
  max_orders_per_trade, max_concentration_ppm) i64 each, the counters (day, orders of the day, trades of the day, tat
  ns) i64 each, all 0 if there is no limit, business days of the four latest day trades i64 each, oldest first, under
  margin call u8;
* positions, by account and instrument: account u32, instrument u32, quantity_lots i64, cost_micros i64, realised_micros
  i64, business day of its opening i64; none with all four 0;
* sessions, by id: id u64, last_no u64 (at least 1), k u32, then of the k = min(last_no, 8192) latest numbers, oldest
  first: the seq of the outcome u64, the content u64 (`stream/content.py`);
* owners (cancel on disconnect), by session: session id u64, its highest connection u64, gateway u16 that may close it
  (0: has closed it);
* orders, by instrument, place, side (buys first) and priority: order_id u64, client_order_id u64, session_id u64,
  account u32, instrument u32, side u8, order_type u8, tif u8, price_ticks i64 (as its client named it, 0: not at
  all), held_ticks i64 (where it stands in the book: its price, but of a market order what protection and band hold it
  to), quantity_lots i64, leaves_lots i64, place u8 (0 book, 1 waits for its stop price, 2 for the closing auction, 3
  for its parent), stp u8, flags u8, display_lots i64, shown_lots i64 (an iceberg's peak in the book, else 0),
  expire_ns i64, stop_price_ticks i64 (as it stands now; of triggered orders as it was), trail_ticks i64, lot_micros
  i64 (what one lot reserves), of one that waits for its parent: order id of that u64 (0: it has ended) and lots i64
  that it has traded since;
* stood prices (the spans of breakers), by instrument, those for the highest price first, then those for the lowest, in
  the order of their queue: instrument u32, which queue u8 (0 highest, 1 lowest), price i64, until ns i64; at most 1 024
  of one queue;
* bands (limit up, limit down), by instrument, of those that have some: instrument u32, high, middle, low and step ppm
  u32 each, high_above, low_below and low_most ticks, window, limit and pause ns i64 each, how many times as wide u8,
  reference price i64 (0: none), since ns, lower and upper band i64 each, state u8, until ns i64 (0 if it is no limit
  state);
* sales (the windows of bands), by instrument, oldest first: instrument u32, stamp of the first trade ns i64, number of
  trades u64, sum of their prices in ticks (16 bytes, unsigned); at most 1 024 of one instrument;
* lots, by instrument, of those that have round lots: instrument u32, lots of a round lot u32, odd lots u8, display u8;
* restrictions, by instrument and account: instrument u32, account u32 (0: of everybody), bars u32, most share ppm u32,
  outstanding lots i64, located lots i64; none with all four 0;
* short sales, by instrument, of those that are or may be restricted: instrument u32, fall ppm u32, business day that
  set the restriction off i64 (0: none did).

The order of the orders in the book is their priority: best price first; at one price the displayed ones in their
queue, then the hidden ones in theirs. Stops: buys by (stop price, order id), sells by (-stop price, order id). Orders
for the closing auction: as they came to wait, both sides together. Orders for their parent: by order id. The state
digest of an engine is BLAKE2b-128 over these bytes.

Version 9 had neither restrictions nor short sales: ten sections.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from lockstep.stream.records import REMEMBERED_NUMBERS

MAGIC: Final = b"LKSTSNAP"
VERSION: Final = 10
HIGHEST, LOWEST = 0, 1
"""Queues of stood prices."""

_PREVIOUS: Final = 9
_SECTIONS: Final = 12
_SECTIONS_9: Final = 10

_PREFIX: Final = struct.Struct("<8sI")
_HEADER: Final = struct.Struct("<Qq16s3IqqBqqqq")
_COUNT: Final = struct.Struct("<Q")
_INSTRUMENT: Final = struct.Struct("<I32sqqBBqqqi4IqqBIIqqqqq")
_ACCOUNT: Final = struct.Struct("<II32sqB16qB")
_POSITION: Final = struct.Struct("<IIqqqq")
_SESSION: Final = struct.Struct("<QQI")
_OWNER: Final = struct.Struct("<QQH")
_ORDER: Final = struct.Struct("<QQQIIBBBqqqqBBBqqqqqqQq")
_STOOD: Final = struct.Struct("<IBqq")
_BAND: Final = struct.Struct("<I4I6qBqqqqBq")
_SALES: Final = struct.Struct("<IqQ16s")
_LOT: Final = struct.Struct("<IIBB")
_RESTRICTION: Final = struct.Struct("<IIIIqq")
_SHORT_SALES: Final = struct.Struct("<IIq")
_OUTCOME_SIZE: Final = 16
_WIDE_SIZE: Final = 16


class SnapshotError(ValueError):
    """The bytes are not a snapshot that this version can restore."""


class MarketRow(NamedTuple):
    """The market-wide breaker: terms, level reached and on which day, until when all is halted; its throttle."""

    level1_ppm: int
    level2_ppm: int
    level3_ppm: int
    pause_ns: int
    day: int
    level: int
    until_ns: int
    orders_per_second: int = 0
    burst_orders: int = 0
    throttle_tat_ns: int = 0


class InstrumentRow(NamedTuple):
    """Reference data; `symbol` without padding."""

    instrument: int
    symbol: bytes
    tick_micros: int
    lot_units: int
    phase: int
    next_phase: int
    until_ns: int
    reference_ticks: int
    last_ticks: int
    maker_fee_ppm: int
    taker_fee_ppm: int
    band_ppm: int
    collar_ppm: int
    breaker_ppm: int
    breaker_window_ns: int
    breaker_pause_ns: int
    breaker_phase: int
    initial_margin_ppm: int
    maintenance_margin_ppm: int
    index_weight: int
    close_ticks: int
    orders_per_second: int = 0
    burst_orders: int = 0
    throttle_tat_ns: int = 0


class AccountRow(NamedTuple):
    """An account; `name` without padding."""

    account: int
    flags: int
    name: bytes
    cash_micros: int
    status: int
    max_order_lots: int
    max_order_micros: int
    max_position_lots: int
    max_orders_per_day: int
    orders_per_second: int
    burst_orders: int
    max_orders_per_trade: int
    max_concentration_ppm: int
    day: int
    day_orders: int
    day_trades: int
    tat_ns: int
    day_trade1: int
    day_trade2: int
    day_trade3: int
    day_trade4: int
    margin_called: int


class PositionRow(NamedTuple):
    """Lots held."""

    account: int
    instrument: int
    quantity_lots: int
    cost_micros: int
    realised_micros: int
    opened_day: int


class SessionRow(NamedTuple):
    """A session's numbering; `outcomes`: (seq u64, content u64) of each of its latest numbers, oldest first."""

    session_id: int
    last_no: int
    outcomes: bytes


class OwnerRow(NamedTuple):
    """A session whose orders are to be canceled when it is lost: its latest connection, and where that is; 0: lost."""

    session_id: int
    connection: int
    gateway: int


class OrderRow(NamedTuple):
    """A live order."""

    order_id: int
    client_order_id: int
    session_id: int
    account: int
    instrument: int
    side: int
    order_type: int
    tif: int
    price_ticks: int
    held_ticks: int
    quantity_lots: int
    leaves_lots: int
    place: int
    stp: int
    flags: int
    display_lots: int
    shown_lots: int
    expire_ns: int
    stop_price_ticks: int
    trail_ticks: int
    lot_micros: int
    parent_id: int = 0
    parent_lots: int = 0


class StoodRow(NamedTuple):
    """A price that stood within the span of an instrument's breaker (`lockstep.engine.reference.stood`)."""

    instrument: int
    queue: int
    price_ticks: int
    until_ns: int


class BandRow(NamedTuple):
    """An instrument's limit up and limit down (`lockstep.engine.reference.bands`)."""

    instrument: int
    high_ppm: int
    middle_ppm: int
    low_ppm: int
    step_ppm: int
    high_above_ticks: int
    low_below_ticks: int
    low_most_ticks: int
    window_ns: int
    limit_ns: int
    pause_ns: int
    factor: int
    reference_ticks: int
    since_ns: int
    low_ticks: int
    high_ticks: int
    state: int
    until_ns: int


class SalesRow(NamedTuple):
    """Trades that came close together, within the window of an instrument's bands."""

    instrument: int
    first_ns: int
    trades: int
    ticks: int


class LotRow(NamedTuple):
    """What a round lot of an instrument is (`lockstep.engine.reference.lots`)."""

    instrument: int
    round_lots: int
    odd_lots: int
    display: int


class RestrictionRow(NamedTuple):
    """Who may trade an instrument, and how far (`lockstep.engine.reference.restrictions`); account 0: everybody."""

    instrument: int
    account: int
    bars: int
    max_share_ppm: int
    outstanding_lots: int
    located_lots: int


class ShortSalesRow(NamedTuple):
    """When short sales of an instrument are held to a price (`lockstep.engine.reference.restrictions`)."""

    instrument: int
    fall_ppm: int
    since_day: int


_NUMPY_TYPES: Final = {"Q": "<u8", "I": "<u4", "B": "u1", "q": "<i8"}
ORDER_COLUMNS: Final = np.dtype(
    [(name, _NUMPY_TYPES[letter]) for name, letter in zip(OrderRow._fields, _ORDER.format[1:], strict=True)]
)
"""Rows of orders as an array."""


@dataclass(frozen=True, slots=True)
class StateImage:
    """A snapshot's content. The writer puts all rows into the documented order."""

    last_seq: int
    last_timestamp_ns: int
    fees_micros: int
    market: MarketRow
    instruments: tuple[InstrumentRow, ...]
    accounts: tuple[AccountRow, ...]
    positions: tuple[PositionRow, ...]
    sessions: tuple[SessionRow, ...]
    owners: tuple[OwnerRow, ...]
    orders: tuple[OrderRow, ...]
    stood: tuple[StoodRow, ...]
    bands: tuple[BandRow, ...] = ()
    sales: tuple[SalesRow, ...] = ()
    lots: tuple[LotRow, ...] = ()
    restrictions: tuple[RestrictionRow, ...] = ()
    short_sales: tuple[ShortSalesRow, ...] = ()


def encode_snapshot(image: StateImage) -> bytes:
    """Bytes of a snapshot."""
    owned = (image.accounts, image.positions, image.sessions, image.owners, image.orders)
    ruled = (image.bands, image.sales, image.lots, image.restrictions, image.short_sales)
    counts = map(len, (image.instruments, *owned, image.stood, *ruled))
    fees = image.fees_micros.to_bytes(_WIDE_SIZE, "little")
    parts = [_PREFIX.pack(MAGIC, VERSION)]
    parts += [_HEADER.pack(image.last_seq, image.last_timestamp_ns, fees, *image.market)]
    parts += [_COUNT.pack(count) for count in counts]
    parts += [_INSTRUMENT.pack(*row) for row in image.instruments]
    parts += [_ACCOUNT.pack(*row) for row in image.accounts]
    parts += [_POSITION.pack(*row) for row in image.positions]
    for session in image.sessions:
        kept = len(session.outcomes) // _OUTCOME_SIZE
        parts.append(_SESSION.pack(session.session_id, session.last_no, kept))
        parts.append(session.outcomes)
    parts += [_OWNER.pack(*row) for row in image.owners]
    parts += [encode_order(row) for row in image.orders]
    parts += [_STOOD.pack(*row) for row in image.stood]
    parts += [_BAND.pack(*row) for row in image.bands]
    parts += [_SALES.pack(*row[:-1], row.ticks.to_bytes(_WIDE_SIZE, "little")) for row in image.sales]
    parts += [_LOT.pack(*row) for row in image.lots]
    parts += [_RESTRICTION.pack(*row) for row in image.restrictions]
    parts += [_SHORT_SALES.pack(*row) for row in image.short_sales]
    return b"".join(parts)


def encode_order(row: OrderRow) -> bytes:
    """Bytes of one order, `ORDER_COLUMNS.itemsize` of them."""
    return _ORDER.pack(*row)


class _Reader:
    """Walks the bytes; running out of them is a SnapshotError."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._raw):
            raise SnapshotError(f"snapshot ends at byte {len(self._raw)}, {end} expected; it is cut short")
        part = self._raw[self._at : end]
        self._at = end
        return part

    @property
    def rest(self) -> int:
        return len(self._raw) - self._at


def decode_snapshot(raw: bytes) -> StateImage:
    """Content of a snapshot of this version, or of the one before.

    Raises:
        SnapshotError: wrong magic, version or length.
    """
    reader = _Reader(raw)
    magic, version = _PREFIX.unpack(reader.take(_PREFIX.size))
    if magic != MAGIC:
        raise SnapshotError("not an engine snapshot: it does not start with LKSTSNAP")
    if version not in (_PREVIOUS, VERSION):
        known = f"{_PREVIOUS} and {VERSION}"
        raise SnapshotError(f"snapshot has version {version}, this program reads {known}; use the one that wrote it")
    return _content(reader, _SECTIONS if version == VERSION else _SECTIONS_9)


def in_this_version(raw: bytes) -> bytes:
    """The same state as this version writes it; bytes that are of this version, or of none, come back as they are.

    Raises:
        SnapshotError: of the version before, and damaged.
    """
    if len(raw) < _PREFIX.size or _PREFIX.unpack_from(raw) != (MAGIC, _PREVIOUS):
        return raw
    return encode_snapshot(decode_snapshot(raw))


def _content(reader: _Reader, sections: int) -> StateImage:
    last_seq, last_timestamp_ns, fees, *rest = _HEADER.unpack(reader.take(_HEADER.size))
    counts = [count for (count,) in _COUNT.iter_unpack(reader.take(sections * _COUNT.size))]
    counts += [0] * (_SECTIONS - sections)
    instruments = tuple(
        InstrumentRow(number, symbol.rstrip(b"\0"), *fields)
        for number, symbol, *fields in _INSTRUMENT.iter_unpack(reader.take(counts[0] * _INSTRUMENT.size))
    )
    owned = _owned(reader, counts[1:6])
    stood = tuple(map(StoodRow._make, _STOOD.iter_unpack(reader.take(counts[6] * _STOOD.size))))
    ruled = _ruled(reader, counts[7:])
    _at_end(reader)
    pot = int.from_bytes(fees, "little")
    market = MarketRow(*rest)
    return StateImage(last_seq, last_timestamp_ns, pot, market, instruments, *owned, stood, *ruled)


_Owned = tuple[
    tuple[AccountRow, ...],
    tuple[PositionRow, ...],
    tuple[SessionRow, ...],
    tuple[OwnerRow, ...],
    tuple[OrderRow, ...],
]


def _owned(reader: _Reader, counts: Sequence[int]) -> _Owned:
    """The sections between instruments and stood prices."""
    accounts = tuple(
        AccountRow(number, flags, name.rstrip(b"\0"), *rest)
        for number, flags, name, *rest in _ACCOUNT.iter_unpack(reader.take(counts[0] * _ACCOUNT.size))
    )
    positions = tuple(map(PositionRow._make, _POSITION.iter_unpack(reader.take(counts[1] * _POSITION.size))))
    sessions = tuple(_session(reader) for _ in range(counts[2]))
    owners = tuple(map(OwnerRow._make, _OWNER.iter_unpack(reader.take(counts[3] * _OWNER.size))))
    orders = tuple(OrderRow(*row) for row in _ORDER.iter_unpack(reader.take(counts[4] * _ORDER.size)))
    return accounts, positions, sessions, owners, orders


_Ruled = tuple[
    tuple[BandRow, ...],
    tuple[SalesRow, ...],
    tuple[LotRow, ...],
    tuple[RestrictionRow, ...],
    tuple[ShortSalesRow, ...],
]


def _ruled(reader: _Reader, counts: Sequence[int]) -> _Ruled:
    """The sections after stood prices: rules of some instruments alone."""
    bands = tuple(map(BandRow._make, _BAND.iter_unpack(reader.take(counts[0] * _BAND.size))))
    sales = tuple(
        SalesRow(number, first_ns, trades, int.from_bytes(ticks, "little"))
        for number, first_ns, trades, ticks in _SALES.iter_unpack(reader.take(counts[1] * _SALES.size))
    )
    lots = tuple(map(LotRow._make, _LOT.iter_unpack(reader.take(counts[2] * _LOT.size))))
    barred = _RESTRICTION.iter_unpack(reader.take(counts[3] * _RESTRICTION.size))
    short_sales = _SHORT_SALES.iter_unpack(reader.take(counts[4] * _SHORT_SALES.size))
    return bands, sales, lots, tuple(map(RestrictionRow._make, barred)), tuple(map(ShortSalesRow._make, short_sales))


def _at_end(reader: _Reader) -> None:
    if reader.rest:
        raise SnapshotError(f"snapshot has {reader.rest} bytes after its end")


def _session(reader: _Reader) -> SessionRow:
    session_id, last_no, kept = _SESSION.unpack(reader.take(_SESSION.size))
    expected = min(last_no, REMEMBERED_NUMBERS)
    if not kept or kept != expected:
        raise SnapshotError(f"session {session_id} has {kept} outcomes, not {expected}, after its number {last_no}")
    return SessionRow(session_id, last_no, reader.take(kept * _OUTCOME_SIZE))
