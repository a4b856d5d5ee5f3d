"""What an operator may do to a cluster as seen, decided without one."""

import pytest

from lockstep.ops.operator.plans import (
    CAUGHT_UP_COMMANDS,
    ChangePlan,
    FailoverPlan,
    NoChange,
    Refusal,
    SwitchoverPlan,
    eligibility,
    plan_ack_policy,
    plan_failover,
    plan_fence,
    plan_pause,
    plan_reinit,
    plan_switchover,
)

from .conftest import MakeView

DOWN = {"up": False, "role": "down", "error": "not reachable"}
NOBODY = {"leader": 0, "leader_address": ""}
SILENT = {"sequencers": ((1, "127.0.0.1:6001", False), (2, "127.0.0.1:6002", False))}


def refused(plan: object, *parts: str) -> Refusal:
    """The refusal, which says all of `parts` somewhere, and what to do."""
    assert isinstance(plan, Refusal), plan
    text = " | ".join([plan.why, plan.remedy, *(reason.text for reason in plan.reasons)])
    for part in parts:
        assert part in text
    assert plan.remedy
    return plan


def test_switchover_chooses_the_engine_that_is_least_behind(make_view: MakeView) -> None:
    plan = plan_switchover(make_view(changes={2: {"lag": 12}}))
    assert isinstance(plan, SwitchoverPlan)
    assert (plan.primary, plan.candidate, plan.leader_address) == (1, 3, "127.0.0.1:6001")
    assert any("engine-3 releases" in step for step in plan.steps)


def test_engine_with_an_earlier_disk_goes_on_only_with_accepted_loss(make_view: MakeView) -> None:
    """It is listed as in sync and looks whole; the sequencer that takes over says that it lacks something."""
    view = make_view(1, {1: {"seq": 24}}, in_sync=(1,), committed_seq=68, waits="engine 1 ends at seq 24", **NOBODY)
    refused(plan_failover(view), "engine 1 ends at seq 24", "right data directory", "--accept-data-loss")
    plan = plan_failover(view, accept_data_loss=True)
    assert isinstance(plan, FailoverPlan)
    assert (plan.candidate, plan.data_loss, plan.lost_commands) == (1, True, 44)


def test_switchover_takes_the_candidate_that_was_named(make_view: MakeView) -> None:
    plan = plan_switchover(make_view(changes={2: {"lag": 12}}), 2)
    assert isinstance(plan, SwitchoverPlan)
    assert plan.candidate == 2


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (DOWN, "does not answer (not reachable)"),
        ({"in_sync": False, "lag": 7}, "not in sync, so it may lack committed commands (7 commands behind)"),
        ({"fenced": True, "in_sync": False}, "fence 2 --lift"),
        ({"digest_equal": False}, "computed something else"),
        ({"leader_objects": "its liveness link is down"}, "its liveness link is down"),
        ({"lag": CAUGHT_UP_COMMANDS + 1}, "4097 commands behind"),
    ],
)
def test_switchover_says_of_each_engine_why_it_is_not_eligible(
    make_view: MakeView, change: dict[str, object], part: str
) -> None:
    view = make_view(changes={2: change})
    plan = refused(plan_switchover(view, 2), part)
    assert "eligible now: engine-3" in plan.remedy
    assert [reason.eligible for reason in plan.reasons] == [False, False, True]
    assert isinstance(plan_switchover(view), SwitchoverPlan)


def test_switchover_to_an_engine_that_catches_up_may_be_waited_for_and_to_others_not(make_view: MakeView) -> None:
    assert refused(plan_switchover(make_view(changes={2: {"in_sync": False}}), 2)).passing
    assert not refused(plan_switchover(make_view(changes={2: DOWN}), 2)).passing
    assert not refused(plan_switchover(make_view(), 1), "is the primary already").passing


def test_switchover_without_another_engine_says_how_to_get_one(make_view: MakeView) -> None:
    refused(plan_switchover(make_view(2, {2: {**DOWN, "in_sync": False}})), "start engine-2")
    refused(plan_switchover(make_view(2, {2: {"fenced": True, "in_sync": False}})), "let engine-2 in again")


def test_switchover_needs_a_leader_and_a_healthy_cluster(make_view: MakeView) -> None:
    refused(plan_switchover(make_view(**NOBODY)), "no sequencer leads", "takeover")
    refused(plan_switchover(make_view(**NOBODY, paused=True)), "lockstep cluster resume")
    refused(plan_switchover(make_view(**NOBODY, **SILENT)), "no sequencer answers", "lockstep sequencer")
    refused(plan_switchover(make_view(why="engines 1 and 2 differ at seq 7")), "differ at seq 7")


