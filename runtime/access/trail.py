"""The audit trail of a process: who was refused, and who did what only few may do. One JSON object a line.

Each line carries the hash of the one before, so that a line that was taken out or changed shows. Refusals are bounded:
a flood of them becomes one line with a count, so that nobody fills a disk or hides among them.
"""

import json
import os
import time
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from blake3 import blake3

MAX_BYTES: Final = 16 << 20
"""Of one file; then a new one is begun."""
KEPT: Final = 16
"""Files that are kept, the one being written included."""
REFUSALS_PER_S: Final = 20
_TAIL: Final = 8192


class Trail:
    """Of one process: `<directory>/<name>.jsonl`. An empty directory: nothing is kept."""

    def __init__(self, directory: Path, name: str) -> None:
        self._path = directory / f"{name}.jsonl" if directory.name else None
        self._last = ""
        """Hash of the newest line."""
        self._second = 0
        self._refusals = 0
        self.refused = 0
        """Refusals since the start, for metrics."""
        self.fault = ""
        """Why the newest line is not in the file; empty: it is."""

    def refusal(self, what: str, who: str, peer: str, why: str) -> None:
        """Somebody was not let in, or may not do what was asked."""
        self.refused += 1
        second = int(time.time())
        if second != self._second:
            left_out, self._second, self._refusals = self._refusals - REFUSALS_PER_S, second, 0
            if left_out > 0:
                self._write({"event": "refusals_left_out", "count": left_out})
        self._refusals += 1
        if self._refusals <= REFUSALS_PER_S:
            self._write(
                {"event": "refused", "what": what[:200], "who": who[:100], "peer": peer[:100], "why": why[:300]}
            )

    def deed(self, what: str, who: str, peer: str, outcome: str = "asked") -> None:
        """A privileged action, before it is done and with what came of it."""
        self._write({"event": "action", "what": what, "who": who, "peer": peer[:100], "outcome": outcome[:300]})

    def note(self, event: str, **values: Any) -> None:
        """Anything else about who may do what."""
        self._write({"event": event, **values})

    def _write(self, line: dict[str, Any]) -> None:
        if self._path is None:
            return
        try:
            if not self._last:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._last = last_hash(self._path)
            if self._path.exists() and self._path.stat().st_size > MAX_BYTES:
                self._begin_anew()
            row = {"at_ns": time.time_ns(), **line, "after": self._last}
            text = json.dumps(row, ensure_ascii=True)
            with os.fdopen(os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a") as file:
                file.write(text + "\n")
            self._last = hash_of(text)
            self.fault = ""
        except OSError as error:
            # A disk that is full must stop nobody from trading; metrics and status show it.
            self.fault = f"{self._path}: {error.strerror}"

    def _begin_anew(self) -> None:
        assert self._path is not None
        names = [self._path, *(self._path.with_name(f"{self._path.name}.{n}") for n in range(1, KEPT))]
        for newer, older in reversed(list(pairwise(names))):
            if newer.exists():
                newer.replace(older)


def hash_of(text: str) -> str:
    """What the line behind a line says of it."""
    return blake3(text.encode()).hexdigest(16)


def last_hash(path: Path) -> str:
    """The hash of a file's last line; of none: of an empty one."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _TAIL))
            lines = file.read().splitlines()
    except FileNotFoundError:
        lines = []
    return hash_of(lines[-1].decode("ascii", "replace") if lines else "")


def broken_line(lines: list[str]) -> int:
    """The number, from 1, of the first line that does not follow from the one before it; 0: all do."""
    for number, (before, line) in enumerate(pairwise(lines), 2):
        try:
            follows = json.loads(line).get("after") == hash_of(before)
        except (ValueError, AttributeError):
            follows = False
        if not follows:
            return number
    return 0
