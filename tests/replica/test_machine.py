"""The replica's rules, one by one, without any I/O."""

from dataclasses import replace

import pytest

from lockstep.replica.divergence import EpochEntry
from lockstep.replica.effects import (
    FenceRequested,
    Journaled,
    PeerLog,
    PeerLogBehind,
    PeerLogFailed,
    Role,
    StreamFrames,
    Tick,
)
from lockstep.replica.settings import BrokenInvariant
from lockstep.stream.messages import Stream
from lockstep.stream.records import CommandKind, members_to_bits

FENCE_2 = FenceRequested(ticket=7, cluster_uuid="u", epoch=2, sequencer=2)


def forged(ack, digest=b"x" * 16):
    """The same ack with another digest."""
    entries = ack.entries.copy()
    entries["digest"] = [digest] * len(entries)
    return replace(ack, entries=entries)


def as_peer_log(node, peer, from_seq, in_sync=True):
    machine = node.machine
    batches = tuple(kept for kept in node.disk if kept.last_seq >= from_seq)
    return PeerLog(
        peer,
        "u",
        in_sync,
        machine.replica_state.applied_seq,
        tuple(machine.replica_state.head.epochs),
        batches,
        machine.replica_state.digest,
        machine.replica_state.committed_seq,
    )


def test_stream_is_journaled_before_it_is_applied_or_acked(pair, sequencer):
    _, standby = pair
    effects = standby.step(StreamFrames((sequencer.commands(),)), journal=False)
    assert effects.journal is not None
    assert len(effects.journal.batches) == 1
    assert effects.ack is None
    assert not effects.applied
    assert standby.machine.replica_state.applied_seq == 1
    assert standby.step(Tick()).ack is None
    after = standby.step(Journaled(4))
    assert [int(seq) for seq in after.ack.entries["last_seq"]] == [4]
    assert bytes(after.ack.entries["digest"][0]) == standby.machine.replica_state.digest


def test_journaled_batches_are_the_bytes_that_came_and_do_not_tell_who_sent_them(pair, sequencer):
    _, standby = pair
    sent = sequencer.commands(committed_seq=1)
    (kept,) = standby.stream(sent).journal.batches
    assert kept.raw is sent.batch.raw
    assert kept.epoch == 1
    assert kept.timestamp_ns == sequencer.time_ns


def test_one_burst_is_one_write_and_one_ack_with_an_entry_per_batch(pair, sequencer):
    _, standby = pair
    effects = standby.stream(sequencer.commands(2), sequencer.commands(5))
    assert len(effects.journal.batches) == 2
    assert [int(seq) for seq in effects.ack.entries["last_seq"]] == [3, 8]


def test_standby_rejects_frames_of_a_lower_leader_epoch(pair, sequencer):
    _, standby = pair
    standby.step(FENCE_2)
    effects = standby.stream(sequencer.commands())
    assert effects.journal is None
    assert standby.machine.replica_state.head.seq == 1
    assert standby.machine.replica_state.stale_frames == 1


def test_promise_is_in_the_journal_write_that_precedes_the_fence_answer(pair):
    _, standby = pair
    effects = standby.step(FENCE_2)
    assert effects.journal.promise == (2, 2)
    assert effects.journal.cluster_uuid == "u"
    (answer,) = effects.fence_answers
    assert answer.accepted
    assert (answer.tip_epoch, answer.tip_seq) == (1, 1)
    assert answer.digest == standby.machine.replica_state.digest


def test_fence_with_the_same_promise_is_accepted_again_and_a_rival_is_refused(pair):
    _, standby = pair
    standby.step(FENCE_2)
    assert standby.step(FENCE_2).fence_answers[0].accepted
    rival = standby.step(replace(FENCE_2, sequencer=1)).fence_answers[0]
    lower = standby.step(replace(FENCE_2, epoch=1, sequencer=1)).fence_answers[0]
    assert not rival.accepted
    assert not lower.accepted
    assert lower.promised == 2