def test_an_engine_that_does_not_exist_is_named_with_those_that_do(make_view: MakeView) -> None:
    for plan in (plan_switchover(make_view(), 9), plan_fence(make_view(), 9, fenced=True), plan_reinit(make_view(), 9)):
        refused(plan, "no engine 9", "engine-1, engine-2, engine-3")


def test_eligibility_tells_of_every_engine(make_view: MakeView) -> None:
    reasons = eligibility(make_view(changes={3: {"in_sync": False}}))
    assert [(r.member, r.eligible) for r in reasons] == [(1, False), (2, True), (3, False)]


def test_failover_of_a_healthy_cluster_is_refused_in_favour_of_a_switchover(make_view: MakeView) -> None:
    refused(plan_failover(make_view()), "healthy", "lockstep cluster switchover")


def test_failover_is_left_to_the_cluster_while_automatic_failover_is_on(make_view: MakeView) -> None:
    assert refused(plan_failover(make_view(2, {1: DOWN})), "goes on by itself").passing


def test_failover_of_a_paused_cluster_takes_the_lost_engines_out_and_loses_nothing(make_view: MakeView) -> None:
    plan = plan_failover(make_view(3, {1: DOWN}, paused=True), 3)
    assert isinstance(plan, FailoverPlan)
    assert (plan.candidate, plan.fence, plan.data_loss) == (3, (1,), False)
    assert "no committed command is lost" in plan.consequence
    kept = plan_failover(make_view(3, {3: DOWN}, paused=True))
    assert isinstance(kept, FailoverPlan)
    assert (kept.candidate, kept.fence) == (1, (3,))
    refused(plan_failover(make_view(3, {1: DOWN, 2: {"in_sync": False}}, paused=True), 2), "not in sync", "engine-3")


def test_failover_without_a_leader_points_to_what_hinders_a_takeover(make_view: MakeView) -> None:
    refused(plan_failover(make_view(**NOBODY)), "nothing is lost", "etcd")
    refused(plan_failover(make_view(**NOBODY, paused=True)), "lockstep cluster resume")
    refused(plan_failover(make_view(**NOBODY, **SILENT)), "start a sequencer")


def test_failover_that_may_lose_commands_is_refused_until_that_is_accepted(make_view: MakeView) -> None:
    behind = {"in_sync": False, "seq": 990}
    view = make_view(3, {1: DOWN, 2: DOWN, 3: behind}, in_sync=(1, 2))
    refused(
        plan_failover(view), "start engine-1, engine-2 again", "--accept-data-loss", "10 COMMITTED COMMANDS ARE LOST"
    )
    plan = plan_failover(view, accept_data_loss=True)
    assert isinstance(plan, FailoverPlan)
    assert (plan.candidate, plan.data_loss, plan.lost_commands) == (3, True, 10)
    assert "seq 991 to 1000" in plan.consequence


def test_in_sync_engine_with_a_new_journal_is_no_survivor(make_view: MakeView) -> None:
    blank = {"blank": True, "seq": 900}
    view = make_view(2, {1: blank, 2: DOWN}, in_sync=(1, 2))
    refused(plan_failover(view), "--accept-data-loss")
    plan = plan_failover(view, 1, accept_data_loss=True)
    assert isinstance(plan, FailoverPlan)
    assert (plan.candidate, plan.data_loss) == (1, True)
    refused(plan_fence(make_view(2, {1: blank}), 2, fenced=True), "last in-sync engine that answers")


def test_nobody_is_told_to_move_a_data_directory_that_no_other_engine_can_replace(make_view: MakeView) -> None:
    out = {"in_sync": False}
    for other in (DOWN, {"blank": True}):
        refusal = plan_reinit(make_view(2, {1: other, 2: {**out, **DOWN}}, in_sync=(1,)), 2)
        assert "data_dir" not in str(refusal), refusal


def test_failover_with_loss_takes_the_engine_that_holds_most(make_view: MakeView) -> None:
    old = {"in_sync": False, "seq": 2000, "epoch": 3}
    new = {"in_sync": False, "seq": 995, "epoch": 4}
    plan = plan_failover(make_view(3, {1: DOWN, 2: old, 3: new}, in_sync=(1,)), accept_data_loss=True)
    assert isinstance(plan, FailoverPlan)
    assert plan.candidate == 3


