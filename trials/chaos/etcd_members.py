"""The three-member etcd of a chaos run: members that can be killed, started again and paused."""

import signal
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from lockstep.ops.local.etcd_server import EtcdBinary, EtcdError, LocalEtcdCluster
from lockstep.ops.local.ports import free_ports
from lockstep.runtime.process import EnvironmentFault

SIZE: Final = 3


class EtcdMembers:
    """A running etcd of three. Use it as a context manager.

    Raises:
        EnvironmentFault: it does not start.
    """

    def __init__(self, directory: Path, binary: EtcdBinary, host: str) -> None:
        # Not among the ports of outgoing connections: a killed member wants its own back.
        ports = free_ports(2 * SIZE)
        try:
            self._cluster = LocalEtcdCluster.start(directory, SIZE, binary=binary, ports=ports, host=host)
        except EtcdError as error:
            raise EnvironmentFault(str(error)) from error

    @property
    def endpoints(self) -> tuple[str, ...]:
        """host:port of every member."""
        return self._cluster.endpoints

    def kill(self, place: int) -> None:
        """SIGKILL."""
        self._cluster.members[place].kill()

    def start_again(self, place: int) -> None:
        """Start a killed member on the store that it had; only for an etcd that keeps what it acknowledged."""
        member = self._cluster.members[place]
        if not member.running:
            member.start_again()

    def pause(self, place: int) -> None:
        """SIGSTOP."""
        self._cluster.members[place].send(signal.SIGSTOP)

    def resume(self, place: int) -> None:
        """SIGCONT."""
        self._cluster.members[place].send(signal.SIGCONT)

    def all_run(self) -> bool:
        """Whether every member's process exists."""
        return all(member.running for member in self._cluster.members)

    def close(self) -> None:
        """End all members."""
        self._cluster.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
