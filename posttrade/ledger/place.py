"""Where a ledger lies, and which of its *generations* counts.

A rebuild writes a generation of its own beside the one that is used, and then a single step makes it the one that
counts: replacing a small file (SQLite), or a row (PostgreSQL). Whoever uses the ledger looks now and then.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final
from uuid import uuid4

from lockstep.posttrade.held import hold_directory
from lockstep.posttrade.ledger.store import LedgerUnreadable, Reached, Store
from lockstep.posttrade.ledger.store_sqlite import SqliteStore
from lockstep.runtime.process import EnvironmentFault

if TYPE_CHECKING:
    from sqlalchemy import Engine

Step = Callable[[str], None] | None
POSTGRES: Final = ("postgresql://", "postgres://")
_CURRENT: Final = "CURRENT"
_SCHEMA: Final = "lockstep_ledger"


class LedgerPlace(ABC):
    """See the module."""

    @abstractmethod
    def current(self) -> int:
        """The generation that counts; 1 where there is none yet."""

    @abstractmethod
    def open(self, generation: int, step: Step = None, *, write: bool = True) -> Store:
        """One generation's tables; made if they are missing. `write`: not for whoever only reads, beside a writer."""

    @abstractmethod
    def reached(self, generation: int) -> Reached | None:
        """How far one generation is, of whatever version; None: there is none, or it can't be read at all."""

    @abstractmethod
    def swap(self, generation: int) -> None:
        """From now on this one counts."""

    @abstractmethod
    def discard(self, generation: int) -> None:
        """Remove one that does not count."""

    @abstractmethod
    def hold(self, what: str) -> IO[str] | None:
        """Hold the place against a second process that does the same (`run`, `rebuild`), until the result is closed.

        Raises:
            Taken: there is one.
        """

    @abstractmethod
    def reader(self, generation: int) -> "Engine":
        """Connections that read one generation."""


def place_of(database: str, data_dir: Path) -> LedgerPlace:
    """`database`: a URL of PostgreSQL, or empty for SQLite in `data_dir`.

    Raises:
        EnvironmentFault: what PostgreSQL needs is not installed, or it is no such URL.
    """
    if not database:
        return SqlitePlace(data_dir)
    if not database.startswith(POSTGRES):
        raise EnvironmentFault(f"database {database!r} is no URL of PostgreSQL; leave it out to use SQLite")
    return PostgresPlace(database, data_dir)


