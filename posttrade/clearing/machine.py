"""The clearing house as a machine: one numbered log in, outputs out. Pure.

`apply` is the only door. It takes one entry, changes the state, and returns what comes of it; a business command that
can't be is refused with a code, changes nothing, and stays in the log. The same log gives the same outputs, states and
digests on every machine, from the beginning or from any snapshot.
"""

from collections.abc import Callable
from typing import Any, Final

from blake3 import blake3

from lockstep.posttrade.clearing import business, cycle, fails, novation
from lockstep.posttrade.clearing.entries import (
    CAPTURED,
    Assign,
    BuyInAccount,
    CashMoved,
    CloseOutRule,
    Commit,
    Deposit,
    EndDay,
    Entry,
    Fill,
    Issue,
    Member,
    PenaltyRate,
    Prepare,
    Price,
    Reallocate,
    SetCalendar,
    SharesMoved,
    SharesPassed,
    StartDay,
    Terms,
    Undo,
    encode,
)
from lockstep.posttrade.clearing.outputs import Kind, Output, Refusal, row_of
from lockstep.posttrade.clearing.state import State, check, decode_state, encode_state

NO_DIGEST: Final = bytes(32)
_HANDLERS: Final[dict[type[Any], Callable[[State, Any], list[Output] | Refusal]]] = {
    Issue: novation.on_issue,
    Fill: novation.on_fill,
    CashMoved: novation.on_cash,
    SharesMoved: novation.on_shares,
    SharesPassed: novation.on_passed,
    SetCalendar: business.on_calendar,
    Member: business.on_member,
    Assign: business.on_assign,
    BuyInAccount: business.on_buy_in_account,
    Terms: business.on_terms,
    PenaltyRate: business.on_rate,
    CloseOutRule: business.on_close_out,
    Price: business.on_price,
    Deposit: business.on_deposit,
    Reallocate: business.on_reallocate,
    StartDay: cycle.on_start,
    Prepare: cycle.on_prepare,
    Commit: cycle.on_commit,
    Undo: cycle.on_undo,
    EndDay: fails.on_end,
}
_CHECKED: Final = (StartDay, Prepare, Commit, Undo, EndDay)


class ClearingMachine:
    """One clearing house."""

    def __init__(self, state: State | None = None, digest: bytes = NO_DIGEST) -> None:
        """A new one, or one that goes on from a state."""
        self.state = State() if state is None else state
        self.digest = digest
        """Of the log and all that came of it: a chain, entry by entry."""

    def apply(self, entry: Entry) -> list[Output]:
        """Take the next entry of the log.

        Raises:
            ClearingBroken: what must always be true is not; the state is of no use any more.
        """
        state, kind = self.state, type(entry)
        done = _HANDLERS[kind](state, entry)
        if isinstance(done, Refusal):
            done = [Output(Kind.REFUSED, state.day, detail=done)]
        elif kind not in CAPTURED and not any(one.kind == Kind.DONE for one in done):
            done.append(Output(Kind.DONE, state.day))
        state.number += 1
        if kind in _CHECKED:
            check(state)
        self.digest = chained(self.digest, encode(entry), done)
        return done

    def snapshot(self) -> bytes:
        """The state as bytes: equal ones for equal states."""
        return encode_state(self.state)

    @classmethod
    def restored(cls, snapshot: bytes, digest: bytes) -> "ClearingMachine":
        """One that goes on from a snapshot."""
        return cls(decode_state(snapshot), digest)


def chained(digest: bytes, entry: bytes, outputs: list[Output]) -> bytes:
    """The digest behind an entry."""
    said = repr([row_of(one) for one in outputs]).encode()
    return bytes(blake3(digest + len(entry).to_bytes(4, "little") + entry + said).digest())
