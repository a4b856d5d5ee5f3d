"""What each command does at last: *Contingent orders* that are due, and a look at bands (*Limit up and limit down*)."""

from lockstep.engine.reference.families import next_orphan, next_to_go, send, settle_orphan
from lockstep.engine.reference.limit_state import look
from lockstep.engine.reference.output import Output
from lockstep.engine.reference.state import State


def finish(state: State, out: Output) -> None:
    """One thing at a time, until nothing is due: children first, then the instrument of the lowest id."""
    while state.are_children_due or state.touched:
        orphan = next_orphan(state) if state.are_children_due else None
        child = next_to_go(state) if state.are_children_due and orphan is None else None
        if orphan is not None:
            settle_orphan(state, orphan, out)
        elif child is not None:
            send(state, child, out)
        elif state.touched:
            state.are_children_due = False
            number = min(state.touched)
            state.touched.discard(number)
            look(state, state.books[number], out)
        else:
            state.are_children_due = False