class SqlitePlace(LedgerPlace):
    """Files `ledger-N.db` in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EnvironmentFault(f"{directory} can't be used: {error.strerror}; choose another data_dir") from error

    def path(self, generation: int) -> Path:
        """The file of one generation."""
        return self.directory / f"ledger-{generation}.db"

    def current(self) -> int:
        """See `LedgerPlace`."""
        try:
            return int((self.directory / _CURRENT).read_text(encoding="ascii"))
        except FileNotFoundError:
            return 1
        except (OSError, ValueError) as error:
            raise EnvironmentFault(
                f"{self.directory / _CURRENT} can't be read: {error}; `lockstep ledger rebuild` writes it"
            ) from error

    def open(self, generation: int, step: Step = None, *, write: bool = True) -> Store:
        """See `LedgerPlace`."""
        path = self.path(generation)
        if not write and not path.exists():
            raise EnvironmentFault(f"there is no ledger in {self.directory}; `lockstep ledger run` makes one")
        return SqliteStore(path, step, write=write)

    def reached(self, generation: int) -> Reached | None:
        """See `LedgerPlace`."""
        path = self.path(generation)
        try:
            with closing(SqliteStore(path, write=False, any_version=True)) as store:
                return store.reached()
        except LedgerUnreadable:
            return None

    def swap(self, generation: int) -> None:
        """See `LedgerPlace`."""
        new = self.directory / f"{_CURRENT}.new"
        with new.open("w", encoding="ascii") as file:
            file.write(f"{generation}\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.directory / _CURRENT)
        handle = os.open(self.directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def discard(self, generation: int) -> None:
        """See `LedgerPlace`."""
        for suffix in ("", "-wal", "-shm"):
            self.path(generation).with_name(self.path(generation).name + suffix).unlink(missing_ok=True)

    def hold(self, what: str) -> IO[str] | None:
        """See `LedgerPlace`."""
        return hold_directory(self.directory, what)

    def reader(self, generation: int) -> "Engine":
        """See `LedgerPlace`."""
        from sqlalchemy import create_engine, event

        engine = create_engine(f"sqlite:///{self.path(generation)}", pool_size=4, max_overflow=0, pool_timeout=10)

        @event.listens_for(engine, "connect")
        def connected(connection: object, _record: object) -> None:
            # Transactions begin where this says so, and see one state to their end.
            connection.isolation_level = None  # type: ignore[attr-defined]
            connection.execute("PRAGMA query_only=ON")  # type: ignore[attr-defined]

        @event.listens_for(engine, "begin")
        def begun(connection: object) -> None:
            connection.exec_driver_sql("BEGIN")  # type: ignore[attr-defined]

        return engine


class PostgresPlace(LedgerPlace):
    """Schemas `lockstep_ledger_N` of a database, and one row that says which counts."""

    def __init__(self, url: str, directory: Path) -> None:
        self._url = url
        self._lock_place = SqlitePlace(directory)
        self._owner = uuid4().hex
        try:
            import psycopg  # noqa: F401
        except ImportError as error:
            text = "a ledger in PostgreSQL needs psycopg: install lockstep-cluster[posttrade]"
            raise EnvironmentFault(text) from error

    def _run(self, sql: str, values: tuple[object, ...] = ()) -> list[tuple[int, ...]]:
        import psycopg

        from lockstep.posttrade.ledger.postgres_link import ANSWER_S, away, connect, limited

        with closing(connect(self._url, "lockstep-ledger place")) as connection:
            try:
                with away(), limited(connection, ANSWER_S), connection.transaction():
                    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_SCHEMA}")
                    connection.execute(
                        f"CREATE TABLE IF NOT EXISTS {_SCHEMA}.current "
                        "(id bigint PRIMARY KEY, generation bigint NOT NULL)"
                    )
                    cursor = connection.execute(sql, values)
                    return cursor.fetchall() if cursor.description else []
            except psycopg.Error as error:
                raise EnvironmentFault(f"the ledger's database can't be used: {error}; see --database") from error

    def current(self) -> int:
        """See `LedgerPlace`."""
        found = self._run(f"SELECT generation FROM {_SCHEMA}.current WHERE id = 1")  # noqa: S608
        return found[0][0] if found else 1

    def open(self, generation: int, step: Step = None, *, write: bool = True) -> Store:
        """See `LedgerPlace`."""
        from lockstep.posttrade.ledger.store_postgres import PostgresStore

        return PostgresStore(self._url, f"{_SCHEMA}_{generation}", step, write=write, owner=self._owner)

    def reached(self, generation: int) -> Reached | None:
        """See `LedgerPlace`."""
        from lockstep.posttrade.ledger.store_postgres import PostgresStore

        try:
            with closing(PostgresStore(self._url, f"{_SCHEMA}_{generation}", write=False, any_version=True)) as store:
                return store.reached()
        except LedgerUnreadable:
            return None

    def swap(self, generation: int) -> None:
        """See `LedgerPlace`."""
        self._run(
            f"INSERT INTO {_SCHEMA}.current VALUES (1, %s) "  # noqa: S608
            "ON CONFLICT (id) DO UPDATE SET generation = excluded.generation",
            (generation,),
        )

    def discard(self, generation: int) -> None:
        """See `LedgerPlace`."""
        self._run(f"DROP SCHEMA IF EXISTS {_SCHEMA}_{generation} CASCADE")

    def hold(self, what: str) -> IO[str] | None:
        """See `LedgerPlace`; the writer also holds a lock in the database (`store_postgres.py`)."""
        return self._lock_place.hold(what)

    def reader(self, generation: int) -> "Engine":
        """See `LedgerPlace`."""
        from sqlalchemy import create_engine

        from lockstep.posttrade.ledger.postgres_link import link_values

        url = self._url.replace("postgres://", "postgresql://", 1).replace("postgresql://", "postgresql+psycopg://", 1)
        return create_engine(
            url, pool_size=4, max_overflow=0, pool_timeout=10, isolation_level="REPEATABLE READ",
            connect_args={"options": f"-csearch_path={_SCHEMA}_{generation}", **link_values(self._url)},
        )  # fmt: skip
