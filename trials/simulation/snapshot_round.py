"""When the simulated snapshotters work and disks are lost: drawn from the seed, apart from the dice of all else."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from lockstep.trials.simulation.engine_host import EngineHost
from lockstep.trials.simulation.engine_snapshots import cut, take_snapshot
from lockstep.trials.simulation.kernel import MS, Kernel
from lockstep.trials.simulation.world import World


class SnapshotRound:
    """Now and then one engine's snapshotter takes a snapshot; in some runs journals are cut behind them."""

    def __init__(self, kernel: Kernel, engines: Sequence[EngineHost], slowest: Callable[[], int]) -> None:
        """`slowest`: up to which seq every gateway and client has received everything."""
        self._kernel = kernel
        self._engines = engines
        self._slowest = slowest
        self._dice = Random(kernel.seed ^ 0x5AFE)  # noqa: S311 - repeatable on purpose
        self._pause_ms = self._dice.choice((60, 150, 400))
        self._keep = self._dice.randint(1, 3)
        self._cuts = self._dice.random() < 0.5
        self._keep_commands = self._dice.choice((1, 10, 40))

    def begin(self) -> None:
        """Start going round. One run in four has no snapshots at all."""
        if self._dice.random() < 0.75:
            self._next()

    def _next(self) -> None:
        self._kernel.after(self._dice.randint(self._pause_ms // 2, self._pause_ms * 2) * MS, self._work)

    def _work(self) -> None:
        host = self._dice.choice(self._engines)
        if not host.paused:
            take_snapshot(host, self._keep)
        if self._cuts and self._dice.random() < 0.5:
            self._cut()
        self._next()

    def _cut(self) -> None:
        # An engine that does not answer stops the cutting, and none cuts while it is waiting for its disk.
        if not all(host.responsive for host in self._engines):
            return
        oldest = {host.id: min(host.disk.verified_seqs(), default=0) for host in self._engines}
        host = self._dice.choice(self._engines)
        if not host.busy:
            # What journals keep has to be more than any gateway or client may be behind: then its events are there.
            behind = host.machine.replica_state.committed_seq - self._slowest()
            cut(host, oldest, max(self._keep_commands, behind + 1))


def history_elsewhere(victim: EngineHost, engines: Sequence[EngineHost]) -> bool:
    """Whether another of the engines holds all that this one holds: a client that was away may need what is older."""
    return any(one is not victim and one.disk.base_seq <= victim.disk.base_seq for one in engines)


_DAMAGED: Final = 0.5
"""Of the disks that are lost, so many are only damaged: their journals end earlier than they did."""


class DiskLoss:
    """In some runs an engine that is in sync loses its disk, or a part of it, while another that is has its own."""

    def __init__(self, world: World, engines: Sequence[EngineHost], changing: Callable[[int], bool]) -> None:
        """`changing`: whether a leader is about to write a config that counts on this engine."""
        self._world = world
        self._engines = engines
        self._changing = changing
        self._dice = Random(world.kernel.seed ^ 0xD15C)  # noqa: S311 - repeatable on purpose

    def begin(self) -> None:
        """Plan it, in one run of four."""
        if self._dice.random() < 0.25:
            self._world.kernel.after(self._dice.randint(200, 1_100) * MS, self._lose)

    def _lose(self) -> None:
        config = self._world.store.record
        if config is None or config.founding or any(host.wrong for host in self._engines):
            return
        whole = [host for host in self._engines if host.alive and host.id in config.in_sync and host.disk.joined]
        # A config under way may leave the victim as the only one in sync: only an operator could mend that.
        victims = [host for host in whole if history_elsewhere(host, whole)]
        if not victims or any(self._changing(host.id) for host in whole):
            return
        host = self._dice.choice(victims)
        self._world.kernel.note(f"fault: {host.name} loses its disk while it is in sync")
        host.crash()
        if self._dice.random() < _DAMAGED:
            host.disk.damage(self._dice.randint(0, 5), promise=self._dice.random() < 0.3)
        else:
            host.disk.wipe()
        self._world.judge.on_wiped(host.id)
        self._world.kernel.after(self._dice.choice((1, 30, 300)) * MS, host.start)
