"""A replica whose journal is new to the cluster, snapshots of peers, and the ack policy, without any I/O."""

import pytest

from lockstep.engine.reference import ReferenceEngine
from lockstep.replica.divergence import EpochEntry
from lockstep.replica.effects import (
    FenceRequested,
    Install,
    PeerLog,
    PeerLogBehind,
    PeerSnapshot,
    Role,
    SequencerSaid,
    Tick,
)
from lockstep.replica.machine import ReplicaMachine
from lockstep.replica.settings import Base, ReplicaOptions, Restored
from lockstep.stream.batch import stamp_batch
from lockstep.stream.digest import Digest
from lockstep.stream.identity import split_uuid
from lockstep.stream.messages import Stream
from lockstep.stream.records import AckPolicy, CommandKind, no_commands

CLUSTER = "c1a5e000-0000-4000-8000-000000000001"


def blank(new_node, member=2, journal=77):
    """An engine with a new, empty disk."""
    node = new_node(member)
    restored = Restored(journal=journal, joined=False)
    node.machine = ReplicaMachine(ReplicaOptions(member, node.engines), ReferenceEngine(), restored)
    node.machine.start()
    return node


def test_blank_journal_says_so_in_a_settled_cluster_and_its_acks_do_not_count(new_node, sequencer):
    primary, wiped = new_node(1), blank(new_node)
    first = sequencer.epoch_start(1, 2, primary=1)
    primary.stream(first)
    (answer,) = wiped.step(FenceRequested(1, "uuid-1", 1, 1, settled=True)).fence_answers
    assert (answer.accepted, answer.blank, answer.journal) == (True, True, 77)
    said = wiped.stream(first).ack
    assert (said.acked_seq, said.journal, said.unjoined) == (1, 77, True)
    primary.acks(said)
    assert primary.machine.replica_state.committed_seq == 0
    assert wiped.machine.replica_state.role is Role.LEARNER


def test_new_journal_is_taken_in_by_the_first_fence_of_a_new_cluster(new_node):
    node = blank(new_node)
    effects = node.step(FenceRequested(1, "uuid-1", 1, 1, settled=False))
    assert effects.journal.joined
    assert not effects.fence_answers[0].blank


def test_only_a_growth_that_names_the_own_journal_takes_it_in(new_node, sequencer):
    node = blank(new_node)
    node.step(FenceRequested(1, "uuid-1", 1, 1, settled=True))
    node.stream(sequencer.epoch_start(1, primary=1), sequencer.control(CommandKind.GROW, member=2, journal=76))
    node.stream(sequencer.control(CommandKind.GROW, member=2))
    assert not node.machine.replica_state.joined
    effects = node.stream(sequencer.control(CommandKind.GROW, member=2, journal=77))
    assert node.machine.replica_state.joined
    assert not effects.ack.unjoined
    assert any(each.journal is not None and each.journal.joined for each in node.effects)
    assert node.machine.replica_state.role is Role.STANDBY


def test_journal_fed_by_the_stream_alone_learns_its_cluster_before_it_is_joined(new_node, sequencer):
    node = blank(new_node)
    high, low = split_uuid(CLUSTER)
    grow = {"member": 2, "journal": 77}
    node.stream(sequencer.epoch_start(1, primary=1), sequencer.control(CommandKind.GROW, **grow))
    assert not node.machine.replica_state.joined  # neither record names the cluster
    node.stream(sequencer.control(CommandKind.GROW, cluster_high=high, cluster_low=low, **grow))
    writes = [effects.journal for effects in node.effects if effects.journal is not None]
    assert node.machine.replica_state.joined
    assert [write.cluster_uuid for write in writes if write.joined or write.cluster_uuid] == [CLUSTER]


def test_epoch_start_tells_the_cluster_also_when_it_is_replayed(new_node, sequencer):
    node = new_node(2)
    high, low = split_uuid(CLUSTER)
    node.stream(sequencer.control(CommandKind.EPOCH_START, in_sync=2, primary=1, cluster_high=high, cluster_low=low))
    assert node.machine.replica_state.cluster_uuid == CLUSTER
    node.restart()  # as if the name had not reached the disk
    assert node.machine.replica_state.cluster_uuid == CLUSTER
    assert node.step(Tick()).journal.cluster_uuid == CLUSTER


