"""What was stored and can't be used is put right by an operator."""

from pathlib import Path

import pytest

from lockstep.ops.cli.cluster.repair import lower_promise
from lockstep.ops.cli.cluster.steps import Refused
from lockstep.replica.effects import JournalWrite
from lockstep.replica.journal import Journal


def promising(directory: Path, epoch: int) -> Path:
    journal = Journal(directory, 1)
    journal.write(JournalWrite(promise=(epoch, 2)), sync=True, applied=(0, b""))
    journal.close()
    return directory


@pytest.mark.parametrize("absurd", [2**48, 2**62, 2**63, 2**64 - 1])
def test_an_absurd_promise_becomes_the_clusters_epoch_and_the_journal_opens_as_before(tmp_path, absurd):
    directory = promising(tmp_path, absurd)
    assert lower_promise(directory, 1, 7, dry_run=True) == (absurd, 7)
    assert lower_promise(directory, 1, 7) == (absurd, 7)
    journal = Journal(directory, 1)
    assert (journal.summary().promised, journal.summary().promised_to) == (7, 0)
    journal.close()


@pytest.mark.parametrize("promise", [1, 57, 2**48 - 1])
def test_a_promise_that_may_be_true_is_not_lowered(tmp_path, promise):
    directory = promising(tmp_path, promise)
    with pytest.raises(Refused, match="may be true"):
        lower_promise(directory, 1, 7)


def test_without_the_clusters_epoch_nothing_is_lowered(tmp_path):
    directory = promising(tmp_path, 2**64 - 1)
    with pytest.raises(Refused, match="--epoch"):
        lower_promise(directory, 1, 0)
