"""The rules that compare two accounts of the same events. Pure functions: rows in, breaks out."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lockstep.reconciler.rules import Break, Rule
from lockstep.stream.records import COMMAND, EVENT, Commands, EventKind, Events

SECOND_NS: Final = 1_000_000_000
_ORDER_KINDS: Final = 64
_CONTROL_KINDS: Final = 192

FILL: Final = np.dtype(
    [
        (name, EVENT[name])
        for name in (
            "seq",
            "index",
            "instrument",
            "side",
            "price_ticks",
            "quantity_lots",
            "account",
            "order_id",
            "taker_fee_micros",
            "maker_account",
            "maker_order_id",
            "maker_fee_micros",
            "timestamp_ns",
        )
    ]
)
"""A fill as it is copied downstream; fields as in EVENT (account, order_id: the taker's)."""

Fills = NDArray[np.void]


def fills_of(events: Events) -> Fills:
    """The fills among events, in order."""
    trades = events[events["kind"] == EventKind.TRADE]
    rows = np.zeros(len(trades), FILL)
    for name in FILL.names or ():
        rows[name] = trades[name]
    return rows


def compare_fills(expected: Fills, found: Fills) -> list[Break]:
    """R5, R6, R7: what the journal leads to against the downstream copy of the same range, both by event id."""
    if expected.tobytes() == found.tobytes():
        return []
    truth = {(int(row["seq"]), int(row["index"])): row for row in expected}
    breaks = []
    for row in found:
        event_id = (int(row["seq"]), int(row["index"]))
        subject = f"fill {event_id[0]}.{event_id[1]}"
        right = truth.pop(event_id, None)
        if right is None:
            text = _twin_of(row, expected) or "no command of the journal leads to it"
            breaks.append(Break(Rule.UNCAUSED_FILL, subject, text, event_id[0]))
        elif right != row:
            differ = [name for name in FILL.names or () if right[name] != row[name]]
            text = ", ".join(f"{name} is {row[name]}, the journal leads to {right[name]}" for name in differ)
            breaks.append(Break(Rule.ALTERED_FILL, subject, text, event_id[0]))
    for seq, index in truth:
        text = "the journal leads to it, the downstream copy lacks it"
        breaks.append(Break(Rule.MISSING_FILL, f"fill {seq}.{index}", text, seq))
    return breaks


def _twin_of(row: Any, expected: Fills) -> str:
    same = [name for name in FILL.names or () if name not in ("seq", "index")]
    for other in expected[expected["order_id"] == row["order_id"]]:
        if all(other[name] == row[name] for name in same):
            return f"it repeats fill {other['seq']}.{other['index']}: the fill was doubled"
    return ""


def fill_sum(fills: Fills) -> int:
    """A digest of fills that does not depend on their order and can be added up, modulo 2**128."""
    return sum(int.from_bytes(hashlib.blake2b(row.tobytes(), digest_size=16).digest(), "little") for row in fills) % (
        1 << 128
    )


def compare_report_rows(
    session_id: int, expected: Sequence[Any], seen: Sequence[Any], last: tuple[int, int, int]
) -> list[Break]:
    """R12, R13, R14: the rows a session must have received up to its last one, against those that it received.

    Args:
        session_id: the session.
        expected: tuples (seq, index, leg, kind, session_no, order_id, price_ticks, quantity_lots), ascending.
        seen: the same of the client's log, in its order.
        last: (seq, index, leg) of the last row of the log that was compared before.
    """
    breaks: list[Break] = []
    place = 0
    for row in seen:
        event_id = row[:3]
        subject = f"session {session_id} report {event_id[0]}.{event_id[1]}.{event_id[2]}"
        if event_id <= last:
            text = f"delivered again, or out of order: after {last[0]}.{last[1]}.{last[2]}"
            breaks.append(Break(Rule.REPEATED_REPORT, subject, text, event_id[0]))
            continue
        last = event_id
        while place < len(expected) and expected[place][:3] < event_id:
            breaks.append(_lost(session_id, expected[place]))
            place += 1
        if place == len(expected) or expected[place][:3] != event_id:
            text = "the client received it, the journal does not lead to it"
            breaks.append(Break(Rule.CLIENT_INVENTED, subject, text, event_id[0]))
            continue
        if tuple(expected[place]) != tuple(row):
            text = f"the client received {_terms(row)}; the journal leads to {_terms(expected[place])}"
            breaks.append(Break(Rule.CLIENT_INVENTED, subject, text, event_id[0]))
        place += 1
    return breaks


def _lost(session_id: int, row: Any) -> Break:
    subject = f"session {session_id} report {row[0]}.{row[1]}.{row[2]}"
    text = f"the client's log goes on behind it without it ({_terms(row)})"
    return Break(Rule.LOST_REPORT, subject, text, int(row[0]))


def _terms(row: Any) -> str:
    _seq, _index, _leg, kind, number, order, price, lots = row
    return f"{EventKind(kind).name} of number {number}, order {order}, {lots} lots at {price}"


def concerning(events: Events) -> Events:
    """Events that go to some session: no control events (other fields stand at the place of the ids)."""
    reported: Events = events[(events["kind"] < _CONTROL_KINDS) & (events["kind"] != EventKind.DUPLICATE)]
    return reported


def sessions_of(events: Events) -> set[int]:
    """Sessions that events concern."""
    orders = events[events["kind"] < _ORDER_KINDS]
    return set(np.unique(events["session_id"]).tolist()) | set(np.unique(orders["maker_session_id"]).tolist())


@dataclass(frozen=True, slots=True)
class Waiting:
    """A command that stands in a gateway's intake log."""

    gateway: str
    command: Commands
    """One record."""

    @property
    def session_id(self) -> int:
        """Its session."""
        return int(self.command["session_id"][0])

    @property
    def session_no(self) -> int:
        """Its number there."""
        return int(self.command["session_no"][0])

    @property
    def received_ns(self) -> int:
        """When the gateway admitted it, Unix time by its clock."""
        return int(self.command["received_ns"][0])


def orphans(
    waiting: Iterable[Waiting], known: Callable[[int, int], bool], *, now_ns: int, after_ns: int
) -> list[Waiting]:
    """R1: commands that a gateway holds for more than `after_ns`, and that were never executed; by session and number.

    Args:
        waiting: all intake logs, read before the stream was followed up to its present end.
        known: whether a session's number was executed.
        now_ns: Unix time at which the intake logs were read.
        after_ns: for so long a command may be on its way.
    """
    late = [
        entry
        for entry in waiting
        if entry.session_no and now_ns - entry.received_ns > after_ns and not known(entry.session_id, entry.session_no)
    ]
    return sorted(late, key=lambda entry: (entry.session_id, entry.session_no))


def orphan_break(entry: Waiting, now_ns: int) -> Break:
    """The break that an orphan is."""
    subject = f"{entry.gateway} session {entry.session_id} number {entry.session_no}"
    age_s = (now_ns - entry.received_ns) // SECOND_NS
    return Break(Rule.ORPHAN, subject, f"admitted {age_s} s ago and unknown to the stream")


@dataclass(frozen=True, slots=True)
class SentNumbers:
    """Numbers that a client log says were sent."""

    first_no: int
    last_no: int
    at_ns: int


def lost_commands(
    session_id: int, sent: Iterable[SentNumbers], held: Callable[[int, int], bool], *, now_ns: int, after_ns: int
) -> list[Break]:
    """R2: numbers that a client sent more than `after_ns` ago, and that neither the stream nor a gateway holds."""
    breaks = []
    for block in sent:
        if now_ns - block.at_ns <= after_ns:
            continue
        missing = [number for number in range(block.first_no, block.last_no + 1) if not held(session_id, number)]
        if missing:
            subject = f"session {session_id} number {missing[0]}"
            more = f" (and {len(missing) - 1} after it)" if len(missing) > 1 else ""
            age_s = (now_ns - block.at_ns) // SECOND_NS
            text = f"sent {age_s} s ago{more}; neither a gateway nor the stream holds it"
            breaks.append(Break(Rule.LOST_COMMAND, subject, text))
    return breaks


def first_different_record(left: bytes, right: bytes) -> int:
    """Position of the first record that differs in two batches' commands; 0 if only the stamps differ."""
    size = COMMAND.itemsize
    for offset in range(0, max(len(left), len(right)), size):
        if left[offset : offset + size] != right[offset : offset + size]:
            return offset // size
    return 0
