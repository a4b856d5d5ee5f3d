"""A simulated engine's disk, and what of the driver's ports writes to it.

A journal write takes time. What stands below it in `Effects` is done when it is durable and not before; a crash in
between finds the write done or not done.
"""

from collections.abc import Callable

from lockstep.replica.effects import Install, JournalWrite
from lockstep.stream.digest import Digest
from lockstep.trials.simulation.disk import Disk
from lockstep.trials.simulation.engine_service import ServingHost
from lockstep.trials.simulation.kernel import MS, US
from lockstep.trials.simulation.world import World


class StoringHost(ServingHost):
    """See the module."""

    def __init__(self, world: World, id: int) -> None:
        super().__init__(world, "engine", id)
        self.disk = Disk(id)
        self.sync_ns = 300 * US
        """How long a synced write takes, about."""
        self.write_fails = False
        """The next write fails, which ends the process."""
        self.truncations = 0
        self.installed = 0
        """Snapshots of peers that were installed."""
        self._writing: JournalWrite | None = None

    def on_crash(self) -> None:
        """A write under way is on the disk, or is not."""
        if self._writing is not None and self.kernel.chance(1, 2):
            self._commit_write(self._writing)
        self._writing = None
        self.disk.forget_volatile(self.kernel.chance(1, 3))

    def on_written(self) -> None:
        """The round that waited for the disk has been finished."""

    def write(self, write: JournalWrite, applied: tuple[int, Digest], done: Callable[[], None]) -> None:
        """See `Ports`."""
        del applied
        self._writing = write
        if self.write_fails:
            self.write_fails = False
            self.kernel.note(f"{self.name}: the journal can't be written")
            self.crash()
            return
        self.busy = True
        delay_ns = self.kernel.between(self.sync_ns // 2, self.sync_ns * 2)
        self.kernel.after(delay_ns, self._written, self.life, write, done)

    def _written(self, life: int, write: JournalWrite, done: Callable[[], None]) -> None:
        if life != self.life or not self.alive:
            return
        if self.paused:
            self.kernel.after(5 * MS, self._written, life, write, done)
            return
        self.busy = False
        self._writing = None
        self._commit_write(write)
        done()
        self.on_written()

    def _commit_write(self, write: JournalWrite) -> None:
        self.disk.write(write)
        self.world.judge.on_journaled(self, write)

    def truncate(self, after_seq: int) -> str:
        """See `Ports`."""
        self.truncations += 1
        self.disk.truncate(after_seq)
        self.world.judge.on_truncated(self, after_seq)
        return "the archive"

    def install(self, order: Install, *, had_more: bool) -> str:
        """See `Ports`."""
        del had_more
        self.installed += 1
        disk = self.disk
        disk.snapshots = {seq: raw for seq, raw in disk.snapshots.items() if seq <= order.common_seq}
        disk.snapshots[order.base.seq] = disk.incoming
        disk.begin_after(order.base, order.cluster_uuid, order.common_seq)
        self.world.judge.on_installed(self)
        return "the archive"