def test_fence_of_another_cluster_is_refused_with_the_reason(pair):
    _, standby = pair
    standby.step(FENCE_2)
    answer = standby.step(replace(FENCE_2, cluster_uuid="v", epoch=9)).fence_answers[0]
    assert not answer.accepted
    assert "another cluster" in answer.refusal
    assert standby.machine.replica_state.promised == 2


def test_fence_answer_waits_for_what_is_on_its_way_to_the_disk(pair, sequencer):
    _, standby = pair
    standby.step(StreamFrames((sequencer.commands(),)), journal=False)
    assert not standby.step(FENCE_2).fence_answers
    (answer,) = standby.step(Journaled(4)).fence_answers
    assert answer.tip_seq == 4
    assert answer.digest == standby.machine.replica_state.digest


def test_stream_of_a_higher_leader_raises_the_promise_in_the_same_write(pair, sequencer):
    _, standby = pair
    write = standby.stream(sequencer.epoch_start(1, 2, primary=1, epoch=2)).journal
    assert write.promise == (2, 1)
    assert write.epochs == (EpochEntry(2, 2),)


def test_release_comes_only_after_every_in_sync_engine_acked_the_same_digest(pair, sequencer):
    primary, standby = pair
    batch = sequencer.commands()
    assert not any(released.count for released in primary.stream(batch).releases)
    ack = standby.stream(batch).ack
    (released,) = primary.acks(ack).releases
    assert (released.first_seq, released.last_seq, released.count, released.committed_seq) == (2, 4, 3, 4)


def test_standby_never_releases(pair, sequencer):
    primary, standby = pair
    batch = sequencer.commands()
    ack = primary.stream(batch).ack
    standby.stream(batch)
    assert not standby.acks(ack).releases
    assert standby.machine.replica_state.committed_seq == 4


def test_acks_that_arrive_before_the_own_journal_write_count_later(pair, sequencer):
    primary, standby = pair
    batch = sequencer.commands()
    assert not primary.acks(standby.stream(batch).ack).releases
    (released,) = primary.stream(batch).releases
    assert released.last_seq == 4


def test_different_digest_stops_release_and_acks(pair, sequencer):
    primary, standby = pair
    batch = sequencer.commands()
    primary.stream(batch)
    effects = primary.acks_that_stand(forged(standby.stream(batch).ack))
    assert primary.machine.replica_state.role is Role.DIVERGED
    assert effects.notices[0].event == "diverged"
    later = primary.stream(sequencer.commands())
    assert not effects.releases
    assert later.journal is None
    assert later.ack is None
    assert primary.machine.replica_state.committed_seq == 1


def test_ack_about_a_record_that_was_stamped_again_later_is_ignored(pair, sequencer, new_sequencer):
    primary, standby = pair
    stale = forged(standby.stream(sequencer.commands(1)).ack)
    primary.stream(new_sequencer(1, 2, 2).epoch_start(1, 2, primary=1))
    primary.acks(stale)
    assert primary.machine.replica_state.role is Role.PRIMARY
    assert primary.machine.replica_state.committed_seq == 1


def test_acks_of_a_reign_that_is_not_known_yet_prove_no_divergence(pair, sequencer, new_sequencer):
    """A primary that was stopped wakes up to acks of a log that no longer is its own."""
    primary, standby = pair
    primary.stream(sequencer.commands(1))
    standby.step(FENCE_2)
    ack = standby.stream(new_sequencer(2, 2, 2).epoch_start(2, primary=2)).ack
    assert int(ack.entries["last_seq"][0]) == primary.machine.replica_state.applied_seq
    primary.acks(ack)
    assert primary.machine.replica_state.role is Role.PRIMARY


def test_promoted_standby_releases_from_its_committed_seq_on(pair, sequencer):
    primary, standby = pair
    batch = sequencer.commands()
    primary.stream(batch)
    standby.stream(batch)
    assert standby.machine.replica_state.committed_seq == 1
    released = standby.stream(sequencer.epoch_start(2, primary=2, epoch=2)).releases
    assert standby.machine.replica_state.role is Role.PRIMARY
    assert (released[0].first_seq, released[-1].last_seq, released[0].epoch) == (2, 5, 2)


