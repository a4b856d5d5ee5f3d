"""When a snapshot is so late that taking it no longer gives way. Pure.

Giving way to everybody means to stand still on a host that is never idle: nothing is cut from the journals then, and
the next start takes longer and longer. So it has a bound.
"""

from typing import Final

from lockstep.runtime.topology import Snapshots

_SECOND_NS: Final = 1_000_000_000
_SHARE: Final = 10
_LEAST_S: Final = 5
_MOST_S: Final = 60


def hurries(plan: Snapshots, waiting_ns: int) -> bool:
    """Whether a snapshot that has been due for so long may take the whole share of a process.

    It may after a tenth of the time between two, and after 5 s at the earliest, 60 s at the latest.
    """
    patience_s = min(max(plan.every_s // _SHARE, _LEAST_S), _MOST_S) if plan.every_s else _MOST_S
    return waiting_ns >= patience_s * _SECOND_NS
