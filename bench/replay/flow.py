"""Order-flow files (FLOW.csv): a text format for people and tools, read as a stream of columns.

A file is read twice: `check_flow` goes through all of it first, so that a mistake in the last line is reported before
the first order is sent; `read_flow` then yields the same rows in chunks of NumPy columns. Neither holds the file in
memory.
`flow_names` has what stands above the rows, `flow_rows` what a row means, `flow_fields` its numbers and words.

Every mistake is one `FlowError` with file, line, thing and remedy.
"""

import csv
import gzip
import io
import re
import stat
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lockstep.bench.replay.flow_fields import FlowError as FlowError
from lockstep.bench.replay.flow_fields import Place, shown
from lockstep.bench.replay.flow_names import AUTO_TICK_MICROS as AUTO_TICK_MICROS
from lockstep.bench.replay.flow_names import FlowAccount as FlowAccount
from lockstep.bench.replay.flow_names import FlowInstrument as FlowInstrument
from lockstep.bench.replay.flow_names import Names
from lockstep.bench.replay.flow_rows import ACTIONS, NO_TIME, OPTIONAL, REQUIRED, FlowRow, RowParser

_SMALL: Final = ("kind", "side", "order_type", "tif", "stp", "flags", "phase")
_UNSIGNED: Final = ("client_order_id", "parent_id", "tag")
_DTYPES: Final = {
    name: np.dtype(np.uint8 if name in _SMALL else np.uint64 if name in _UNSIGNED else np.int64)
    for name in FlowRow._fields
}


@dataclass(frozen=True, slots=True)
class FlowSummary:
    """What a checked file holds. Instrument i and account i of the columns are index i of these tuples."""

    instruments: tuple[FlowInstrument, ...]
    accounts: tuple[FlowAccount, ...]
    commands: int
    by_action: Mapping[str, int]
    version: tuple[int, ...] = ()
    """Whether the file is still the one that was checked."""


@dataclass(frozen=True, slots=True)
class FlowChunk:
    """Consecutive commands of a file by columns, all of one length."""

    first_index: int
    """Index of the first row among the file's commands, from 0."""
    kind: NDArray[np.uint8]
    account: NDArray[np.int64]
    """Index into `FlowSummary.accounts`; NOBODY (-1) in a mass cancel of everybody's orders, and with a phase."""
    instrument: NDArray[np.int64]
    """Index into `FlowSummary.instruments`; NOBODY (-1): every one."""
    client_order_id: NDArray[np.uint64]
    side: NDArray[np.uint8]
    order_type: NDArray[np.uint8]
    tif: NDArray[np.uint8]
    stp: NDArray[np.uint8]
    flags: NDArray[np.uint8]
    price_ticks: NDArray[np.int64]
    quantity_lots: NDArray[np.int64]
    stop_price_ticks: NDArray[np.int64]
    display_lots: NDArray[np.int64]
    min_lots: NDArray[np.int64]
    expire_ns: NDArray[np.int64]
    trail_ticks: NDArray[np.int64]
    parent_id: NDArray[np.uint64]
    """Client order id of the order that it waits for; 0: of none."""
    tag: NDArray[np.uint64]
    phase: NDArray[np.uint8]
    """Of a SET_PHASE, whose new reference price is in `price_ticks`; else 0."""
    time_ns: NDArray[np.int64]
    """When the file says that it came; NO_TIME (-1): it does not say."""

    def __len__(self) -> int:
        return len(self.kind)


if tuple(field.name for field in fields(FlowChunk))[1:] != FlowRow._fields:
    raise AssertionError("the columns of a chunk and the fields of a row are not in the same order")


def check_flow(path: Path, *, auto: bool = False, timed: bool = False) -> FlowSummary:
    """Read a whole file and say what it holds.

    Args:
        path: the file; `.gz` is read through gzip.
        auto: take undeclared accounts and instruments (tick 0.01, lot 1) with unlimited funds.
        timed: the rows are to be sent by their `time_ns`: each must have one, and it may not go back.

    Raises:
        FlowError: something in the file is wrong.
    """
    reader = _Reader(path, auto=auto, known=None, timed=timed)
    counts = dict.fromkeys(ACTIONS, 0)
    names = {int(kind): action for action, kind in ACTIONS.items()}
    total = 0
    version = _version(path)
    for chunk in reader.chunks(65_536):
        total += len(chunk)
        for kind, count in zip(*np.unique(chunk.kind, return_counts=True), strict=True):
            counts[names[int(kind)]] += int(count)
    used = {action: count for action, count in counts.items() if count or action in "NCR"}
    return FlowSummary(tuple(reader.names.instruments), tuple(reader.names.accounts), total, used, version)