def test_switchover_hands_the_uncommitted_seqs_to_the_new_primary(pair, sequencer):
    primary, standby = pair
    frames = (sequencer.commands(), sequencer.epoch_start(1, 2, primary=2, epoch=2))
    one, two = primary.stream(*frames), standby.stream(*frames)
    assert not primary.acks(two.ack).releases
    assert standby.acks(one.ack).releases[0].first_seq == 2


def test_in_sync_set_of_an_epoch_start_governs_older_uncommitted_seqs(pair, sequencer):
    primary, _ = pair
    primary.stream(sequencer.commands())
    assert primary.machine.replica_state.committed_seq == 1
    primary.stream(sequencer.epoch_start(1, primary=1, epoch=2))
    assert primary.machine.replica_state.committed_seq == 5


def test_grow_requires_the_learner_from_its_seq_on(sequencer, new_node):
    primary, learner = new_node(1), new_node(2)
    primary.stream(sequencer.epoch_start(1, primary=1), sequencer.commands())
    assert primary.machine.replica_state.committed_seq == 4
    primary.stream(sequencer.control(CommandKind.GROW, member=2))
    primary.stream(sequencer.commands())
    assert primary.machine.replica_state.committed_seq == 4
    learner.stream(*[Stream(1, 1, 0, kept) for kept in primary.disk])
    assert learner.machine.replica_state.role is Role.STANDBY
    ack = learner.effects[-1].ack
    assert primary.acks(ack).releases[-1].last_seq == 8


def test_revoked_grow_no_longer_holds_the_commit_back(sequencer, new_node):
    primary = new_node(1)
    primary.stream(sequencer.epoch_start(1, primary=1), sequencer.control(CommandKind.GROW, member=2))
    primary.stream(sequencer.commands())
    assert primary.machine.replica_state.committed_seq < 5
    primary.stream(sequencer.control(CommandKind.GROW_REVOKED, member=2))
    assert primary.machine.replica_state.committed_seq == 6


def test_removed_engine_becomes_a_learner_and_goes_on_acking(pair, sequencer):
    _, standby = pair
    effects = standby.stream(sequencer.epoch_start(1, primary=1, epoch=2))
    assert standby.machine.replica_state.role is Role.LEARNER
    assert effects.ack is not None


def test_gap_asks_for_a_rewind_at_most_every_rewind_ms(pair, sequencer):
    _, standby = pair
    sequencer.commands()
    rewind = standby.stream(sequencer.commands()).rewind
    assert rewind.sequencer == 1
    assert rewind.frame.acked_seq == 1
    assert rewind.frame.rewinds
    assert standby.stream(sequencer.heartbeat()).rewind is None
    standby.wait(21)
    assert standby.stream(sequencer.heartbeat()).rewind is not None


def test_gap_that_the_sequencer_does_not_fill_is_fetched_from_a_peer(pair, sequencer):
    primary, standby = pair
    primary.stream(sequencer.commands())
    for _ in range(12):
        standby.wait(21)
        effects = standby.stream(sequencer.heartbeat())
    assert any(effects.fetch is not None for effects in standby.effects)
    standby.step(as_peer_log(primary, 1, 2))
    assert standby.machine.replica_state.applied_seq == 4
    assert standby.machine.replica_state.role is Role.STANDBY
    assert effects


def test_peer_that_misses_the_same_frames_is_passed_over(sequencer, new_node):
    node = new_node(1, engines=(1, 2, 3))
    node.stream(sequencer.epoch_start(1, 2, 3, primary=1), sequencer.commands(1))
    sequencer.commands()
    asked = []
    for _ in range(16):
        node.wait(60)
        fetch = node.stream(sequencer.heartbeat()).fetch
        if fetch is not None:
            asked.append(fetch.peer)
            node.step(PeerLog(fetch.peer, "", True, 2, (EpochEntry(1, 1),), (), node.machine.replica_state.digest, 0))
    assert asked[:3] == [2, 3, 2]


