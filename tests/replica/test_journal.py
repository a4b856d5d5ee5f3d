"""The journal on a real RocksDB, also across kill -9."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lockstep.engine.reference import ReferenceEngine
from lockstep.replica.background_sync import BackgroundSync
from lockstep.replica.divergence import EpochEntry
from lockstep.replica.effects import AppliedBatch, JournalWrite
from lockstep.replica.journal import Journal, inspect
from lockstep.replica.restore import restore
from lockstep.replica.rocks import JournalFault
from lockstep.replica.settings import BrokenInvariant, ReplicaOptions
from lockstep.stream.batch import decode_batch
from lockstep.stream.digest import Digest
from lockstep.stream.records import no_events

WRITER = """
import sys
from pathlib import Path
import numpy as np
from lockstep.replica.divergence import EpochEntry
from lockstep.replica.effects import JournalWrite
from lockstep.replica.journal import Journal
from lockstep.stream.batch import stamp_batch
from lockstep.stream.records import COMMAND
journal = Journal(Path(sys.argv[1]), 1)
seq = 1
while True:
    records = np.zeros(7, dtype=COMMAND)
    made = stamp_batch(records, epoch=1, first_seq=seq, timestamp_ns=seq)
    journal.write(JournalWrite((made,), (EpochEntry(1, 1),) if seq == 1 else ()), sync=True)
    seq += 7
    print(seq - 1, flush=True)
