"""The states of a sequencer, what moves it from one to the next, and where to: the whole table.

The diagram in `DESIGN.md` is drawn from it. HALTED ends only by an operator's forced failover: the in-sync engines
contradict each other, and a human must look.
"""

from enum import Enum
from typing import Final


class State(Enum):
    """Where a sequencer stands."""

    CANDIDATE = "candidate"
    CLAIMING = "claiming"
    """The swap that makes it leader is under way."""
    FENCING = "fencing"
    NARROWING = "narrowing"
    """The swap that removes the engines that were silent is under way."""
    RECOVERING = "recovering"
    """The longest log is being fetched for those that lack its end."""
    LEADER = "leader"
    HALTED = "halted"


class Occasion(Enum):
    """What moves it."""

    CLAIMS = "it claims"
    SWAP_WON = "swap won"
    SWAP_NOT_WON = "swap not won"
    SET_CHANGES = "some silent, blank or outvoted"
    """Or the founding ends: the config says so before anything is stamped."""
    LOGS_DIFFER = "logs of different length"
    LOGS_COMPLETE = "every log complete"
    CONTRADICTION = "contradiction without a majority"
    ENGINE_LOST = "an engine is lost"
    PROMISED_MORE = "an engine has promised more"
    DEPOSED = "the config names another"
    OVERRIDDEN = "an operator decides otherwise"
    LOSS_FOUND = "the log lacks what was delivered to clients"


TRANSITIONS: Final[dict[tuple[State, Occasion], State]] = {
    (State.CANDIDATE, Occasion.CLAIMS): State.CLAIMING,
    (State.CLAIMING, Occasion.SWAP_WON): State.FENCING,
    (State.CLAIMING, Occasion.SWAP_NOT_WON): State.CANDIDATE,
    (State.FENCING, Occasion.SET_CHANGES): State.NARROWING,
    (State.FENCING, Occasion.LOGS_DIFFER): State.RECOVERING,
    (State.FENCING, Occasion.LOGS_COMPLETE): State.LEADER,
    (State.FENCING, Occasion.CONTRADICTION): State.HALTED,
    (State.NARROWING, Occasion.SWAP_WON): State.FENCING,
    (State.NARROWING, Occasion.SWAP_NOT_WON): State.FENCING,
    (State.RECOVERING, Occasion.LOGS_COMPLETE): State.LEADER,
    (State.RECOVERING, Occasion.ENGINE_LOST): State.FENCING,
    (State.FENCING, Occasion.OVERRIDDEN): State.CANDIDATE,
    (State.RECOVERING, Occasion.OVERRIDDEN): State.CANDIDATE,
    (State.LEADER, Occasion.OVERRIDDEN): State.CANDIDATE,
    (State.HALTED, Occasion.OVERRIDDEN): State.CANDIDATE,
    (State.LEADER, Occasion.LOSS_FOUND): State.CANDIDATE,
    (State.FENCING, Occasion.PROMISED_MORE): State.CANDIDATE,
    (State.NARROWING, Occasion.PROMISED_MORE): State.CANDIDATE,
    (State.RECOVERING, Occasion.PROMISED_MORE): State.CANDIDATE,
    (State.LEADER, Occasion.PROMISED_MORE): State.CANDIDATE,
    (State.FENCING, Occasion.DEPOSED): State.CANDIDATE,
    (State.RECOVERING, Occasion.DEPOSED): State.CANDIDATE,
    (State.LEADER, Occasion.DEPOSED): State.CANDIDATE,
}
"""Anything else is a broken invariant. A config that names another while a swap is under way ends the swap first."""
