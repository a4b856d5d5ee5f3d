"""The log of the key store: what was done with keys, one canonical JSON object a line, each with the hash of the last.

It is appended to in the transaction of what it records. A line names no client: who asked to be forgotten must not
stand in what can't be changed. An opening names the pseudonym, the reason and the officers, with their signatures.
"""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, select

from lockstep.posttrade.audit.keystore_schema import LOG
from lockstep.posttrade.audit.manifest import canonical

NOTHING: Final = "0" * 64
_REMOVES: Final = ("destroyed", "sealed", "rekeyed")
OVERWRITTEN: Final = "overwritten"
"""Nothing of what was removed before is in the tables any more (PostgreSQL)."""


def canonical_text(content: dict[str, Any]) -> str:
    """Sorted keys, no blanks, ASCII."""
    return canonical(content).decode("ascii")


def append(work: Connection, what: str, **values: Any) -> None:
    """Append a line, in the caller's transaction."""
    newest = work.execute(select(LOG).order_by(LOG.c.number.desc()).limit(1)).one_or_none()
    number, previous = (1, NOTHING) if newest is None else (newest.number + 1, hash_of(newest.line))
    at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    line = canonical_text({**values, "at": at, "number": number, "previous": previous, "what": what})
    work.execute(LOG.insert().values(number=number, line=line))


def lines(look: Connection) -> list[str]:
    """All, in order."""
    return list(look.execute(select(LOG.c.line).order_by(LOG.c.number)).scalars())


def leaves_something(look: Connection) -> bool:
    """Whether something was removed since the last line that says that it was overwritten."""
    for line in look.execute(select(LOG.c.line).order_by(LOG.c.number.desc())).scalars():
        what = json.loads(line).get("what")
        if what == OVERWRITTEN:
            return False
        if what in _REMOVES:
            return True
    return False


def hash_of(line: str) -> str:
    """What the next line names it by."""
    return hashlib.sha256(line.encode()).hexdigest()


def broken(found: Sequence[str]) -> int:
    """Number of the first line that does not follow from the one before it; 0: all do."""
    previous = NOTHING
    for number, line in enumerate(found, 1):
        try:
            said = json.loads(line)
            follows = said["previous"] == previous and said["number"] == number
        except (ValueError, KeyError, TypeError, RecursionError):
            follows = False
        if not follows:
            return number
        previous = hash_of(line)
    return 0


def head_of(found: Sequence[str]) -> str:
    """Hash of the newest line: kept elsewhere, it shows later that the end was cut off."""
    return hash_of(found[-1]) if found else NOTHING