"""


def write_stream(journal, sequencer, batches=3):
    """An EPOCH_START and some batches, each its own write; the batches as journaled."""
    stamped = (sequencer.epoch_start(1, primary=1), *(sequencer.commands(4) for _ in range(batches)))
    frames = [made.batch for made in stamped]
    journal.write(JournalWrite((frames[0],), (EpochEntry(1, 1),), (1, 1), "uuid-1", 0), sync=True)
    for made in frames[1:]:
        journal.write(JournalWrite((made,), committed_seq=made.first_seq - 1), sync=True)
    return frames


def reopened(data_dir):
    journal = Journal(data_dir, 1)
    machine = restore(journal, ReplicaOptions(1, (1,)), ReferenceEngine, lambda: None)
    return journal, machine


def test_everything_written_is_there_after_reopening(tmp_path, sequencer):
    journal = Journal(tmp_path, 1)
    frames = write_stream(journal, sequencer)
    journal.close()
    again = Journal(tmp_path, 1)
    summary = again.summary()
    assert [kept.first_seq for kept in again.batches(1)] == [made.first_seq for made in frames]
    assert (summary.cluster_uuid, summary.promised, summary.promised_to) == ("uuid-1", 1, 1)
    assert (summary.tip_epoch, summary.tip_seq, summary.committed_seq, summary.incarnation) == (1, 13, 9, 2)
    assert summary.epochs == (EpochEntry(1, 1),)
    again.close()


def test_range_starts_at_the_batch_that_holds_the_seq(tmp_path, sequencer):
    journal = Journal(tmp_path, 1)
    write_stream(journal, sequencer)
    assert [kept.first_seq for kept in journal.batches(3)] == [2, 6, 10]
    assert [kept.first_seq for kept in journal.batches(6)] == [6, 10]
    assert [kept.first_seq for kept in journal.batches(0)] == [1, 2, 6, 10]
    assert not list(journal.batches(14))
    journal.close()


def test_every_acknowledged_burst_survives_kill_9(tmp_path):
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    try:
        acknowledged = [int(writer.stdout.readline()) for _ in range(20)][-1]
        time.sleep(0.05)
    finally:
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
    acknowledged = max([acknowledged, *map(int, writer.stdout.read().split())])
    journal = Journal(tmp_path, 1)
    frames = list(journal.batches(1))
    journal.close()
    assert [kept.first_seq for kept in frames] == list(range(1, frames[-1].last_seq, 7))
    assert frames[-1].last_seq >= acknowledged


def test_second_process_is_told_that_the_journal_is_in_use(tmp_path):
    journal = Journal(tmp_path, 1)
    code = "import sys, pathlib, lockstep.replica.journal as j; j.Journal(pathlib.Path(sys.argv[1]), 1)"
    second = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    journal.close()
    assert "in use by another process" in second.stderr


def test_directory_of_another_engine_is_refused(tmp_path):
    Journal(tmp_path, 1).close()
    with pytest.raises(JournalFault, match="belongs to engine 1, not to engine 2"):
        Journal(tmp_path, 2)


def test_newer_layout_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("lockstep.replica.journal.LAYOUT", 9)
    Journal(tmp_path, 1).close()
    monkeypatch.undo()
    with pytest.raises(JournalFault, match="layout 9"):
        Journal(tmp_path, 1)


def test_older_layout_is_refused_because_its_digests_cannot_be_continued(tmp_path, monkeypatch):
    monkeypatch.setattr("lockstep.replica.journal.LAYOUT", 1)
    Journal(tmp_path, 1).close()
    monkeypatch.undo()
    with pytest.raises(JournalFault, match="layout 1, and its digests"):
        Journal(tmp_path, 1)


def test_unusable_data_directory_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalFault, match="cannot create data directory"):
        Journal(tmp_path / "file" / "engine", 1)


def test_failed_write_is_terminal(tmp_path, sequencer):
    journal = Journal(tmp_path, 1)
    journal.close()
    write = JournalWrite((sequencer.commands().batch,))
    for _ in range(2):
        with pytest.raises(JournalFault, match="cannot write"):
            journal.write(write, sync=True)


def test_inspect_reads_a_cold_journal_and_none_where_there_is_none(tmp_path, sequencer):
    assert inspect(tmp_path) is None
    journal = Journal(tmp_path, 1)
    write_stream(journal, sequencer)
    journal.close()
    summary = inspect(tmp_path)
    assert summary is not None
    assert (summary.member, summary.tip_seq, summary.promised, summary.incarnation) == (1, 13, 1, 1)


def test_truncated_tail_is_archived_in_binary_and_readable_form(tmp_path, sequencer):
    journal = Journal(tmp_path, 1)
    frames = write_stream(journal, sequencer)
    journal.write(JournalWrite((sequencer.epoch_start(1, primary=1, epoch=4).batch,), (EpochEntry(4, 14),)), sync=True)
    journal.derived.keep((AppliedBatch(1, 10, 13, no_events(), Digest(b"d" * 16)),))
    archive = journal.truncate(5)
    raw = archive.read_bytes()
    length = int.from_bytes(raw[:4], "little")
    lines = [json.loads(line) for line in archive.with_suffix(".jsonl").read_text().splitlines()]
    assert decode_batch(raw[4 : 4 + length]).first_seq == 6
    assert [line["seq"] for line in lines] == list(range(6, 15))
    assert lines[0]["kind"] == 65
    journal.close()
    again = Journal(tmp_path, 1)
    assert [kept.first_seq for kept in again.batches(1)] == [made.first_seq for made in frames[:2]]
    assert again.epochs() == (EpochEntry(1, 1),)
    assert again.derived.digest(13) is None
    assert again.derived.last_kept_seqs() == (0, 0)
    again.close()


def test_truncation_inside_a_batch_is_refused_and_deletes_nothing(tmp_path, sequencer):
    journal = Journal(tmp_path, 1)
    write_stream(journal, sequencer)
    with pytest.raises(JournalFault, match="lies across seq 7"):
        journal.truncate(7)
    assert journal.summary().tip_seq == 13
    journal.close()


def test_replay_stores_events_and_digests_that_a_crash_lost(tmp_path, sequencer):
    journal = Journal(tmp_path, 1)
    write_stream(journal, sequencer)
    journal.close()
    journal, machine = reopened(tmp_path)
    assert machine.replica_state.applied_seq == 13
    assert journal.derived.digest(13) == machine.replica_state.digest
    assert journal.derived.last_kept_seqs() == (10, 13)
    assert [first for first, _ in journal.derived.events_from(7)] == [6, 10]
    journal.close()


def test_replay_notices_another_outcome_than_the_first_time(tmp_path, sequencer):
    journal = Journal(tmp_path, 1)
    write_stream(journal, sequencer)
    journal.derived.keep((AppliedBatch(1, 2, 5, no_events(), Digest(b"d" * 16)),))
    journal.close()
    with pytest.raises(BrokenInvariant, match="at seq 5"):
        reopened(tmp_path)


def test_background_sync_ends_with_a_sync_and_reports_a_fault(tmp_path, sequencer):
    journal = Journal(tmp_path, 1)
    background = BackgroundSync(journal, 0.001)
    journal.write(JournalWrite((sequencer.commands().batch,)), sync=False)
    background.close()
    assert background.fault is None
    background = BackgroundSync(journal, 0.001)
    journal.close()
    background.close()
    assert isinstance(background.fault, JournalFault)


def test_data_dir_may_not_exist_yet(tmp_path: Path):
    journal = Journal(tmp_path / "a" / "b", 1)
    assert journal.summary().tip_seq == 0
    journal.close()
