"""Where a key store lies: a file of SQLite, or a database of PostgreSQL."""

import os
from pathlib import Path

from sqlalchemy import Engine, create_engine, event

from lockstep.posttrade.audit.keystore_disk import WAIT_S, settings
from lockstep.runtime.faults import EnvironmentFault, os_error_text


def shown(url: str) -> str:
    """A URL without its password."""
    head, at, tail = url.rpartition("@")
    return url if not at else f"{head.split('//')[0]}//...@{tail}"


def key_store_url(place: str | Path) -> str:
    """A path, or a PostgreSQL URL, as SQLAlchemy wants it."""
    text = str(place)
    for begin in ("postgresql://", "postgres://"):
        if text.startswith(begin):
            return "postgresql+psycopg://" + text.removeprefix(begin)
    return f"sqlite:///{text}"


def engine_of(url: str, *, make: bool) -> Engine:
    """A way to it. `make`: it may not be there yet."""
    whole = key_store_url(url)
    if not whole.startswith("sqlite"):
        return create_engine(whole, pool_size=2, max_overflow=0, connect_args={"connect_timeout": WAIT_S})
    path = Path(whole.removeprefix("sqlite:///"))
    try:
        if make:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        elif not path.exists():
            raise EnvironmentFault(f"there is no key store {path}: name where it is (--keys)")
    except OSError as error:
        raise EnvironmentFault(os_error_text(error)) from error
    engine = create_engine(whole, connect_args={"timeout": WAIT_S, "isolation_level": None})
    event.listen(engine, "connect", settings)
    return engine
