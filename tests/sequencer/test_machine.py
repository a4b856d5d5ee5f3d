"""Election, takeover and stepping down, rule by rule."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lockstep.sequencer import events as ev
from lockstep.sequencer.states import State
from lockstep.stream.batch import Batch, stamp_batch
from lockstep.stream.records import COMMAND, CONTROL, CommandKind

Build = Callable[..., Any]


def journaled(first: int, count: int, *, epoch: int, time_ns: int) -> Batch:
    """A batch as an engine's journal holds it."""
    return stamp_batch(np.zeros(count, COMMAND), epoch=epoch, first_seq=first, timestamp_ns=time_ns)


def challenger(stage: Build, make_config: Build, **fields: Any) -> Any:
    """Sequencer 2 as a candidate under sequencer 1, everything up."""
    play = stage(member=2, **({"engines": fields.pop("engines")} if "engines" in fields else {}))
    play.raise_curtain()
    play.sees(make_config(**fields))
    return play


def test_first_sequencer_creates_the_config_with_all_engines_in_sync(stage: Build) -> None:
    play = stage()
    effects = play.sees(None)
    assert effects.cas.expected_mod_revision == 0
    record = effects.cas.record
    assert (record.epoch, record.sequencer, record.primary, record.in_sync) == (1, 1, 1, (1, 2))


def test_later_sequencer_waits_for_the_first_to_create_the_config(stage: Build) -> None:
    play = stage(member=2)
    assert play.sees(None).cas is None
    play.pass_time(400)
    assert play.pending_cas is None
    play.pass_time(200)
    assert play.pending_cas is not None


def test_bootstrap_epoch_is_above_every_epoch_heard_of(stage: Build) -> None:
    play = stage()
    play.tell(ev.EngineUp(1, 41))
    assert play.sees(None).cas.record.epoch == 42


def test_bootstrap_waits_for_all_engines_and_then_lists_the_missing_as_learners(stage: Build) -> None:
    play = stage()
    play.sees(None)
    play.wins()
    play.promise(1)
    play.pass_time(9_900)
    assert (play.machine.state, play.pending_cas) == (State.FENCING, None)
    play.pass_time(200)
    assert play.pending_cas.record.in_sync == (1,)
    assert play.pending_cas.record.learners == (2,)
    play.wins()
    assert play.machine.state is State.LEADER


def test_takeover_fences_before_opening(stage: Build, make_config: Build) -> None:
    play = challenger(stage, make_config)
    effects = play.tell(ev.SequencerDown(1, ev.Down.EOF))
    assert effects.cas.record.epoch == 5
    assert effects.fences == ()
    effects = play.wins()
    assert [(order.engine, order.epoch) for order in effects.fences] == [(1, 5), (2, 5)]
    play.promise(1, 10)
    assert (play.machine.state, play.receipts(), play.sent_to(1)) == (State.FENCING, [], [])
    play.promise(2, 10)
    assert play.machine.state is State.LEADER
    kind, record = play.controls()[0]
    assert kind is CommandKind.EPOCH_START
    assert (record["epoch"], record["primary"], record["in_sync"], record["sequencer"]) == (5, 1, 0b110, 2)
    assert record["cause"] == ev.EpochCause.SEQUENCER_LOST
    first = play.streamed_to(1)[0]
    assert (first.batch.first_seq, first.batch.epoch, first.leader_epoch) == (11, 5, 5)
    assert play.receipts()[0].opens


def test_silent_engine_is_removed_in_etcd_before_the_stream_opens(stage: Build, make_config: Build) -> None:
    play = challenger(stage, make_config)
    play.tell(ev.SequencerDown(1, ev.Down.EOF))
    play.wins()
    play.promise(2, 10)
    play.pass_time(95)
    assert not play.pending_cas
    play.pass_time(10)
    record = play.pending_cas.record
    assert (record.epoch, record.in_sync, record.learners, record.primary) == (5, (2,), (1,), 2)
    assert not play.sent_to(2)
    play.wins()
    assert play.machine.state is State.LEADER
    assert play.controls()[0][1]["in_sync"] == 0b100


def test_engine_known_to_have_crashed_is_not_waited_for(stage: Build, make_config: Build) -> None:
    play = challenger(stage, make_config)
    play.tell(ev.EngineDown(1, ev.Down.EOF), ev.SequencerDown(1, ev.Down.EOF))
    play.wins()
    play.promise(2, 10)
    assert play.pending_cas.record.in_sync == (2,)


