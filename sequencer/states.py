"""The states of a sequencer, and the ways between them.

    CANDIDATE --claim--> CLAIMING --won--> FENCING --all answered--> (RECOVERING) --> LEADER
                                            ^ |
                                            | +--some silent--> NARROWING
                                            +-------------------won--+

Any state falls back to CANDIDATE when the config names another, or an engine has promised more. HALTED ends only by an
operator's forced failover: the in-sync engines contradict each other and a human must look.
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


TRANSITIONS: Final[dict[State, tuple[State, ...]]] = {
    State.CANDIDATE: (State.CLAIMING,),
    State.CLAIMING: (State.FENCING, State.CANDIDATE),
    State.FENCING: (State.NARROWING, State.RECOVERING, State.LEADER, State.CANDIDATE, State.HALTED),
    State.NARROWING: (State.FENCING, State.CANDIDATE),
    State.RECOVERING: (State.FENCING, State.LEADER, State.CANDIDATE),
    State.LEADER: (State.CANDIDATE,),
    State.HALTED: (State.CANDIDATE,),
}