def test_repeated_frames_are_dropped_silently(pair, sequencer):
    _, standby = pair
    batch = sequencer.commands()
    standby.stream(batch)
    effects = standby.stream(batch, batch)
    assert effects.journal is None
    assert effects.rewind is None
    assert standby.machine.replica_state.head.seq == 4


def test_idle_engine_repeats_its_newest_ack_and_the_primary_where_it_stands(pair):
    primary, _ = pair
    primary.wait(11)
    effects = primary.step(Tick())
    assert int(effects.ack.entries["last_seq"][-1]) == 1
    (empty,) = effects.releases
    assert (empty.count, empty.first_seq, empty.last_seq) == (0, 2, 1)
    assert primary.step(Tick()).ack is None


def test_engine_with_a_conflicting_tail_leaves_the_stream_and_gives_up_the_tail(pair, sequencer, new_sequencer):
    primary, standby = pair
    primary.stream(sequencer.commands())
    successor = new_sequencer(2, 2, 2)
    standby.step(replace(FENCE_2, epoch=2))
    standby.stream(successor.epoch_start(2, primary=2), successor.commands(1))
    effects = primary.stream(Stream(2, 2, 0, standby.disk[-2]))
    assert primary.machine.replica_state.role is Role.LEARNER
    assert effects.fetch.peer == 2
    effects = primary.step(as_peer_log(standby, 2, 5))
    assert effects.truncate_after == 1
    primary.restart(keep_through=1)
    primary.step(Tick())
    primary.step(as_peer_log(standby, 2, 2))
    assert primary.machine.replica_state.digest == standby.machine.replica_state.digest
    assert primary.machine.replica_state.live


def test_restarted_engine_does_not_trust_a_frame_that_only_fits_by_number(pair, sequencer, new_sequencer):
    _, standby = pair
    standby.stream(sequencer.commands(1))
    standby.restart()
    foreign = new_sequencer(2, 3, 3)
    assert standby.stream(foreign.epoch_start(1, primary=1)).ack is None
    assert standby.machine.replica_state.head.seq == 2
    assert not standby.machine.replica_state.live


def test_restarted_engine_joins_the_stream_of_its_own_epoch_at_once(pair, sequencer):
    _, standby = pair
    standby.restart()
    assert standby.machine.replica_state.role is Role.LEARNER
    standby.stream(sequencer.commands())
    assert (standby.machine.replica_state.role, standby.machine.replica_state.applied_seq) == (Role.STANDBY, 4)


def test_engines_that_lost_power_together_go_on_where_the_leader_stands_without_a_new_command(pair, sequencer):
    primary, standby = pair
    commands = sequencer.commands()
    for node in pair:
        node.stream(commands)
        node.restart()
        assert not node.machine.replica_state.live
        said = node.stream(sequencer.heartbeat())
        assert [notice.event for notice in said.notices if notice.event == "live"] == ["live"]
        assert said.ack.entries["last_seq"].tolist()[-1] == commands.batch.last_seq
    primary.acks(standby.effects[-1].ack)
    standby.acks(primary.effects[-1].ack)
    assert primary.machine.replica_state.committed_seq == commands.batch.last_seq


def test_heartbeat_proves_nothing_of_a_log_that_ends_elsewhere_or_in_another_epoch(pair, sequencer, new_sequencer):
    _, standby = pair
    standby.stream(sequencer.commands())
    standby.restart()
    ahead, behind = (new_sequencer(1, 1, sequencer.next_seq + step) for step in (1, -1))
    later_epoch = new_sequencer(1, 2, sequencer.next_seq)
    for foreign in (ahead, behind, later_epoch):
        standby.stream(foreign.heartbeat())
        assert not standby.machine.replica_state.live


def test_engine_that_was_alone_in_sync_is_primary_again_right_after_its_restart(sequencer, new_node):
    node = new_node(1)
    node.stream(sequencer.epoch_start(1, primary=1), sequencer.commands())
    node.restart()
    assert node.machine.replica_state.role is Role.PRIMARY
    assert node.machine.replica_state.committed_seq == 4


