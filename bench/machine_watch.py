"""Whether the machine itself stood still: a process above all others' priority that wakes every 5 ms and says how late.

On a shared host a virtual machine loses its cores for tens of milliseconds now and then. No program in it can do
anything about that, and no figure of a cluster in it says anything without it. A process with a real-time priority is
late only when the machine is, whatever the cluster does. Where that priority is not allowed, nothing is said.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Final

_INTERVAL_S: Final = 0.005
_LATE_NS: Final = 5_000_000


@dataclass(frozen=True, slots=True)
class MachineStalls:
    """Wake-ups that came more than 5 ms late."""

    count: int
    total_ms: float
    longest_ms: float


class MachineWatch:
    """Watches from its making to `stop`, at the cost of about half a percent of a core."""

    def __init__(self) -> None:
        # Without the folder of this file in the path: its modules would stand in for the library's of the same name.
        self._process = subprocess.Popen(
            [sys.executable, "-SP", __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def stop(self) -> MachineStalls | None:
        """What was seen; None where the priority is not allowed."""
        said, _ = self._process.communicate()
        return MachineStalls(**json.loads(said)) if said.strip() else None


def _watch() -> int:
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:
        return 0
    os.set_blocking(0, False)
    late: list[int] = []
    while os.getppid() != 1:
        began_ns = time.monotonic_ns()
        time.sleep(_INTERVAL_S)
        over_ns = time.monotonic_ns() - began_ns - int(_INTERVAL_S * 1e9)
        if over_ns > _LATE_NS:
            late.append(over_ns)
        try:
            if os.read(0, 1) == b"":
                break
        except BlockingIOError:
            continue
    figures = {"count": len(late), "total_ms": sum(late) / 1e6, "longest_ms": max(late, default=0) / 1e6}
    sys.stdout.write(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(_watch())
