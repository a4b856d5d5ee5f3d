"""The log of a process: events with named values, on standard error; JSON lines, or readable on a terminal.

Every process imports this before it does anything else, and each is started again after a crash while trading goes on:
a logging library took a seventh of an engine's start. So it is the few lines that are needed.
"""

import json
import os
import sys
import time
import traceback
from typing import Final

LOG_LEVEL: Final = "LOCKSTEP_LOG"
LEVELS: Final = ("debug", "info", "warning", "error", "critical")
_DEFAULT: Final = "info"
_NAME_WIDTH: Final = 8


class ProcessLog:
    """One process' log. Any thread may write; each event is one line, written at once."""

    __slots__ = ("_lowest", "_pid", "_process")

    def __init__(self, process: str) -> None:
        """`process` is its name in each line. The level is LOCKSTEP_LOG's; one that is unknown means info."""
        wanted = os.environ.get(LOG_LEVEL, _DEFAULT).lower()
        self._lowest = LEVELS.index(wanted if wanted in LEVELS else _DEFAULT)
        self._process = process
        self._pid = os.getpid()

    def debug(self, event: str, **values: object) -> None:
        """Of use when one looks for a fault."""
        self._write("debug", event, values)

    def info(self, event: str, **values: object) -> None:
        """Something happened that is part of the day."""
        self._write("info", event, values)

    def warning(self, event: str, **values: object) -> None:
        """Something is not as it should be; the process goes on."""
        self._write("warning", event, values)

    def error(self, event: str, error: BaseException | None = None, **values: object) -> None:
        """Something failed. `error` is shown with its traceback."""
        self._write("error", event, values, error)

    def critical(self, event: str, error: BaseException | None = None, **values: object) -> None:
        """The process can't go on. `error` is shown with its traceback."""
        self._write("critical", event, values, error)

    def _write(self, level: str, event: str, values: dict[str, object], error: BaseException | None = None) -> None:
        if LEVELS.index(level) < self._lowest:
            return
        now_us = time.time_ns() // 1000
        moment = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now_us // 1_000_000))}.{now_us % 1_000_000:06d}Z"
        trace = "".join(traceback.format_exception(error)).rstrip() if error is not None else ""
        out = sys.stderr
        if out.isatty():
            shown = "".join(f"  {name}={value}" for name, value in values.items())
            line = f"{moment[11:23]} {level:{_NAME_WIDTH}} {self._process}: {event}{shown}"
            line += f"\n{trace}" if trace else ""
        else:
            row = {"process": self._process, "pid": self._pid, **values, "event": event, "level": level}
            row |= {"timestamp": moment} | ({"exception": trace} if trace else {})
            line = json.dumps(row, default=str)
        try:
            out.write(line + "\n")
            out.flush()
        except OSError:
            # The disk of the logs is full, or their reader has gone: that must not stop the trading, and there is
            # nowhere left to say it.
            return