def test_engine_never_reached_gets_a_grace_after_our_own_start(stage: Build, make_config: Build) -> None:
    play = stage()
    play.tell(ev.EngineUp(1, 4))
    play.sees(make_config())
    play.wins()
    play.promise(1, 10)
    play.pass_time(1_500)
    assert play.pending_cas is None
    play.promise(2, 10)
    assert play.machine.state is State.LEADER


def test_last_in_sync_engine_is_never_removed_by_a_fence(stage: Build, make_config: Build) -> None:
    play = challenger(stage, make_config)
    play.tell(ev.SequencerDown(1, ev.Down.EOF))
    play.wins()
    play.pass_time(20_000)
    assert play.pending_cas is None
    assert play.machine.state is State.FENCING


def test_failed_fence_is_repeated(stage: Build, make_config: Build) -> None:
    play = challenger(stage, make_config)
    play.tell(ev.SequencerDown(1, ev.Down.EOF))
    play.wins()
    assert play.tell(ev.FenceFailed(1, 5, "UNAVAILABLE")).fences == ()
    assert [order.engine for order in play.after(25).fences] == [1]


def test_longest_log_wins_and_is_sent_again_under_its_original_stamps(stage: Build, make_config: Build) -> None:
    play = challenger(stage, make_config)
    play.tell(ev.SequencerDown(1, ev.Down.EOF))
    play.wins()
    play.promise(1, 10, tip_epoch=4)
    effects = play.promise(2, 15, tip_epoch=4)
    assert play.machine.state is State.RECOVERING
    assert (effects.fetch.engine, effects.fetch.from_seq, effects.fetch.to_seq) == (2, 11, 15)
    old = (journaled(11, 2, epoch=3, time_ns=100), journaled(13, 3, epoch=4, time_ns=200))
    play.tell(ev.JournalFetched(2, 5, old))
    resent = play.streamed_to(1)
    assert [one.leader_epoch for one in resent] == [5, 5, 5]
    assert [one.batch.raw for one in resent[:2]] == [one.raw for one in old]
    assert (resent[2].batch.first_seq, resent[2].batch.count, resent[2].batch.epoch) == (16, 1, 5)
    assert [one.first_seq for one in play.sent_to(2)] == [16]


def test_fetched_log_with_a_gap_is_not_used(stage: Build, make_config: Build) -> None:
    play = challenger(stage, make_config)
    play.tell(ev.SequencerDown(1, ev.Down.EOF))
    play.wins()
    play.promise(1, 10)
    play.promise(2, 15)
    play.tell(ev.JournalFetched(2, 5, (journaled(12, 4, epoch=4, time_ns=1),)))
    assert play.machine.state is State.RECOVERING
    assert play.after(25).fetch is not None


def test_source_that_dies_during_recovery_is_removed_and_the_next_log_wins(stage: Build, make_config: Build) -> None:
    play = challenger(stage, make_config)
    play.tell(ev.SequencerDown(1, ev.Down.EOF))
    play.wins()
    play.promise(1, 10)
    play.promise(2, 15)
    play.tell(ev.EngineDown(2, ev.Down.EOF))
    assert play.pending_cas.record.in_sync == (1,)
    play.wins()
    assert play.machine.state is State.LEADER
    assert play.sent_to(1)[0].first_seq == 11


def test_different_digests_at_one_tip_halt_for_good(stage: Build, make_config: Build) -> None:
    play = challenger(stage, make_config)
    play.tell(ev.SequencerDown(1, ev.Down.EOF))
    play.wins()
    play.promise(1, 10)
    play.promise(2, 10, tip_digest=b"x" * 16)
    assert play.machine.state is State.HALTED
    assert "different digests at seq 10" in play.machine.why
    assert play.after(10_000) is ev.NOTHING


def test_time_never_goes_back_across_epochs(stage: Build, make_config: Build) -> None:
    play = challenger(stage, make_config)
    future_ns = play.now_ns + 3_600_000_000_000
    play.tell(ev.SequencerDown(1, ev.Down.EOF))
    play.wins()
    play.promise(1, 10, timestamp_ns=future_ns)
    play.promise(2, 10, timestamp_ns=future_ns)
    play.submit(1, 3)
    assert [one.timestamp_ns for one in play.sent_to(1)] == [future_ns, future_ns]