def test_stream_of_another_cluster_is_dropped_and_told_of_once(pair, sequencer):
    _, standby = pair
    standby.step(FenceRequested(1, CLUSTER, 1, 1))
    high, low = split_uuid(CLUSTER)
    sequencer.epoch = sequencer.leader = 9
    foreign = sequencer.control(CommandKind.EPOCH_START, cluster_high=high, cluster_low=low + 1)
    effects = standby.stream(foreign, foreign)
    assert (
        standby.machine.replica_state.promised,
        standby.machine.replica_state.head.seq,
        standby.machine.replica_state.stale_frames,
    ) == (1, 1, 2)
    assert [notice.event for notice in effects.notices] == ["foreign_stream"]


def test_blank_engine_alone_in_the_required_set_commits_nothing_and_is_not_live_by_itself(new_node, sequencer):
    node = blank(new_node)
    node.step(FenceRequested(1, "uuid-1", 1, 1, settled=True))
    node.stream(sequencer.epoch_start(2, primary=2), sequencer.commands(3))
    assert (node.machine.replica_state.committed_seq, node.machine.replica_state.role) == (0, Role.LEARNER)


# ---- snapshots of peers ---------------------------------------------------------------------------------------------


def base_at(seq, *epochs):
    return Base(seq, Digest(b"s" * 16), 9_000, tuple(EpochEntry(*entry) for entry in epochs), 0b10, 1, 0, 1)


def test_learner_takes_a_snapshot_where_the_peers_journal_begins_later(new_node):
    node = blank(new_node)
    assert node.step(Tick()).fetch.from_seq == 1
    assert node.step(PeerLogBehind(1)).fetch_snapshot.peer == 1
    node.wait(1_000)
    assert node.step(Tick()).fetch is None  # one request at a time
    base = base_at(40, (1, 1))
    assert node.step(PeerSnapshot(1, "uuid-1", base)).install == Install(base, "uuid-1", 0)


def test_learner_takes_a_snapshot_that_is_far_ahead(new_node):
    node = blank(new_node)
    node.step(Tick())
    far = PeerLog(1, "uuid-1", True, 300_000, (EpochEntry(1, 1),), (), b"", 0, 200_000)
    assert node.step(far).fetch_snapshot.peer == 1


def test_snapshot_that_is_of_no_use_is_left_and_the_next_peer_asked(new_node, sequencer):
    node = new_node(2)
    node.machine.replica_state.cluster_uuid = "uuid-1"
    node.step(Tick())
    node.step(PeerLogBehind(1))
    assert node.step(PeerSnapshot(1, "other", base_at(40, (1, 1)))).install is None
    node.wait(1_000)
    assert node.step(Tick()).fetch is not None


def test_divergent_tail_is_archived_before_a_snapshot_takes_its_place(new_node, sequencer):
    node = new_node(2)
    node.stream(sequencer.epoch_start(1, 2, primary=1), sequencer.commands(5))
    node.restart()
    node.step(Tick())
    node.step(PeerLogBehind(1))
    base = base_at(40, (1, 1), (2, 4))
    assert node.step(PeerSnapshot(1, "uuid-1", base)).install == Install(base, "uuid-1", 3)


def test_snapshot_that_contradicts_what_is_committed_here_stops_the_engine(pair, sequencer):
    _, standby = pair
    standby.restart()
    standby.machine.replica_state.committed_seq = 1
    standby.step(Tick())
    standby.step(PeerLogBehind(1))
    effects = standby.step(PeerSnapshot(1, "uuid-1", base_at(40, (2, 1))))
    assert effects.install is None
    assert "committed commands were lost" in standby.machine.replica_state.diverged


# ---- acknowledgement policy -----------------------------------------------------------------------------------------


def test_a_write_is_synced_unless_all_of_it_is_under_the_policy_replicated(new_node, sequencer):
    node = new_node(1)
    assert node.stream(sequencer.epoch_start(1, primary=1)).journal.synced
    assert node.stream(sequencer.commands(2)).journal.synced
    sequencer.epoch = sequencer.leader = 2
    relaxed = sequencer.control(CommandKind.EPOCH_START, in_sync=2, primary=1, policy=AckPolicy.REPLICATED)
    node.step(FenceRequested(1, "uuid-1", 2, 1))
    assert not node.stream(relaxed).journal.synced
    assert not node.stream(sequencer.commands(2)).journal.synced
    assert node.machine.replica_state.execution.policy == AckPolicy.REPLICATED
    node.restart()
    assert node.machine.replica_state.head.policy == AckPolicy.REPLICATED
    node.step(FenceRequested(2, "uuid-1", 3, 1))
    assert node.stream(sequencer.epoch_start(1, primary=1, epoch=3)).journal.synced


