"""How far the head of a journal may be cut: never behind what any configured engine could still need. Pure."""

from collections.abc import Mapping


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
