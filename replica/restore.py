"""A machine from the journal: every frame once more through a fresh engine, checked against the stored digests."""

from collections.abc import Callable

from lockstep.engine.contract import MatchingEngine
from lockstep.replica.effects import AppliedBatch
from lockstep.replica.journal import Journal
from lockstep.replica.machine import ReplicaMachine
from lockstep.replica.settings import BrokenInvariant, ReplicaOptions, Restored

_KEEP_BATCHES = 256


def restore(
    journal: Journal, options: ReplicaOptions, engine: MatchingEngine, alive: Callable[[], None]
) -> ReplicaMachine:
    """The machine as it was when the journal was last written. `alive` is called now and then: a replay may be long.

    Raises:
        BrokenInvariant: the journal has a hole, or the engine now computes something else than it did.
        JournalFault: an entry is damaged.
    """
    summary = journal.summary()
    restored = Restored((summary.promised, summary.promised_to), summary.cluster_uuid, summary.committed_seq)
    machine = ReplicaMachine(options, engine, restored)
    kept_events, kept_digests = journal.derived.last_kept_seqs()
    missing: list[AppliedBatch] = []
    for journaled in journal.frames(1):
        batch = machine.replay(journaled)
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
        alive()
    if missing:
        journal.derived.keep(tuple(missing))
    machine.start()
    return machine