def fence(epoch, sequencer=1):
    return FenceRequested(1, CLUSTER, epoch, sequencer, settled=True)


@pytest.mark.parametrize("epoch", [6, 51, 2**47, 2**48, 2**62, 2**64 - 1])
def test_a_fence_far_above_the_promise_that_its_sequencer_does_not_stand_by_changes_nothing(pair, epoch):
    primary, _standby = pair
    before = (primary.machine.replica_state.promised, primary.machine.replica_state.cluster_uuid)
    cluster = primary.machine.replica_state.cluster_uuid or CLUSTER
    effects = primary.step(FenceRequested(1, cluster, epoch, 1, settled=True))
    (answer,) = effects.fence_answers
    assert not answer.accepted
    assert "liveness link" in answer.refusal
    assert effects.journal is None
    assert (primary.machine.replica_state.promised, primary.machine.replica_state.cluster_uuid) == before


def test_a_fence_far_above_the_promise_is_obeyed_once_its_sequencer_says_that_it_is_there(new_node):
    node = new_node(1)
    node.step(SequencerSaid(2, 51))
    assert node.step(fence(51, sequencer=1)).fence_answers[0].refusal
    assert node.step(fence(52, sequencer=2)).fence_answers[0].refusal
    assert node.step(fence(51, sequencer=2)).fence_answers[0].accepted
    assert node.machine.replica_state.promised == 51


@pytest.mark.parametrize("said", [0, 50, 2**64 - 1])
@pytest.mark.parametrize("leader", [51, 2**48, 2**62])
def test_one_stream_frame_of_a_leader_that_nobody_knows_is_dropped_and_the_stream_goes_on(
    pair, sequencer, said, leader
):
    _primary, standby = pair
    standby.stream(sequencer.epoch_start(1, 2, primary=1))
    standby.step(SequencerSaid(1, said))
    promised, stale = standby.machine.replica_state.promised, standby.machine.replica_state.stale_frames
    if said < leader or leader > 2**48:
        beat = stamp_batch(no_commands(), epoch=leader, first_seq=sequencer.next_seq, timestamp_ns=0)
        standby.stream(Stream(1, leader, 0, beat))
        state = standby.machine.replica_state
        assert (state.promised, state.stale_frames) == (promised, stale + 1)
    before = standby.machine.replica_state.applied_seq
    standby.stream(sequencer.commands(3))
    assert standby.machine.replica_state.applied_seq == before + 3


@pytest.mark.parametrize("promised", [2**48, 2**63, 2**64 - 1])
def test_engine_starts_with_an_absurd_promise_on_its_disk_and_says_what_to_do(promised):
    machine = ReplicaMachine(ReplicaOptions(1, (1, 2)), ReferenceEngine(), Restored(promise=(promised, 1)))
    machine.start()
    assert "repair-promise" in machine.replica_state.why()
    (answer,) = machine.step(fence(5), 0).fence_answers
    assert (answer.accepted, answer.promised) == (False, promised)


@pytest.mark.parametrize("ahead", [1, 2, 4])
def test_a_heartbeat_of_an_epoch_that_its_sequencer_does_not_say_itself_is_no_reason_for_a_promise(
    pair, sequencer, new_sequencer, ahead
):
    primary, _ = pair
    primary.step(SequencerSaid(1, 1))
    odd = new_sequencer(1, 1 + ahead, sequencer.next_seq)
    primary.stream(odd.heartbeat())
    assert primary.machine.replica_state.promised == 1
    primary.step(SequencerSaid(1, 1 + ahead))
    primary.stream(odd.heartbeat())
    assert primary.machine.replica_state.promised == 1 + ahead


def test_the_record_that_opens_an_epoch_counts_before_its_sequencer_is_heard_to_be_there(pair, sequencer):
    primary, _ = pair
    primary.step(SequencerSaid(1, 1))
    primary.stream(sequencer.epoch_start(1, 2, primary=1, epoch=2))
    assert (primary.machine.replica_state.promised, primary.machine.replica_state.epoch) == (2, 2)