def test_restarted_engine_tells_no_role_of_an_epoch_that_is_over(pair, sequencer):
    primary, _ = pair
    missed = [sequencer.commands() for _ in range(3)]
    later = sequencer.epoch_start(2, primary=2, epoch=2)
    primary.restart()
    # The leader sends what it lacks, under the old epoch's stamps, and says that it leads the new one.
    for old in missed:
        primary.stream(replace(old, leader_epoch=2))
        assert primary.machine.replica_state.role is Role.PRIMARY
        assert primary.machine.replica_state.reported_role is Role.LEARNER
        assert primary.machine.replica_state.why().endswith("of epoch 1: the leader is in epoch 2")
    primary.stream(later)
    assert primary.machine.replica_state.reported_role is Role.LEARNER
    assert primary.machine.replica_state.why().startswith("caught up")


def test_engine_that_was_alone_in_sync_tells_its_role_once_it_has_heard_the_leader(sequencer, new_node):
    node = new_node(1)
    node.stream(sequencer.epoch_start(1, primary=1), sequencer.commands())
    assert (node.machine.replica_state.reported_role, node.machine.replica_state.why()) == (Role.PRIMARY, "")
    node.restart()
    node.step(Tick())
    assert node.machine.replica_state.reported_role is Role.LEARNER
    assert node.machine.replica_state.why().endswith("up to seq 4 of epoch 1: no leading sequencer was heard since")
    node.stream(sequencer.heartbeat())
    assert (node.machine.replica_state.reported_role, node.machine.replica_state.why()) == (Role.PRIMARY, "")


def test_engine_that_was_alone_in_sync_and_was_replaced_never_tells_that_it_is_primary(sequencer, new_node):
    node = new_node(1)
    node.stream(sequencer.epoch_start(1, primary=1), sequencer.commands())
    grow = sequencer.control(CommandKind.GROW, member=2)
    start = sequencer.epoch_start(2, primary=2, epoch=2)
    node.restart()
    for received in (replace(grow, leader_epoch=2), start):
        node.stream(received)
        assert node.machine.replica_state.reported_role is Role.LEARNER
        assert node.machine.replica_state.why()


@pytest.mark.parametrize("epochs", [1, 3])
def test_role_that_is_known_once_holds_through_later_epochs(pair, sequencer, epochs):
    primary, _ = pair
    primary.restart()
    primary.stream(sequencer.heartbeat())
    assert primary.machine.replica_state.reported_role is Role.PRIMARY
    for epoch in range(2, 2 + epochs):
        primary.step(FenceRequested(ticket=epoch, cluster_uuid="u", epoch=epoch, sequencer=1))
        assert primary.machine.replica_state.reported_role is Role.PRIMARY
        primary.stream(sequencer.epoch_start(1, 2, primary=1, epoch=epoch))
        assert primary.machine.replica_state.reported_role is Role.PRIMARY


def test_learner_asks_the_next_peer_when_one_cannot_help(new_node):
    learner = new_node(1, engines=(1, 2, 3))
    assert learner.step(Tick()).fetch.peer == 2
    learner.step(PeerLogFailed(2))
    assert learner.step(Tick()).fetch is None
    learner.wait(51)
    assert learner.step(Tick()).fetch.peer == 3
    learner.step(PeerLog(3, "u", False, 0, ()))
    learner.wait(51)
    assert learner.step(Tick()).fetch.peer == 2


def test_learner_catches_up_from_nothing_and_knows_what_is_committed(pair, sequencer, new_node):
    primary, standby = pair
    batch = sequencer.commands()
    primary.acks(standby.stream(batch).ack)
    primary.stream(batch)
    learner = new_node(2)
    learner.step(Tick())
    effects = learner.step(as_peer_log(primary, 1, 1))
    assert learner.machine.replica_state.live
    assert learner.machine.replica_state.committed_seq == 4
    assert effects.ack is not None
    assert learner.machine.replica_state.digest == primary.machine.replica_state.digest
    assert learner.machine.replica_state.cluster_uuid == "u"


