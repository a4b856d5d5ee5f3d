"""The canonical snapshot: one sequence of bytes for one engine state, whichever engine wrote it.

All numbers are little endian, nothing is padded to alignment, and nothing derived is stored (reservations, price
levels and client-id maps follow from the orders). Sections stand one after the other:

* header, once: magic `LKSTSNAP`, version u32, last_seq u64, last_timestamp_ns i64, then the number of rows of each of
  the five sections, u64 each;
* instruments, by id: id u32, symbol 32 bytes (NUL padded), tick_micros i64, lot_units i64;
* accounts, by id: id u32, flags u32, name 32 bytes (NUL padded), cash_micros i64;
* positions, by account and instrument: account u32, instrument u32, quantity_lots i64; none with 0 lots;
* sessions, by id: id u64, last_no u64, k u32, then k = min(last_no, 256) outcome seqs u64, oldest first;
* orders, by instrument, side (buys first) and priority: order_id u64, client_order_id u64, session_id u64, account u32,
  instrument u32, side u8, order_type u8, tif u8, price_ticks i64, quantity_lots i64, leaves_lots i64.

The order of the orders is their priority: best price first, then first come first served. The state digest of an
engine is BLAKE2b-128 over these bytes.
"""

import struct
from dataclasses import dataclass
from typing import Final, NamedTuple

MAGIC: Final = b"LKSTSNAP"
VERSION: Final = 1

_HEADER: Final = struct.Struct("<8sIQqQQQQQ")
_INSTRUMENT: Final = struct.Struct("<I32sqq")
_ACCOUNT: Final = struct.Struct("<II32sq")
_POSITION: Final = struct.Struct("<IIq")
_SESSION: Final = struct.Struct("<QQI")
_ORDER: Final = struct.Struct("<QQQIIBBBqqq")
_SEQ_SIZE: Final = 8
MAX_OUTCOMES: Final = 256


class SnapshotError(ValueError):
    """The bytes are not a snapshot that this version can restore."""


class InstrumentRow(NamedTuple):
    """Reference data; `symbol` without padding."""

    instrument: int
    symbol: bytes
    tick_micros: int
    lot_units: int


class AccountRow(NamedTuple):
    """An account; `name` without padding."""

    account: int
    flags: int
    name: bytes
    cash_micros: int


class PositionRow(NamedTuple):
    """Lots held."""

    account: int
    instrument: int
    quantity_lots: int


class SessionRow(NamedTuple):
    """A session's numbering; `outcomes` are the seqs of its latest numbers, oldest first."""

    session_id: int
    last_no: int
    outcomes: tuple[int, ...]


class OrderRow(NamedTuple):
    """A resting order."""

    order_id: int
    client_order_id: int
    session_id: int
    account: int
    instrument: int
    side: int
    order_type: int
    tif: int
    price_ticks: int
    quantity_lots: int
    leaves_lots: int


@dataclass(frozen=True, slots=True)
class StateImage:
    """A snapshot's content. The writer puts all rows into the documented order."""

    last_seq: int
    last_timestamp_ns: int
    instruments: tuple[InstrumentRow, ...]
    accounts: tuple[AccountRow, ...]
    positions: tuple[PositionRow, ...]
    sessions: tuple[SessionRow, ...]
    orders: tuple[OrderRow, ...]


def encode_snapshot(image: StateImage) -> bytes:
    """Bytes of a snapshot."""
    counts = map(len, (image.instruments, image.accounts, image.positions, image.sessions, image.orders))
    parts = [_HEADER.pack(MAGIC, VERSION, image.last_seq, image.last_timestamp_ns, *counts)]
    parts += [_INSTRUMENT.pack(*row) for row in image.instruments]
    parts += [_ACCOUNT.pack(*row) for row in image.accounts]
    parts += [_POSITION.pack(*row) for row in image.positions]
    for session in image.sessions:
        kept = len(session.outcomes)
        parts.append(_SESSION.pack(session.session_id, session.last_no, kept))
        parts.append(struct.pack(f"<{kept}Q", *session.outcomes))
    parts += [_ORDER.pack(*row) for row in image.orders]
    return b"".join(parts)


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
    """Content of a snapshot.

    Raises:
        SnapshotError: wrong magic, version or length.
    """
    reader = _Reader(raw)
    magic, version, last_seq, last_timestamp_ns, *counts = _HEADER.unpack(reader.take(_HEADER.size))
    if magic != MAGIC:
        raise SnapshotError("not an engine snapshot: it does not start with LKSTSNAP")
    if version != VERSION:
        raise SnapshotError(f"snapshot has version {version}, this program reads {VERSION}; use the one that wrote it")
    instruments = tuple(
        InstrumentRow(number, symbol.rstrip(b"\0"), tick, lot)
        for number, symbol, tick, lot in _INSTRUMENT.iter_unpack(reader.take(counts[0] * _INSTRUMENT.size))
    )
    accounts = tuple(
        AccountRow(number, flags, name.rstrip(b"\0"), cash)
        for number, flags, name, cash in _ACCOUNT.iter_unpack(reader.take(counts[1] * _ACCOUNT.size))
    )
    positions = tuple(map(PositionRow._make, _POSITION.iter_unpack(reader.take(counts[2] * _POSITION.size))))
    sessions = tuple(_session(reader) for _ in range(counts[3]))
    orders = tuple(map(OrderRow._make, _ORDER.iter_unpack(reader.take(counts[4] * _ORDER.size))))
    if reader.rest:
        raise SnapshotError(f"snapshot has {reader.rest} bytes after its end")
    return StateImage(last_seq, last_timestamp_ns, instruments, accounts, positions, sessions, orders)


def _session(reader: _Reader) -> SessionRow:
    session_id, last_no, kept = _SESSION.unpack(reader.take(_SESSION.size))
    if kept > MAX_OUTCOMES:
        raise SnapshotError(f"session {session_id} has {kept} outcomes, more than {MAX_OUTCOMES}")
    return SessionRow(session_id, last_no, struct.unpack(f"<{kept}Q", reader.take(kept * _SEQ_SIZE)))
