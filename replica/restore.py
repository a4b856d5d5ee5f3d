"""A machine from the disk: the newest snapshot that the journal continues, then every later batch once more.

The replay is checked against the stored digests, and against the one that the witness has. What a crash took from the
stored results is made again by the replay, so a snapshot is started from only if nothing before it is missing. One that
is damaged is not used, and that is said.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from lockstep.engine.contract import EngineType, MatchingEngine
from lockstep.engine.snapshot_format import SnapshotError
from lockstep.replica.effects import AppliedBatch, Notice
from lockstep.replica.evidence import Tip, digest_differs
from lockstep.replica.journal import Journal, JournalSummary
from lockstep.replica.machine import ReplicaMachine
from lockstep.replica.rocks import JournalDamaged
from lockstep.replica.settings import Base, BrokenInvariant, ReplicaOptions, Restored
from lockstep.replica.snapshot_file import SnapshotDamaged, SnapshotHead, check_snapshot_file, decode_head
from lockstep.replica.snapshots import SnapshotSource, usable

_KEEP_BATCHES = 256


def restore(
    journal: Journal,
    options: ReplicaOptions,
    make: EngineType,
    alive: Callable[[], None],
    snapshots: SnapshotSource | None = None,
    say: Callable[[Notice], None] = lambda _notice: None,
    progress: Callable[[int, int], None] = lambda _seq, _to_seq: None,
) -> ReplicaMachine:
    """The machine as it was when the journal was last written. `alive` is called now and then: a replay may be long.

    `progress`: is called with the last seq replayed, and the journal's last.

    Raises:
        BrokenInvariant: the engine now computes something else than it did.
        JournalDamaged: an entry is damaged or missing, or no snapshot leads to the journal's beginning.
    """
    summary = journal.summary()
    base, engine = _start(journal, summary, make, snapshots, say)
    promise, uuid = (summary.promised, summary.promised_to), summary.cluster_uuid
    restored = Restored(promise, uuid, summary.committed_seq, summary.journal, summary.joined, base)
    machine = ReplicaMachine(options, engine, restored)
    own = machine.replica_state
    kept_events, kept_digests = journal.derived.last_kept_seqs()
    missing: list[AppliedBatch] = []
    for journaled in journal.batches(own.applied_seq + 1):
        if journaled.first_seq != own.head.seq + 1:
            raise JournalDamaged(
                journal.path,
                f"the batch at seq {journaled.first_seq} follows seq {own.head.seq}: what was between is gone",
                Tip(summary.tip_epoch, summary.tip_seq),
                summary.cluster_uuid,
            )
        batch = machine.replay(journaled)
        if digest_differs(journal.mark, batch.last_seq, batch.digest):
            raise BrokenInvariant(
                f"replay of {journal.path} gives digest {batch.digest.hex()} at seq {batch.last_seq}, which is not "
                "what was acknowledged: the engine has changed its behaviour, or the journal was changed"
            )
        stored = journal.derived.digest(batch.last_seq) if batch.last_seq <= kept_digests else None
        if stored is not None and stored != batch.digest:
            raise BrokenInvariant(
                f"replay of {journal.path} gives digest {batch.digest.hex()} at seq {batch.last_seq}; when first "
                f"executed it was {stored.hex()}: the engine has changed its behaviour, or the journal was changed"
            )
        if batch.first_seq > kept_events or stored is None:
            missing.append(batch)
        if len(missing) >= _KEEP_BATCHES:
            journal.derived.keep(tuple(missing))
            missing.clear()
        progress(batch.last_seq, summary.tip_seq)
        alive()
    if missing:
        journal.derived.keep(tuple(missing))
    machine.start()
    return machine


def _start(
    journal: Journal,
    summary: JournalSummary,
    make: EngineType,
    snapshots: SnapshotSource | None,
    say: Callable[[Notice], None],
) -> tuple[Base | None, MatchingEngine]:
    """State to begin with: the newest snapshot that can be read, or nothing at all."""
    found = usable(
        () if snapshots is None else snapshots.heads(),
        cluster_uuid=summary.cluster_uuid,
        epochs=summary.epochs,
        tip_seq=summary.tip_seq,
        base_seq=summary.base_seq,
    )
    for head in found:
        if head.seq == summary.base_seq or _derived_reaches(journal, head):
            engine = _engine_at(head, make, snapshots, say)
            if engine is not None:
                return head.base, engine
    if not summary.base_seq:
        return None, make()
    # The journal's beginning is gone, and so are events that only its replay could make again: peers have them.
    for head in reversed(found):
        engine = _engine_at(head, make, snapshots, say)
        if engine is not None:
            journal.derived.drop_through(head.seq)
            return head.base, engine
    raise JournalDamaged(
        journal.path,
        f"it begins after seq {summary.base_seq}, and no snapshot beside it that leads there can be read; the file of "
        "any other engine of this cluster at such a seq, put into the folder `snapshots`, is the same",
        Tip(summary.tip_epoch, summary.tip_seq),
        summary.cluster_uuid,
    )


def _engine_at(
    head: SnapshotHead, make: EngineType, snapshots: SnapshotSource | None, say: Callable[[Notice], None]
) -> MatchingEngine | None:
    """The engine of a snapshot; None if the file is damaged: an older one, or the journal, leads to the same state."""
    assert snapshots is not None, "a head without its source"
    # The checksum takes as long as the restoring, and neither holds the interpreter: side by side.
    with ThreadPoolExecutor(1, thread_name_prefix="snapshot-checksum") as pool:
        try:
            raw = snapshots.read(head.seq)
            checked = pool.submit(check_snapshot_file, raw)
            engine = make.restore(raw[decode_head(raw).head_bytes :])
            if checked.result() != head:
                raise SnapshotDamaged(f"the file named after seq {head.seq} is another snapshot")
        except (SnapshotDamaged, SnapshotError) as damage:
            say(Notice("snapshot_damaged", f"the snapshot at seq {head.seq} beside the journal is not used: {damage}"))
            return None
    return engine


def _derived_reaches(journal: Journal, head: SnapshotHead) -> bool:
    """Whether events and digests up to a snapshot are all there, and are of the same history.

    Raises:
        BrokenInvariant: the snapshot's digest is not the one that was computed when its last batch was first executed.
    """
    stored = journal.derived.digest(head.seq)
    if stored is None:
        return False
    if stored != head.base.digest:
        raise BrokenInvariant(
            f"the snapshot at seq {head.seq} beside {journal.path} has digest {head.base.digest.hex()}; when the batch "
            f"was first executed it was {stored.hex()}: the engine has changed its behaviour, or a file was changed"
        )
    last = next(journal.batches(head.seq), None)
    kept_events, _ = journal.derived.last_kept_seqs()
    return last is not None and last.last_seq == head.seq and kept_events >= last.first_seq
