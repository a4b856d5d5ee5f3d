"""Verifies a certificate from journals at rest, with nothing of the cluster or the reconciler at hand."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstep.engine.implementations import implementation
from lockstep.engine.snapshot_format import SnapshotError
from lockstep.reconciler.books import Ledger, books_of
from lockstep.reconciler.certificate import Certificate, RangeFigures, state_figures
from lockstep.reconciler.sources import ColdJournal, SourceDamaged, decode
from lockstep.reconciler.twin import Start, StreamBroken, Twin

_OF_THE_END = ("cluster_uuid", "to_seq", "end_digest", "state_digest", "balances_digest")
"""Figures that follow from a state within the range and what comes after it."""


@dataclass(frozen=True, slots=True)
class JournalVerdict:
    """What one journal says to a certificate."""

    journal: str
    differs: tuple[str, ...]
    """Each figure that is another, in words."""
    commands: int
    """Executed to find out."""
    after_seq: int = 0
    """Where the execution began: 0, or the seq of a snapshot."""
    lacks: str = ""
    """Why not every figure could be computed again, in words; empty: each was."""

    @property
    def bears_out(self) -> bool:
        """Every figure was computed again and is the certificate's."""
        return not self.differs and not self.lacks


def verify_journal(
    certificate: Certificate, data_dir: Path, engine: str, on_progress: Callable[[int], None] = lambda _seq: None
) -> JournalVerdict:
    """Execute a journal to the end of the certificate's range, and compute every figure again.

    It begins at the first command. A journal that was cut begins with the newest snapshot before the range; if there is
    none left, with the oldest one in the range: then what concerns the range as a whole can't be computed.

    Args:
        certificate: what is claimed.
        data_dir: an engine's data directory.
        engine: implementation that executes.
        on_progress: called now and then with the seq reached.
    """
    body = certificate.body
    try:
        source = ColdJournal(data_dir)
    except SourceDamaged as error:
        return JournalVerdict(str(data_dir), (str(error),), 0)
    try:
        start = _start(source, int(body["from_seq"]) - 1)
        if start is None or start.seq >= int(body["to_seq"]):
            text = f"its journal was cut after seq {source.base_seq}, and no snapshot of the range is left"
            return JournalVerdict(str(data_dir), (), 0, lacks=text)
        figures, twin, ledger = _execute(source, start, body, engine, on_progress)
    except (SourceDamaged, StreamBroken, SnapshotError) as error:
        return JournalVerdict(str(data_dir), (str(error),), 0)
    finally:
        source.close()
    found: dict[str, Any] = {
        # An engine that began on an empty disk and was fed by the stream alone may not know which cluster's it is.
        **({"cluster_uuid": source.tip_uuid} if source.tip_uuid else {}),
        **figures.figures(),
        **state_figures(twin.engine.state_digest(), ledger.amounts),
    }
    lacks = ""
    if start.seq >= int(body["from_seq"]):
        found = {name: value for name, value in found.items() if name in _OF_THE_END}
        lacks = f"up to seq {start.seq} its journal was cut, so counts and fills were not computed again"
    differs = tuple(
        f"{name}: the certificate says {body.get(name)}, the journal leads to {value}"
        for name, value in found.items()
        if body.get(name) != value
    )
    return JournalVerdict(str(data_dir), differs, twin.seq - start.seq, start.seq, lacks)


def _start(source: ColdJournal, before_seq: int) -> Start | None:
    if not source.base_seq:
        return Start()
    return source.snapshot_before(before_seq) or source.snapshot()


def _execute(
    source: ColdJournal, start: Start, body: dict[str, Any], engine: str, on_progress: Callable[[int], None]
) -> tuple[RangeFigures, Twin, Ledger]:
    from_seq, to_seq = int(body["from_seq"]), int(body["to_seq"])
    twin = Twin(implementation(engine), start)
    _, ledger = books_of(start.image())
    figures = RangeFigures.after(start)
    while twin.seq < to_seq:
        raw_batches = source.raw_batches(twin.seq + 1, to_seq)
        if not raw_batches:
            raise SourceDamaged(f"the journal ends at seq {twin.seq}; the certificate goes to {to_seq}")
        for raw in raw_batches:
            batch = decode(source.name, raw)
            if twin.seq == from_seq - 1:
                figures = RangeFigures.after(Start(twin.seq, twin.epoch, twin.timestamp_ns, twin.digest))
            done = twin.execute(batch)
            ledger.book(batch, done.events)
            figures.add(done)
        on_progress(twin.seq)
    return figures, twin, ledger


def first_divergent_command(directories: Sequence[Path], to_seq: int) -> str:
    """Where two journals diverge, in words; empty if they are equal up to a seq. Unreadable ones are left out."""
    sources: list[ColdJournal] = []
    try:
        for directory in directories:
            try:
                sources.append(ColdJournal(directory))
            except SourceDamaged:
                continue
        for other in sources[1:]:
            found = _parting(sources[0], other, to_seq)
            if found:
                return found
    finally:
        for source in sources:
            source.close()
    return ""


def _parting(left: ColdJournal, right: ColdJournal, to_seq: int) -> str:
    seq = max(left.base_seq, right.base_seq) + 1
    while seq <= to_seq:
        try:
            mine, theirs = left.raw_batches(seq, to_seq), right.raw_batches(seq, to_seq)
        except SourceDamaged as error:
            return str(error)
        common = min(len(mine), len(theirs))
        if not common:
            return "" if not mine and not theirs else f"one of {left.name}, {right.name} ends before seq {seq}"
        for one, other in zip(mine[:common], theirs[:common], strict=True):
            batch = decode(left.name, one)
            if one != other:
                rows = decode(right.name, other).records
                level = min(len(rows), batch.count)
                offset = next((i for i in range(level) if rows[i] != batch.records[i]), 0)
                return f"{left.name} and {right.name} diverge at seq {batch.first_seq + offset}"
            seq = batch.last_seq + 1
    return ""
