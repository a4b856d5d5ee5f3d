"""What came back from a replay: counted, checked for repeats and gaps, timed, and written to CSV.

Fed with batches of report columns as they arrive, in the order of event ids. A trade comes as two rows, one for each
side; the fill is written when both are here, with the order ids of the file.
"""

import csv
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from hdrh.histogram import HdrHistogram

from lockstep.bench.latency import new_histogram, percentiles_us, record_us
from lockstep.bench.replay.numbers import client_id_to_file, format_price
from lockstep.codes import REFUSING_KINDS
from lockstep.columns import ReportColumns
from lockstep.enums import Code, EventKind, Side
from lockstep.rows import REPORT_FIELDS
from lockstep.runtime.output import OutputStream, WriteFault

FILL_COLUMNS: Final = (
    "event_id",
    "seq",
    "epoch",
    "instrument",
    "taker_order_id",
    "maker_order_id",
    "price",
    "quantity",
    "side",
    "time_ns",
)
"""`side` is the taker's (in an auction the buyer stands there), `time_ns` the cluster's stamped time."""
REPORT_COLUMNS: Final = ("event_id", *REPORT_FIELDS, "epoch", "reason")
"""As in a `ReportBatch`, but `kind` and `side` in words; `reason` is `code` in words, empty for OK."""
_KIND_NAMES: Final = {int(kind): kind.name for kind in EventKind}
_SIDE_NAMES: Final = {0: "", int(Side.BUY): "B", int(Side.SELL): "S"}
_KIND_PLACE: Final = REPORT_FIELDS.index("kind")
_SIDE_PLACE: Final = REPORT_FIELDS.index("side")
_CODE_PLACE: Final = REPORT_FIELDS.index("code")


@dataclass(frozen=True, slots=True)
class TradedInstrument:
    """What the recording must know of an instrument."""

    name: str
    tick_micros: int
    lot_units: int


@dataclass(slots=True)
class Sent:
    """When which numbers of the session were sent: for latencies."""

    first_numbers: list[int] = field(default_factory=list)
    times_ns: list[int] = field(default_factory=list)

    def add(self, first_no: int, now_ns: int) -> None:
        """Commands from `first_no` on were due at `now_ns`."""
        self.first_numbers.append(first_no)
        self.times_ns.append(now_ns)


