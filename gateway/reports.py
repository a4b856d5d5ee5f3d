"""Which session gets which event, and events as execution reports. Pure; columns all the way, never a row.

An event belongs to the session whose command it answers, or whose order it concerns (leg 0), and to `maker_session_id`
where that is set (leg 1): the maker of a trade, or the owner of an order that somebody else canceled, reduced or
replaced, or that came to its end by itself (expired). A session that stands on both
sides of a trade gets both rows, leg 0 first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lockstep.stream.codes import Code
from lockstep.stream.records import EVENT, EventKind, Events, join_records
from lockstep.v1 import common_pb2
from lockstep.wire.v1 import columns_pb2

_OPAQUE: Final = np.dtype(f"V{EVENT.itemsize}")
_TRADE: Final = int(EventKind.TRADE)
_CANCELED: Final = int(EventKind.CANCELED)
_REPLACED: Final = int(EventKind.REPLACED)
_REDUCED: Final = int(EventKind.REDUCED)
_DUPLICATE: Final = int(EventKind.DUPLICATE)
_FIRST_ADMIN: Final = 64
_FIRST_CONTROL: Final = 192
_POSITIONS: Final = (int(EventKind.POSITION_ADJUSTED), int(EventKind.POSITION_TRANSFERRED))

REPORT_COLUMNS: Final = (
    ("seq", "seq", "<u8"),
    ("index", "index", "<u4"),
    ("kind", "kind", "u1"),
    ("code", "code", "<u4"),
    ("side", "side", "u1"),
    ("account", "account", "<u4"),
    ("instrument", "instrument", "<u4"),
    ("session_no", "session_no", "<u8"),
    ("order_id", "order_id", "<u8"),
    ("client_order_id", "client_order_id", "<u8"),
    ("price_ticks", "price_ticks", "<i8"),
    ("quantity_lots", "quantity_lots", "<i8"),
    ("leaves_lots", "leaves_lots", "<i8"),
    ("counterparty_order_id", "maker_order_id", "<u8"),
    ("fee_micros", "taker_fee_micros", "<i8"),
    ("flags", "flags", "<u4"),
    ("timestamp_ns", "timestamp_ns", "<i8"),
    ("previous_leaves_lots", "previous_leaves_lots", "<i8"),
)
"""(column of a ReportBatch, field of an EVENT after `_turn_legs`, type on the wire); `leg` comes beside, and what the
kinds have in one place (`shared_columns`)."""


@dataclass(frozen=True, slots=True, eq=False)
class ReportRows:
    """Reports of one session in order: EVENT records seen from its side, and the leg of each."""

    rows: Events = field(repr=False)
    legs: NDArray[np.uint8] = field(repr=False)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, part: slice) -> "ReportRows":
        return ReportRows(self.rows[part], self.legs[part])


@dataclass(frozen=True, slots=True, eq=False)
class Routed:
    """A burst of events by session: session i has the rows from `starts[i]` to `starts[i + 1]`."""

    sessions: tuple[int, ...]
    starts: tuple[int, ...]
    answered: tuple[int, ...]
    """Highest number that an event of the burst answers, by session; 0: none."""
    out_of_order: tuple[tuple[int, int], ...]
    """(session, number) that an engine refused as not the next one."""
    reports: ReportRows = field(repr=False)

    def of(self, position: int) -> ReportRows:
        """Rows of the session at a position of `sessions`."""
        return self.reports[self.starts[position] : self.starts[position + 1]]


def route(events: Events, only_session: int = 0) -> Routed | None:
    """Sort a burst by session, keeping the order of events; None if it concerns no session.

    `only_session`: leave all others out.
    """
    kind = events["kind"]
    ids = np.empty(2 * len(events), dtype=np.uint64)
    ids[0::2] = events["session_id"]
    second = (kind == _TRADE) | (kind == _CANCELED) | (kind == _REPLACED) | (kind == _REDUCED)
    ids[1::2] = np.where(second, events["maker_session_id"], 0)
    if kind.max(initial=0) >= _FIRST_CONTROL:
        ids[0::2][kind >= _FIRST_CONTROL] = 0
    places = np.flatnonzero(ids == only_session if only_session else ids)
    if len(places) == 0:
        return None
    ids = ids[places]
    if ids[0] == ids[-1] and (ids == ids[0]).all():
        starts = [0, len(ids)]
    else:
        order = np.argsort(ids, kind="stable")
        places, ids = places[order], ids[order]
        starts = [0, *(np.flatnonzero(ids[1:] != ids[:-1]) + 1).tolist(), len(ids)]
    # As opaque bytes: gathering records field by field costs four times as much.
    rows = events.view(_OPAQUE)[places >> 1].view(EVENT)
    legs = (places & 1).astype(np.uint8)
    _turn_legs(rows, legs)
    numbers = rows["session_no"]
    gaps: tuple[tuple[int, int], ...] = ()
    refused = rows["code"] == Code.SESSION_OUT_OF_ORDER
    if refused.any():
        gaps = tuple(zip(ids[refused].tolist(), numbers[refused].tolist(), strict=True))
        numbers = np.where(refused, 0, numbers)
    answered = np.maximum.reduceat(numbers, starts[:-1])
    return Routed(
        tuple(ids[starts[:-1]].tolist()), tuple(starts), tuple(answered.tolist()), gaps, ReportRows(rows, legs)
    )


def _turn_legs(rows: Events, legs: NDArray[np.uint8]) -> None:
    """Rewrite, in place, what leg 1 sees from the other side and what overlays say in other words."""
    kind = rows["kind"]
    other = legs != 0
    if other.any():
        rows["session_no"][other] = 0
        made = other & (kind == _TRADE)
        if made.any():
            sub = rows[made]
            rows["side"][made] = 3 - sub["side"]
            rows["account"][made] = sub["maker_account"]
            rows["order_id"][made] = sub["maker_order_id"]
            rows["maker_order_id"][made] = sub["order_id"]
            rows["client_order_id"][made] = sub["maker_client_order_id"]
            rows["leaves_lots"][made] = sub["maker_leaves_lots"]
            rows["taker_fee_micros"][made] = sub["maker_fee_micros"]
    if kind.max(initial=0) >= _FIRST_ADMIN:
        _plain_admin(rows, kind >= _FIRST_ADMIN)


def _plain_admin(rows: Events, admin: NDArray[np.bool_]) -> None:
    """DEFINITION_EVENT and SETTING_EVENT lay a name and values over order fields: a report has none of them.

    It has the position after, in the quantity.
    """
    position = np.where(np.isin(rows["kind"], _POSITIONS), rows["maker_client_order_id"].view(np.int64), 0)
    for name in ("order_id", "client_order_id", "price_ticks", "leaves_lots", "maker_order_id"):
        rows[name][admin] = 0
    rows["quantity_lots"][admin] = position[admin]
    for name in ("taker_fee_micros", "original_seq", "previous_leaves_lots"):
        rows[name][admin] = 0


def join(parts: Sequence[ReportRows]) -> ReportRows:
    """Several runs of rows as one."""
    if len(parts) == 1:
        return parts[0]
    return ReportRows(join_records([part.rows for part in parts]), np.concatenate([part.legs for part in parts]))


def split(reports: ReportRows, max_rows: int) -> list[ReportRows]:
    """Runs of at most about `max_rows` rows; the two legs of one event stay together."""
    runs = []
    start = 0
    while start < len(reports):
        end = min(len(reports), start + max_rows)
        if end < len(reports) and reports.legs[end]:
            last, after = reports.rows[end - 1], reports.rows[end]
            end += last["seq"] == after["seq"] and last["index"] == after["index"]
        runs.append(reports[start:end])
        start = end
    return runs


def shared_columns(rows: Events) -> tuple[tuple[str, NDArray[Any]], ...]:
    """What stands in one place of an event, by column: an ORDER_EVENT has a price where a DUPLICATE has a seq."""
    place = rows["original_seq"]
    repeats = rows["kind"] == _DUPLICATE
    price = np.where(repeats, 0, place).astype("<i8")
    return ("previous_price_ticks", price), ("original_seq", np.where(repeats, place, 0).astype("<u8"))


def report_batch(reports: ReportRows, stamp: bytes) -> columns_pb2.ReportBatch:
    """The twin of a ReportBatch. Columns that are all zero are left out."""
    rows = reports.rows
    columns: dict[str, Any] = {}
    for name, source, dtype in REPORT_COLUMNS:
        column = rows[source]
        if np.count_nonzero(column):
            columns[name] = column.astype(dtype, copy=False).tobytes()
    if np.count_nonzero(rows["original_seq"]):
        columns |= {name: column.tobytes() for name, column in shared_columns(rows) if np.count_nonzero(column)}
    if reports.legs.any():
        columns["leg"] = reports.legs.tobytes()
    return columns_pb2.ReportBatch(stamp=stamp, count=len(rows), **columns)


def report_messages(reports: ReportRows, epoch: int) -> list[common_pb2.ExecutionReport]:
    """Row by row, for clients that asked for it and for unary calls."""
    rows = reports.rows
    names = [name for name, _source, _type in REPORT_COLUMNS if name not in ("seq", "index")]
    columns = [rows[source].tolist() for name, source, _type in REPORT_COLUMNS if name not in ("seq", "index")]
    for name, column in shared_columns(rows):
        names.append(name)
        columns.append(column.tolist())
    messages = []
    ids = zip(rows["seq"].tolist(), rows["index"].tolist(), reports.legs.tolist(), strict=True)
    for (seq, index, leg), *values in zip(ids, *columns, strict=True):
        fields = dict(zip(names, values, strict=True))
        event_id = common_pb2.EventId(seq=seq, index=index)
        messages.append(common_pb2.ExecutionReport(event_id=event_id, epoch=epoch, leg=leg, **fields))
    return messages


def stamp_message(epoch: int, seq: int) -> common_pb2.Stamp:
    """Where an answer stands in the history."""
    return common_pb2.Stamp(epoch=epoch, seq=seq)
