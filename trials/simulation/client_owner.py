"""Who owns a simulated session: what he is going to give, what he gave, and what he wrote down of what he was told.

All of it outlives the session's process.
"""

from collections import deque

from lockstep.columns import ReportColumns
from lockstep.session_events import Checkpoint
from lockstep.session_parcels import Piece
from lockstep.trials.simulation.world import Violation

Row = tuple[int, int, int]


class Owner:
    """See the module."""

    def __init__(self, name: str, session_id: int) -> None:
        self.checkpoint = Checkpoint(session_id)
        """What he goes on from."""
        self.flow: deque[Piece] = deque()
        """Commands that he is going to give, in order."""
        self.due_ns: deque[int] = deque()
        """When each may be given, at the earliest."""
        self.seen: list[Row] = []
        """Every report row in the order in which it was handed out: (seq, index, leg)."""
        self.answers: dict[int, int] = {}
        """Seq of the answer by session number."""
        self._name = name
        self._given_on: dict[int, int] = {}

    def connection_of(self, number: int) -> int:
        """The connection at the time when a command was given; it was never sent on an earlier one."""
        return self._given_on[max(first_no for first_no in self._given_on if first_no <= number)]

    def on_given(self, first_no: int, connection: int) -> None:
        """The first piece of the flow has this number. `connection`: the latest by then."""
        self._given_on[first_no] = connection
        self.flow.popleft()
        self.due_ns.popleft()

    def on_told(self, batch: ReportColumns) -> None:
        """He writes every row down, and what each of his commands came to."""
        rows = zip(batch.seq.tolist(), batch.index.tolist(), batch.leg.tolist(), batch.session_no.tolist(), strict=True)
        for seq, index, leg, number in rows:
            row = (seq, index, leg)
            if self.seen and row <= self.seen[-1]:
                raise Violation(f"{self._name} was told {row} after {self.seen[-1]}")
            self.seen.append(row)
            if leg == 0 and number:
                self.answers.setdefault(number, seq)
