"""What a removed key leaves on the disk: nothing in the key store's own files, when nobody reads it."""

import re
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

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


_NUMBER: Final = re.compile(r"[0-9]+")
_LOCK_NOT_AVAILABLE: Final = "55P03"


def written_anew(engine: Engine, tables: Sequence[str], wait_s: float | None) -> bool:
    """PostgreSQL: write tables anew without rows that were removed; False: somebody may see these still.

    They are kept for whoever began to read before, anywhere in the database. Waits so long for who holds a table.
    """
    left: list[str] = []

    def heard(notice: Any) -> None:
        detail = _NUMBER.search(notice.message_detail or "")
        # "N dead row versions cannot be removed yet"; a warning: it was skipped, since its owner is somebody else.
        if notice.severity_nonlocalized == "WARNING" or (detail is not None and int(detail[0])):
            left.append(notice.message_primary or "")

    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as work:
        connection = work.connection.driver_connection
        assert connection is not None
        connection.add_notice_handler(heard)
        try:
            work.exec_driver_sql(f"SET lock_timeout = {int((PATIENCE_S if wait_s is None else wait_s) * 1000)}")
            for table in tables:
                work.exec_driver_sql(f"VACUUM (FULL, VERBOSE) {table}")
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", "") != _LOCK_NOT_AVAILABLE:
                raise
            return False
        finally:
            connection.remove_notice_handler(heard)
            if not connection.closed:
                work.exec_driver_sql("RESET lock_timeout")
    return not left