def test_fence_refused_by_a_higher_promise_steps_down_and_comes_back_above_it(stage: Build, make_config: Build) -> None:
    play = challenger(stage, make_config)
    play.tell(ev.SequencerDown(1, ev.Down.EOF))
    play.wins()
    play.promise(1, 10, accepted=False, promised=9)
    assert play.machine.state is State.CANDIDATE
    play.pass_time(15)
    assert not play.pending_cas
    play.pass_time(10)
    assert play.pending_cas.record.epoch == 10


def test_ambiguous_swap_is_read_again_and_counts_if_the_value_is_ours(stage: Build, make_config: Build) -> None:
    play = challenger(stage, make_config)
    play.tell(ev.SequencerDown(1, ev.Down.EOF))
    mine = play.pending_cas.record
    effects = play.tell(ev.CasAmbiguous(mine.attempt))
    assert (effects.read_config, play.machine.state) == (True, State.CLAIMING)
    play.sees(mine)
    assert play.machine.state is State.FENCING


def test_ambiguous_swap_that_was_not_applied_is_repeated_with_the_same_attempt(
    stage: Build, make_config: Build
) -> None:
    play = challenger(stage, make_config)
    play.tell(ev.SequencerDown(1, ev.Down.EOF))
    first = play.pending_cas
    play.tell(ev.CasAmbiguous(first.record.attempt))
    effects = play.tell(ev.ConfigSeen(make_config(), play.revision))
    assert effects.cas == first


def test_watch_that_is_faster_than_the_swaps_answer_settles_it_once(stage: Build, make_config: Build) -> None:
    play = challenger(stage, make_config)
    play.tell(ev.SequencerDown(1, ev.Down.EOF))
    mine = play.pending_cas.record
    assert len(play.sees(mine).fences) == 2
    assert play.tell(ev.CasWon(mine.attempt, play.revision)).fences == ()
    assert play.machine.state is State.FENCING


def test_lost_swap_leaves_the_lead_to_the_winner(stage: Build, make_config: Build) -> None:
    play = challenger(stage, make_config)
    play.tell(ev.SequencerDown(1, ev.Down.EOF))
    play.loses(make_config(epoch=5, sequencer=3, attempt="third.1"))
    assert play.machine.state is State.CANDIDATE
    play.pass_time(1_000)
    assert play.pending_cas is None


def test_candidate_does_not_take_over_a_leader_that_it_merely_has_not_reached(stage: Build, make_config: Build) -> None:
    play = stage(member=2)
    play.sees(make_config())
    play.tell(ev.SequencerDown(1, ev.Down.UNREACHED), ev.PresenceSeen(1, True))
    play.pass_time(5_000)
    assert play.pending_cas is None


def test_candidate_takes_over_an_unreached_leader_that_etcd_calls_gone(stage: Build, make_config: Build) -> None:
    play = stage(member=2)
    play.sees(make_config())
    play.tell(ev.EngineUp(1, 4), ev.SequencerDown(1, ev.Down.UNREACHED), ev.PresenceSeen(1, False))
    play.pass_time(150)
    assert play.pending_cas is None
    play.pass_time(100)
    assert play.pending_cas is not None


def test_candidate_behind_a_live_one_with_a_smaller_id_lets_it_go_first(stage: Build, make_config: Build) -> None:
    play = stage(member=3)
    play.raise_curtain()
    play.sees(make_config())
    assert play.tell(ev.SequencerDown(1, ev.Down.EOF)).cas is None
    play.pass_time(10)
    assert play.pending_cas is not None


def test_leader_that_hung_and_resumed_is_left_alone(stage: Build, make_config: Build) -> None:
    play = stage(member=3)
    play.raise_curtain()
    play.sees(make_config())
    play.tell(ev.SequencerDown(1, ev.Down.HANG), ev.SequencerUp(1, 4))
    play.pass_time(1_000)
    assert play.pending_cas is None


def test_restarted_leader_takes_its_own_cluster_over_under_a_new_epoch(stage: Build, make_config: Build) -> None:
    play = stage()
    assert play.sees(make_config()).cas.record.epoch == 5


def test_leader_steps_down_when_the_config_names_another(stage: Build, make_config: Build) -> None:
    play = stage()
    play.lead()
    play.sees(make_config(epoch=2, sequencer=2))
    assert play.machine.state is State.CANDIDATE
    before = len(play.receipts())
    play.pass_time(100)
    assert len(play.receipts()) == before


