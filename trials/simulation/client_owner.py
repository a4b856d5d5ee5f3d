"""Who owns a simulated session: what he is going to give, what he gave, and what he wrote down of what he received.

All of it outlives the session's process. A careless owner keeps few checkpoints, and goes on from an old one: then he
gives again what had never left, and receives again what he has forgotten.
"""

from bisect import bisect_right
from collections import deque
from random import Random
from typing import Final

from lockstep.columns import CommandColumns, ReportColumns
from lockstep.session_driver import SessionDriver
from lockstep.session_events import Checkpoint
from lockstep.session_parcels import Piece
from lockstep.trials.simulation.timers import NEVER
from lockstep.trials.simulation.world import Violation

_KEPT_ONCE_IN: Final = 25
Row = tuple[int, int, int]


class Owner:
    """See the module."""

    def __init__(self, name: str, session_id: int, dice: Random | None) -> None:
        """`dice`: those by which he keeps checkpoints; None: he keeps each."""
        self.checkpoint = Checkpoint(session_id)
        """What he goes on from."""
        self.flow: deque[Piece] = deque()
        """Commands that he is going to give, in order."""
        self.times_ns: deque[int] = deque()
        """When each may be given, at the earliest."""
        self.seen: list[Row] = []
        """Every report row in the order in which it was handed out: (seq, index, leg)."""
        self.answers: dict[int, int] = {}
        """Seq of the answer by session number."""
        self.given = 0
        """Commands; those that never left in a former life are not counted."""
        self._name = name
        self._dice = dice
        self._pieces: dict[int, tuple[Piece, int]] = {}
        """What was given, and on which connection at the latest, by its first number."""
        self._asks = False

    @property
    def has_given_all(self) -> bool:
        """Nothing is left to give, and he knows it."""
        return not self.flow and not self._asks

    @property
    def delivered_seq(self) -> int:
        """Up to where he needs no report any more."""
        if self._dice is not None:
            return self.checkpoint.last_seen.seq
        return self.seen[-1][0] if self.seen else 0

    def connection_of(self, number: int) -> int:
        """The connection at the time when a command was given; it was never sent on an earlier one."""
        return self._pieces[max(first_no for first_no in self._pieces if first_no <= number)][1]

    def due_ns(self, earliest_ns: int) -> int:
        """When he gives something next."""
        return max(self.times_ns[0], earliest_ns) if self.flow else NEVER

    def keep(self, checkpoint: Checkpoint) -> None:
        """Write it down."""
        if self._dice is None or (not self._asks and self._dice.randrange(_KEPT_ONCE_IN) == 0):
            self.checkpoint = checkpoint

    def on_taken_up(self, *, asks: bool) -> None:
        """He goes on from his checkpoint. `asks`: he waits until it is known how far the session had come."""
        self._asks = asks
        last = self.checkpoint.last_seen
        del self.seen[bisect_right(self.seen, (last.seq, last.index, last.leg)) :]

    def give(self, driver: SessionDriver, now_ns: int) -> None:
        """What is due, as far as there is room."""
        if self._asks:
            if not driver.machine.may_number:
                return
            self._asks = False
            self._take_back(driver.machine.next_no, now_ns)
        while self.flow and self.times_ns[0] <= now_ns:
            first_no = driver.submit(self.flow[0])
            if first_no is None:
                return
            piece = self.flow.popleft()
            self.times_ns.popleft()
            self._pieces[first_no] = piece, driver.machine.connection
            self.given += _count(piece)

    def _take_back(self, next_no: int, now_ns: int) -> None:
        """What had numbers from this one on has never left; he gives it first."""
        for first_no in sorted(self._pieces, reverse=True):
            piece, connection = self._pieces[first_no]
            lost = min(_count(piece), first_no + _count(piece) - next_no)
            if lost <= 0:
                return
            self.given -= lost
            if lost == _count(piece):
                del self._pieces[first_no]
            else:
                assert isinstance(piece, CommandColumns)
                kept = piece.count - lost
                self._pieces[first_no] = piece.slice(0, kept), connection
                piece = piece.slice(kept, piece.count)
            self.flow.appendleft(piece)
            self.times_ns.appendleft(now_ns)

    def on_delivered(self, batch: ReportColumns) -> None:
        """He writes every row down, and what each of his commands came to."""
        rows = zip(batch.seq.tolist(), batch.index.tolist(), batch.leg.tolist(), batch.session_no.tolist(), strict=True)
        for seq, index, leg, number in rows:
            row = (seq, index, leg)
            if self.seen and row <= self.seen[-1]:
                raise Violation(f"{self._name} received {row} after {self.seen[-1]}")
            self.seen.append(row)
            if leg == 0 and number:
                self.answers.setdefault(number, seq)


def _count(piece: Piece) -> int:
    return piece.count if isinstance(piece, CommandColumns) else 1
