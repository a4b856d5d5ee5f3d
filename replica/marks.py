"""The marks of one journal: what it holds, written down apart from it after each of its writes, compared at each start.

`evidence.py` says what they are for, `witness.py` how they lie on the disk.
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path

from lockstep.replica.divergence import EpochTable
from lockstep.replica.effects import JournalWrite
from lockstep.replica.evidence import Found, Mark, Tip, Verdict, Wholeness, judge
from lockstep.replica.rocks import JournalDamaged, JournalFault, file_faults, in_use, lock_owner
from lockstep.replica.witness import Said, Witness, read_witness, witness_path
from lockstep.stream.values import frozen


@frozen
class JournalSummary:
    """What a journal says of itself without being replayed."""

    member: int
    cluster_uuid: str
    """Empty if it never met a sequencer."""
    promised: int
    promised_to: int
    tip_epoch: int
    tip_seq: int
    timestamp_ns: int
    committed_seq: int
    """A hint: what was known to be committed at the last write; it may be too low."""
    incarnation: int
    epochs: EpochTable
    journal: int = 0
    """Its identity: a random number, drawn when it was created."""
    joined: bool = True
    """The cluster has admitted it. What a journal holds before that is no in-sync log."""
    base_seq: int = 0
    """The seq before the first one that it holds."""
    witnessed: bool = True
    """Marks of it were written, so that there has to be one."""
    disowned: bool = False
    """It was another journal, which the cluster had admitted, and may lack what that one held."""

    def found(self) -> Found:
        """What is compared with the newest mark."""
        tip = Tip(self.tip_epoch, self.tip_seq)
        return Found(self.journal, tip, self.promised, self.joined, self.epochs, self.witnessed)


def journal_path(data_dir: Path) -> Path:
    """Where the journal lies in an engine's data directory."""
    return data_dir / "journal"


def damage_path(data_dir: Path) -> Path:
    """A file that says that the journal beside it was found damaged while its engine ran, and how."""
    return data_dir / "damage"


def note_damage(data_dir: Path, why: str) -> None:
    """Have the journal not be used any more from the next start on.

    Raises:
        JournalFault: that can't be written down.
    """
    path = damage_path(data_dir)
    with file_faults("write", path), path.open("w", encoding="utf-8") as file:
        file.write(why)
        file.flush()
        os.fsync(file.fileno())


class Marks:
    """What the witness records. Two threads come here: the main loop's, and the one that syncs in the background.

    Invariant: `synced` is never behind `tip`, and nothing in a mark is on the disk before the journal has it there.

    Raises:
        JournalFault: the witness can't be written. The replica must stop.
    """

    def __init__(self, data_dir: Path, said: Said, summary: JournalSummary, applied: tuple[int, bytes]) -> None:
        """Begins with what the journal says of itself, all of it on the disk. `applied`: seq and digest known of it."""
        self.path = witness_path(data_dir)
        self.tip = self.synced = Tip(summary.tip_epoch, summary.tip_seq)
        """Last record written, and last one on the disk."""
        self._journal = summary.journal
        self._promised, self._joined, self._uuid = summary.promised, summary.joined, summary.cluster_uuid
        self._applied = applied
        self._unsynced_acks = False
        self._lock = threading.Lock()
        with file_faults("write", self.path):
            self._witness = Witness(self.path, said.count)
            self._put(sync=True)

    def on_write(self, write: JournalWrite, *, synced: bool, applied: tuple[int, bytes]) -> None:
        """The journal has taken this; the mark of it is on the disk on return if the journal is."""
        with self._lock, file_faults("write", self.path):
            if write.batches:
                self.tip = Tip(write.batches[-1].epoch, write.batches[-1].last_seq)
            if write.promise is not None:
                self._promised = write.promise[0]
            self._joined |= write.joined
            self._uuid = write.cluster_uuid or self._uuid
            self._applied = applied
            self._unsynced_acks = not synced
            if synced:
                self.synced = self.tip
            self._put(sync=synced)

    def on_sync(self, tip: Tip) -> None:
        """The journal is on the disk up to `tip`, at least."""
        with self._lock, file_faults("write", self.path):
            if tip > self.synced:
                self.synced = tip
                self._put(sync=True)

    def begin_anew(self, tip: Tip, promised: int = 0, cluster_uuid: str = "") -> None:
        """The journal ends here from now on, on the disk: what was behind is discarded."""
        with self._lock, file_faults("write", self.path):
            self.tip = self.synced = tip
            self._applied, self._unsynced_acks = (0, b""), False
            self._promised = max(self._promised, promised)
            self._uuid = cluster_uuid or self._uuid
            self._put(sync=True)

    def close(self) -> None:
        """Close the witness."""
        self._witness.close()

    def _put(self, *, sync: bool) -> None:
        seq, digest = self._applied
        mark = Mark(
            self._journal, self._uuid, self.tip, self.synced, self._promised, self._joined,
            self._unsynced_acks, seq, digest,
        )  # fmt: skip
        self._witness.put(mark, sync=sync)


def check_owner(data_dir: Path, layout: int, known_layout: int, stored: int, member: int) -> None:
    """A data directory is used by its own engine, and by a program that knows its layout. 0 stands for any.

    Raises:
        JournalFault: it is not.
    """
    path = journal_path(data_dir)
    if layout > known_layout:
        raise JournalFault(
            f"journal {path} has layout {layout}, this program knows {known_layout}; start a newer lockstep"
        )
    if 0 < layout < known_layout:
        raise JournalFault(
            f"journal {path} has layout {layout}, and its digests can't be continued in layout {known_layout}; "
            "finish the day with the lockstep that wrote it, then begin with an empty data directory"
        )
    if stored and member and stored != member:
        raise JournalFault(
            f"data directory {data_dir} belongs to engine {stored}, not to engine {member}; correct `data_dir`"
        )


def examine(data_dir: Path, member: int, summarize: Callable[[Path], JournalSummary | None]) -> tuple[Said, Verdict]:
    """What the journal of an engine that does not run is worth, found without changing anything.

    `summarize`: what the journal in a data directory says of itself, read only; None if there is none.

    Raises:
        JournalFault: it is in use.
        JournalDamaged: it lacks something that it held, or can't be read.
    """
    path = journal_path(data_dir)
    if lock_owner(path / "LOCK"):
        # What it writes at this moment would look like damage.
        raise in_use(path)
    with file_faults("read", data_dir):
        said = read_witness(witness_path(data_dir))
        remains = path.is_dir() and any(one.name != "LOCK" for one in path.iterdir())
        known = damage_path(data_dir).read_text(encoding="utf-8") if damage_path(data_dir).exists() else ""
    mark = said.mark
    needed = Tip() if mark is None else mark.written if said.same_boot else mark.synced
    uuid = "" if mark is None else mark.cluster_uuid
    if known:
        raise JournalDamaged(path, known, needed, uuid)
    try:
        summary = summarize(data_dir)
    except JournalDamaged as damage:
        raise JournalDamaged(path, damage.why, needed, uuid) from damage
    if summary is None and remains:
        raise JournalDamaged(path, "its file CURRENT is missing", needed, uuid)
    if summary is not None and summary.member and member and summary.member != member:
        return said, Verdict(Wholeness.WHOLE)  # refused by its name
    verdict = judge(None if summary is None else summary.found(), mark, same_boot=said.same_boot)
    if verdict.wholeness is Wholeness.DAMAGED:
        raise JournalDamaged(path, verdict.why, verdict.needed, uuid or (summary.cluster_uuid if summary else ""))
    return said, verdict
