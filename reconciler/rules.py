"""What must be true of a cluster at all times, numbered (docs/reconciliation.md), and the breaks of it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Rule(StrEnum):
    """The numbered invariants. A number is never given to another rule."""

    ORPHAN = "R1"
    LOST_COMMAND = "R2"
    DOUBLE_EXECUTION = "R3"
    SESSION_GAP = "R4"
    MISSING_FILL = "R5"
    ALTERED_FILL = "R6"
    UNCAUSED_FILL = "R7"
    BALANCE = "R8"
    JOURNAL_DAMAGED = "R9"
    JOURNALS_DIFFER = "R10"
    RESULTS_DIFFER = "R11"
    CLIENT_INVENTED = "R12"
    LOST_REPORT = "R13"
    REPEATED_REPORT = "R14"


TITLES: Final[dict[Rule, str]] = {
    Rule.ORPHAN: "what a gateway admitted reaches the stream",
    Rule.LOST_COMMAND: "what a client sent is held by a gateway or the stream",
    Rule.DOUBLE_EXECUTION: "each number of a session is executed once",
    Rule.SESSION_GAP: "a session's numbers are executed without a gap",
    Rule.MISSING_FILL: "every fill of the journal is in the downstream copy",
    Rule.ALTERED_FILL: "fills downstream say what the journal leads to",
    Rule.UNCAUSED_FILL: "every fill downstream follows from one command of the journal",
    Rule.BALANCE: "balances are what adjustments and fills lead to",
    Rule.JOURNAL_DAMAGED: "journals are readable, contiguous and in order",
    Rule.JOURNALS_DIFFER: "all replicas hold the same commands, as first executed",
    Rule.RESULTS_DIFFER: "all replicas compute the same events from the same commands",
    Rule.CLIENT_INVENTED: "clients received only what follows from the journal",
    Rule.LOST_REPORT: "clients received everything that concerns them",
    Rule.REPEATED_REPORT: "clients received everything once",
}
"""Each invariant in a sentence; a break of it says that the sentence is false."""


@dataclass(frozen=True, slots=True)
class Break:
    """A rule that does not hold, in one place."""

    rule: Rule
    subject: str
    """Names the place; the same place found again is the same break."""
    detail: str
    """What is there and what should be."""
    seq: int = 0
    """Command that it concerns, 0 if none."""

    @property
    def key(self) -> str:
        """Identity of the break."""
        return f"{self.rule}:{self.subject}"
