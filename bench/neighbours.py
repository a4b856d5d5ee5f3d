"""What other programs take of this machine's cores while something is measured, and waiting until they are quiet.

Nothing is subtracted for them. A figure from beside a busy neighbour comes with how busy it was.
"""

import os
import time
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_IDLE: Final = (3, 4)
"""Columns of /proc/stat in which nobody runs: idle, and waiting for a disk."""
_GUESTS: Final = 8
"""From here on they are counted once more."""
_LOOK_S: Final = 1.0
QUIET_CORES: Final = 0.3
_QUIET_LOOKS: Final = 2


def busy_s() -> float:
    """Seconds that the cores have run since the start of the machine, all together; 0 where that can't be seen."""
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:]
    except OSError:
        return 0.0
    return sum(int(field) for place, field in enumerate(fields[:_GUESTS]) if place not in _IDLE) / _TICKS


def wait_for_quiet(patience_s: float) -> float:
    """Wait until others use less than a third of a core for two seconds, at most so long; what they used at last."""
    deadline = time.monotonic() + patience_s
    quiet, cores = 0, 0.0
    while quiet < _QUIET_LOOKS and time.monotonic() < deadline:
        before, began = busy_s(), time.monotonic()
        time.sleep(_LOOK_S)
        cores = (busy_s() - before) / (time.monotonic() - began)
        quiet = quiet + 1 if cores < QUIET_CORES else 0
    return cores
