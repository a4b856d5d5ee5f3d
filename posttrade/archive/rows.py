"""Records as rows of columns, and back to the same bytes. Pure.

Each key of a record is a column: numbers or text. Times are microseconds since 1970, since they are written so. An id
that follows from the rest, as all do, is left out: it would be the largest part of what can't be compressed. What
fits no column goes into `rest`, as JSON. `record_of` gives back what `row_of` was given, and whoever writes checks it.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from lockstep.posttrade.audit.pseudonyms import SUBJECT_FIELDS
from lockstep.posttrade.audit.records import encode, stamp_text
from lockstep.posttrade.audit.uuid7 import record_id

Record = dict[str, Any]
REST: Final = "rest"
_EVERY: Final = {"epoch": int, "index": int, "kind": str, "processed": str, "seq": int, "what": str}
_COUNTED: Final = ("instrument", "quantity", "quantity_lots")
TIMES: Final = ("processed", "received")
_TIME_LETTERS: Final = len("2026-11-30T09:00:00.000000Z")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_PLAIN_ACCOUNTS: Final = ("account", "to_account", "maker_account")
_PLAIN_SESSIONS: Final = ("session_id", "maker_session_id", "of_session")
_SHIFT: Final = 32


class NoRecord(ValueError):
    """These bytes are no record of a trail. The text says why."""


def record_from(line: bytes) -> Record:
    """The record that a line is, where somebody may have changed it.

    Raises:
        NoRecord: it is none.
    """
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise NoRecord(f"a record can't be read: {error}") from error
    return checked(record)


def checked(record: Any) -> Record:
    """It, if it has what every record has, and whole numbers where they are counted.

    Raises:
        NoRecord: it has not.
    """
    if not isinstance(record, dict):
        raise NoRecord("a record is no JSON object")
    for name, kind in _EVERY.items():
        if type(record.get(name)) is not kind:
            raise NoRecord(f"a record has {record.get(name)!r:.40} as {name}")
    try:
        micros_at(record["processed"])
    except ValueError:
        raise NoRecord(f"a record was processed at {record['processed']!r:.40}, which is no time") from None
    for name in _COUNTED:
        if type(record.get(name, 0)) is not int:
            raise NoRecord(f"a record has {record[name]!r:.40} as {name}")
    return record


def number_of(record: Record) -> int:
    """Its place behind its seq: 0 is the command, then its events."""
    return 0 if record["what"] == "command" else int(record["index"]) + 1


def micros_at(text: str) -> int:
    """Microseconds since 1970 of a time as records have it.

    Raises:
        ValueError: it is none, or is written otherwise.
    """
    if len(text) != _TIME_LETTERS or text[-1] != "Z":
        raise ValueError(f"{text!r:.40} is no time of a record")
    return (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND


def derived_id(record: Mapping[str, Any]) -> str:
    """The id that follows from the rest."""
    stamp_ns = micros_at(record["processed"]) * 1000
    what = "C" if record["what"] == "command" else "E"
    return str(record_id(what, stamp_ns, record["epoch"], record["seq"], record["index"]))


def row_of(record: Record) -> Record:
    """As columns."""
    row: Record = {}
    rest: Record = {}
    for name, value in record.items():
        if name in TIMES:
            row[name] = micros_at(value)
        elif name == "id":
            if value != derived_id(record):
                row[name] = value
        elif type(value) is str or (type(value) is int and -(2**63) <= value < 2**63):
            row[name] = value
        else:
            rest[name] = value
    if rest:
        row[REST] = encode(rest).decode("ascii")
    return row


def record_of(row: Mapping[str, Any]) -> Record:
    """What `row_of` made this of. Columns that are None were not there."""
    record = {name: value for name, value in row.items() if value is not None and name != REST}
    for name in TIMES:
        if name in record:
            record[name] = stamp_text(record[name] * 1000)
    if row.get(REST) is not None:
        record |= json.loads(row[REST])
    record.setdefault("id", derived_id(record))
    return record


def line_of(row: Mapping[str, Any]) -> bytes:
    """The record's bytes, as they were sealed."""
    return encode(record_of(row))


def subjects_of(record: Mapping[str, Any]) -> set[str]:
    """Whom a record concerns: pseudonyms; of a record that has none `account 42` and `client 7`."""
    found = {record[name] for name in SUBJECT_FIELDS if type(record.get(name)) is str}
    found |= {f"account {record[name]}" for name in _PLAIN_ACCOUNTS if type(record.get(name)) is int}
    if "client" not in record:
        sessions = (record.get(name) for name in _PLAIN_SESSIONS)
        found |= {f"client {one >> _SHIFT}" for one in sessions if type(one) is int and one >> _SHIFT}
    return found


def text_of(record: Mapping[str, Any]) -> str:
    """What is searched in it: why it was refused or ended, as code and in words, and what else is written freely."""
    words = [str(record[name]) for name in ("code", "name") if name in record]
    if not words:
        return ""
    said = [*words, record["kind"], str(record.get("symbol", ""))]
    return " ".join([*said, *(word.replace("_", " ") for word in said if "_" in word)]).strip()
