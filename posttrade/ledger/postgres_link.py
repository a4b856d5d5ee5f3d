"""Connections to PostgreSQL that notice when the other side is gone, and let it notice when we are.

Three things can happen to a server without a word: its host dies, the way to it is cut, it stops (a frozen machine, a
disk that hangs). Keepalives find the first two within some ten seconds. The third keeps its connections, and the
kernel answers for it: only a limit of our own finds it. An answer that does not come in time ends the connection, from
another thread, by shutting its socket.

The server is asked to look after us the same way: a session whose process died with its host holds its locks until the
server knows.
"""

import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from lockstep.posttrade.ledger.store import LedgerAway

CONNECT_S: Final = 10
ANSWER_S: Final = 30.0
"""So long for one statement. The longest takes a chunk's rows, some hundredths of a second where nothing is wrong."""
_KEEPALIVES: Final = {
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    "connect_timeout": CONNECT_S,
}
DEAD_S: Final = 20.0
"""After so long the server has noticed that one of its clients is gone, by `_SESSION`."""
_SESSION: Final = {
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "15000",
    "client_connection_check_interval": "5000",
    "idle_in_transaction_session_timeout": "60000",
}
_READ_ONLY: Final = "25006"
"""What a server says that became a standby, or still is one."""


def link_values(url: str) -> dict[str, Any]:
    """What a connection is opened with beside its URL, which has the last word."""
    given = conninfo_to_dict(url)
    return {name: value for name, value in _KEEPALIVES.items() if name not in given}


def connect(url: str, name: str, *, answer_s: float = ANSWER_S) -> "psycopg.Connection[Any]":
    """A connection under a name that `pg_stat_activity` shows; each statement commits by itself.

    Raises:
        LedgerAway: the server does not answer, or does not take us now.
    """
    with away():
        connection = psycopg.connect(
            url, autocommit=True, prepare_threshold=2, application_name=name, **link_values(url)
        )
    try:
        with away(), limited(connection, answer_s):
            set_session(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def set_session(connection: "psycopg.Connection[Any]") -> None:
    """Have the server look after this connection as far as its version can."""
    values: Mapping[str, str] = _SESSION
    sql = "SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS wanted(name, value) "
    names = list(values)
    connection.execute(
        f"{sql} WHERE name IN (SELECT name FROM pg_settings)",  # noqa: S608 - a constant
        (names, [values[one] for one in names]),
    )


@contextmanager
def limited(connection: "psycopg.Connection[Any]", limit_s: float) -> Iterator[None]:
    """End the connection where the block takes longer; what it waits for raises an OperationalError then."""
    timer = threading.Timer(limit_s, cut, (connection,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def cut(connection: "psycopg.Connection[Any]") -> None:
    """Shut a connection's socket, whoever waits at it."""
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as own:
        own.shutdown(socket.SHUT_RDWR)


@contextmanager
def away() -> Iterator[None]:
    """Errors that pass by themselves, or by an operator's help, as `LedgerAway`."""
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise LedgerAway(said_by(error)) from error
    except psycopg.InternalError as error:
        if error.sqlstate != _READ_ONLY:
            raise
        raise LedgerAway(f"{said_by(error)}; the server that may be written to is another one now") from error


def said_by(error: Exception) -> str:
    """In one line."""
    lines = str(error).strip().splitlines()
    return f"PostgreSQL does not answer: {lines[0] if lines else type(error).__name__}"
