"""Order-flow files (FLOW.csv): a text format for people and tools, read as a stream of columns.

A file is read twice: `check_flow` goes through all of it first, so that a mistake in the last line is told before the
first order is sent; `read_flow` then yields the same rows in chunks of NumPy columns. Neither holds the file in memory.

Every mistake is one `FlowError` with file, line, thing and remedy.
"""

import csv
import gzip
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lockstep.ops.faults import BadInput
from lockstep.ops.replay.numbers import MICROS, U64_MAX, file_id_to_client, format_micros
from lockstep.stream.records import (
    I64_MAX,
    MAX_PRICE_TICKS,
    MAX_QUANTITY_LOTS,
    CommandKind,
    OrderFlag,
    OrderType,
    SelfTradePrevention,
    Side,
    TimeInForce,
)

REQUIRED: Final = ("action", "order_id", "account", "instrument", "side", "type", "tif", "price", "quantity")
OPTIONAL: Final = ("stop_price", "display_quantity", "min_quantity", "post_only", "stp", "time_ns")
AUTO_TICK_MICROS: Final = 10_000
"""Tick of instruments that `--auto` creates: 0.01."""

_ACTIONS: Final = {"N": CommandKind.NEW_ORDER, "C": CommandKind.CANCEL, "R": CommandKind.REPLACE}
_SIDES: Final = {"B": int(Side.BUY), "S": int(Side.SELL)}
_TYPES: Final = {
    "limit": int(OrderType.LIMIT),
    "market": int(OrderType.MARKET),
    "stop": int(OrderType.STOP),
    "stop_limit": int(OrderType.STOP_LIMIT),
}
_TIFS: Final = {
    "day": int(TimeInForce.DAY),
    "gtc": int(TimeInForce.GTC),
    "ioc": int(TimeInForce.IOC),
    "fok": int(TimeInForce.FOK),
}
_STPS: Final = {stp.name.lower(): int(stp) for stp in SelfTradePrevention}
_DECIMAL: Final = re.compile(r"(\d{1,18})(?:\.(\d*))?\Z", re.ASCII)
_WHOLE: Final = re.compile(r"\d{1,20}\Z", re.ASCII)
_NAME: Final = re.compile(r"[!-~]{1,32}\Z")
_PRICE_CACHE: Final = 200_000


class FlowError(BadInput):
    """The flow file can't be used. The text names the file, the line and the remedy."""


@dataclass(frozen=True, slots=True)
class FlowInstrument:
    """An instrument as the file declares it."""

    name: str
    tick_micros: int
    lot_units: int


@dataclass(frozen=True, slots=True)
class FlowAccount:
    """An account as the file declares it. `cash_micros` None: unlimited; `positions` None: unlimited."""

    name: str
    cash_micros: int | None
    positions: tuple[tuple[str, int], ...] | None
    """Opening holdings in units, by instrument name."""


@dataclass(frozen=True, slots=True)
class FlowSummary:
    """What a checked file holds. Instrument i and account i of the columns are index i of these tuples."""

    instruments: tuple[FlowInstrument, ...]
    accounts: tuple[FlowAccount, ...]
    commands: int
    by_action: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class FlowChunk:
    """Consecutive commands of a file by columns, all of one length."""

    first_index: int
    """Index of the first row among the file's commands, from 0."""
    kind: NDArray[np.uint8]
    side: NDArray[np.uint8]
    order_type: NDArray[np.uint8]
    tif: NDArray[np.uint8]
    stp: NDArray[np.uint8]
    flags: NDArray[np.uint32]
    account: NDArray[np.int64]
    """Index into `FlowSummary.accounts`."""
    instrument: NDArray[np.int64]
    """Index into `FlowSummary.instruments`."""
    client_order_id: NDArray[np.uint64]
    price_ticks: NDArray[np.int64]
    quantity_lots: NDArray[np.int64]
    stop_price_ticks: NDArray[np.int64]
    display_lots: NDArray[np.int64]
    min_lots: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.kind)


def check_flow(path: Path, *, auto: bool = False) -> FlowSummary:
    """Read a whole file and say what it holds.

    Args:
        path: the file; `.gz` is read through gzip.
        auto: take undeclared accounts and instruments (tick 0.01, lot 1) with unlimited funds.

    Raises:
        FlowError: something in the file is wrong.
    """
    reader = _Reader(path, auto=auto, known=None)
    counts = dict.fromkeys(_ACTIONS, 0)
    names = {int(kind): action for action, kind in _ACTIONS.items()}
    total = 0
    for chunk in reader.chunks(65_536):
        total += len(chunk)
        for kind, count in zip(*np.unique(chunk.kind, return_counts=True), strict=True):
            counts[names[int(kind)]] += int(count)
    return FlowSummary(tuple(reader.instruments), tuple(reader.accounts), total, counts)


