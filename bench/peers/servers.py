"""Servers of other systems: found, started on 127.0.0.1 in a folder of their own, and ended by their process ids.

Nothing of them is installed: `ops/setup/get-peers` unpacks what the machine has not into `build/peers`. A system that
can't be had, or does not start as asked, is left out with a reason (`LeftOut`); nothing stands in for it.
"""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

PLACE: Final = Path(__file__).resolve().parents[2] / "build/peers"
START_S: Final = 60.0
"""As long as a server may take until it serves; a starved machine starts even a small one late."""
_STOP_S: Final = 10.0
_DEBIAN: Final = "usr/lib/postgresql/*/bin"
"""Where Debian keeps PostgreSQL's programs, outside of the PATH."""


class LeftOut(Exception):
    """A system can't be measured here; the text says why."""


def find_program(name: str) -> Path:
    """A program of a peer: one that was unpacked for this, else the machine's own.

    Raises:
        LeftOut: there is none.
    """
    for folder in (PLACE / "bin", PLACE / "usr/bin", PLACE / "usr/sbin", *PLACE.glob(_DEBIAN)):
        if os.access(folder / name, os.X_OK):
            return folder / name
    found = shutil.which(name) or next((str(path) for path in Path("/").glob(f"{_DEBIAN}/{name}")), None)
    if found is None:
        raise LeftOut(f"there is no {name} here; `ops/setup/get-peers` fetches it")
    return Path(found)


def environment(program: Path) -> dict[str, str]:
    """What a program needs that was unpacked, not installed: its libraries."""
    folders = [str(folder) for place in ("usr/lib", "lib") for folder in (PLACE / place).glob("*-linux-*")]
    ours = program.is_relative_to(PLACE) and folders
    return {**os.environ, **({"LD_LIBRARY_PATH": ":".join(folders)} if ours else {})}


def other_user() -> str | None:
    """Whom to run a server as that refuses to be root; None: we are not."""
    if os.geteuid():
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in names), None)


def run(program: Path, *arguments: str, user: str | None = None) -> str:
    """Run a program of a peer to its end; what it printed.

    Raises:
        LeftOut: it failed.
    """
    try:
        done = subprocess.run(
            [program, *arguments], env=environment(program), user=user, cwd="/", stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=START_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LeftOut(f"{program.name} does not run: {error}") from error
    if done.returncode:
        raise LeftOut(f"{program.name} failed: {_last_line(done.stderr or done.stdout)}")
    return done.stdout.strip()


class Server:
    """One process, and those that it starts. It dies with us where util-linux is there to see to that."""

    def __init__(
        self,
        name: str,
        program: Path,
        arguments: Sequence[str],
        directory: Path,
        *,
        user: str | None = None,
        stop_with: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self._log = directory / f"{name}.log"
        self._stop_with = stop_with
        setpriv = shutil.which("setpriv")
        prefix = [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
        try:
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    [*prefix, program, *arguments], env=environment(program), user=user, cwd="/",
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                )  # fmt: skip
        except OSError as error:
            raise LeftOut(f"{program.name} does not start: {error}") from error

    def pids(self) -> dict[str, int]:
        """This process and all below it."""
        found = {self.name: self._process.pid}
        found.update({f"{self.name}/{pid}": pid for pid in _below(self._process.pid)})
        return found

    def check(self) -> None:
        """Raise LeftOut if the process has ended."""
        code = self._process.poll()
        if code is not None:
            said = self._log.read_text(encoding="utf-8", errors="replace")
            raise LeftOut(f"{self.name} ended with exit code {code}: {_last_line(said)}")

    def stop(self) -> None:
        """End it, softly at first; may be called again."""
        if self._process.poll() is None:
            self._process.send_signal(self._stop_with)
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def _below(pid: int) -> Iterator[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        return
    for child in map(int, children):
        yield child
        yield from _below(child)


@dataclass(frozen=True, slots=True)
class Running:
    """A system that serves."""

    about: str
    """Which version, and how it is set up."""
    where: Mapping[str, Any]
    """What its clients have to know; goes to the load generator as JSON."""
    servers: Sequence[Server]

    def pids(self) -> dict[str, int]:
        """Whose CPU is its own."""
        return {name: pid for server in self.servers for name, pid in server.pids().items()}


@contextlib.contextmanager
def stopping(servers: list[Server]) -> Iterator[list[Server]]:
    """End all servers that were put into the list, the last first."""
    try:
        yield servers
    finally:
        for server in reversed(servers):
            server.stop()


def wait_until[T](what: str, servers: Sequence[Server], ask: Callable[[], T | None], refusal: type[Exception]) -> T:
    """Ask until there is an answer that is true; the exception `refusal` is none.

    Raises:
        LeftOut: none came in time, or a server has ended.
    """
    deadline = time.monotonic() + START_S
    last: object = ""
    while time.monotonic() < deadline:
        for server in servers:
            server.check()
        try:
            answer = ask()
        except refusal as error:
            last = error
        else:
            if answer:
                return answer
        time.sleep(0.05)
    raise LeftOut(f"{what} not within {START_S:.0f} s {last}".rstrip())


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "it said nothing")
