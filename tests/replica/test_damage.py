"""An engine's data directory after something happened to it: what is opened, what is refused, what is made again."""

import shutil

import pytest

from lockstep.engine.reference import ReferenceEngine
from lockstep.replica import witness
from lockstep.replica.archive import archive_all
from lockstep.replica.derived import note_doubt
from lockstep.replica.divergence import EpochEntry
from lockstep.replica.effects import JournalWrite
from lockstep.replica.journal import Journal
from lockstep.replica.marks import note_damage
from lockstep.replica.restore import restore
from lockstep.replica.rocks import JournalDamaged
from lockstep.replica.settings import BrokenInvariant, ReplicaOptions
from lockstep.replica.witness import read_witness, witness_path


@pytest.fixture
def killed(tmp_path, sequencer):
    """A data directory as a kill leaves it: 41 seqs in the log, all synced."""
    live, target = tmp_path / "live", tmp_path / "engine-1"
    journal = Journal(live, 1)
    stamped = (sequencer.epoch_start(1, primary=1), *(sequencer.commands(4) for _ in range(10)))
    frames = [made.batch for made in stamped]
    for made in frames:
        first = made.first_seq == 1
        write = JournalWrite(
            (made,), (EpochEntry(1, 1),) if first else (), (1, 1) if first else None, "u" if first else "", joined=first
        )
        journal.write(write, sync=True)
    shutil.copytree(live, target)
    journal.close()
    return target


