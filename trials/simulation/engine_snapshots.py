"""What the snapshotter beside a simulated engine does, and the engine's part in it: the real rules, on its disk."""

from lockstep.engine.reference import ReferenceEngine
from lockstep.replica.replayer import Replayer
from lockstep.replica.retention import plan_cut, plan_retirement
from lockstep.replica.snapshot_file import decode_head
from lockstep.replica.snapshots import usable
from lockstep.trials.simulation.engine_host import EngineHost


def take_snapshot(host: EngineHost, keep: int) -> None:
    """What `SnapshotTaker` does: replay what is committed, write it down, and see it reproduced."""
    disk = host.disk
    older = usable(
        disk.heads(),
        cluster_uuid=disk.uuid,
        epochs=disk.epochs(),
        tip_seq=disk.committed_hint,
        base_seq=disk.base_seq,
    )
    if not disk.uuid or (disk.base_seq and not older):
        return
    replayer = Replayer(ReferenceEngine, disk.read(older[0].seq) if older else b"")
    start = replayer.seq
    for journaled in disk.batches(start + 1):
        if journaled.last_seq > disk.committed_hint:
            break
        replayer.run(journaled)
    if replayer.seq == start:
        return
    raw = replayer.snapshot(disk.uuid)
    host.world.judge.on_snapshot(host, decode_head(raw), raw)
    disk.snapshots[replayer.seq] = raw
    if host.alive:
        disk.flush()
    for seq in plan_retirement(disk.verified_seqs(), keep=keep, startable_seq=disk.startable_seq):
        del disk.snapshots[seq]
    host.kernel.note(f"{host.name}: snapshot at seq {replayer.seq}")


def cut(host: EngineHost, oldest: dict[int, int], keep_commands: int) -> None:
    """What `Housekeeping` does: cut the journal's head as far as no engine needs it."""
    engines = tuple(engine.id for engine in host.world.topology.engines)
    committed = host.machine.replica_state.committed_seq
    seq = plan_cut(oldest, engines=engines, committed_seq=committed, keep_commands=keep_commands)
    if seq > host.disk.base_seq:
        host.kernel.note(f"{host.name}: journal cut after seq {seq}")
        host.disk.drop_through(seq)