def test_failover_with_loss_is_asked_of_any_sequencer_that_answers(make_view: MakeView) -> None:
    gone = {"in_sync": False}
    view = make_view(2, {1: DOWN, 2: gone}, in_sync=(1,), **NOBODY)
    plan = plan_failover(view, accept_data_loss=True)
    assert isinstance(plan, FailoverPlan)
    assert plan.address == "127.0.0.1:6001"
    silent = make_view(2, {1: DOWN, 2: gone}, in_sync=(1,), **NOBODY, **SILENT)
    refused(plan_failover(silent, accept_data_loss=True), "no sequencer answers")


def test_failover_never_goes_on_with_a_diverged_or_silent_engine(make_view: MakeView) -> None:
    view = make_view(2, {1: DOWN, 2: {"in_sync": False, "digest_equal": False}}, in_sync=(1,))
    refused(plan_failover(view, accept_data_loss=True), "no engine answers that could go on", "must be kept")
    refused(
        plan_failover(make_view(2, {1: DOWN, 2: {"in_sync": False}}, in_sync=(1,)), 1, accept_data_loss=True),
        "engine-1",
    )


def test_failover_goes_on_with_a_fenced_engine_only_if_it_is_named(make_view: MakeView) -> None:
    view = make_view(2, {1: DOWN, 2: {"in_sync": False, "fenced": True}}, in_sync=(1,))
    refused(plan_failover(view, accept_data_loss=True), "no engine answers that could go on", "--candidate 2")
    assert isinstance(plan_failover(view, 2, accept_data_loss=True), FailoverPlan)


def test_pause_and_resume_change_only_what_is_not_so_already(make_view: MakeView) -> None:
    assert isinstance(plan_pause(make_view(), paused=True), ChangePlan)
    assert isinstance(plan_pause(make_view(), paused=False), NoChange)
    assert isinstance(plan_pause(make_view(paused=True), paused=True), NoChange)
    refused(plan_pause(make_view(**NOBODY), paused=True), "no sequencer leads")


def test_resume_asks_any_sequencer_when_the_pause_left_no_leader(make_view: MakeView) -> None:
    plan = plan_pause(make_view(**NOBODY, paused=True), paused=False)
    assert isinstance(plan, ChangePlan)
    assert plan.address == "127.0.0.1:6001"


def test_fence_says_who_is_left_and_who_becomes_primary(make_view: MakeView) -> None:
    plan = plan_fence(make_view(), 1, fenced=True)
    assert isinstance(plan, ChangePlan)
    assert "primary role goes to engine-2" in plan.consequence
    assert "in sync then: engine-2, engine-3" in plan.consequence


def test_the_last_in_sync_engine_that_answers_is_never_fenced(make_view: MakeView) -> None:
    refused(plan_fence(make_view(2, {2: DOWN}), 1, fenced=True), "last in-sync engine", "start engine-2")
    assert isinstance(plan_fence(make_view(2, {2: DOWN}), 2, fenced=True), ChangePlan)


def test_fence_that_is_so_already_changes_nothing(make_view: MakeView) -> None:
    fenced = make_view(2, {2: {"fenced": True, "in_sync": False}})
    assert isinstance(plan_fence(fenced, 2, fenced=True), NoChange)
    assert isinstance(plan_fence(fenced, 2, fenced=False), ChangePlan)
    assert isinstance(plan_fence(fenced, 1, fenced=False), NoChange)


def test_reinit_is_refused_of_what_counts_for_commits(make_view: MakeView) -> None:
    refused(plan_reinit(make_view(), 2), "in sync", "lockstep cluster fence 2")
    out = {"in_sync": False, "seq": 7}
    refused(plan_reinit(make_view(2, {2: {**out, **DOWN}}), 2), "does not answer", "data_dir")
    refused(plan_reinit(make_view(2, {1: DOWN, 2: out}), 2), "no in-sync engine answers")
    plan = plan_reinit(make_view(2, {2: out}), 2)
    assert isinstance(plan, ChangePlan)
    assert (plan.address, plan.member) == ("127.0.0.1:7002", 2)
    assert "seq 7" in plan.consequence


def test_ack_policy_says_what_may_be_lost(make_view: MakeView) -> None:
    plan = plan_ack_policy(make_view(), "replicated")
    assert isinstance(plan, ChangePlan)
    assert "3 engines hold its command in memory" in plan.consequence
    alone = plan_ack_policy(make_view(2, {2: {"in_sync": False}}), "replicated")
    assert isinstance(alone, ChangePlan)
    assert "ONLY ONE ENGINE IS IN SYNC" in alone.consequence
    assert isinstance(plan_ack_policy(make_view(), "synced"), NoChange)
    refused(plan_ack_policy(make_view(**NOBODY), "replicated"), "no sequencer leads")