class Recording:
    """Accumulates what a session was handed. Its streams are the caller's to commit."""

    def __init__(
        self,
        instruments: Mapping[int, TradedInstrument],
        *,
        first_no: int,
        fills: OutputStream | None = None,
        reports: OutputStream | None = None,
    ) -> None:
        """`first_no`: session number of the first command of the file; what came before (definitions) isn't counted.

        Raises:
            WriteFault: an output can't be written.
        """
        self._instruments = instruments
        self._first_no = first_no
        self._last_no = first_no - 1
        self._last_id = (0, 0, -1)
        self._open_fill: tuple[int, int] | None = None
        self._open_row: list[Any] = []
        self.fault: WriteFault | None = None
        """Why no more is written; the rest is only counted."""
        self._fills = self._writer(fills, FILL_COLUMNS)
        self._reports = self._writer(reports, REPORT_COLUMNS)
        self.sent = Sent()
        self.histogram: HdrHistogram = new_histogram()
        self.rows = 0
        self.acknowledged = 0
        self.fills = 0
        self.filled_units = 0
        self.duplicates = 0
        self.gaps = 0
        self.epochs: list[int] = []
        self.refusals: Counter[str] = Counter()

    @staticmethod
    def _writer(stream: OutputStream | None, columns: tuple[str, ...]) -> Any:
        if stream is None:
            return None
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        return writer

    def on_batch(self, batch: ReportColumns, now_ns: int) -> None:
        """Take the rows of one batch, which arrived at `now_ns`."""
        self._check_order(batch)
        if batch.epoch not in self.epochs:
            self.epochs.append(batch.epoch)
        self.rows += len(batch)
        self._count_outcomes(batch, now_ns)
        # A full disk must not end the session from within its loop: whoever sends asks for the fault.
        try:
            trades = batch.kind == EventKind.TRADE
            if trades.any():
                self._pair_trades(batch.take(trades))
            if self._reports is not None:
                self._write_reports(batch)
        except WriteFault as fault:
            self.fault = self.fault or fault
            self._fills = self._reports = None

    def _check_order(self, batch: ReportColumns) -> None:
        # Rows within one batch are in order as well, or some client would see a repeat.
        ids = np.stack([batch.seq, batch.index, batch.leg], axis=1).astype(np.uint64)
        first = tuple(int(value) for value in ids[0])
        if first <= self._last_id:
            self.duplicates += 1
        before, after = ids[:-1], ids[1:]
        rising = (after[:, 0] > before[:, 0]) | (
            (after[:, 0] == before[:, 0])
            & ((after[:, 1] > before[:, 1]) | ((after[:, 1] == before[:, 1]) & (after[:, 2] > before[:, 2])))
        )
        self.duplicates += int((~rising).sum())
        self._last_id = (int(ids[-1][0]), int(ids[-1][1]), int(ids[-1][2]))

    def _count_outcomes(self, batch: ReportColumns, now_ns: int) -> None:
        # A command's outcome is its first report. What fell due by then (an expiry) may stand before it, without a
        # number.
        own = (batch.leg == 0) & (batch.session_no >= self._first_no) & (batch.kind != EventKind.DUPLICATE)
        places = np.flatnonzero(own)
        if not len(places):
            return
        numbers = batch.session_no[places].astype(np.int64)
        first = np.concatenate([[self._last_no], numbers[:-1]]) < numbers
        places, numbers = places[first], numbers[first]
        if not len(places):
            return
        self.acknowledged += len(numbers)
        expected = np.concatenate([[self._last_no], numbers[:-1]]) + 1
        self.gaps += int(np.maximum(numbers - expected, 0).sum())
        self._last_no = int(numbers[-1])
        slot = np.searchsorted(np.asarray(self.sent.first_numbers), numbers, side="right") - 1
        record_us(self.histogram, (now_ns - np.asarray(self.sent.times_ns)[slot]) // 1000)
        refused = np.isin(batch.kind[places], list(REFUSING_KINDS))
        for code, count in zip(*np.unique(batch.code[places][refused], return_counts=True), strict=True):
            self.refusals[_code_name(int(code))] += int(count)

    def _pair_trades(self, trades: ReportColumns) -> None:
        columns = (
            trades.seq,
            trades.index,
            trades.leg,
            trades.instrument,
            trades.client_order_id,
            trades.price_ticks,
            trades.quantity_lots,
            trades.side,
            trades.timestamp_ns,
        )
        for row in zip(*(column.tolist() for column in columns), strict=True):
            event_id, leg, client_order_id = (row[0], row[1]), row[2], row[4]
            if self._open_fill != event_id:
                self.close_fill()
                self._open_fill = event_id
                self._open_row = self._fill_row(row, trades.epoch)
            self._open_row[4 if leg == 0 else 5] = client_id_to_file(client_order_id)
            if leg == 1:
                self.close_fill()

    def _fill_row(self, row: tuple[int, ...], epoch: int) -> list[Any]:
        seq, index, leg, instrument, _client_order_id, price_ticks, quantity_lots, side, time_ns = row
        traded = self._instruments.get(instrument, TradedInstrument(str(instrument), 1_000_000, 1))
        units = quantity_lots * traded.lot_units
        self.filled_units += units
        price = format_price(price_ticks, traded.tick_micros)
        # The other side stays empty where its order is not of this file.
        taker_side = side if leg == 0 else Side.BUY + Side.SELL - side
        return [
            f"{seq}-{index}",
            seq,
            epoch,
            traded.name,
            "",
            "",
            price,
            units,
            _SIDE_NAMES.get(taker_side, ""),
            time_ns,
        ]

    def close_fill(self) -> None:
        """Write the fill whose rows have come; call it once more at the end."""
        if self._open_fill is None:
            return
        self.fills += 1
        self._open_fill = None
        if self._fills is not None:
            self._fills.writerow(self._open_row)

    def _write_reports(self, batch: ReportColumns) -> None:
        columns = [getattr(batch, name).tolist() for name in REPORT_FIELDS]
        codes = columns[_CODE_PLACE]
        columns[_KIND_PLACE] = [_KIND_NAMES.get(kind, str(kind)) for kind in columns[_KIND_PLACE]]
        columns[_SIDE_PLACE] = [_SIDE_NAMES.get(side, str(side)) for side in columns[_SIDE_PLACE]]
        epoch = batch.epoch
        self._reports.writerows(
            (f"{row[0]}-{row[1]}", *row, epoch, _code_name(code) if code else "")
            for code, row in zip(codes, zip(*columns, strict=True), strict=True)
        )

    def latency_us(self) -> dict[str, float]:
        """Percentiles of the time from sending a command to its first report, microseconds."""
        return percentiles_us(self.histogram)


def _code_name(code: int) -> str:
    try:
        return Code(code).name
    except ValueError:
        return str(code)
