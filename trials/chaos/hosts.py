"""Several hosts on one machine: network namespaces on a bridge, so that links between them can be cut.

This process gets a network of its own too, with nothing in it but the bridge. Everything disappears with the last of
our processes; nothing of the machine's own network is touched.

    ours: br0 10.77.0.254 --- v1 | e1 10.77.0.1 host 1
                          --- v2 | e2 10.77.0.2 host 2 ...

A host with a bad wire is on the bridge through it: br0 --- d2 | r2 === bad wire === v2 | e2.
"""

import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from lockstep.runtime.process import EnvironmentFault

OUTSIDE: Final = "10.77.0.254"
"""Our own address: clients and etcd are here."""
_BRIDGE: Final = "br0"
# Its own: a bridge without one takes a port's, and another's when that leaves, which the hosts would have to notice.
_BRIDGE_MAC: Final = "02:4c:53:00:00:fe"
_NETMASK: Final = 24
_START_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Wire:
    """What is bad about a host's cable, on the way to it."""

    delay_ms: int = 0
    jitter_ms: int = 0
    """Up to how much longer a frame takes, each for itself: they overtake each other."""
    loss: float = 0.0
    """Share of the frames that are lost."""


@dataclass(frozen=True, slots=True)
class _Laid:
    """A wire that is there, and the process that is it."""

    wire: Wire
    process: subprocess.Popen[bytes]


