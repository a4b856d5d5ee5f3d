"""The media driver process: one per host, carrying every Aeron link of every process on that host.

It is the C media driver of `pyaeron`, run in a process of its own, so that no process's garbage collection or crash
holds up another's links. Three things are added to the driver itself:

* Explicit timeouts. Aeron's defaults keep a dead subscriber for 10 s. They are set here, through the environment,
  which the C driver reads once when it starts (measured: a subscriber killed with -9 is gone after 1.4 s with the
  defaults below). Nothing may infer a failure from them: they only bound how long a dead process costs memory.
* A claim file, `<directory>.pid`, with two locks: one byte is held by the process that has the directory, the next
  byte once its driver is ready and the file names it. The kernel drops both with the process, so one `fcntl` call
  shows a client whether its driver lives. Aeron's own clients notice nothing for seconds.
* Care with the directory, because the driver deletes it at start: one that is not Aeron's is refused.

Use a directory in `/dev/shm` (`default_directory`). On a disk the kernel writes dirty pages back under the mapped
buffers; seen: 23 ms stalls of an 8 KiB message where `/dev/shm` had 0.3 ms.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import shutil
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TextIO

import pyaeron

from lockstep.runtime.stop_request import StopRequest
from lockstep.stream.values import frozen

_KIB = 1024
_MIB = 1024 * _KIB
# struct flock of 64-bit Linux: type, whence, start, length, pid (must be 0 for these locks).
_FLOCK = struct.Struct("hhqqi4x")
_OWNED_BYTE = 0
# Apart from the first, because a driver that takes over has the file before it can replace its predecessor's text.
_READY_BYTE = 1
_POLL_S = 0.05
_OWN_FILES = frozenset({"cnc.dat", "loss-report.dat", "publications", "images"})
# How many links' buffers the file system must have room for. Buffers are sparse: without the room, touching one
# later would end the process with SIGBUS instead of an error.
_LINKS_WITH_ROOM = 4


class DriverRefused(RuntimeError):
    """The media driver can't start: directory in use, not Aeron's, or without room. The text names the remedy."""


@frozen
class DriverOptions:
    """What the media driver is started with. Sizes in bytes, times in the unit of the name.

    A message may be as long as an eighth of the term buffer: 2 MiB with the defaults. A link's buffers take up to
    three terms of memory, which is used only as far as it is touched.
    """

    client_liveness_ms: int = 1500
    """How long a process that died without closing stays a subscriber. A live one paused longer is cut off."""
    image_liveness_ms: int = 1500
    connection_timeout_ms: int = 1500
    """UDP: silence of the receiver after which a link reports that it is not connected."""
    publication_unblock_ms: int = 3000
    """Must be greater than `client_liveness_ms`, or the driver refuses to start."""
    linger_ms: int = 1500
    timer_interval_ms: int = 100
    """How often the driver checks the above, and renews the heartbeat that its clients watch."""
    ipc_term_bytes: int = 16 * _MIB
    udp_term_bytes: int = 16 * _MIB
    ipc_mtu_bytes: int = 65504
    """The longest there is: a message of up to 64 KiB is one fragment (1 MiB: 190 us; at 1408 bytes 280 us)."""
    udp_mtu_bytes: int = 8192
    """For channels that do not name their own. More than the path's MTU means IP fragments."""
    socket_buffer_bytes: int = 2 * _MIB
    """Send and receive; cut to what the kernel allows (net.core.rmem_max, wmem_max)."""
    receive_window_bytes: int = _MIB
    """UDP: what a sender may have under way; cut to the receive buffer."""
    max_park_us: int = 1000
    """Longest sleep of the idle driver: 3 % of a core at 1000, 15 % at 100. IPC needs the driver only for flow
    control, so 1000 costs it nothing; a UDP message waits for up to this time, so take 100 across hosts."""

    def __post_init__(self) -> None:
        if self.publication_unblock_ms <= self.client_liveness_ms:
            raise ValueError(
                f"publication_unblock_ms ({self.publication_unblock_ms}) must be greater than "
                f"client_liveness_ms ({self.client_liveness_ms})"
            )
        for name in ("ipc_term_bytes", "udp_term_bytes"):
            size = getattr(self, name)
            if size < 64 * _KIB or size > 1024 * _MIB or size & (size - 1):
                raise ValueError(f"{name} ({size}) must be a power of two from 64 KiB to 1 GiB")
        for name in ("ipc_mtu_bytes", "udp_mtu_bytes"):
            size = getattr(self, name)
            if size < 64 or size > 65504 or size % 32:
                raise ValueError(f"{name} ({size}) must be a multiple of 32 up to 65504")


