"""What a removed key leaves on the disk, where the key store is a file of SQLite: nothing, when nobody reads it."""

from typing import Any, Final

from sqlalchemy import Engine

WAIT_S: Final = 20
"""For whoever else writes."""
PATIENCE_S: Final = 5.0
"""Of a command with those who read while it has removed something."""
GLANCE_S: Final = 0.2
"""Of a follower, which has more to do and comes again."""


def settings(connection: Any, _record: Any) -> None:
    """Of every connection."""
    # Removed rows are overwritten: an erased key must not stand in a free page.
    for pragma in ("journal_mode=WAL", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def overwritten(engine: Engine, wait_s: float | None) -> bool:
    """Leave nothing of what was removed in the file or beside it; False: somebody reads what was before, for so long.

    The pages that were overwritten stand in the log (WAL) first, and in the file those of before. None: `PATIENCE_S`.
    """
    with engine.connect() as work:
        work.exec_driver_sql(f"PRAGMA busy_timeout={int((PATIENCE_S if wait_s is None else wait_s) * 1000)}")
        try:
            return not work.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()[0]
        finally:
            work.exec_driver_sql(f"PRAGMA busy_timeout={WAIT_S * 1000}")
