"""Several hosts on one machine: network namespaces on a bridge, so that links between them can be cut.

This process gets a network of its own too, with nothing in it but the bridge. Everything disappears with the last of
our processes; nothing of the machine's own network is touched.

    ours: br0 10.77.0.254 --- v1 | e1 10.77.0.1 host 1
                          --- v2 | e2 10.77.0.2 host 2 ...
"""

import os
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from lockstep.ops.process import EnvironmentFault

OUTSIDE: Final = "10.77.0.254"
"""Our own address: clients and etcd are here."""
_BRIDGE: Final = "br0"
_NETMASK: Final = 24
_START_S: Final = 5.0


class Hosts:
    """Namespaces 1 to `count`. Make it in the main thread before other threads are started: they share our network.

    Raises:
        EnvironmentFault: this machine does not allow it.
    """

    def __init__(self, count: int) -> None:
        self._anchors: list[subprocess.Popen[bytes]] = []
        if os.geteuid() != 0:
            raise EnvironmentFault("network namespaces need root")
        try:
            os.unshare(os.CLONE_NEWNET)
        except (AttributeError, OSError) as error:
            raise EnvironmentFault(f"a network of our own is not possible here: {error}") from error
        try:
            _call("ip", "link", "set", "lo", "up")
            _call("ip", "link", "add", _BRIDGE, "type", "bridge")
            _call("ip", "address", "add", f"{OUTSIDE}/{_NETMASK}", "dev", _BRIDGE)
            _call("ip", "link", "set", _BRIDGE, "up")
            for number in range(1, count + 1):
                self._add(number)
        except BaseException:
            self.close()
            raise
        self.no_delay = self._try_delay()
        """Why links can't be slowed down here; empty if they can."""

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
        """Nothing comes into or out of a host any more; nobody is told."""
        _call("ip", "link", "set", f"v{number}", "nomaster")

    def join(self, number: int) -> None:
        """Undo `cut`."""
        _call("ip", "link", "set", f"v{number}", "master", _BRIDGE)

    def set_apart(self, apart: bool) -> None:
        """Whether the hosts can't reach each other, while etcd and clients reach all of them."""
        for number in range(1, self.count + 1):
            _call("bridge", "link", "set", "dev", f"v{number}", "isolated", "on" if apart else "off")

    def delay(self, number: int, milliseconds: int) -> None:
        """What goes to a host takes longer; 0: no longer."""
        device = f"v{number}"
        if milliseconds:
            _call("tc", "qdisc", "add", "dev", device, "root", "netem", "delay", f"{milliseconds}ms")
        else:
            _call("tc", "qdisc", "del", "dev", device, "root")

    def close(self) -> None:
        """End the namespaces."""
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
        _call("ip", "link", "set", outer, "master", _BRIDGE, "up")
        inside = self.prefix(number)
        _call(*inside, "ip", "link", "set", "lo", "up")
        _call(*inside, "ip", "address", "add", f"{self.address(number)}/{_NETMASK}", "dev", inner)
        _call(*inside, "ip", "link", "set", inner, "up")

    def _try_delay(self) -> str:
        try:
            self.delay(1, 1)
            self.delay(1, 0)
        except EnvironmentFault as error:
            return str(error)
        return ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


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
