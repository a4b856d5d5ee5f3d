"""What can be read of a damaged journal becomes a journal that nobody believes yet."""

import shutil
from contextlib import nullcontext
from pathlib import Path

import pytest

from lockstep.engine.implementations import implementation
from lockstep.engine.reference import ReferenceEngine
from lockstep.ops.operator.cold import NoJournal
from lockstep.ops.operator.salvage import NothingToSalvage, salvage
from lockstep.replica import mend
from lockstep.replica.journal import Journal
from lockstep.replica.restore import restore
from lockstep.replica.rocks import JournalDamaged, JournalFault
from lockstep.replica.scrub import scrub
from lockstep.replica.settings import ReplicaOptions
from lockstep.replica.snapshots import SnapshotStore
from lockstep.replica.witness import read_witness, witness_path
from lockstep.trials.chaos.damage import Yard


def contents(data_dir: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(data_dir)): path.read_bytes()
        for path in data_dir.rglob("*")
        if path.is_file() and path.name not in ("LOG", "LOCK")
    }


def zero_page(table: Path) -> None:
    raw = bytearray(table.read_bytes())
    raw[8192 : 8192 + 4096] = bytes(4096)
    table.write_bytes(raw)


def opened(data_dir: Path) -> tuple[int, bool]:
    """Start from it: the last seq executed, and whether the cluster counts on it."""
    journal = Journal(data_dir, 1)
    try:
        store = SnapshotStore(data_dir)
        machine = restore(journal, ReplicaOptions(1, (1, 2)), implementation("native"), lambda: None, store)
        assert scrub(journal, machine.replica_state.applied_seq) is None
        return machine.replica_state.applied_seq, machine.replica_state.joined
    finally:
        journal.close()


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
    kept = tuple(journal.raw_batches(1))
    assert kept == yard.held.batches[: len(kept)]
    machine = restore(journal, ReplicaOptions(1, (1, 2)), ReferenceEngine, lambda: None)
    assert machine.replica_state.applied_seq == done.tip.seq
    assert not machine.replica_state.joined
    journal.close()


def test_whole_journal_is_left_alone(yard: Yard, tmp_path: Path) -> None:
    shutil.copytree(yard.engine, tmp_path / "engine-1")
    with pytest.raises(NothingToSalvage, match="is whole: start its engine"):
        salvage(tmp_path / "engine-1")
    assert not (tmp_path / "engine-1" / "archive").exists()


def test_journal_of_which_nothing_can_be_read_is_left_alone(spoilt: Path) -> None:
    next((spoilt / "journal").glob("MANIFEST-*")).write_bytes(b"")
    shutil.rmtree(spoilt / "snapshots")
    before = contents(spoilt)
    with pytest.raises(JournalDamaged, match="nothing was changed"):
        salvage(spoilt)
    assert contents(spoilt) == before


@pytest.mark.parametrize("part", ["MANIFEST-*", "CURRENT", ""])
def test_snapshot_stands_for_a_journal_of_which_nothing_can_be_read(spoilt: Path, part: str) -> None:
    if part:
        next((spoilt / "journal").glob(part)).unlink()
    else:
        shutil.rmtree(spoilt / "journal")
    newest = max(SnapshotStore(spoilt).verified_seqs())
    done = salvage(spoilt)
    assert (done.tip.seq, done.base_seq, done.whole) == (newest, newest, False)
    assert opened(spoilt) == (newest, False)


def test_page_zeroed_below_a_snapshot_costs_older_history_only(yard: Yard, tmp_path: Path) -> None:
    data_dir = tmp_path / "engine-1"
    shutil.copytree(yard.engine, data_dir)
    zero_page(min((data_dir / "journal").glob("*.sst")))
    oldest = min(SnapshotStore(data_dir).verified_seqs())
    held = read_witness(witness_path(data_dir)).mark
    assert held is not None
    done = salvage(data_dir)
    assert (done.tip, done.base_seq, done.whole) == (held.written, oldest, True)
    assert read_witness(witness_path(data_dir)).mark == held  # no evidence is lost
    assert opened(data_dir) == (held.written.seq, True)


@pytest.mark.parametrize("how", ["zeroed", "removed", "emptied"])
def test_table_of_what_the_journal_says_of_itself_may_be_gone(yard: Yard, tmp_path: Path, how: str) -> None:
    """Its batches are all there, so they are kept; but who it was nobody knows, so nobody believes it."""
    data_dir = tmp_path / "engine-1"
    shutil.copytree(yard.engine, data_dir)
    for table in sorted((data_dir / "journal").glob("*.sst"))[1::2]:
        if how == "zeroed":
            table.write_bytes(bytes(table.stat().st_size))
        elif how == "removed":
            table.unlink()
        else:
            table.write_bytes(b"")
    done = salvage(data_dir)
    assert (done.tip.seq, done.whole) == (2861, False)
    assert opened(data_dir) == (2861, False)


def test_salvage_that_fails_changes_nothing_and_may_be_repeated(spoilt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(spoilt)

    def full(*_: object) -> None:
        raise JournalFault("no space left")

    with monkeypatch.context() as patched:
        patched.setattr(mend, "_check", full)
        with pytest.raises(JournalFault, match="no space left"):
            salvage(spoilt)
    assert contents(spoilt) == before
    done = salvage(spoilt)
    assert opened(spoilt) == (done.tip.seq, False)
    with pytest.raises(NothingToSalvage):
        salvage(spoilt)


@pytest.mark.parametrize("moves", range(5))
def test_salvage_that_is_killed_while_it_swaps_is_finished_by_the_next_start(
    spoilt: Path, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    """It dies before the n-th rename; `rename` one is what makes it ready."""
    rename, done = Path.rename, 0

    def some(path: Path, target: Path) -> Path:
        nonlocal done
        done += 1
        if done > moves + 1:
            raise KeyboardInterrupt
        return rename(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", some)
        with pytest.raises(KeyboardInterrupt) if moves < 4 else nullcontext():
            salvage(spoilt)
    seq, joined = opened(spoilt)
    assert (seq > 1919, joined) == (True, False)
    assert not (spoilt / "salvage.ready").exists()


def test_directory_without_a_journal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoJournal, match="holds no journal"):
        salvage(tmp_path)