def read_flow(path: Path, summary: FlowSummary, *, chunk_rows: int = 1024) -> Iterator[FlowChunk]:
    """The commands of a checked file, in order, `chunk_rows` at a time.

    Raises:
        FlowError: the file was changed since it was checked.
    """
    if summary.version and _version(path) != summary.version:
        raise FlowError(f"{path}: was changed after it had been checked; replay it again when nobody writes to it")
    yield from _Reader(path, auto=False, known=summary, timed=False).chunks(chunk_rows)


def _version(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except FileNotFoundError:
        raise FlowError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise FlowError(f"{path}: can't be read: {error.strerror}; check the path") from None
    if not stat.S_ISREG(found.st_mode):
        raise FlowError(f"{path}: is no regular file, and is read twice; save it to a file first")
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _chunk(first_index: int, rows: list[FlowRow]) -> FlowChunk:
    columns: Any = zip(*rows, strict=True)
    arrays = [np.array(column, dtype) for column, dtype in zip(columns, _DTYPES.values(), strict=True)]
    return FlowChunk(first_index, *arrays)


class _Reader:
    """One pass over a file."""

    def __init__(self, path: Path, *, auto: bool, known: FlowSummary | None, timed: bool) -> None:
        self._path = path
        self._place = Place(path)
        self._declare = known is None
        self._timed = timed
        self._time_ns = 0
        self.names = Names(
            self._place,
            auto=auto,
            instruments=known.instruments if known else (),
            accounts=known.accounts if known else (),
        )
        self._rows = RowParser(self._place, self.names)

    def chunks(self, rows: int) -> Iterator[FlowChunk]:
        """The file's commands in chunks of at most `rows`."""
        try:
            with _open(self._path) as text:
                yield from self._chunks(text, rows)
        except FileNotFoundError:
            raise FlowError(f"{self._path}: no such file; check the path") from None
        except UnicodeDecodeError:
            raise self._place.error("not UTF-8 text", "save the file as UTF-8") from None
        except (OSError, EOFError, zlib.error) as error:
            raise FlowError(f"{self._path}: can't be read: {error}; check the file") from None
        except csv.Error as error:
            raise self._place.error(f"not CSV: {error}", "check the quotes in this line") from None

    def _chunks(self, text: io.TextIOBase, rows: int) -> Iterator[FlowChunk]:
        take = self._columns(self._header(text))
        pending: list[FlowRow] = []
        first = 0
        for line in csv.reader(self._lines(text)):
            if not line:
                continue
            row = self._rows.row(take(line))
            if self._timed:
                self._check_time(row.time_ns)
            pending.append(row)
            if len(pending) == rows:
                yield _chunk(first, pending)
                first += rows
                pending = []
        if pending:
            yield _chunk(first, pending)

    def _check_time(self, time_ns: int) -> None:
        if time_ns == NO_TIME:
            raise self._place.error(
                "no time_ns, by which the rows are to be sent", "fill it in, or replay without --pace"
            )
        if time_ns < self._time_ns:
            raise self._place.error(
                f"time_ns {time_ns} is before that of the row above ({self._time_ns})", "sort the file by time"
            )
        self._time_ns = time_ns

    def _lines(self, text: io.TextIOBase) -> Iterator[str]:
        for line in text:
            self._place.line += 1
            if line.startswith("#"):
                if self._declaration(line):
                    raise self._place.error("a declaration after the column names", "move it above them")
                continue
            yield line

    def _header(self, text: io.TextIOBase) -> list[str]:
        for line in text:
            self._place.line += 1
            stripped = line.strip().lstrip("\ufeff")
            if stripped.startswith("#"):
                found = self._declaration(stripped)
                if found and self._declare:
                    self.names.declare(*found)
            elif stripped:
                return [name.strip() for name in next(csv.reader([stripped]))]
        raise self._place.error("no header line", f"name the columns: {','.join(REQUIRED)}")

    @staticmethod
    def _declaration(line: str) -> tuple[str, str] | None:
        match = re.match(r"#\s*(instrument|account)\s*:\s*(.*)", line.rstrip())
        return (match[1], match[2]) if match else None

    def _columns(self, header: list[str]) -> Callable[[list[str]], list[str]]:
        known = (*REQUIRED, *OPTIONAL)
        for name in header:
            if name not in known:
                raise self._place.error(
                    f"unknown column {shown(name)}", f"remove it, or use one of: {', '.join(known)}"
                )
            if header.count(name) > 1:
                raise self._place.error(f"column {name!r} stands twice", "remove one")
        for name in REQUIRED:
            if name not in header:
                raise self._place.error(f"column {name!r} is missing", "add it")
        index = [header.index(name) if name in header else len(header) for name in known]
        width = len(header)

        def take(line: list[str]) -> list[str]:
            if len(line) != width:
                raise self._place.error(f"{len(line)} fields", f"the header has {width} columns: write as many")
            line.append("")
            return [line[i].strip() for i in index]

        return take


def _open(path: Path) -> io.TextIOBase:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")