def test_leader_steps_down_when_an_engine_has_promised_more(stage: Build) -> None:
    play = stage()
    play.lead()
    promised = play.epoch + 50
    play.tell(ev.EnginePromised(1, promised))
    assert play.machine.state is State.CANDIDATE
    play.after(200)
    assert play.pending_cas is not None
    assert play.pending_cas.record.epoch == promised + 1


@pytest.mark.parametrize("ahead", [1, 500, 2**48 - 10, 2**62])
def test_an_ack_that_speaks_of_a_higher_epoch_ends_no_reign(stage: Build, ahead: int) -> None:
    play = stage()
    play.lead()
    ignored = play.machine.ignored
    play.ack(1, play.tip, epoch=play.epoch + ahead, times=1)
    assert play.machine.state is State.LEADER
    assert play.machine.ignored == ignored + 1
    play.ack_all(1, 2)
    assert play.committed == play.tip


@pytest.mark.parametrize("promised", [2**48, 2**62, 2**63, 2**64 - 1])
def test_a_promise_that_no_cluster_can_reach_does_not_lead_the_epoch_there(stage: Build, promised: int) -> None:
    play = stage()
    play.lead()
    play.tell(ev.EnginePromised(1, promised), ev.EngineUp(1, promised))
    assert play.machine.state is State.LEADER
    assert play.machine.peers.highest_promised < 2**48


@pytest.mark.parametrize("promised", [2**48, 2**64 - 1])
def test_engine_with_an_absurd_promise_is_left_out_and_the_other_goes_on(
    stage: Build, make_config: Build, promised: int
) -> None:
    play = stage()
    play.sees(make_config(sequencer=1))
    play.tell(ev.EngineUp(1, 1), ev.EngineUp(2, 1))
    play.after(5)
    play.wins()
    refusal = ev.FenceAnswered(engine=1, epoch=play.epoch, accepted=False, promised=promised)
    play.tell(refusal)
    assert "repair-promise" in play.machine.why
    play.promise(2)
    for _ in range(40):
        play.after(20)
        play.tell(refusal)
        if play.pending_cas is not None:
            play.wins()
    assert play.machine.state is State.LEADER, play.machine.why
    assert play.machine.reign.config.in_sync == (2,)


def test_older_look_at_the_config_is_ignored(stage: Build, make_config: Build) -> None:
    play = stage()
    play.lead()
    play.tell(ev.ConfigSeen(make_config(sequencer=2), 3))
    assert play.machine.state is State.LEADER


def test_config_of_another_cluster_or_a_wiped_etcd_stops_changes_but_not_trading(
    stage: Build, make_config: Build
) -> None:
    play = stage()
    play.lead()
    play.sees(make_config(uuid="c1a5e000-0000-4000-8000-000000000002", sequencer=2))
    assert play.machine.state is State.LEADER
    play.tell(ev.EngineDown(1, ev.Down.EOF))
    assert play.pending_cas is None
    assert "another cluster" in play.notes()
    play.submit(1, 1)
    assert play.sent_to(2)[-1].records["session_no"].tolist() == [1]


def test_unreachable_etcd_keeps_the_leader_trading_and_the_change_waiting(stage: Build) -> None:
    play = stage()
    play.lead()
    play.tell(ev.EngineDown(2, ev.Down.EOF))
    play.tell(ev.StoreDown(play.pending_cas.record.attempt))
    play.pending_cas = None
    play.submit(1, 2)
    assert play.sent_to(1)[-1].count == 2
    play.ack(1, play.tip)
    assert play.committed < play.tip, "committed without the lost engine although etcd still lists it"
    play.pass_time(60)
    play.wins()
    play.ack(1, play.tip)
    assert play.committed == play.tip


def test_events_that_mean_nothing_in_a_state_change_nothing_and_are_counted(stage: Build) -> None:
    play = stage()
    play.tell(ev.JournalFetched(1, 1, ()), ev.FenceFailed(1, 1, "late"))
    play.ack(1, 5, epoch=1)
    assert play.machine.state is State.CANDIDATE
    assert play.machine.ignored == 4


def test_control_records_keep_the_layout_of_the_stream(stage: Build) -> None:
    play = stage()
    play.lead()
    assert play.sent_to(1)[0].records.view(CONTROL)["cause"][0] == ev.EpochCause.BOOTSTRAP


