"""What a client writes down: each command when it was given, each report row when it was heard.

Times are of one monotonic clock of the machine, in nanoseconds, so that histories of several processes can be compared.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lockstep.rows import COMMAND_DTYPES, REPORT_DTYPES

REPORT: Final = np.dtype(list(REPORT_DTYPES.items()))
"""One report row with all that the wire says of it."""
SENT: Final = np.dtype([("session_no", "<u8"), ("sent_ns", "<i8"), *COMMAND_DTYPES.items()])
"""One command. `sent_ns` is a time before it can have left."""
SEEN: Final = np.dtype([("heard_ns", "<i8"), ("epoch", "<u8"), *REPORT_DTYPES.items()])
"""One report row as it was handed to the client. `heard_ns` is a time after it had come."""

SentRows = NDArray[np.void]
SeenRows = NDArray[np.void]
ReportRows = NDArray[np.void]


@dataclass(frozen=True, slots=True)
class SessionHistory:
    """One session's run as its client saw it."""

    session_id: int
    account: int
    sent: SentRows = field(repr=False)
    seen: SeenRows = field(repr=False)
    """In the order in which the rows were handed out."""
    complete: bool = True
    """Whether the client waited until all was answered and all that concerned it had come."""


def report_part(seen: SeenRows) -> ReportRows:
    """Seen rows without when and under which epoch."""
    rows = np.zeros(len(seen), REPORT)
    for name in REPORT_DTYPES:
        rows[name] = seen[name]
    return rows


class HistoryDamaged(ValueError):
    """Files of a history are missing or cut; names the file."""


def save_history(directory: Path, name: str, history: SessionHistory) -> None:
    """Write a history to three files: NAME.sent and NAME.seen (records), and NAME.json, which is written last."""
    (directory / f"{name}.sent").write_bytes(history.sent.tobytes())
    (directory / f"{name}.seen").write_bytes(history.seen.tobytes())
    words = {"session_id": history.session_id, "account": history.account, "complete": history.complete}
    words |= {"sent": len(history.sent), "seen": len(history.seen)}
    (directory / f"{name}.json").write_text(json.dumps(words), encoding="utf-8")


def load_histories(directory: Path) -> tuple[SessionHistory, ...]:
    """All histories in a directory, by name.

    Raises:
        HistoryDamaged: a file is missing or has another length than was written.
    """
    return tuple(_load(path) for path in sorted(directory.glob("*.json")))


def _load(path: Path) -> SessionHistory:
    words = json.loads(path.read_text(encoding="utf-8"))
    parts = {}
    for part, dtype in (("sent", SENT), ("seen", SEEN)):
        file = path.with_suffix(f".{part}")
        try:
            raw = file.read_bytes()
        except OSError as error:
            raise HistoryDamaged(f"{file}: can't be read: {error.strerror}; run again") from error
        if len(raw) != words[part] * dtype.itemsize:
            raise HistoryDamaged(f"{file}: {len(raw)} bytes are not {words[part]} rows; run again")
        parts[part] = np.frombuffer(raw, dtype)
    return SessionHistory(words["session_id"], words["account"], parts["sent"], parts["seen"], words["complete"])


def heard_times(histories: Iterable[SessionHistory]) -> NDArray[np.int64]:
    """When anything was heard by any client, ascending."""
    times = [np.unique(history.seen["heard_ns"]) for history in histories]
    return np.sort(np.concatenate([np.empty(0, np.int64), *times]))
