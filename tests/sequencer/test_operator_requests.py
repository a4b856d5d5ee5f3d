"""What operators can ask a leading sequencer for, played on one machine."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lockstep.sequencer import events as ev
from lockstep.sequencer.events import EpochCause
from lockstep.sequencer.operator_requests import why_not_eligible
from lockstep.stream.records import CONTROL, AckPolicy, CommandKind

Build = Callable[..., Any]


def last_control(play: Any) -> tuple[CommandKind, EpochCause]:
    """Kind and cause of the newest control record."""
    kind, record = play.controls()[-1]
    return kind, EpochCause(int(record["cause"]))


def test_ack_policy_goes_to_etcd_first_and_then_into_every_epoch_start(stage: Build) -> None:
    play = stage()
    play.lead()
    swap = play.tell(ev.AckPolicyRequested(5, AckPolicy.REPLICATED)).cas
    assert swap.record.ack_policy is AckPolicy.REPLICATED
    assert [kind for kind, _ in play.controls()] == [CommandKind.EPOCH_START], "the stream must not say it before etcd"
    (answer,) = play.wins().answers
    assert (answer.refused, answer.epoch, answer.seq) == ("", 2, play.tip)
    assert last_control(play) == (CommandKind.EPOCH_START, EpochCause.ACK_POLICY_CHANGED)
    assert play.controls()[-1][1]["policy"] == AckPolicy.REPLICATED
    play.tell(ev.EngineDown(2, ev.Down.EOF))
    play.wins()
    assert play.controls()[-1][1]["policy"] == AckPolicy.REPLICATED, "a later epoch fell back to another policy"


def test_new_leader_keeps_the_ack_policy_of_the_config(stage: Build, make_config: Build) -> None:
    play = stage(member=1)
    play.raise_curtain()
    play.sees(make_config(ack_policy=AckPolicy.REPLICATED))
    play.wins()
    for engine in (1, 2):
        play.promise(engine, 10)
    assert play.controls()[-1][1]["policy"] == AckPolicy.REPLICATED


def test_wish_that_is_fulfilled_already_is_answered_at_once(stage: Build) -> None:
    play = stage()
    play.lead()
    effects = play.tell(ev.AckPolicyRequested(5, AckPolicy.SYNCED))
    assert effects.cas is None
    assert effects.answers[0].refused == ""


def test_while_automatic_failover_is_off_a_lost_engine_stalls_the_cluster(stage: Build) -> None:
    play = stage()
    play.lead()
    play.tell(ev.FailoverModeRequested(1, automatic=False))
    assert play.wins().answers[0].refused == ""
    assert play.epoch == 1, "pausing began an epoch"
    play.tell(ev.EngineDown(2, ev.Down.EOF))
    play.submit(1, 3)
    play.ack(1, play.tip)
    play.pass_time(3000)
    assert play.pending_cas is None
    assert play.committed == 1
    assert "automatic failover is off" in play.machine.reign.why
    play.tell(ev.FailoverModeRequested(2, automatic=True))
    play.wins()
    play.wins()
    assert play.machine.reign.config.in_sync == (1,)


def test_operator_commands_work_while_automatic_failover_is_off(stage: Build) -> None:
    play = stage()
    play.lead()
    play.tell(ev.FailoverModeRequested(1, automatic=False))
    play.wins()
    play.tell(ev.SwitchPrimaryRequested(2, 2))
    assert play.wins().answers[0].primary == 2


def test_paused_cluster_is_not_taken_over_by_another_sequencer(stage: Build, make_config: Build) -> None:
    play = stage(member=2)
    play.raise_curtain()
    play.sees(make_config(paused=True))
    play.tell(ev.SequencerDown(1, ev.Down.EOF))
    play.pass_time(5000)
    assert play.pending_cas is None
    assert "automatic failover is off" in play.machine.why


def test_paused_cluster_is_resumed_by_the_same_sequencer_with_all_its_engines(stage: Build, make_config: Build) -> None:
    play = stage(member=1)
    play.raise_curtain()
    play.sees(make_config(paused=True))
    play.wins()
    play.promise(1, 10)
    play.tell(ev.EngineDown(2, ev.Down.EOF))
    play.pass_time(3000)
    assert play.machine.reign is None, "it went on without an engine that is in sync"
    assert "automatic failover is off" in play.machine.why
    play.tell(ev.EngineUp(2, 4))
    play.promise(2, 10)
    assert play.machine.reign is not None
    assert play.machine.reign.config.paused


def test_switching_automatic_failover_on_lets_a_candidate_replace_the_lost_leader(
    stage: Build, make_config: Build
) -> None:
    play = stage(member=2)
    play.raise_curtain()
    play.sees(make_config(paused=True))
    assert "does not lead" in play.tell(ev.FailoverModeRequested(1, automatic=True)).answers[0].refused
    play.tell(ev.SequencerDown(1, ev.Down.EOF))
    assert play.tell(ev.FailoverModeRequested(2, automatic=True)).cas is not None
    play.wins()
    play.promise(1, 10)
    (answer,) = play.promise(2, 10).answers
    assert (answer.request, answer.refused) == (2, "")
    assert not play.machine.reign.config.paused


def test_failover_is_switched_on_at_a_candidate_while_the_leader_is_mute(stage: Build, make_config: Build) -> None:
    play = stage(member=2)
    play.sees(make_config(sequencer=1, paused=True))
    play.tell(ev.EngineUp(1, 4), ev.EngineUp(2, 4), ev.SequencerUp(1, 4))
    assert "does not lead" in play.tell(ev.FailoverModeRequested(1, automatic=True)).answers[0].refused
    play.tell(ev.SequencerMute(1, True))
    play.pass_time(1_000)
    assert not play.pending_cas
    play.tell(ev.FailoverModeRequested(2, automatic=True))
    play.pass_time(100)
    assert (play.pending_cas.record.sequencer, play.pending_cas.record.paused) == (2, False)


def test_order_that_could_not_be_begun_in_time_is_dropped(stage: Build, make_config: Build) -> None:
    play = stage(member=2)
    play.raise_curtain()
    play.sees(make_config(paused=True))
    play.tell(ev.SequencerDown(1, ev.Down.EOF))
    play.tell(ev.FailoverModeRequested(2, automatic=True))
    for _ in range(300):
        record = play.pending_cas.record
        play.pending_cas = None
        play.tell(ev.StoreDown(record.attempt))
        play.after(500)
        if play.pending_cas is None:
            break
    answers = [answer for effects in play.log for answer in effects.answers]
    assert "could not be begun" in answers[-1].refused


def test_fenced_member_leaves_and_is_not_grown_until_it_is_let_in(stage: Build) -> None:
    play = stage()
    play.lead()
    play.tell(ev.MemberFenceRequested(1, 1, fenced=True))
    play.wins()
    config = play.machine.reign.config
    assert (config.in_sync, config.primary, config.fenced) == ((2,), 2, (1,))
    assert play.controls()[-1][1]["cause"] == EpochCause.MEMBER_FENCED
    play.ack(2, play.tip)
    play.ack(1, play.tip)
    play.pass_time(2000)
    assert play.machine.reign.membership.growth is None
    play.tell(ev.MemberFenceRequested(2, 1, fenced=False))
    play.wins()
    play.pass_time(600)
    assert play.machine.reign.membership.growth is not None


def test_last_in_sync_engine_is_not_fenced(stage: Build) -> None:
    play = stage()
    play.lead()
    play.tell(ev.EngineDown(2, ev.Down.EOF))
    play.wins()
    answer = play.tell(ev.MemberFenceRequested(1, 1, fenced=True)).answers[0]
    assert "last one in sync" in answer.refused
    assert "no engine 9" in play.tell(ev.MemberFenceRequested(2, 9, fenced=True)).answers[0].refused


def test_engine_is_not_fenced_when_only_a_dead_one_would_be_left(stage: Build) -> None:
    play = stage()
    play.lead()
    play.tell(ev.FailoverModeRequested(1, automatic=False))
    play.wins()
    play.tell(ev.EngineDown(2, ev.Down.EOF))
    assert "would stop" in play.tell(ev.MemberFenceRequested(2, 1, fenced=True)).answers[0].refused


def test_growing_learner_is_withdrawn_when_it_is_fenced(stage: Build) -> None:
    play = stage()
    play.lead()
    play.tell(ev.EngineDown(2, ev.Down.EOF))
    play.wins()
    play.ack(1, play.tip)
    play.tell(ev.EngineUp(2, 2))
    play.ack(2, play.tip)
    play.pass_time(600)
    assert play.machine.reign.membership.growth is not None
    play.tell(ev.MemberFenceRequested(1, 2, fenced=True))
    play.wins()
    play.after(5)
    assert play.controls()[-1][0] is CommandKind.GROW_REVOKED


def test_every_epoch_leaves_one_line_of_history_with_its_gap(stage: Build) -> None:
    play = stage()
    play.lead()
    play.tell(ev.EngineDown(2, ev.Down.EOF))
    play.now_ns += 7_000_000
    play.wins()
    lines = [line for effects in play.log for line in effects.history]
    assert [(line.epoch, line.cause, line.gap_ns) for line in lines] == [
        (1, EpochCause.BOOTSTRAP, 0),
        (2, EpochCause.STANDBY_LOST, 7_000_000),
    ]
    assert lines[1].first_seq == play.tip
    assert lines[1].in_sync == (1,)


# A forced failover ----------------------------------------------------------------------------------------------------


def test_forced_failover_opens_with_an_engine_that_was_not_in_sync_when_all_others_are_dead(
    stage: Build, make_config: Build
) -> None:
    play = stage(member=2, engines=(1, 2, 3))
    play.raise_curtain()
    play.sees(make_config(in_sync=(1, 2), learners=(3,)))
    for engine in (1, 2):
        play.tell(ev.EngineDown(engine, ev.Down.EOF))
    play.tell(ev.SequencerDown(1, ev.Down.EOF))
    play.pass_time(3000)
    assert not play.pending_cas, "it claims though no in-sync engine could promise"
    play.tell(ev.ForceFailoverRequested(9, 3))
    play.wins()
    (answer,) = play.promise(3, 8).answers
    assert (answer.request, answer.refused, answer.primary) == (9, "", 3)
    config = play.machine.reign.config
    assert (config.in_sync, config.learners) == ((3,), (1, 2))
    opened = play.sent_to(3)[-1].records.view(CONTROL)[0]
    history = [line for effects in play.log for line in effects.history]
    assert history[-1].cause is EpochCause.DATA_LOSS_ACCEPTED
    assert opened["cause"] == EpochCause.DATA_LOSS_ACCEPTED
    play.ack(3, play.tip)
    play.after(5)
    assert not play.pending_cas.record.data_loss, "the mark is kept although the stream has said it"


def test_data_loss_is_stamped_even_if_another_sequencer_opens_the_reign(stage: Build, make_config: Build) -> None:
    play = stage(member=2, engines=(1, 2, 3))
    play.raise_curtain()
    play.sees(make_config(in_sync=(3,), primary=3, learners=(1, 2), data_loss=True))
    play.tell(ev.SequencerDown(1, ev.Down.EOF))
    play.wins()
    play.promise(3, 8)
    history = [line for effects in play.log for line in effects.history]
    assert history[-1].cause is EpochCause.DATA_LOSS_ACCEPTED


def test_forced_failover_is_refused_while_nothing_needs_to_be_lost(stage: Build) -> None:
    play = stage()
    play.lead()
    assert "switchover" in play.tell(ev.ForceFailoverRequested(1, 2)).answers[0].refused
    assert "no engine 7" in play.tell(ev.ForceFailoverRequested(2, 7)).answers[0].refused
    play.tell(ev.EngineDown(2, ev.Down.EOF))
    assert "does not answer" in play.tell(ev.ForceFailoverRequested(3, 2)).answers[0].refused


def test_forced_failover_ends_a_halt(stage: Build, make_config: Build) -> None:
    play = stage(member=1)
    play.raise_curtain()
    play.sees(make_config())
    play.wins()
    play.promise(1, 10)
    play.promise(2, 10, tip_digest=b"?" * 16)
    assert play.machine.state.value == "halted"
    assert "different digests" in play.tell(ev.SwitchPrimaryRequested(1, 2)).answers[0].refused
    play.tell(ev.ForceFailoverRequested(2, 1))
    play.wins()
    assert play.promise(1, 10).answers[0].primary == 1


# Blank journals -------------------------------------------------------------------------------------------------------


def test_founding_ends_in_etcd_before_the_first_reign_opens(stage: Build) -> None:
    play = stage()
    play.raise_curtain()
    assert play.sees(None).cas.record.founding
    play.wins()
    fences = [fence for effects in play.log for fence in effects.fences]
    assert not any(fence.settled for fence in fences)
    play.promise(1)
    swap = play.promise(2).cas
    assert not swap.record.founding
    assert play.machine.reign is None
    play.wins()
    assert play.machine.reign is not None


def test_blank_answer_of_an_in_sync_engine_is_narrowed_out(stage: Build, make_config: Build) -> None:
    play = stage(member=1)
    play.raise_curtain()
    play.sees(make_config())
    play.wins()
    assert all(fence.settled for effects in play.log for fence in effects.fences)
    play.promise(2, 0, blank=True)
    assert play.machine.reign is None
    swap = play.promise(1, 10).cas
    assert swap.record.in_sync == (1,)
    play.wins()
    assert play.tip == 11


def test_cluster_waits_when_every_in_sync_journal_is_blank(stage: Build, make_config: Build) -> None:
    play = stage(member=1)
    play.raise_curtain()
    play.sees(make_config(in_sync=(2,), primary=2, learners=(1,)))
    play.wins()
    play.promise(2, 0, blank=True)
    play.pass_time(5000)
    assert play.machine.reign is None
    assert "journal is blank" in play.machine.why


def test_log_that_ends_before_what_the_config_knows_to_be_committed_is_narrowed_out(
    stage: Build, make_config: Build
) -> None:
    play = stage(member=1)
    play.raise_curtain()
    play.sees(make_config(known_seq=10))
    play.wins()
    play.promise(2, 9)
    assert play.machine.reign is None
    swap = play.promise(1, 10).cas
    assert swap.record.in_sync == (1,)
    play.wins()
    assert play.tip == 11


def test_cluster_waits_and_says_why_when_every_log_ends_before_what_the_config_knows(
    stage: Build, make_config: Build
) -> None:
    play = stage(member=1)
    play.raise_curtain()
    play.sees(make_config(in_sync=(2,), primary=2, learners=(1,), known_seq=10))
    play.wins()
    play.promise(2, 9)
    play.pass_time(5000)
    assert play.machine.reign is None
    assert "its log ends at seq 9, while seq 10 was committed" in play.machine.why
    # The right directory is put back: nothing is lost, nobody has to be forced.
    play.promise(2, 10)
    assert play.machine.reign is not None


def test_forced_failover_takes_the_log_that_is_there_and_forgets_what_was_known(
    stage: Build, make_config: Build
) -> None:
    play = stage(member=1)
    play.raise_curtain()
    play.sees(make_config(in_sync=(2,), primary=2, learners=(1,), known_seq=10))
    play.wins()
    play.promise(2, 9)
    play.tell(ev.ForceFailoverRequested(2, 2))
    play.wins()
    assert play.machine.config_store.config.known_seq == 0
    play.promise(2, 9)
    assert play.machine.reign is not None


def test_every_change_of_the_config_says_what_is_known_to_be_committed(stage: Build) -> None:
    play = stage(engines=(1, 2))
    play.lead()
    play.submit(1, 5)
    play.ack_all(1, 2)
    committed = play.committed
    assert committed >= 6
    play.tell(ev.EngineDown(2, ev.Down.EOF))
    assert play.pending_cas.record.in_sync == (1,)
    assert play.pending_cas.record.known_seq == committed


def test_forced_failover_does_not_take_an_empty_journal(stage: Build, make_config: Build) -> None:
    play = stage(member=1)
    play.raise_curtain()
    play.sees(make_config(in_sync=(2,), primary=2, learners=(1,)))
    play.tell(ev.EngineDown(2, ev.Down.EOF))
    play.wins()
    play.tell(ev.ForceFailoverRequested(2, 1))
    play.wins()
    play.promise(1, 0, blank=True)
    play.pass_time(1000)
    assert play.machine.reign is None
    play.promise(1, 6, blank=True)
    assert play.machine.reign is not None


# Eligibility ----------------------------------------------------------------------------------------------------------


def test_every_engine_that_is_not_eligible_has_a_reason(stage: Build) -> None:
    play = stage(engines=(1, 2, 3, 4))
    play.lead()
    peers, config = play.machine.peers, play.machine.reign.config
    config = replace(config, in_sync=(1, 2), learners=(3,), fenced=(4,))
    assert "is the primary" in why_not_eligible(config, peers, 1, behind=0)
    assert why_not_eligible(config, peers, 2, behind=0) == ""
    assert "12 commands behind" in why_not_eligible(config, peers, 3, behind=12)
    assert "catching up" in why_not_eligible(config, peers, 3, behind=None)
    assert "fenced" in why_not_eligible(config, peers, 4, behind=0)
    play.tell(ev.EngineDown(2, ev.Down.EOF), ev.EngineDown(3, ev.Down.HANG))
    assert "does not answer" in why_not_eligible(config, peers, 2, behind=0)
    assert "does not answer" in why_not_eligible(config, peers, 3, behind=0)


def test_in_sync_engine_that_speaks_with_a_new_journal_is_removed_and_confirms_nothing(stage: Build) -> None:
    play = stage()
    play.lead()
    play.submit(1, 5)
    play.ack(1, 6)
    play.ack(2, 6, unjoined=True)
    play.pass_time(200)
    assert play.committed == 1
    assert play.pending_cas.record.in_sync == (1,)


def test_switching_automatic_failover_on_frees_a_takeover_that_waits_for_an_engine(
    stage: Build, make_config: Build
) -> None:
    play = stage(member=1)
    play.raise_curtain()
    play.sees(make_config(paused=True))
    play.wins()
    play.promise(1, 10)
    play.promise(2, 0, blank=True)
    assert play.pending_cas is None
    play.tell(ev.FailoverModeRequested(4, automatic=True))
    play.wins()
    play.promise(1, 10)
    play.promise(2, 0, blank=True)
    (answer,) = play.wins().answers
    assert (answer.request, answer.refused) == (4, "")
    assert play.machine.reign.config.in_sync == (1,)
