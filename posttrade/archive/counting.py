"""What a sealed segment adds to an archive: rows, whom they concern, what they say, what a day came to. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from lockstep.posttrade.archive.rows import Record, number_of, subjects_of, text_of

_DAY: Final = 10
PartKey = tuple[str, int]
"""Day and instrument; 0: of no instrument."""


@dataclass(slots=True)
class Totals:
    """Of a day and an instrument."""

    symbol: str = ""
    orders: int = 0
    trades: int = 0
    volume: int = 0
    refusals: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class PartRows:
    """Of a day and an instrument."""

    lines: list[tuple[int, int, bytes, set[str]]] = field(default_factory=list)
    """(seq, number behind it, the record, whom it concerns)."""
    holders: Counter[str] = field(default_factory=Counter)
    texts: Counter[str] = field(default_factory=Counter)
    totals: Totals = field(default_factory=Totals)


def part_of(record: Record) -> PartKey:
    """Where a record belongs."""
    return str(record["processed"])[:_DAY], int(record.get("instrument", 0))


def counted(records: Iterable[tuple[bytes, Record]]) -> dict[PartKey, PartRows]:
    """By part, in the order of the records."""
    found: dict[PartKey, PartRows] = defaultdict(PartRows)
    for line, record in records:
        part = found[part_of(record)]
        subjects = subjects_of(record)
        part.lines.append((int(record["seq"]), number_of(record), line, subjects))
        part.holders.update(subjects)
        words = text_of(record)
        if words:
            part.texts[words] += 1
        _total(part.totals, record)
    return dict(found)


def _total(totals: Totals, record: Record) -> None:
    totals.symbol = totals.symbol or str(record.get("symbol", ""))
    if record["what"] == "command":
        totals.orders += record["kind"] == "NEW_ORDER"
        return
    if record["kind"] == "TRADE":
        totals.trades += 1
        totals.volume += _units(record)
    if record.get("outcome") == "refused":
        totals.refusals[str(record.get("code", ""))] += 1


def _units(record: dict[str, Any]) -> int:
    return int(record["quantity"] if "quantity" in record else record.get("quantity_lots", 0))
