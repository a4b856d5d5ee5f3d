"""What can still be read of a damaged journal, made a journal again: the last resort where no engine has the whole.

Verified snapshots count for what comes before them. If, with one of them, everything is there that the journal is
known to have held, nothing is lost, and it stays the journal that it was. Otherwise the cluster does not believe it: it
gets a new identity and is not joined, as on a new disk. An operator's forced failover with accepted data loss is what
makes it count, and that is recorded in the stream.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from lockstep.ops.operator.cold import NoJournal, refuse_if_in_use
from lockstep.replica.evidence import Tip
from lockstep.replica.marks import examine, journal_path
from lockstep.replica.mend import finish, rebuild
from lockstep.replica.remains import find_remains
from lockstep.replica.rocks import JournalDamaged
from lockstep.replica.stored_journal import StoredJournal, inspect
from lockstep.replica.witness import witness_path


class NothingToSalvage(ValueError):
    """The journal is whole."""


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What came of it."""

    member: int
    tip: Tip
    """Up to here it could be read."""
    base_seq: int
    """It begins behind this seq: what comes before is in the snapshot there. 0: it begins at the beginning."""
    needed: Tip
    """The last record that it is known to have held."""
    why: str
    """What was wrong with it."""
    whole: bool
    """Nothing that was acknowledged is lost."""
    copy: Path
    """Where everything is as it was."""


def salvage(data_dir: Path) -> Salvaged:
    """Make what can be read of a stopped engine's damaged journal a journal that it can start from.

    All or nothing: what fails has changed nothing.

    Raises:
        NoJournal: the directory holds none.
        EnvironmentFault: an engine runs on it.
        NothingToSalvage: it is whole.
        JournalDamaged: nothing of it can be read, and no snapshot stands for it.
        JournalFault: the disk does not take what is written.
    """
    path = journal_path(data_dir)
    finish(data_dir)
    if not path.is_dir() and not witness_path(data_dir).exists():
        raise NoJournal(f"{data_dir} holds no journal; name an engine's data directory, such as lockstep-data/engine-1")
    refuse_if_in_use(data_dir)
    damage = _damage(data_dir)
    remains, member = find_remains(data_dir), _member(data_dir)
    if remains is None or not member:
        raise JournalDamaged(path, f"{damage.why}; nothing of it can be read, nothing was changed", damage.needed)
    whole = remains.whole and damage.needed.seq <= remains.tip.seq
    done = rebuild(data_dir, member, remains, disown=not whole)
    return Salvaged(member, done.tip, done.base_seq, damage.needed, damage.why, whole, done.archive)


def _member(data_dir: Path) -> int:
    """Whose it is, by the journal, or by the directory's name where that does not say; 0: nobody knows."""
    try:
        summary = inspect(data_dir)
    except JournalDamaged:
        summary = None
    if summary is not None and summary.member:
        return summary.member
    named = re.fullmatch(r"engine-(\d+)", data_dir.resolve().name)
    return int(named[1]) if named else 0


def _damage(data_dir: Path) -> JournalDamaged:
    try:
        examine(data_dir, 0, inspect)
        journal = StoredJournal(data_dir)
        try:
            expected = journal.base_seq + 1
            for batch in journal.batches(expected):
                if batch.first_seq != expected:
                    raise JournalDamaged(journal.path, f"the batch at seq {batch.first_seq} follows seq {expected - 1}")
                expected = batch.last_seq + 1
        finally:
            journal.close()
    except JournalDamaged as damage:
        return damage
    base = journal.base_seq
    raise NothingToSalvage(
        f"the journal in {data_dir} is whole: start its engine"
        + (f"; what is before seq {base + 1} is in snapshots only" if base else "")
    )
