"""What can still be read of a damaged journal, made a journal again: the last resort where no engine has the whole.

The cluster does not believe it: it gets a new identity and is not joined, as on a new disk. An operator's forced
failover with accepted data loss is what makes it count, and that is recorded in the stream.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from lockstep.ops.operator.cold import NoJournal, refuse_if_in_use
from lockstep.replica.archive import new_archive
from lockstep.replica.evidence import Tip
from lockstep.replica.journal import Journal, inspect
from lockstep.replica.marks import damage_path, examine, journal_path
from lockstep.replica.rocks import JournalDamaged
from lockstep.replica.witness import witness_path


class NothingToSalvage(ValueError):
    """The journal is whole."""


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What came of it."""

    member: int
    tip: Tip
    """Up to here it could be read."""
    needed: Tip
    """The last record that it is known to have held."""
    why: str
    """What was wrong with it."""
    copy: Path
    """Where everything is as it was."""


def salvage(data_dir: Path) -> Salvaged:
    """Make what can be read of a stopped engine's damaged journal a journal that it can start from.

    Raises:
        NoJournal: the directory holds none.
        EnvironmentFault: an engine runs on it.
        NothingToSalvage: it is whole.
        JournalDamaged: nothing of it can be read.
        JournalFault: the disk does not take the copy.
    """
    path = journal_path(data_dir)
    if not path.is_dir():
        raise NoJournal(f"{data_dir} holds no journal; name an engine's data directory, such as lockstep-data/engine-1")
    refuse_if_in_use(data_dir)
    damage = _damage(data_dir)
    summary = inspect(data_dir)
    if summary is None or not summary.member:
        raise JournalDamaged(path, f"{damage.why}; nothing of it can be read", damage.needed)
    copy = new_archive(data_dir, "salvage")
    for part in (path, witness_path(data_dir), damage_path(data_dir)):
        if part.is_dir():
            shutil.copytree(part, copy / part.name)
        elif part.exists():
            shutil.copy2(part, copy / part.name)
    journal = Journal(data_dir, summary.member, disown=True)
    try:
        good_seq = journal.base_seq
        try:
            for batch in journal.frames(good_seq + 1):
                if batch.first_seq != good_seq + 1:
                    break
                good_seq = batch.last_seq
        except JournalDamaged:
            pass
        journal.give_up_after(good_seq)
        tip = journal.marks.tip
    finally:
        journal.close()
    damage_path(data_dir).unlink(missing_ok=True)
    return Salvaged(summary.member, tip, damage.needed, damage.why, copy)


def _damage(data_dir: Path) -> JournalDamaged:
    try:
        examine(data_dir, 0, inspect)
        summary = inspect(data_dir)
        journal = Journal(data_dir, summary.member if summary else 0, read_only=True)
        try:
            expected = journal.base_seq + 1
            for batch in journal.frames(expected):
                if batch.first_seq != expected:
                    raise JournalDamaged(journal.path, f"the batch at seq {batch.first_seq} follows seq {expected - 1}")
                expected = batch.last_seq + 1
        finally:
            journal.close()
    except JournalDamaged as damage:
        return damage
    raise NothingToSalvage(
        f"the journal in {data_dir} is whole: start its engine"
        + (f"; what is before seq {summary.base_seq + 1} is in snapshots only" if summary and summary.base_seq else "")
    )