class Hosts:
    """Namespaces 1 to `count`. Make it in the main thread before other threads are started: they share our network.

    Raises:
        EnvironmentFault: this machine does not allow it.
    """

    def __init__(self, count: int) -> None:
        self._anchors: list[subprocess.Popen[bytes]] = []
        self._wires: dict[int, _Laid] = {}
        self._cut: set[int] = set()
        self._apart = False
        # Faults overlap: what one undoes must not undo another's.
        self._changing = threading.Lock()
        if os.geteuid() != 0:
            raise EnvironmentFault("network namespaces need root")
        try:
            os.unshare(os.CLONE_NEWNET)
        except (AttributeError, OSError) as error:
            raise EnvironmentFault(f"a network of our own is not possible here: {error}") from error
        try:
            _call("ip", "link", "set", "lo", "up")
            _call("ip", "link", "add", _BRIDGE, "address", _BRIDGE_MAC, "type", "bridge")
            _call("ip", "address", "add", f"{OUTSIDE}/{_NETMASK}", "dev", _BRIDGE)
            _call("ip", "link", "set", _BRIDGE, "up")
            for number in range(1, count + 1):
                self._add(number)
        except BaseException:
            self.close()
            raise
        self.no_bad_wires = self._try_a_bad_wire()
        """Why links can't be slow or lossy here; empty if they can."""

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._anchors)

    def address(self, number: int) -> str:
        """Of one host."""
        return f"10.77.0.{number}"

    def prefix(self, number: int) -> tuple[str, ...]:
        """What a command begins with to run on a host."""
        return ("nsenter", f"--net=/proc/{self._anchors[number - 1].pid}/ns/net", "--")

    def cut(self, number: int) -> None:
        """Nothing comes into or out of a host any more; nobody hears of it."""
        with self._changing:
            self._cut.add(number)
            self._arrange(number)

    def join(self, number: int) -> None:
        """Undo `cut`."""
        with self._changing:
            self._cut.discard(number)
            self._arrange(number)

    def set_apart(self, apart: bool) -> None:
        """Whether the hosts can't reach each other, while etcd and clients reach all of them."""
        with self._changing:
            self._apart = apart
            for number in range(1, self.count + 1):
                self._arrange(number)

    def put_on_bad_wire(self, number: int, wire: Wire) -> None:
        """What goes to a host is late, out of order or lost. A host that is on a bad wire already keeps that."""
        with self._changing:
            if number not in self._wires:
                self._wires[number] = self._lay(number, wire)
                self._arrange(number)

    def put_on_good_wire(self, number: int) -> None:
        """Undo `put_on_bad_wire`; what is under way arrives before."""
        with self._changing:
            laid = self._wires.pop(number, None)
            if laid is None:
                return
            self._arrange(number)
            _call("ip", "link", "set", f"d{number}", "nomaster")
            time.sleep((laid.wire.delay_ms + laid.wire.jitter_ms) / 1000)
            _end(laid.process)
            _call("ip", "link", "del", f"d{number}")

    def _arrange(self, number: int) -> None:
        """Connect a host to the bridge as it is to be now: by its own port, by its bad wire's, or not at all.

        The new way is there before the old one goes: a frame may arrive by both then, and none is lost.
        """
        own, wired = f"v{number}", f"d{number}"
        way = None if number in self._cut else wired if number in self._wires else own
        if way is not None:
            _call("ip", "link", "set", way, "master", _BRIDGE)
            # A port forgets this when it leaves the bridge.
            _call("bridge", "link", "set", "dev", way, "isolated", "on" if self._apart else "off")
        for port in (own, wired) if number in self._wires else (own,):
            if port != way:
                _call("ip", "link", "set", port, "nomaster")

    def _lay(self, number: int, wire: Wire) -> _Laid:
        outer, inner = f"d{number}", f"r{number}"
        _call("ip", "link", "add", outer, "type", "veth", "peer", "name", inner)
        # Frames on the wire are not for this machine: it must not answer questions for its address that pass.
        for end in (outer, inner):
            _call("ip", "link", "set", end, "arp", "off", "up")
        command = (
            sys.executable, "-m", "lockstep.trials.chaos.bad_wire", f"v{number}", inner,
            "--delay-ms", str(wire.delay_ms), "--jitter-ms", str(wire.jitter_ms), "--loss", str(wire.loss),
        )  # fmt: skip
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            _end(process)
            _call("ip", "link", "del", outer)
            raise EnvironmentFault("a bad wire can't be laid: the kernel refuses raw frames")
        return _Laid(wire, process)

    def close(self) -> None:
        """End the namespaces."""
        for laid in self._wires.values():
            _end(laid.process)
        self._wires.clear()
        for anchor in self._anchors:
            anchor.kill()
            anchor.wait()
        self._anchors.clear()

    def _add(self, number: int) -> None:
        # A process that only is there holds the namespace; it dies with its standard input, which is ours.
        command = ("unshare", "--net", "cat")
        anchor = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        self._anchors.append(anchor)
        _wait_for_namespace(anchor.pid)
        outer, inner = f"v{number}", f"e{number}"
        _call("ip", "link", "add", outer, "type", "veth", "peer", "name", inner)
        _call("ip", "link", "set", inner, "netns", str(anchor.pid))
        # Nor does a host's port: while it is off the bridge, this machine would answer for it.
        _call("ip", "link", "set", outer, "arp", "off", "master", _BRIDGE, "up")
        inside = self.prefix(number)
        _call(*inside, "ip", "link", "set", "lo", "up")
        _call(*inside, "ip", "address", "add", f"{self.address(number)}/{_NETMASK}", "dev", inner)
        _call(*inside, "ip", "link", "set", inner, "up")

    def _try_a_bad_wire(self) -> str:
        try:
            self.put_on_bad_wire(1, Wire(delay_ms=1))
        except EnvironmentFault as error:
            return str(error)
        self.put_on_good_wire(1)
        return ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()


def _wait_for_namespace(pid: int) -> None:
    # Namespaces belong to threads; /proc/self/ns would show the main thread's.
    ours = Path("/proc/thread-self/ns/net").readlink()
    deadline = time.monotonic() + _START_S
    while Path(f"/proc/{pid}/ns/net").readlink() == ours:
        if time.monotonic() > deadline:
            raise EnvironmentFault("a network namespace can't be made: `unshare --net` does nothing")
        time.sleep(0.01)


def _call(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentFault(f"{command[0]} can't be run: {error}") from error
    if done.returncode:
        words = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise EnvironmentFault(f"{' '.join(command)}: {words[0]}")