def test_odd_answer_of_three_is_removed_before_the_reign_opens(stage: Build, make_config: Build) -> None:
    play = stage(member=1, engines=(1, 2, 3))
    play.raise_curtain()
    play.sees(make_config(in_sync=(1, 2, 3)))
    play.wins()
    play.promise(1, 10, tip_digest=b"?" * 16)
    play.promise(2, 10)
    assert (play.machine.state, play.pending_cas) == (State.FENCING, None)
    swap = play.promise(3, 10).cas
    assert (swap.record.in_sync, swap.record.primary, swap.record.fenced) == ((2, 3), 2, (1,))
    play.wins()
    assert play.machine.state is State.LEADER


def test_two_of_three_that_contradict_each_other_wait_for_the_third(stage: Build, make_config: Build) -> None:
    play = stage(member=1, engines=(1, 2, 3))
    play.raise_curtain()
    play.sees(make_config(in_sync=(1, 2, 3)))
    play.tell(ev.EngineDown(3, ev.Down.EOF))
    play.wins()
    play.promise(1, 10, tip_digest=b"?" * 16)
    play.promise(2, 10)
    play.pass_time(3000)
    assert play.machine.state is State.FENCING
    assert play.pending_cas is None
    play.tell(ev.EngineUp(3, 4))
    assert play.promise(3, 10).cas.record.in_sync == (2, 3)


def test_engine_with_a_shorter_log_decides_between_two_that_contradict_each_other(
    stage: Build, make_config: Build
) -> None:
    play = stage(member=1, engines=(1, 2, 3))
    play.raise_curtain()
    play.sees(make_config(in_sync=(1, 2, 3)))
    play.wins()
    play.promise(1, 10, tip_digest=b"?" * 16)
    play.promise(2, 7)
    assert play.promise(3, 10).fetch.from_seq == 8
    play.tell(ev.JournalFetched(1, play.epoch, (journaled(8, 3, epoch=1, time_ns=1),)))
    assert play.machine.state is State.LEADER
    assert [one.first_seq for one in play.sent_to(2)][:2] == [8, 11]
    play.ack(1, play.tip, digest=b"?" * 16)
    play.ack(2, play.tip)
    assert play.committed < play.tip, "released before it is known who is right"
    for _ in range(51):
        play.pass_time(10)
        play.ack(1, play.tip, digest=b"?" * 16)
        play.ack(2, play.tip)
        play.ack(3, play.tip)
    assert (play.pending_cas.record.in_sync, play.pending_cas.record.fenced) == ((2, 3), (1,))


def test_two_histories_of_one_seq_halt_it_whatever_a_third_engine_holds(stage: Build, make_config: Build) -> None:
    play = stage(member=1, engines=(1, 2, 3))
    play.raise_curtain()
    play.sees(make_config(in_sync=(1, 2, 3)))
    play.wins()
    play.promise(1, 10, tip_epoch=2, tip_digest=b"?" * 16)
    play.promise(2, 7)
    play.promise(3, 10)
    assert play.machine.state is State.HALTED


def test_damaged_config_record_stops_changes_and_not_trading_until_it_is_repaired(
    stage: Build, make_config: Build
) -> None:
    play = stage()
    play.lead()
    epoch = play.epoch
    play.revision += 1
    play.tell(ev.ConfigUnreadable("config record is not JSON", play.revision, None))
    play.submit(1, 3)
    play.ack_all(1, 2)
    assert (play.machine.state, play.committed, play.epoch) == (State.LEADER, play.tip, epoch)
    assert "repair-config" in play.machine.config_store.fault
    play.tell(ev.EngineDown(2, ev.Down.EOF))
    play.pass_time(500)
    assert play.pending_cas is None
    play.sees(replace(play.machine.reign.config, epoch=epoch + 9, attempt="repair-1"))
    play.pass_time(200)
    assert play.machine.config_store.fault == ""
    assert play.pending_cas is not None
    assert play.pending_cas.record.epoch == epoch + 10


def test_sequencer_that_starts_before_a_damaged_record_takes_the_last_good_one_and_waits(
    stage: Build, make_config: Build
) -> None:
    play = stage()
    play.tell(ev.ConfigUnreadable("config record is not JSON", 8, make_config(epoch=5, sequencer=2)))
    play.pass_time(3000)
    assert (play.machine.state, play.epoch, play.pending_cas) == (State.CANDIDATE, 5, None)
    assert "repair-config" in play.machine.why