def default_directory(name: str) -> Path:
    """The best directory for the driver called `name` on this host: in memory where there is a `/dev/shm`."""
    shared_memory = Path("/dev/shm")  # noqa: S108  # Aeron makes its directory below it
    base = shared_memory if os.access(shared_memory, os.W_OK) else Path(tempfile.gettempdir())
    return base / f"lockstep-aeron-{name}"


def claim_path(directory: Path) -> Path:
    """The claim file of a driver directory. It stands beside it, because the driver deletes the directory itself."""
    return directory.with_name(directory.name + ".pid")


def ready_held(fd: int) -> bool:
    """True while a ready driver holds the claim that `fd` refers to. One system call, takes no lock."""
    answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _lock_of(_READY_BYTE))
    return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)


def driver_pid(directory: Path) -> int | None:
    """Process id of the live driver that is ready in `directory`; None while there is none."""
    try:
        fd = os.open(claim_path(directory), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        # The lock first: text read before it could be that of a predecessor.
        claim = os.read(fd, 64) if ready_held(fd) else b""
        return int(claim.split()[0]) if claim else None
    finally:
        os.close(fd)


def _lock_of(byte: int) -> bytes:
    return _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)


def driver_environment(options: DriverOptions) -> dict[str, str]:
    """The environment variables that make the C driver follow `options`."""
    receive_buffer = min(options.socket_buffer_bytes, _kernel_limit("rmem_max"))
    send_buffer = min(options.socket_buffer_bytes, _kernel_limit("wmem_max"))
    return {
        "AERON_CLIENT_LIVENESS_TIMEOUT": f"{options.client_liveness_ms}ms",
        "AERON_IMAGE_LIVENESS_TIMEOUT": f"{options.image_liveness_ms}ms",
        "AERON_PUBLICATION_CONNECTION_TIMEOUT": f"{options.connection_timeout_ms}ms",
        "AERON_PUBLICATION_UNBLOCK_TIMEOUT": f"{options.publication_unblock_ms}ms",
        "AERON_PUBLICATION_LINGER_TIMEOUT": f"{options.linger_ms}ms",
        "AERON_TIMER_INTERVAL": f"{options.timer_interval_ms}ms",
        "AERON_IPC_TERM_BUFFER_LENGTH": str(options.ipc_term_bytes),
        "AERON_TERM_BUFFER_LENGTH": str(options.udp_term_bytes),
        "AERON_TERM_BUFFER_SPARSE_FILE": "true",
        "AERON_IPC_MTU_LENGTH": str(options.ipc_mtu_bytes),
        "AERON_MTU_LENGTH": str(options.udp_mtu_bytes),
        "AERON_SOCKET_SO_RCVBUF": str(receive_buffer),
        "AERON_SOCKET_SO_SNDBUF": str(send_buffer),
        "AERON_RCV_INITIAL_WINDOW_LENGTH": str(min(options.receive_window_bytes, receive_buffer)),
        "AERON_SPIES_SIMULATE_CONNECTION": "false",
        "AERON_SHARED_IDLE_STRATEGY": "backoff",
        # spins - yields - shortest sleep - longest sleep
        "AERON_SHARED_IDLE_STRATEGY_INIT_ARGS": f"2-2-20us-{options.max_park_us}us",
    }


def run_driver(
    directory: Path | str,
    *,
    stop: Callable[[], bool],
    options: DriverOptions | None = None,
    on_ready: Callable[[], None] | None = None,
) -> None:
    """Runs the media driver of `directory` in this process until `stop` returns true.

    `on_ready` is called once clients may attach. The directory and its claim file are removed on the way out.

    Raises `DriverRefused` if another live driver uses the directory, if it holds anything but a driver's files
    (the driver would delete them), or if its file system has no room.
    """
    where = Path(directory)
    settings = options or DriverOptions()
    with _claimed(where) as fd:
        _require_own_directory(where)
        _require_room(where, settings)
        with environment(driver_environment(settings)):
            driver = pyaeron.MediaDriver(
                dir=str(where),
                threading="shared",
                dir_delete_on_start=True,
                dir_delete_on_shutdown=True,
                spies_simulate_connection=False,
            )
        try:
            # The claim names its owner only now: before, clients could still meet a predecessor's files. The time
            # makes it unique, so that a client sees a new driver even where it missed the death of the old one.
            os.pwrite(fd, f"{os.getpid()} {time.time_ns()}\n".encode(), 0)
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _lock_of(_READY_BYTE))
            if on_ready is not None:
                on_ready()
            while not stop():
                time.sleep(_POLL_S)
        finally:
            os.ftruncate(fd, 0)
            driver.close()
            shutil.rmtree(where, ignore_errors=True)


