"""What may be deleted: the head of a journal, and snapshots. Never what any engine could still need. Pure."""

from collections.abc import Mapping, Sequence


def plan_cut(oldest: Mapping[int, int], *, engines: tuple[int, ...], committed_seq: int, keep_commands: int) -> int:
    """Seq up to which a journal may be cut; 0: not at all.

    Every engine can be restored from its own oldest kept snapshot, and any other engine from it, so nothing up to the
    lowest of these is needed by anybody. An engine that has none, or does not answer, stops the cutting.

    Args:
        oldest: seq of the oldest verified snapshot that each engine keeps, 0 if none; missing: it did not answer.
        engines: all configured engines.
        committed_seq: as known to the engine whose journal it is.
        keep_commands: commands that the journal keeps at least; 0: it is never cut.
    """
    if not keep_commands:
        return 0
    lowest = min((oldest.get(engine, 0) for engine in engines), default=0)
    # Snapshots end with a batch, other seqs may not: so it is a snapshot's seq or nothing.
    return lowest if lowest <= committed_seq - keep_commands else 0


def plan_retirement(seqs: Sequence[int], *, keep: int, startable_seq: int) -> tuple[int, ...]:
    """Snapshots to delete.

    An engine starts from a snapshot only if its stored events reach it. Otherwise clients that missed some events could
    not receive them any more. The engine flushes its events some time after the snapshot was taken, and not while it is
    down. Until then the newest snapshot that flushed events are known to reach stays as well.

    Args:
        seqs: of all verified snapshots, ascending.
        keep: how many stay; 0: all.
        startable_seq: the newest snapshot that the engine said to be reached by what it has flushed; 0: none.
    """
    kept = set(seqs[-keep:] if keep else seqs)
    kept.update([seq for seq in seqs if seq <= startable_seq][-1:])
    return tuple(seq for seq in seqs if seq not in kept)
