"""What the sessions of a run ask for: bounds, and cancel on disconnect."""

from typing import Final

from lockstep.session_events import SessionLimits
from lockstep.trials.simulation.kernel import Kernel

_GRACES_MS: Final = (50, 300, 1200)


def session_limits(kernel: Kernel, client: int) -> SessionLimits:
    """Of one client. Mostly without dice: the seeds that once found a bug keep their runs."""
    # In three of seven seeds; 0: off.
    grace_ms = _GRACES_MS[client % 3] if kernel.seed % 7 > 3 else 0
    # Where one message may be under way, commands wait for answers all the time.
    under_way = 1 if kernel.seed % 13 == 12 else SessionLimits().most_under_way
    return SessionLimits(
        max_unanswered=kernel.between(16, 200),
        batch_rows=64,
        most_under_way=under_way,
        cancel_on_disconnect_ms=grace_ms,
    )
