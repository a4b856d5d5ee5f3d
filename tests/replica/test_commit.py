"""The commit rule on paper."""

import numpy as np
import pytest

from lockstep.replica.commit import CommitGate
from lockstep.replica.divergence import EpochEntry
from lockstep.stream.digest import Digest
from lockstep.stream.messages import ACK_ENTRY, Ack
from lockstep.stream.records import members_to_bits

EPOCHS = [EpochEntry(1, 1)]


def digest(seq):
    return Digest(seq.to_bytes(16, "big"))


def wrong(seq):
    return b"wrong" + seq.to_bytes(11, "big")


def ack(sender, *seqs, epoch=1, of=digest):
    records = np.array([(seq, of(seq)) for seq in seqs], dtype=ACK_ENTRY)
    return Ack(sender, epoch, seqs[-1], 0, 0, False, False, records)


@pytest.fixture
def gate():
    made = CommitGate(1, (1, 2, 3))
    made.on_epoch_start(members_to_bits((1, 2, 3)))
    for seq in (5, 9, 12):
        made.on_applied(seq, digest(seq), 0)
    return made


def test_the_slowest_required_engine_decides(gate):
    gate.on_ack(ack(2, 12), 12, EPOCHS)
    assert gate.committed(12, 0, 0) == 0
    gate.on_ack(ack(3, 5, 9), 12, EPOCHS)
    assert gate.committed(12, 0, 0) == 9


def test_acks_ahead_of_the_own_log_are_compared_when_it_gets_there(gate):
    gate.on_ack(ack(2, 12, 20), 12, EPOCHS)
    gate.on_ack(ack(3, 20, of=wrong), 12, EPOCHS)
    gate.on_applied(20, digest(20), 0)
    mismatch = gate.compare_ahead(20, EPOCHS)
    assert (mismatch.member, mismatch.seq) == (3, 20)
    assert gate.verified_seq(2) == 20


def test_engine_that_is_not_required_may_differ_without_a_mismatch(gate):
    gate.on_epoch_start(members_to_bits((1, 2)))
    assert gate.on_ack(ack(3, 12, of=wrong), 12, EPOCHS) is None
    assert gate.verified_seq(3) == 0


def test_what_an_engine_acked_before_it_left_does_not_count_when_it_returns(gate):
    gate.on_ack(ack(2, 12), 12, EPOCHS)
    gate.on_ack(ack(3, 12), 12, EPOCHS)
    gate.on_epoch_start(members_to_bits((1, 2)))
    gate.on_grow(10, 3)
    gate.on_ack(ack(2, 12), 12, EPOCHS)
    assert gate.committed(12, 0, 0) == 9


def test_learner_trusts_the_leader_only_as_far_as_an_in_sync_engine_has_the_same_digest():
    gate = CommitGate(3, (1, 2, 3))
    gate.on_epoch_start(members_to_bits((1, 2)))
    gate.on_applied(12, digest(12), 0)
    assert gate.committed(12, 0, 12) == 0
    gate.on_ack(ack(1, 12), 12, EPOCHS)
    assert gate.committed(12, 0, 10) == 10


def test_commit_of_an_engine_alone_is_what_it_has_applied():
    gate = CommitGate(1, (1,))
    assert gate.committed(4, 0, 0) == 0
    gate.on_epoch_start(members_to_bits((1,)))
    assert gate.committed(4, 0, 0) == 4
