"""Whether the snapshots beside a cold journal are what executing the journal comes to."""

from dataclasses import dataclass
from pathlib import Path

from lockstep.engine.contract import EngineType
from lockstep.ops.operator.cold import ColdJournal, NoJournal
from lockstep.ops.operator.journal_check import verify
from lockstep.replica.snapshot_file import SnapshotDamaged, SnapshotHead, decode_snapshot_file
from lockstep.replica.snapshots import UNVERIFIED, VERIFIED, SnapshotStore
from lockstep.stream.digest import Digest


@dataclass(frozen=True, slots=True)
class SnapshotVerdict:
    """One file."""

    path: Path
    seq: int
    sound: bool
    executed: bool
    """False: only its checksums were looked at."""
    text: str


def verify_snapshots(journal: ColdJournal, make: EngineType) -> tuple[SnapshotVerdict, ...]:
    """Judge every snapshot file, ascending in seq. One run over the journal serves all of them.

    Raises:
        JournalFault: the journal can't be read.
    """
    folder = SnapshotStore(journal.data_dir).folder
    paths = sorted(path for path in folder.glob("*") if path.suffix in (VERIFIED, UNVERIFIED))
    found: dict[Path, SnapshotVerdict] = {}
    heads: dict[int, tuple[Path, SnapshotHead]] = {}
    for path in paths:
        seq = int(path.stem)
        try:
            head, _ = decode_snapshot_file(path.read_bytes())
        except SnapshotDamaged as damage:
            found[path] = SnapshotVerdict(path, seq, False, False, f"WRONG: {damage}")
            continue
        heads[head.seq] = (path, head)
        text = "whole, but the journal does not lead to it any more: only its checksums were looked at"
        found[path] = SnapshotVerdict(path, seq, True, False, text)
        if head.cluster_uuid != journal.summary.cluster_uuid:
            text = f"WRONG: it is of cluster {head.cluster_uuid}, the journal of {journal.summary.cluster_uuid}"
            found[path] = SnapshotVerdict(path, seq, False, False, text)
    found |= _executed(journal, make, heads)
    return tuple(found[path] for path in paths)


def _executed(
    journal: ColdJournal, make: EngineType, heads: dict[int, tuple[Path, SnapshotHead]]
) -> dict[Path, SnapshotVerdict]:
    """Those that the journal can judge."""
    try:
        base, engine = journal.begin(make)
    except NoJournal:
        return {}
    found: dict[Path, SnapshotVerdict] = {}

    def compare(seq: int, digest: Digest) -> None:
        wanted = heads.get(seq)
        if wanted is None:
            return
        path, head = wanted
        if head.base.digest != digest:
            text = f"WRONG: its digest is {head.base.digest.hex()}, execution comes to {digest.hex()}"
        elif decode_snapshot_file(path.read_bytes())[1] != engine.snapshot():
            text = "WRONG: its state is not what execution comes to"
        else:
            text = f"seq {seq}, {head.file_bytes} bytes, equal to what execution comes to, digest {digest.hex()}"
        found[path] = SnapshotVerdict(path, seq, not text.startswith("WRONG"), True, text)

    verify(journal, engine, base, compare)
    return found
