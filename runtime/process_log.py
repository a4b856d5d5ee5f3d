"""The log of a process: events with named values, on standard error; JSON lines, or readable on a terminal."""

import logging
import os
import sys
from typing import Any, Final, TextIO

import structlog
from structlog.typing import FilteringBoundLogger

ProcessLog = FilteringBoundLogger
"""Any thread may write; each event is one line, written at once."""

LOG_LEVEL: Final = "LOCKSTEP_LOG"


class _Lenient:
    """Standard error, whatever becomes of it.

    The disk of the logs may be full, or their reader gone: that must not stop the trading, and there is nowhere left
    to say it.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, text: str) -> int:
        try:
            return self._out.write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        try:
            self._out.flush()
        except OSError:
            return


def open_log(process: str) -> ProcessLog:
    """The log of the process of that name. The level is LOCKSTEP_LOG's; one that is unknown means info."""
    level = logging.getLevelNamesMapping().get(os.environ.get(LOG_LEVEL, "info").upper(), logging.INFO)
    readable = sys.stderr.isatty()
    renderer: Any = structlog.dev.ConsoleRenderer() if readable else structlog.processors.JSONRenderer(default=str)
    log: ProcessLog = structlog.wrap_logger(
        structlog.PrintLogger(file=_Lenient(sys.stderr)),  # type: ignore[arg-type]  # it writes and flushes, no more
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        process=process,
        pid=os.getpid(),
    ).bind()
    return log
