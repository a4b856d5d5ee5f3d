"""The epochs of a cluster from two accounts."""

from dataclasses import replace

from lockstep.ops.operator.history import EpochBegun, from_batch, from_entry, join
from lockstep.sequencer.events import EpochCause
from lockstep.sequencer.window import control_record
from lockstep.stream.batch import stamp_batch
from lockstep.stream.records import CommandKind, members_to_bits
from lockstep.v1 import cluster_pb2

BEGUN = EpochBegun(
    epoch=3, first_seq=17, timestamp_ns=5, cause="primary_lost", sequencer=1, primary=2, in_sync=(2,), gap_ns=None
)


def journaled(kind: CommandKind, cause: EpochCause = EpochCause.PRIMARY_LOST) -> EpochBegun | None:
    record = control_record(
        kind, epoch=3, in_sync_bits=members_to_bits((2,)), primary=2, sequencer=1, member=0, cause=int(cause)
    )
    return from_batch(stamp_batch(record, epoch=3, first_seq=17, timestamp_ns=5))


def test_an_epoch_is_read_from_its_first_record() -> None:
    assert journaled(CommandKind.EPOCH_START) == BEGUN
    assert journaled(CommandKind.GROW) is None


def test_the_journal_is_believed_and_etcd_adds_the_gap() -> None:
    entry = cluster_pb2.HistoryEntry(epoch=3, first_seq=99, timestamp_ns=9, cause="SWITCHOVER", gap_ns=12)
    assert join([BEGUN], [from_entry(entry)]) == (replace(BEGUN, gap_ns=12),)


def test_epochs_that_only_etcd_still_knows_are_kept_in_order() -> None:
    entry = cluster_pb2.HistoryEntry(epoch=1, first_seq=1, cause="BOOTSTRAP", in_sync=[1, 2])
    assert [epoch.epoch for epoch in join([BEGUN], [from_entry(entry)])] == [1, 3]
