"""How a process that may wait gives way to those that may not."""

import contextlib
import os
from pathlib import Path


def give_way(nice: int) -> None:
    """Lower this process' priority to `nice`, against the other processes of the machine as well.

    Linux shares the CPU out among sessions first (sched_autogroup), and every process that a supervisor starts has a
    session of its own: there `nice` alone changes nothing.
    """
    os.nice(nice)
    if os.getsid(0) == os.getpid():
        with contextlib.suppress(OSError), Path("/proc/self/autogroup").open("w") as group:
            group.write(str(nice))
