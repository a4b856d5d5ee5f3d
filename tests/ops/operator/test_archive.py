"""Reading a tail that a journal discarded."""

import numpy as np
import pytest
from click.testing import CliRunner

from lockstep.ops.cli.cluster.journal import command
from lockstep.ops.operator.archive import archived_batches
from lockstep.replica.divergence import EpochEntry
from lockstep.replica.effects import JournalWrite
from lockstep.replica.journal import Journal
from lockstep.stream.batch import LayoutError, stamp_batch
from lockstep.stream.records import ADMIN, COMMAND, CommandKind


@pytest.fixture
def archive(tmp_path):
    """Seqs 3 to 6 of a journal of three batches, discarded."""
    frames = []
    for first_seq in (1, 3, 5):
        records = np.zeros(2, dtype=ADMIN)
        records["kind"], records["name"], records["account"] = CommandKind.DEFINE_ACCOUNT, b"A", first_seq
        made = stamp_batch(records.view(COMMAND), epoch=1, first_seq=first_seq, timestamp_ns=9)
        frames.append(made)
    journal = Journal(tmp_path / "engine-1", 1)
    journal.write(JournalWrite(tuple(frames), (EpochEntry(1, 1),)), sync=True)
    path = journal.truncate(2)
    journal.close()
    return path


def test_archived_tail_is_read_back(archive):
    assert [(batch.first_seq, batch.count) for batch in archived_batches(archive)] == [(3, 2), (5, 2)]


def test_tail_that_is_cut_short_is_noticed(archive):
    archive.write_bytes(archive.read_bytes()[:-1])
    with pytest.raises(LayoutError, match="cut short"):
        list(archived_batches(archive))


def test_dump_lists_an_archived_tail_in_words(archive):
    shown = CliRunner().invoke(command, ["dump", str(archive), "--from", "4", "--limit", "2"])
    assert shown.exit_code == 0, shown.output
    lines = shown.output.splitlines()
    assert [line.split()[:2] for line in lines[-2:]] == [["4", "1"], ["5", "1"]]
    refused = CliRunner().invoke(command, ["dump", str(archive.with_suffix(".jsonl"))])
    assert refused.exit_code == 2
    assert "no archived tail" in refused.output