@contextlib.contextmanager
def _claimed(directory: Path) -> Iterator[int]:
    """Holds the directory's claim file, its first byte locked, empty; removes it at the end."""
    path = claim_path(directory)
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _lock_of(_OWNED_BYTE))
        except BlockingIOError:
            owner = os.read(fd, 64).split()[:1] if ready_held(fd) else []
            os.close(fd)
            who = f"process {owner[0].decode()}" if owner else "a process that is starting or stopping"
            raise DriverRefused(
                f"media driver directory {directory} is in use by {who}: stop that driver, or choose another directory"
            ) from None
        with contextlib.suppress(FileNotFoundError):
            # A driver that was just ending may have removed the file between the open and the lock.
            if path.stat().st_ino == os.fstat(fd).st_ino:
                break
        os.close(fd)
    try:
        if os.fstat(fd).st_size == 0:
            _require_no_foreign_driver(directory)
        os.ftruncate(fd, 0)
        yield fd
    finally:
        path.unlink(missing_ok=True)
        os.close(fd)


def _require_no_foreign_driver(directory: Path) -> None:
    # Without a predecessor's claim the directory may belong to a driver that was started by other software.
    if (directory / "cnc.dat").exists() and pyaeron.is_driver_active(str(directory), 2000):
        raise DriverRefused(
            f"media driver directory {directory} is in use by a driver that Lockstep did not start: choose another"
        )


def _require_own_directory(directory: Path) -> None:
    if not directory.exists():
        return
    if not directory.is_dir():
        raise DriverRefused(f"media driver directory {directory} is a file: choose another path")
    strange = sorted(entry.name for entry in directory.iterdir() if entry.name not in _OWN_FILES)
    if strange:
        raise DriverRefused(
            f"media driver directory {directory} holds '{strange[0]}', which is not a media driver's file, and the "
            "driver empties its directory at start: choose a directory that does not exist yet"
        )


def _require_room(directory: Path, options: DriverOptions) -> None:
    wanted = _LINKS_WITH_ROOM * 3 * max(options.ipc_term_bytes, options.udp_term_bytes)
    free = shutil.disk_usage(directory.parent).free
    if free < wanted:
        raise DriverRefused(
            f"media driver directory {directory} has {free // _MIB} MiB free and needs {wanted // _MIB} MiB: "
            "enlarge the file system (docker: --shm-size), choose another directory, or lower `term_mib` in [cluster]"
        )


def why_tight(directory: Path, options: DriverOptions, links: int) -> str:
    """In one sentence, why the buffers of so many links may not fit where they are to lie; empty if they do."""
    wanted = links * 3 * max(options.ipc_term_bytes, options.udp_term_bytes)
    place = next(path for path in (directory, *directory.parents) if path.exists())
    free = shutil.disk_usage(place).free
    if free >= wanted:
        return ""
    return (
        f"{place} has {free // _MIB} MiB free, and the buffers of {links} links grow to {wanted // _MIB} MiB with use; "
        "without the room for them a process ends with SIGBUS: enlarge the file system (docker: --shm-size), or lower "
        "`term_mib` in [cluster]"
    )


def _kernel_limit(name: str) -> int:
    try:
        return int(Path("/proc/sys/net/core", name).read_text(encoding="ascii"))
    except OSError:
        return 128 * _KIB


@contextlib.contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Sets environment variables for Aeron's C code, which reads them while it starts; then puts back the old ones."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _say(stream: TextIO, line: str) -> None:
    stream.write(line + "\n")
    stream.flush()


def main(arguments: list[str] | None = None) -> int:
    """`python -m lockstep.runtime.driver --dir D`: runs until SIGTERM or SIGINT; prints one line when ready."""
    defaults = DriverOptions()
    parser = argparse.ArgumentParser(prog="lockstep.runtime.driver", description="Run this host's Aeron media driver.")
    parser.add_argument("--dir", required=True, type=Path, help="the driver's directory, best in /dev/shm")
    parser.add_argument(
        "--max-park-us", type=int, default=defaults.max_park_us, help="longest sleep of the idle driver"
    )
    parser.add_argument("--client-liveness-ms", type=int, default=defaults.client_liveness_ms)
    parser.add_argument("--ipc-term-bytes", type=int, default=defaults.ipc_term_bytes)
    parser.add_argument("--udp-term-bytes", type=int, default=defaults.udp_term_bytes)
    given = parser.parse_args(arguments)
    stop = StopRequest.install()
    try:
        options = DriverOptions(
            max_park_us=given.max_park_us,
            client_liveness_ms=given.client_liveness_ms,
            publication_unblock_ms=2 * given.client_liveness_ms,
            ipc_term_bytes=given.ipc_term_bytes,
            udp_term_bytes=given.udp_term_bytes,
        )
        run_driver(
            given.dir,
            stop=lambda: stop.requested,
            options=options,
            on_ready=lambda: _say(sys.stdout, f"ready {os.getpid()} {given.dir}"),
        )
    except (DriverRefused, ValueError) as error:
        _say(sys.stderr, f"lockstep driver: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
