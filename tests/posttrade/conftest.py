"""A PostgreSQL of one's own: the machine's, or what `ops/setup/get-peers` has unpacked, on 127.0.0.1."""

import contextlib
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

import psycopg
import pytest

from lockstep.bench.peers.servers import LeftOut, Server, find_program, other_user, run
from lockstep.ops.local.ports import HOST, free_ports

_SETTINGS = f"""
listen_addresses = '{HOST}'
unix_socket_directories = ''
fsync = on
max_connections = 40
"""
_PATIENCE_S = 90.0


class Postgres:
    """One server, that can be killed and started again on the same data."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._user = other_user()
        if self._user is not None:
            # PostgreSQL refuses to be root.
            shutil.chown(directory, self._user)
        self._data = directory / "data"
        (self._port,) = free_ports(1)
        run(
            find_program("initdb"), "-D", str(self._data), "-U", "ledger", "-A", "trust", "-E", "UTF8", "--locale=C",
            "--no-sync", user=self._user,
        )  # fmt: skip
        with (self._data / "postgresql.conf").open("a", encoding="utf-8") as settings:
            settings.write(_SETTINGS)
        self.url = f"postgresql://ledger@{HOST}:{self._port}/postgres"
        self._server: Server | None = None
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._server = Server(
            "postgres",
            find_program("postgres"),
            ["-D", str(self._data), "-p", str(self._port)],
            self.directory,
            user=self._user,
            stop_with=signal.SIGINT,
        )
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(self.url, connect_timeout=5).close()
                return
            assert time.monotonic() < deadline, "PostgreSQL does not come"
            time.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL to the server and to all that it has started; returns when they are gone."""
        assert self._server is not None, "it was not started"
        pids = list(self._server.pids().values())
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._server.stop()
        deadline = time.monotonic() + _PATIENCE_S
        while any(Path(f"/proc/{pid}/stat").exists() and _lives(pid) for pid in pids):
            assert time.monotonic() < deadline, "killed processes are still there"
            time.sleep(0.01)

    def freeze(self) -> None:
        """SIGSTOP to all of it: connections stay, and nothing is answered."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on where it was."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._server is not None, "it was not started"
        for pid in self._server.pids().values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def stop(self) -> None:
        """End it."""
        if self._server is not None:
            self.thaw()
            self._server.stop()


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture(scope="module")
def postgres():
    # Not under pytest's own directory, which only its user may enter.
    directory = Path(tempfile.mkdtemp(prefix="lockstep-postgres-"))
    directory.chmod(0o755)
    try:
        server = Postgres(directory)
    except LeftOut as why:
        shutil.rmtree(directory, ignore_errors=True)
        pytest.fail(f"a ledger in PostgreSQL can't be tested here: {why}")
    yield server
    server.stop()
    shutil.rmtree(directory, ignore_errors=True)
