"""The promises of the cluster, and what a broken one is written down as."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Promise(StrEnum):
    """What holds in every run, whatever fails. Rule numbers are those of docs/protocol.md."""

    NO_ORDER_LOST = "no_order_lost"
    """Every acknowledged command is in the journal, and was executed (4)."""
    NO_ORDER_DOUBLED = "no_order_doubled"
    """No command was executed, or answered, at two places of the stream (9)."""
    NO_ORDER_ALTERED = "no_order_altered"
    """What stands in the journal under a session's number is what its client gave under that number."""
    ALL_ANSWERED = "all_answered"
    """A client that waits while the cluster is whole gets an answer to everything."""
    NO_REPORT_LOST = "no_report_lost"
    """Each event that concerns a session reaches its client (10)."""
    NO_REPORT_DOUBLED = "no_report_doubled"
    """... and reaches it once (10)."""
    REPORTS_IN_ORDER = "reports_in_order"
    """... in the order of the stream, under epochs that never fall (10, 13)."""
    REPORTS_TRUE = "reports_true"
    """Each report says, field by field, what the specification says at that place of the journal."""
    NO_FILL_DOUBLED = "no_fill_doubled"
    """No fill counts twice, and no order trades more than it has."""
    FILLS_MATCH = "fills_match"
    """Reports to buyer and seller show the same price and quantity."""
    LINEARIZABLE = "linearizable"
    """A command that was answered before another was given stands before it in the stream."""
    SESSION_ORDER = "session_order"
    """A session's commands stand in the stream in the order of their numbers (9)."""
    ONE_STREAM = "one_stream"
    """One batch for each committed seq, the same bytes in every journal; no gap; time and epochs never fall (2, 11)."""
    ONE_HISTORY = "one_history"
    """Every replica's events are those of the specification."""
    DIGESTS_EQUAL = "digests_equal"
    """Every replica's digest is that of the chain over journal and specification (4)."""
    MONEY_CONSERVED = "money_conserved"
    """Cash and shares only move: by deposits and fills, the same on every replica."""


LOST: Final = frozenset({Promise.NO_ORDER_LOST, Promise.ALL_ANSWERED, Promise.NO_REPORT_LOST})
DUPLICATED: Final = frozenset({Promise.NO_ORDER_DOUBLED, Promise.NO_REPORT_DOUBLED, Promise.NO_FILL_DOUBLED})
REORDERED: Final = frozenset({Promise.REPORTS_IN_ORDER, Promise.SESSION_ORDER, Promise.LINEARIZABLE})
DIVERGED: Final = frozenset({Promise.ONE_STREAM, Promise.ONE_HISTORY, Promise.DIGESTS_EQUAL})


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that did not hold."""

    promise: Promise
    count: int
    """How many commands, reports, fills or batches it concerns."""
    text: str
    """Where, with the first cases."""
