"""Wall clocks that are wrong: one for each host of a chaos run, stepped while its processes run.

The library that does it is `skewed_clock.cpp` beside this file, built with the native engine.
"""

import os
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from lockstep.runtime.process import EnvironmentFault

_OFFSET: Final = struct.Struct("=q")
_LIBRARY: Final = Path(__file__).with_name("skewed_clock.so")
_TRIAL_S: Final = -3600
_CLOSE_S: Final = 60
_PATIENCE_S: Final = 10.0


class HostClock:
    """The wall clock of a host, right at first.

    Raises:
        EnvironmentFault: this machine's processes can't be given another clock.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        if not _LIBRARY.exists():
            raise EnvironmentFault("skewed_clock.so was not built; install the package again, on Linux with glibc")
        path.write_bytes(_OFFSET.pack(0))
        self._try()

    def prefix(self) -> tuple[str, ...]:
        """What a command begins with to run with this clock."""
        preload = ":".join(filter(None, (str(_LIBRARY), os.environ.get("LD_PRELOAD", ""))))
        return ("env", f"LD_PRELOAD={preload}", f"LOCKSTEP_CLOCK_OFFSET={self._path}")

    def step(self, offset_ms: int) -> None:
        """From now on the clock is `offset_ms` ahead of the true time (or behind)."""
        # In place: the processes have the file mapped. Eight aligned bytes are read as one.
        with self._path.open("r+b") as file:
            file.write(_OFFSET.pack(offset_ms * 1_000_000))

    def _try(self) -> None:
        self.step(_TRIAL_S * 1000)
        shown = subprocess.run(
            [*self.prefix(), sys.executable, "-c", "import time; print(time.time())"],
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE_S,
        )
        self.step(0)
        if shown.returncode or abs(float(shown.stdout) - time.time() - _TRIAL_S) > _CLOSE_S:
            raise EnvironmentFault(f"processes keep this machine's clock here: {shown.stderr.strip() or shown.stdout}")