def flip(path, at: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(raw)


def log_of(data_dir):
    (log,) = (data_dir / "journal").glob("*.log")
    return log


@pytest.mark.parametrize("percent", [*range(2, 100, 7), 99])
def test_bit_flipped_anywhere_in_the_log_is_noticed(killed, percent):
    log = log_of(killed)
    flip(log, len(log.read_bytes().rstrip(b"\0")) * percent // 100)
    with pytest.raises(JournalDamaged, match="is damaged: it ends at"):
        Journal(killed, 1)


@pytest.mark.parametrize("kept", [0, 10, 50, 90])
def test_log_that_was_cut_is_noticed_and_nothing_is_changed_by_looking(killed, kept):
    log = log_of(killed)
    raw = log.read_bytes().rstrip(b"\0")
    log.write_bytes(raw[: len(raw) * kept // 100])
    before = {
        path.name: path.read_bytes() for path in (killed / "journal").iterdir() if path.name not in ("LOG", "LOCK")
    }
    for _ in range(2):
        with pytest.raises(JournalDamaged) as damaged:
            Journal(killed, 1)
    assert damaged.value.needed.seq == 41
    assert damaged.value.cluster_uuid == "u"
    now = {path.name: path.read_bytes() for path in (killed / "journal").iterdir() if path.name in before}
    assert now == before


def test_journal_that_was_left_alone_opens_as_it_was(killed):
    journal = Journal(killed, 1)
    assert (journal.summary().tip_seq, journal.notices) == (41, [])
    journal.close()


def test_unsynced_tail_that_the_machine_took_with_it_is_no_damage(killed, monkeypatch):
    """Under SYNCED it was reported to nobody."""
    monkeypatch.setattr(witness, "boot_id", lambda: b"another boot....")
    journal = Journal(killed, 1)
    assert (journal.summary().joined, journal.notices) == (True, [])
    journal.close()


def mark_of(data_dir):
    mark = read_witness(witness_path(data_dir)).mark
    assert mark is not None
    return mark


def test_machine_that_went_down_under_replicated_makes_the_journal_another_one(killed, sequencer, monkeypatch):
    sequencer.next_seq = 42
    journal = Journal(killed, 1)
    before = journal.identity
    journal.write(JournalWrite((sequencer.commands(4).batch,)), sync=False)
    assert mark_of(killed).unsynced
    crashed = killed.with_name("crashed")
    shutil.copytree(killed, crashed)
    journal.close()
    monkeypatch.setattr(witness, "boot_id", lambda: b"another boot....")
    again = Journal(crashed, 1)
    summary = again.summary()
    assert summary.journal != before
    assert not summary.joined
    assert summary.tip_seq == 45  # it is kept: an operator may want it
    assert "went down under the policy REPLICATED" in again.notices[0][1]
    again.close()
    # It is said once; the journal is a new one from then on.
    last = Journal(crashed, 1)
    assert (last.identity, last.notices) == (summary.journal, [])
    last.close()


def test_background_sync_is_told_to_the_witness(killed, sequencer):
    sequencer.next_seq = 42
    journal = Journal(killed, 1)
    journal.write(JournalWrite((sequencer.commands(4).batch,)), sync=False)
    assert mark_of(killed).synced.seq == 41
    journal.sync()
    assert mark_of(killed).synced.seq == 45
    journal.close()


def test_tail_that_was_given_up_is_not_missed(killed):
    journal = Journal(killed, 1)
    journal.truncate(21)
    journal.close()
    again = Journal(killed, 1)
    assert again.summary().tip_seq == 21
    again.close()


def test_batch_missing_in_the_middle_is_damage_and_no_broken_invariant(killed):
    journal = Journal(killed, 1)
    raw = journal._commands
    raw.delete((18).to_bytes(8, "big"))
    with pytest.raises(JournalDamaged, match="the batch at seq 22 follows seq 17"):
        restore(journal, ReplicaOptions(1, (1,)), ReferenceEngine, lambda: None)
    journal.close()


def test_replay_that_comes_to_another_digest_than_the_acknowledged_one_is_noticed_without_stored_results(killed):
    journal = Journal(killed, 1)
    journal.write(JournalWrite(committed_seq=41), sync=True, applied=(41, b"x" * 16))
    journal.close()
    shutil.rmtree(killed / "derived")
    journal = Journal(killed, 1)
    with pytest.raises(BrokenInvariant, match="not what was acknowledged"):
        restore(journal, ReplicaOptions(1, (1,)), ReferenceEngine, lambda: None)
    journal.close()


def test_damage_found_while_it_ran_keeps_the_journal_from_being_opened_until_it_is_archived(killed):
    note_damage(killed, "the batch at seq 9 follows seq 1")
    with pytest.raises(JournalDamaged, match="the batch at seq 9 follows seq 1"):
        Journal(killed, 1)
    archive = archive_all(killed, "damaged")
    assert sorted(path.name for path in archive.iterdir()) == ["damage", "derived", "journal", "witness"]
    journal = Journal(killed, 1)
    assert (journal.summary().tip_seq, journal.summary().joined) == (0, False)
    journal.close()


@pytest.mark.parametrize("how", ["doubt", "flip", "current", "foreign"])
def test_stored_results_that_cannot_be_relied_on_are_archived_and_made_again(killed, how, tmp_path):
    journal = Journal(killed, 1)
    restore(journal, ReplicaOptions(1, (1,)), ReferenceEngine, lambda: None)
    digest, events = journal.derived.digest(41), list(journal.derived.events_from(1))
    journal.close()
    if how == "doubt":
        note_doubt(killed, "it was doubted")
    elif how == "flip":
        flip(next((killed / "derived").glob("MANIFEST-*")), 20)
    elif how == "current":
        (killed / "derived" / "CURRENT").unlink()
    else:
        Journal(tmp_path / "other", 1).close()
        shutil.rmtree(killed / "derived")
        shutil.copytree(tmp_path / "other" / "derived", killed / "derived")
    journal = Journal(killed, 1)
    assert [event for event, _ in journal.notices] == ["derived_renewed"]
    assert (killed / "archive" / "derived-1").is_dir()
    restore(journal, ReplicaOptions(1, (1,)), ReferenceEngine, lambda: None)
    assert (journal.derived.digest(41), list(journal.derived.events_from(1))) == (digest, events)
    journal.close()


def test_stored_results_ahead_of_the_journal_show_that_it_was_cut(killed):
    earlier = killed.with_name("earlier")
    shutil.copytree(killed, earlier)
    journal = Journal(killed, 1)
    frame = next(journal.batches(38))
    journal.close()
    old = Journal(earlier, 1)
    old.truncate(frame.first_seq - 1)
    old.close()
    journal = Journal(killed, 1)
    restore(journal, ReplicaOptions(1, (1,)), ReferenceEngine, lambda: None)
    journal.close()
    for part in ("journal",):
        shutil.rmtree(killed / part)
        shutil.copytree(earlier / part, killed / part)
    shutil.copy(earlier / "witness", killed / "witness")
    with pytest.raises(JournalDamaged, match="results up to seq 41 are stored"):
        Journal(killed, 1)
