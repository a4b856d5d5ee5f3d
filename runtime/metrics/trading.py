"""Business figures of released events: orders, trades, cancels, refusals, lots. Counted in large lots of rows.

Counting one small batch costs as much as counting a thousand, so events wait until there are many, or for a second.
Instruments get a label of their own up to id 64; what trades beyond is one label more (`other`), so that the number of
series stays bounded.
"""

from typing import Final

import numpy as np

from lockstep.runtime.metrics.families import Families, counters
from lockstep.stream.codes import Code
from lockstep.stream.records import EventKind, Events, join_records

LABELLED: Final = 64
"""The highest instrument id with a label of its own."""
_ROWS: Final = 4096
_PATIENCE_NS: Final = 1_000_000_000
_INSTRUMENTS: Final = LABELLED + 2
# Kinds of order events lie below; what is above counts as one.
_KINDS: Final = 16
_REFUSALS: Final = (EventKind.REJECTED, EventKind.CANCEL_REJECTED, EventKind.REPLACE_REJECTED)


class TradingTally:
    """Counts of events by kind and instrument. One thread writes."""

    __slots__ = ("_counts", "_due_ns", "_lots", "_refusals", "_rows", "_waiting")

    def __init__(self) -> None:
        self._counts = np.zeros(_INSTRUMENTS * _KINDS, np.int64)
        self._lots = np.zeros(_INSTRUMENTS * _KINDS, np.float64)
        # Every code from the start: Prometheus sees no increase in a series that begins with 1.
        self._refusals: dict[int, int] = dict.fromkeys((int(code) for code in Code if _may_refuse(code)), 0)
        self._waiting: list[Events] = []
        self._rows = 0
        self._due_ns = 0

    def add(self, events: Events, now_ns: int) -> None:
        """Events that were released; the array is kept until it is counted."""
        if not self._waiting:
            self._due_ns = now_ns + _PATIENCE_NS
        self._waiting.append(events)
        self._rows += len(events)
        if self._rows >= _ROWS:
            self._count()

    def on_tick(self, now_ns: int) -> None:
        """Count what has waited for long enough."""
        if self._waiting and now_ns >= self._due_ns:
            self._count()

    def _count(self) -> None:
        events = join_records(self._waiting)
        self._waiting, self._rows = [], 0
        kinds = np.minimum(events["kind"], _KINDS - 1)
        cells = np.minimum(events["instrument"], LABELLED + 1).astype(np.int64) * _KINDS + kinds
        self._counts += np.bincount(cells, minlength=len(self._counts))
        self._lots += np.bincount(cells, weights=events["quantity_lots"], minlength=len(self._lots))
        refused = np.isin(kinds, _REFUSALS)
        if refused.any():
            codes, times = np.unique(events["code"][refused], return_counts=True)
            for code, count in zip(codes.tolist(), times.tolist(), strict=True):
                # Replaced as a whole, so that a scrape never meets a dict that grows.
                self._refusals = {**self._refusals, code: self._refusals.get(code, 0) + count}

    def families(self) -> Families:
        """From any thread."""
        counts = self._counts.copy().reshape(_INSTRUMENTS, _KINDS)
        lots = self._lots.copy().reshape(_INSTRUMENTS, _KINDS)
        kinds = {kind.name.lower(): int(counts[:, kind].sum()) for kind in EventKind if kind < _KINDS}
        yield counters("lockstep_events_total", "Released order events by kind.", "event", kinds)
        seen = [i for i in range(_INSTRUMENTS) if counts[i, : _KINDS - 1].any()]
        for name, text, table, kind in (
            ("lockstep_orders_total", "Orders accepted.", counts, EventKind.ACCEPTED),
            ("lockstep_ordered_lots_total", "Lots of accepted orders.", lots, EventKind.ACCEPTED),
            ("lockstep_trades_total", "Trades.", counts, EventKind.TRADE),
            ("lockstep_traded_lots_total", "Lots traded.", lots, EventKind.TRADE),
            ("lockstep_cancels_total", "Orders canceled, for whatever reason.", counts, EventKind.CANCELED),
            ("lockstep_replaces_total", "Orders replaced.", counts, EventKind.REPLACED),
        ):
            yield counters(name, f"{text} By instrument id.", "instrument", {_name(i): table[i, kind] for i in seen})
        refused = {_code(code): count for code, count in self._refusals.items()}
        text = "Commands refused by gateway checks, risk or engine, by code."
        yield counters("lockstep_refusals_total", text, "code", refused)


def _may_refuse(code: int) -> bool:
    return 1000 <= code < 1100 or 3000 <= code < 5000


def _name(instrument: int) -> str:
    return str(instrument) if instrument <= LABELLED else "other"


def _code(code: int) -> str:
    try:
        return Code(code).name.lower()
    except ValueError:
        return str(code)