def read_flow(path: Path, summary: FlowSummary, *, chunk_rows: int = 1024) -> Iterator[FlowChunk]:
    """The commands of a checked file, in order, `chunk_rows` at a time.

    Raises:
        FlowError: the file was changed since it was checked.
    """
    yield from _Reader(path, auto=False, known=summary).chunks(chunk_rows)


@dataclass(slots=True)
class _Columns:
    """The rows of one chunk while it is being read."""

    rows: list[tuple[int, ...]] = field(default_factory=list)

    def chunk(self, first_index: int) -> FlowChunk:
        columns = list(zip(*self.rows, strict=True)) if self.rows else [()] * 14
        types = (np.uint8,) * 5 + (np.uint32, np.int64, np.int64, np.uint64) + (np.int64,) * 5
        arrays = [np.array(column, dtype=dtype) for column, dtype in zip(columns, types, strict=True)]
        return FlowChunk(first_index, *arrays)


class _Reader:
    """One pass over a file."""

    def __init__(self, path: Path, *, auto: bool, known: FlowSummary | None) -> None:
        self._path = path
        self._auto = auto
        self._line = 0
        self.instruments: list[FlowInstrument] = list(known.instruments) if known else []
        self.accounts: list[FlowAccount] = list(known.accounts) if known else []
        self._declare = known is None
        self._instrument_index = {item.name: i for i, item in enumerate(self.instruments)}
        self._account_index = {item.name: i for i, item in enumerate(self.accounts)}
        self._owner: dict[int, tuple[int, int]] = {}
        self._prices: dict[tuple[int, str], int] = {}

    def chunks(self, rows: int) -> Iterator[FlowChunk]:
        """The file's commands in chunks of at most `rows`."""
        try:
            with _open(self._path) as text:
                yield from self._chunks(text, rows)
        except FileNotFoundError:
            raise FlowError(f"{self._path}: no such file; check the path") from None
        except (OSError, EOFError) as error:
            raise FlowError(f"{self._path}: can't be read: {error}") from None
        except UnicodeDecodeError:
            raise self._error("not UTF-8 text", "save the file as UTF-8") from None
        except csv.Error as error:
            raise self._error(f"not CSV: {error}", "check the quotes in this line") from None

    def _chunks(self, text: io.TextIOBase, rows: int) -> Iterator[FlowChunk]:
        take = self._columns(self._header(text))
        pending, first = _Columns(), 0
        for line in csv.reader(self._lines(text)):
            if not line:
                continue
            pending.rows.append(self._row(take(line)))
            if len(pending.rows) == rows:
                yield pending.chunk(first)
                first += rows
                pending = _Columns()
        if pending.rows:
            yield pending.chunk(first)

    def _lines(self, text: io.TextIOBase) -> Iterator[str]:
        for line in text:
            self._line += 1
            if line.startswith("#"):
                if self._declaration(line):
                    raise self._error("a declaration after the column names", "move it above them")
                continue
            yield line

    def _header(self, text: io.TextIOBase) -> list[str]:
        for line in text:
            self._line += 1
            stripped = line.strip().lstrip("\ufeff")
            if stripped.startswith("#"):
                found = self._declaration(stripped)
                if found and self._declare:
                    self._on_declaration(*found)
            elif stripped:
                return [name.strip() for name in next(csv.reader([stripped]))]
        raise self._error("no header line", f"name the columns: {','.join(REQUIRED)}")

    @staticmethod
    def _declaration(line: str) -> tuple[str, str] | None:
        match = re.match(r"#\s*(instrument|account)\s*:\s*(.*)", line.rstrip())
        return (match[1], match[2]) if match else None

    def _on_declaration(self, what: str, rest: str) -> None:
        name, *pairs = rest.split()
        if not _NAME.match(name):
            raise self._error(f"{what} name {name!r}", "use 1 to 32 printable ASCII characters without blanks")
        values: dict[str, str] = {}
        for pair in pairs:
            key, equals, value = pair.partition("=")
            if not equals or key in values:
                raise self._error(f"{pair!r} in the declaration of {what} {name}", "write each as key=value, once")
            values[key] = value
        if what == "instrument":
            self._declare_instrument(name, values)
        else:
            self._declare_account(name, values)

    def _declare_instrument(self, name: str, values: dict[str, str]) -> None:
        self._only(values, {"tick", "lot"}, f"instrument {name}")
        if "tick" not in values:
            raise self._error(f"instrument {name} has no tick", "add for example tick=0.01")
        tick = self._micros(values["tick"], f"tick of instrument {name}")
        lot = self._whole(values.get("lot", "1"), f"lot of instrument {name}", 1, 2**40)
        if tick < 1 or tick * lot > 2**40:
            raise self._error(f"tick {values['tick']} of instrument {name}", "use 0.000001 to 1000000")
        if name in self._instrument_index:
            raise self._error(f"instrument {name} is declared twice", "remove one")
        self._instrument_index[name] = len(self.instruments)
        self.instruments.append(FlowInstrument(name, tick, lot))

    def _declare_account(self, name: str, values: dict[str, str]) -> None:
        self._only(values, {"cash", "positions"}, f"account {name}")
        cash: int | None = 0
        if "cash" in values:
            cash = None if values["cash"] == "unlimited" else self._micros(values["cash"], f"cash of account {name}")
        positions: tuple[tuple[str, int], ...] | None = ()
        if "positions" in values:
            positions = None if values["positions"] == "unlimited" else self._positions(name, values["positions"])
        if name in self._account_index:
            raise self._error(f"account {name} is declared twice", "remove one")
        self._account_index[name] = len(self.accounts)
        self.accounts.append(FlowAccount(name, cash, positions))

    def _positions(self, account: str, text: str) -> tuple[tuple[str, int], ...]:
        positions = []
        for item in text.split(","):
            instrument, _, quantity = item.rpartition(":")
            if instrument not in self._instrument_index:
                raise self._error(
                    f"positions of account {account} name the undeclared instrument {instrument or item!r}",
                    "declare the instrument above, and write positions=NAME:UNITS,... or positions=unlimited",
                )
            units = self._whole(quantity, f"position of account {account} in {instrument}", 0, MAX_QUANTITY_LOTS)
            self._lots(units, self._instrument_index[instrument], f"position of account {account}")
            positions.append((instrument, units))
        return tuple(positions)

    def _only(self, values: dict[str, str], known: set[str], what: str) -> None:
        for key in values:
            if key not in known:
                raise self._error(
                    f"unknown key {key!r} in the declaration of {what}", f"use {', '.join(sorted(known))}"
                )

    def _columns(self, header: list[str]) -> Callable[[list[str]], list[str]]:
        known = (*REQUIRED, *OPTIONAL)
        for name in header:
            if name not in known:
                raise self._error(f"unknown column {name!r}", f"remove it, or use one of: {', '.join(known)}")
            if header.count(name) > 1:
                raise self._error(f"column {name!r} stands twice", "remove one")
        for name in REQUIRED:
            if name not in header:
                raise self._error(f"column {name!r} is missing", "add it")
        index = [header.index(name) if name in header else len(header) for name in known]
        width = len(header)

        def take(line: list[str]) -> list[str]:
            if len(line) != width:
                raise self._error(f"{len(line)} fields", f"the header has {width} columns: write as many")
            line.append("")
            return [line[i].strip() for i in index]

        return take

    def _row(self, values: Sequence[str]) -> tuple[int, ...]:
        (action, order, account_name, instrument_name, side, type_, tif, price, quantity, *optional) = values
        stop_price, display, minimum, post_only, stp, time_ns = optional
        kind = _ACTIONS.get(action)
        if kind is None:
            raise self._error(f"action {action!r}", "use N (new), C (cancel) or R (replace)")
        order_id = self._whole(order, "order_id", 0, U64_MAX - 1)
        account, instrument = self._names(kind, order_id, account_name, instrument_name)
        client_id = file_id_to_client(order_id)
        if time_ns:
            self._whole(time_ns, "time_ns", 0, I64_MAX)
        if kind is CommandKind.CANCEL:
            return (int(kind), 0, 0, 0, 0, 0, account, instrument, client_id, 0, 0, 0, 0, 0)
        lots = self._quantity(quantity, instrument, "quantity")
        if kind is CommandKind.REPLACE:
            ticks = self._price(price, instrument, "price")
            return (int(kind), 0, 0, 0, 0, 0, account, instrument, client_id, ticks, lots, 0, 0, 0)
        order_type = self._word(type_, _TYPES, "type")
        return (
            int(kind),
            self._word(side, _SIDES, "side"),
            order_type,
            self._word(tif, _TIFS, "tif"),
            self._word(stp, _STPS, "stp") if stp else 0,
            self._flag(post_only),
            account,
            instrument,
            client_id,
            self._order_price(order_type, price, instrument),
            lots,
            self._stop_price(order_type, stop_price, instrument),
            self._quantity(display, instrument, "display_quantity") if display else 0,
            self._quantity(minimum, instrument, "min_quantity") if minimum else 0,
        )

    def _names(self, kind: CommandKind, order_id: int, account_name: str, instrument_name: str) -> tuple[int, int]:
        if kind is not CommandKind.NEW_ORDER and not (account_name and instrument_name):
            # C and R name the order: what they leave out is the order's.
            if order_id not in self._owner:
                raise self._error(f"order {order_id} was never entered", "fill in account and instrument")
            own_account, own_instrument = self._owner[order_id]
            account = self._account(account_name) if account_name else own_account
            return account, self._instrument(instrument_name) if instrument_name else own_instrument
        found = self._account(account_name), self._instrument(instrument_name)
        if kind is CommandKind.NEW_ORDER:
            self._owner[order_id] = found
        return found

    def _account(self, name: str) -> int:
        index = self._account_index.get(name)
        if index is None:
            if not (self._auto and _NAME.match(name)):
                raise self._error(
                    f"unknown account {name!r}",
                    f"declare it above the header (# account: {name or 'NAME'} "
                    "cash=unlimited positions=unlimited), or use --auto",
                )
            index = self._account_index[name] = len(self.accounts)
            self.accounts.append(FlowAccount(name, None, None))
        return index

    def _instrument(self, name: str) -> int:
        index = self._instrument_index.get(name)
        if index is None:
            if not (self._auto and _NAME.match(name)):
                raise self._error(
                    f"unknown instrument {name!r}",
                    f"declare it above the header (# instrument: {name or 'NAME'} tick=0.01 lot=1), or use --auto",
                )
            index = self._instrument_index[name] = len(self.instruments)
            self.instruments.append(FlowInstrument(name, AUTO_TICK_MICROS, 1))
        return index

    def _order_price(self, order_type: int, price: str, instrument: int) -> int:
        if order_type in (OrderType.LIMIT, OrderType.STOP_LIMIT):
            return self._price(price, instrument, "price")
        if price and (not _DECIMAL.match(price) or price.strip("0.")):
            raise self._error(f"price {price!r} on a {OrderType(order_type).name.lower()} order", "leave it empty")
        return 0

    def _stop_price(self, order_type: int, text: str, instrument: int) -> int:
        if order_type in (OrderType.STOP, OrderType.STOP_LIMIT):
            return self._price(text, instrument, "stop_price")
        if text:
            raise self._error(f"stop_price {text!r} on an order without a stop", "leave it empty, or use type stop")
        return 0

    def _price(self, text: str, instrument: int, column: str) -> int:
        ticks = self._prices.get((instrument, text))
        if ticks is not None:
            return ticks
        item = self.instruments[instrument]
        micros = self._micros(text, column)
        ticks, off = divmod(micros, item.tick_micros)
        if off:
            tick = format_micros(item.tick_micros)
            raise self._error(f"{column} {text} is off the tick {tick} of {item.name}", f"use a multiple of {tick}")
        if not 1 <= ticks <= MAX_PRICE_TICKS:
            raise self._error(f"{column} {text} is out of range", f"use 1 to {MAX_PRICE_TICKS} ticks")
        if len(self._prices) > _PRICE_CACHE:
            self._prices.clear()
        self._prices[instrument, text] = ticks
        return ticks

    def _quantity(self, text: str, instrument: int, column: str) -> int:
        units = self._whole(text, column, 1, MAX_QUANTITY_LOTS * self.instruments[instrument].lot_units)
        return self._lots(units, instrument, column)

    def _lots(self, units: int, instrument: int, column: str) -> int:
        item = self.instruments[instrument]
        lots, off = divmod(units, item.lot_units)
        if off:
            raise self._error(
                f"{column} {units} is no whole number of lots of {item.name}", f"use a multiple of {item.lot_units}"
            )
        return lots

    def _flag(self, text: str) -> int:
        if text in ("", "0"):
            return 0
        if text == "1":
            return int(OrderFlag.POST_ONLY)
        raise self._error(f"post_only {text!r}", "use 0 or 1")

    def _word(self, text: str, words: Mapping[str, int], column: str) -> int:
        value = words.get(text)
        if value is None:
            raise self._error(f"{column} {text!r}", f"use one of: {', '.join(words)}")
        return value

    def _whole(self, text: str, column: str, low: int, high: int) -> int:
        if not _WHOLE.match(text):
            raise self._error(f"{column} {text!r} is not a whole number", f"use {low} to {high}")
        value = int(text)
        if not low <= value <= high:
            raise self._error(f"{column} {text} is out of range", f"use {low} to {high}")
        return value

    def _micros(self, text: str, column: str) -> int:
        match = _DECIMAL.match(text)
        if match is None:
            raise self._error(f"{column} {text!r} is not a decimal number", "write it like 12.34, without a sign")
        fraction = (match[2] or "").rstrip("0")
        if len(fraction) > 6:
            raise self._error(f"{column} {text} has more than 6 decimals", "the smallest unit is 0.000001")
        micros = int(match[1]) * MICROS + int(fraction.ljust(6, "0"))
        if micros > I64_MAX:
            raise self._error(f"{column} {text} is out of range", f"use at most {format_micros(I64_MAX)}")
        return micros

    def _error(self, what: str, remedy: str) -> FlowError:
        return FlowError(f"{self._path}:{self._line}: {what}; {remedy}")


def _open(path: Path) -> io.TextIOBase:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")
