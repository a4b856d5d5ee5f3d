"""PostgreSQL: a table that is only appended to, on a primary whose commits wait for a synchronous standby's disk."""

import contextlib
import shutil
import signal
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lockstep.bench.peers.lanes import Lanes
from lockstep.bench.peers.servers import Running, Server, find_program, other_user, run, stopping, wait_until
from lockstep.ops.local.ports import HOST, free_ports

if TYPE_CHECKING:
    from psycopg import AsyncConnection

CLIENT: Final = "psycopg"
_USER: Final = "bench"
_SETTINGS: Final = f"""
listen_addresses = '{HOST}'
unix_socket_directories = ''
fsync = on
synchronous_commit = on
max_connections = 100
timezone = 'UTC'
log_timezone = 'UTC'
"""
# What is stored outside of its row is not packed: the primary's CPU would go into that.
_TABLE: Final = """
CREATE TABLE log (seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, records bytea NOT NULL);
ALTER TABLE log ALTER COLUMN records SET STORAGE EXTERNAL
"""


@contextlib.contextmanager
def running(directory: Path) -> Iterator[Running]:
    """Primary and standby, and the table.

    Raises:
        LeftOut: they don't come up.
    """
    import psycopg

    program, user = find_program("postgres"), other_user()
    if user is not None:
        # PostgreSQL refuses to be root.
        shutil.chown(directory, user)
    first, second = free_ports(2)
    primary, standby = directory / "primary", directory / "standby"
    run(
        find_program("initdb"), "-D", str(primary), "-U", _USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync",
        user=user,
    )  # fmt: skip
    with (primary / "postgresql.conf").open("a", encoding="utf-8") as settings:
        settings.write(_SETTINGS)
    with stopping([]) as servers:
        start = partial(_start, program, directory, user)
        servers.append(start("postgres-1", primary, first))
        wait_until("PostgreSQL serves", servers, lambda: _ask(first, "SELECT true"), psycopg.Error)
        run(
            find_program("pg_basebackup"), "-D", str(standby), "-R", "-X", "stream", "-c", "fast", "--no-sync",
            "-d", f"host={HOST} port={first} user={_USER} application_name=standby",
            user=user,
        )  # fmt: skip
        servers.append(start("postgres-2", standby, second))
        with psycopg.connect(host=HOST, port=first, user=_USER, dbname="postgres", autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
            connection.execute("SELECT pg_reload_conf()")
        in_step = "SELECT sync_state = 'sync' FROM pg_stat_replication"
        wait_until("the standby is in step", servers, lambda: _ask(first, in_step), psycopg.Error)
        version = str(_ask(first, "SHOW server_version")).split()[0]
        with psycopg.connect(host=HOST, port=first, user=_USER, dbname="postgres") as connection:
            for statement in _TABLE.split(";"):
                connection.execute(statement.encode())
        about = f"PostgreSQL {version}: a table, 1 synchronous standby, synchronous_commit on"
        yield Running(about, {"port": first, "standby": second}, servers)


def _start(program: Path, directory: Path, user: str | None, name: str, data: Path, port: int) -> Server:
    arguments = ["-D", str(data), "-c", f"port={port}"]
    return Server(name, program, arguments, directory, user=user, stop_with=signal.SIGINT)


def _ask(port: int, query: str) -> object:
    import psycopg

    with psycopg.connect(host=HOST, port=port, user=_USER, dbname="postgres", connect_timeout=5) as connection:
        row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


@contextlib.asynccontextmanager
async def lanes(where: Mapping[str, Any], sessions: int, each: int) -> AsyncIterator[Lanes]:
    """A connection for each lane: one has one transaction at a time."""
    connections = [await _connect(where["port"]) for _ in range(sessions * each)]
    appends = [partial(_append, connection) for connection in connections]
    yield [appends[session * each : (session + 1) * each] for session in range(sessions)]
    for connection in connections:
        await connection.close()


async def _connect(port: int) -> "AsyncConnection":
    from psycopg import AsyncConnection

    connection = await AsyncConnection.connect(host=HOST, port=port, user=_USER, dbname="postgres", autocommit=True)
    connection.prepare_threshold = 0
    return connection


async def _append(connection: "AsyncConnection", records: bytes) -> None:
    await connection.execute("INSERT INTO log (records) VALUES (%b)", (records,))


async def held(where: Mapping[str, Any]) -> int:
    """Messages that the standby has."""
    connection = await _connect(where["standby"])
    row = await (await connection.execute("SELECT count(*) FROM log")).fetchone()
    await connection.close()
    return int(row[0]) if row else 0
