"""What can be read of a damaged journal becomes a journal that nobody believes yet."""

import shutil
from pathlib import Path

import pytest

from lockstep.engine.reference import ReferenceEngine
from lockstep.ops.operator.cold import NoJournal
from lockstep.ops.operator.salvage import NothingToSalvage, salvage
from lockstep.replica.journal import Journal
from lockstep.replica.restore import restore
from lockstep.replica.rocks import JournalDamaged
from lockstep.replica.settings import ReplicaOptions
from lockstep.trials.chaos.damage import Yard


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Yard:
    return Yard(tmp_path_factory.mktemp("yard"))


@pytest.fixture
def spoilt(yard: Yard, tmp_path: Path) -> Path:
    """An engine's directory with a bit flipped in its log."""
    data_dir = tmp_path / "engine-1"
    shutil.copytree(yard.engine, data_dir)
    log = max((data_dir / "journal").glob("*.log"))
    raw = bytearray(log.read_bytes())
    raw[len(bytes(raw).rstrip(b"\0")) * 6 // 10] ^= 1
    log.write_bytes(raw)
    return data_dir


def test_what_can_be_read_is_kept_under_a_new_identity_that_is_not_joined(yard: Yard, spoilt: Path) -> None:
    with pytest.raises(JournalDamaged):
        Journal(spoilt, 1)
    was = sorted(path.name for path in (spoilt / "journal").iterdir())
    done = salvage(spoilt)
    assert (done.member, done.needed.seq > done.tip.seq > 0) == (1, True)
    assert "which may have been acknowledged" in done.why
    assert sorted(path.name for path in (done.copy / "journal").iterdir() if path.name != "LOCK") == [
        name for name in was if name != "LOCK"
    ]
    journal = Journal(spoilt, 1)
    summary = journal.summary()
    assert (summary.tip_seq, summary.joined) == (done.tip.seq, False)
    kept = tuple(journal.raw_frames(1))
    assert kept == yard.held.frames[: len(kept)]
    machine = restore(journal, ReplicaOptions(1, (1, 2)), ReferenceEngine, lambda: None)
    assert machine.applied_seq == done.tip.seq
    assert not machine.joined
    journal.close()


def test_whole_journal_is_left_alone(yard: Yard, tmp_path: Path) -> None:
    shutil.copytree(yard.engine, tmp_path / "engine-1")
    with pytest.raises(NothingToSalvage, match="is whole: start its engine"):
        salvage(tmp_path / "engine-1")
    assert not (tmp_path / "engine-1" / "archive").exists()


def test_journal_of_which_nothing_can_be_read_is_left_alone(spoilt: Path) -> None:
    next((spoilt / "journal").glob("MANIFEST-*")).write_bytes(b"")
    with pytest.raises(JournalDamaged):
        salvage(spoilt)
    assert not (spoilt / "archive").exists()


def test_directory_without_a_journal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoJournal, match="holds no journal"):
        salvage(tmp_path)
