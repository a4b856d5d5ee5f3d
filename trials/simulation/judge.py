"""The judge: safety after every step, from what the processes say on the wire and what is on their disks.

It knows frames, the config and disks, never a machine's mind (but for the committed seq that an engine claims). Each
rule is checked at the moment in which it could first be broken, so a check costs little and the step that broke it is
the last one of the run.
"""

from itertools import pairwise, takewhile

import numpy as np

from lockstep.replica.effects import FenceAnswer, JournalWrite
from lockstep.replica.snapshot_file import SnapshotHead
from lockstep.sequencer.clock import TOLERANCE_NS
from lockstep.sequencer.config_record import ConfigRecord
from lockstep.stream.batch import Batch
from lockstep.stream.messages import Ack, Release, Stream
from lockstep.stream.records import CONTROL, CommandKind
from lockstep.trials.simulation.disk import Disk
from lockstep.trials.simulation.engine_host import EngineHost
from lockstep.trials.simulation.engine_storage import StoringHost
from lockstep.trials.simulation.kernel import MS
from lockstep.trials.simulation.losses import Loss
from lockstep.trials.simulation.world import Violation, World


class Judge:
    """See the module. Raises `Violation`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._stamped: dict[tuple[int, int], Batch] = {}
        self._owners: dict[int, int] = {}
        self._stamp_times: dict[int, int] = {}
        self._most_ahead_ns = 0  # how far the clocks that are not mad were ahead at the most
        self._promised: dict[int, int] = {}
        self._compared: dict[int, int] = {}
        self._wiped: set[int] = set()  # engines that got a new disk and have not held all that is committed since
        self._config: ConfigRecord | None = None
        self.log: list[Batch] = []
        """The committed history."""
        self.digests: list[bytes] = []
        """Digest after each batch of `log`."""
        self._index: dict[int, int] = {}  # first seq -> position in `log`
        self._ends: dict[int, bytes] = {}  # digest by last seq
        self.committed_seq = 0
        self.committed_epoch = 0
        self.snapshots: dict[int, bytes] = {}
        """Snapshot files by seq, as they were first taken."""
        self.released: dict[int, bytes] = {}
        """Events by seq, as they first left the cluster."""
        self.may_lose = False
        """An operator forces a failover to an engine that lacks something. Else a forced failover loses nothing."""
        self.losses: list[Loss] = []
        """What was discarded, in order."""

    def on_clock_set(self, skew_ns: int) -> None:
        """A clock that is not mad was set."""
        self._most_ahead_ns = max(self._most_ahead_ns, skew_ns)

    # ---- sequencers ----------------------------------------------------------------------------------------------

    def on_stream(self, sender: int, stream: Stream) -> None:
        """A sequencer sends a STREAM: one stamps in an epoch, and (epoch, seq) names one batch for ever."""
        batch, leader_epoch = stream.batch, stream.leader_epoch
        if leader_epoch < batch.epoch:
            raise Violation(
                f"sequencer {sender} sends a batch of epoch {batch.epoch} as leader of epoch {leader_epoch}"
            )
        if not batch.count:
            return
        known = self._stamped.get((batch.epoch, batch.first_seq))
        if known is not None:
            if known != batch:
                raise Violation(f"(epoch {batch.epoch}, seq {batch.first_seq}) is two batches: {known}, {batch}")
            return
        owner = self._owners.setdefault(batch.epoch, sender)
        if owner != sender or leader_epoch != batch.epoch:
            raise Violation(f"sequencers {owner} and {sender} both stamp in epoch {batch.epoch}")
        self._check_date(batch)
        if batch.timestamp_ns < self._stamp_times.get(batch.epoch, 0):
            raise Violation(f"stamped time goes back at seq {batch.first_seq} of epoch {batch.epoch}")
        if batch.epoch not in self._stamp_times:
            self._check_opening(sender, batch)
        # A leader that was deposed may stamp what it likes: nobody takes it.
        if self.committed_epoch <= batch.epoch and self.log and batch.timestamp_ns < self.log[-1].timestamp_ns:
            raise Violation(f"stamped time goes back at seq {batch.first_seq} of epoch {batch.epoch}")
        self._stamp_times[batch.epoch] = batch.timestamp_ns
        self._stamped[batch.epoch, batch.first_seq] = batch

    def _check_date(self, batch: Batch) -> None:
        """A single clock that is far ahead drags stamped time along by what is tolerated, whosever it is."""
        ahead_ns = batch.timestamp_ns - self._world.kernel.now_ns - self._most_ahead_ns
        if ahead_ns > TOLERANCE_NS:
            raise Violation(f"seq {batch.first_seq} is stamped {ahead_ns // MS} ms ahead of every clock but one")

    def _check_opening(self, sender: int, batch: Batch) -> None:
        first = batch.records.view(CONTROL)[0]
        if first["kind"] != CommandKind.EPOCH_START or first["epoch"] != batch.epoch or first["sequencer"] != sender:
            raise Violation(f"epoch {batch.epoch} of sequencer {sender} does not begin with its EPOCH_START")

    def on_config(self, before: ConfigRecord | None, record: ConfigRecord) -> None:
        """The config changed: the epoch never falls, and who is listed as in sync has everything."""
        if before is not None and (record.epoch < before.epoch or record.uuid != before.uuid):
            raise Violation(f"the config goes from {before} to {record}")
        if before is not None and record.epoch == before.epoch and record.sequencer != before.sequencer:
            raise Violation(f"epoch {record.epoch} has two sequencers in the config")
        if before is not None and record.known_seq < before.known_seq and not record.data_loss:
            raise Violation(f"the config forgets that seq {before.known_seq} was committed: {record}")
        self._config = record
        if self.may_lose and before is not None and record.accepted_epoch > before.accepted_epoch:
            self._give_up(record)
        # One that was admitted has caught up before; one that was listed all the time has not.
        self._wiped = {
            member for member in self._wiped if member in record.in_sync and not self.holds_everything(member)
        }
        self._check_in_sync("the config lists it")

    # ---- accepted losses -----------------------------------------------------------------------------------------

    def _give_up(self, record: ConfigRecord) -> None:
        """The cluster goes on with what one engine has: nothing else is lost, and nobody is judged by the rest."""
        disk = self._disk(record.primary)
        kept = list(takewhile(lambda batch: disk.epoch_at(batch.last_seq) == batch.epoch, self.log))
        gone = self.log[len(kept) :]
        if not gone:
            return
        history = tuple(self.log), tuple(self.digests), dict(self.released)
        self.losses.append(Loss(gone[0].first_seq, self.committed_seq, record.accepted_epoch, *history))
        self._world.kernel.note(f"discarded: seqs {gone[0].first_seq} to {self.committed_seq}")
        for batch in gone:
            del self._index[batch.first_seq], self._ends[batch.last_seq]
        del self.log[len(kept) :], self.digests[len(kept) :]
        self.committed_seq = kept[-1].last_seq if kept else 0
        self.committed_epoch = kept[-1].epoch if kept else 0
        self.released = {seq: raw for seq, raw in self.released.items() if seq <= self.committed_seq}
        self.snapshots = {seq: raw for seq, raw in self.snapshots.items() if seq <= self.committed_seq}
        self._compared = {engine: min(seq, self.committed_seq) for engine, seq in self._compared.items()}

    def loss_of(self, delivered_epoch: int, delivered_seq: int) -> Loss | None:
        """The loss by which something that was delivered means nothing any more, if there is one."""
        return next((loss for loss in self.losses if loss.voids(delivered_epoch, delivered_seq)), None)

    def known_under(self, epoch: int) -> tuple[int, dict[int, bytes]]:
        """What may be delivered under an epoch: up to which seq, and the events released. An old one knows what was."""
        loss = next((loss for loss in self.losses if epoch < loss.epoch), None)
        return (self.committed_seq, self.released) if loss is None else (loss.last_seq, loss.released)

    # ---- engines -------------------------------------------------------------------------------------------------

    def _disk(self, member: int) -> Disk:
        host = self._world.host("engine", member)
        assert isinstance(host, StoringHost)
        return host.disk

    def on_journaled(self, host: StoringHost, write: JournalWrite) -> None:
        """Something became durable: it is what a sequencer stamped, and a joined journal knows its cluster."""
        if host.disk.joined and not host.disk.uuid:
            raise Violation(f"{host.name}'s journal is joined, and does not know to which cluster")
        for batch in write.batches:
            if self._stamped.get((batch.epoch, batch.first_seq)) != batch:
                raise Violation(f"{host.name} journals a batch at seq {batch.first_seq} that nobody stamped")

    def on_ack(self, engine: int, ack: Ack) -> None:
        """An engine acks: only what is on its disk, and never under a lower promise than before."""
        self._on_promise(engine, ack.epoch, "acks")
        if not ack.rewinds and ack.acked_seq > self._disk(engine).tip_seq:
            raise Violation(f"engine {engine} acks seq {ack.acked_seq}, its disk ends at {self._disk(engine).tip_seq}")

    def on_fence_answer(self, engine: int, answer: FenceAnswer) -> None:
        """An engine answers a fence: the promise is on its disk."""
        self._on_promise(engine, answer.promised, "answers a fence")
        stored = self._disk(engine).promise[0]
        if answer.accepted and stored < answer.promised:
            raise Violation(f"engine {engine} promises epoch {answer.promised}, its disk holds {stored}")

    def _on_promise(self, engine: int, epoch: int, what: str) -> None:
        if epoch < self._promised.get(engine, 0):
            raise Violation(f"engine {engine} {what} with promise {epoch} after {self._promised[engine]}")
        self._promised[engine] = epoch

    def on_wiped(self, engine: int) -> None:
        """An engine got an empty disk: what it promised before is gone, and what it held if it was in sync.

        The config may go on listing it for a while; that nobody believes it then shows in what is committed.
        """
        self._promised.pop(engine, None)
        self._compared.pop(engine, None)
        self._wiped.add(engine)

    def on_installed(self, host: StoringHost) -> None:
        """An engine that was not in sync began anew from a snapshot."""
        self._compared[host.id] = host.disk.base_seq
        self._check_in_sync("it installed a snapshot")

    def on_snapshot(self, host: EngineHost, head: SnapshotHead, raw: bytes) -> None:
        """A snapshot was taken: of committed state only, and all engines' at one seq are equal."""
        if head.seq > self.committed_seq:
            raise Violation(f"{host.name} takes a snapshot at seq {head.seq}, committed is {self.committed_seq}")
        if self.snapshots.setdefault(head.seq, raw) != raw:
            raise Violation(f"{host.name} takes another snapshot at seq {head.seq} than an engine before it")

    def on_truncated(self, host: StoringHost, after_seq: int) -> None:
        """An engine discarded a tail."""
        if host.disk.tip_seq > after_seq:
            raise Violation(f"{host.name} kept its tail after seq {after_seq}, up to {host.disk.tip_seq}")
        self._compared[host.id] = min(self._compared.get(host.id, 0), after_seq)
        self._check_in_sync("it truncated")

    def on_engine_step(self, host: EngineHost) -> None:
        """An engine may have moved its committed seq: everybody's committed history is the same, and durable."""
        committed = host.machine.replica_state.committed_seq
        compared = self._compared.get(host.id, 0)
        if committed <= compared:
            return
        grown = False
        for batch in host.disk.batches(compared + 1):
            if batch.last_seq > committed:
                break
            grown |= self._compare(host, batch)
        self._compared[host.id] = committed
        if self.committed_seq < committed:
            raise Violation(f"{host.name} calls seq {committed} committed, its disk does not hold it")
        if grown:
            self._check_in_sync(f"{host.name} calls it committed")

    def _compare(self, host: EngineHost, batch: Batch) -> bool:
        """Whether the batch is news."""
        digest = host.disk.digest(batch.last_seq)
        position = self._index.get(batch.first_seq)
        if position is not None:
            known = self.log[position]
            if known != batch:
                raise Violation(f"{host.name} has another batch at committed seq {batch.first_seq} than was committed")
            if digest is not None and digest != self.digests[position]:
                raise Violation(f"{host.name} has another digest at committed seq {batch.last_seq}")
            return False
        if batch.first_seq != self.committed_seq + 1 or digest is None:
            raise Violation(f"{host.name} commits seq {batch.first_seq} after seq {self.committed_seq}")
        if self.log and batch.timestamp_ns < self.log[-1].timestamp_ns:
            raise Violation(f"stamped time goes back at committed seq {batch.first_seq}")
        self._index[batch.first_seq] = len(self.log)
        self.log.append(batch)
        self.digests.append(digest)
        self._ends[batch.last_seq] = digest
        self.committed_seq, self.committed_epoch = batch.last_seq, batch.epoch
        return True

    def _check_in_sync(self, occasion: str) -> None:
        config = self._config
        if config is None or not self.committed_seq:
            return
        for member in config.in_sync:
            if member in self._wiped:
                continue
            disk = self._disk(member)
            if not self.holds_everything(member):
                raise Violation(
                    f"engine {member} is in sync and lacks committed seq {self.committed_seq} of epoch "
                    f"{self.committed_epoch} (its disk ends at {disk.tip_seq}): {occasion}"
                )

    def holds_everything(self, member: int) -> bool:
        """Whether an engine's disk holds everything that is committed."""
        disk = self._disk(member)
        return disk.tip_seq >= self.committed_seq and disk.epoch_at(self.committed_seq) == self.committed_epoch

    def on_delivered(self, host: EngineHost, seq: int, digest: bytes) -> None:
        """An engine reports its state after a command: of the history that is committed, and no other."""
        if seq > self.committed_seq:
            raise Violation(f"{host.name} reports its state at seq {seq}, committed is {self.committed_seq}")
        # Batches are applied whole, so a state within a committed one is of another history, too.
        if seq and self._ends.get(seq) != digest:
            raise Violation(f"{host.name} reports the state at seq {seq} of a history that was discarded")

    def on_release(self, host: EngineHost, release: Release) -> None:
        """Events leave the cluster: only committed ones, and always the same ones."""
        self.on_engine_step(host)
        if release.last_seq > self.committed_seq:
            raise Violation(f"{host.name} releases seq {release.last_seq}, committed is {self.committed_seq}")
        if not release.count:
            return
        seqs = release.events["seq"]
        starts = [0, *(np.flatnonzero(seqs[1:] != seqs[:-1]) + 1).tolist(), len(seqs)]
        for start, end in pairwise(starts):
            seq, raw = int(seqs[start]), release.events[start:end].tobytes()
            if self.released.setdefault(seq, raw) != raw:
                raise Violation(f"{host.name} releases other events for seq {seq} than were released before")