def test_learner_whose_equal_log_gives_another_digest_is_diverged(pair, new_node):
    primary, _ = pair
    learner = new_node(2)
    learner.step(Tick())
    learner.step(replace(as_peer_log(primary, 1, 1), digest=b"y" * 16))
    assert learner.machine.replica_state.role is Role.DIVERGED


def test_committed_commands_are_never_truncated(pair, sequencer, new_sequencer):
    primary, _ = pair
    primary.stream(sequencer.epoch_start(1, primary=1, epoch=2))
    assert primary.machine.replica_state.committed_seq == 2
    primary.stream(new_sequencer(2, 5, 2).epoch_start(2, primary=2))
    effects = primary.step(PeerLog(2, "u", True, 2, (EpochEntry(1, 1), EpochEntry(5, 2))))
    assert effects.truncate_after is None
    assert primary.machine.replica_state.role is Role.DIVERGED


def test_replay_refuses_a_hole_in_the_journal(pair, sequencer, new_node):
    primary, _ = pair
    primary.stream(sequencer.commands(), sequencer.commands())
    del primary.disk[1]
    with pytest.raises(BrokenInvariant, match="does not follow"):
        primary.restart()


def test_two_engines_with_the_same_stream_have_the_same_digest(pair, sequencer):
    primary, standby = pair
    frames = [sequencer.commands(n) for n in (1, 4, 2)]
    primary.stream(*frames)
    for one in frames:
        standby.stream(one)
    assert primary.machine.replica_state.digest == standby.machine.replica_state.digest
    assert standby.machine.replica_state.in_sync_bits == members_to_bits((1, 2))


def test_epoch_that_follows_another_record_is_not_taken_even_from_the_sequencer_that_fenced(
    pair, sequencer, new_sequencer
):
    primary, _ = pair
    primary.stream(sequencer.commands())
    primary.step(FenceRequested(1, "u", 3, 2))
    leader = new_sequencer(2, 4, 5, 50_000)
    start = leader.control(CommandKind.EPOCH_START, in_sync=members_to_bits((1,)), primary=1, previous=3)
    effects = primary.stream(start)
    assert primary.machine.replica_state.head.seq == 4
    assert effects.notices[0].event == "left_stream"


def test_engine_does_not_speak_of_its_log_to_a_leader_of_whom_nothing_fits_yet(pair, sequencer, new_sequencer):
    primary, _ = pair
    primary.stream(sequencer.commands())
    primary.step(FenceRequested(1, "u", 3, 2))
    primary.wait(50)
    assert primary.step(Tick()).ack is None
    leader = new_sequencer(2, 3, 5, 50_000)
    start = leader.control(CommandKind.EPOCH_START, in_sync=members_to_bits((1,)), primary=1, previous=1)
    assert primary.stream(start).ack.entries["last_seq"].tolist() == [5]


def test_promise_whose_owner_is_unknown_belongs_to_the_first_that_speaks_for_its_epoch(pair, sequencer):
    primary, _ = pair
    primary.stream(sequencer.commands())
    primary.promise = (1, 0)
    primary.restart()
    assert primary.step(replace(FENCE_2, epoch=1, sequencer=1)).fence_answers[0].accepted
    primary.restart()
    primary.promise = (1, 0)
    primary.restart()
    effects = primary.stream(sequencer.commands())
    assert effects.journal.promise == (1, 1)


def test_fenced_engine_whose_missing_frames_were_cut_everywhere_takes_a_snapshot(sequencer, new_node):
    node = new_node(2)
    node.step(FenceRequested(1, "uuid-1", 1, 1, settled=True))
    assert node.machine.replica_state.live
    sequencer.next_seq = 50
    fetch = snapshot = None
    for _ in range(100):
        node.wait(60)
        effects = node.stream(sequencer.heartbeat())
        if effects.fetch is not None:
            fetch = effects.fetch
            snapshot = node.step(PeerLogBehind(fetch.peer)).fetch_snapshot
            break
    assert fetch is not None
    assert snapshot is not None
    assert snapshot.peer == fetch.peer
    assert not node.machine.replica_state.live
