"""Who claims, and who does not: a candidate that could not lead leaves the one alone that does."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lockstep.sequencer import events as ev
from lockstep.sequencer.candidacy import Backoff
from lockstep.sequencer.settings import MS
from lockstep.sequencer.states import State

Build = Callable[..., Any]


def challenger(stage: Build, make_config: Build, **fields: Any) -> Any:
    """Sequencer 2 as a candidate under sequencer 1, everything up."""
    play = stage(member=2)
    play.raise_curtain()
    play.sees(make_config(**fields))
    return play


def test_candidate_cut_from_every_in_sync_engine_does_not_claim(stage: Build, make_config: Build) -> None:
    play = challenger(stage, make_config, in_sync=(1,), learners=(2,))
    play.tell(ev.EngineDown(1, ev.Down.HANG), ev.SequencerDown(1, ev.Down.HANG))
    play.pass_time(3_000)
    assert not play.pending_cas
    assert "it may lead where they are" in play.machine.why
    play.tell(ev.EngineUp(1, 4))
    assert play.pending_cas.record.epoch == 5


def test_named_leader_claims_again_without_a_link_to_an_engine(stage: Build, make_config: Build) -> None:
    play = stage(member=1)
    play.sees(make_config())
    assert play.pending_cas.record.epoch == 5


def test_candidate_takes_over_from_a_leader_that_says_it_is_mute(stage: Build, make_config: Build) -> None:
    play = challenger(stage, make_config)
    play.tell(ev.SequencerMute(1, True))
    assert play.pending_cas.record.sequencer == 2


def test_nobody_claims_without_a_live_driver_of_its_own(stage: Build, make_config: Build) -> None:
    play = challenger(stage, make_config)
    play.tell(ev.DriverDown(), ev.SequencerMute(1, True))
    play.pass_time(2_000)
    play.tell(ev.SequencerDown(1, ev.Down.EOF))
    play.pass_time(500)
    assert play.pending_cas is None
    assert "media driver is lost" in play.machine.why
    play.tell(ev.DriverUp())
    assert play.pending_cas is not None


def test_leader_that_was_mute_goes_on_when_the_shared_driver_is_back(stage: Build, make_config: Build) -> None:
    rival = challenger(stage, make_config)
    rival.tell(ev.DriverDown(), ev.SequencerMute(1, True))
    rival.pass_time(1_000)
    rival.tell(ev.DriverUp())
    rival.pass_time(400)
    rival.tell(ev.SequencerMute(1, False))
    rival.pass_time(1_000)
    assert rival.pending_cas is None


def test_leader_without_a_driver_is_mute_after_the_hang_deadline_and_changes_no_config(stage: Build) -> None:
    play = stage()
    play.lead()
    play.tell(ev.DriverDown(), ev.EngineDown(2, ev.Down.EOF))
    play.pass_time(150)
    assert not play.machine.mute
    play.pass_time(60)
    assert play.machine.mute
    assert not play.pending_cas
    play.tell(ev.DriverUp())
    assert not play.machine.mute
    assert play.machine.state is State.LEADER
    assert play.pending_cas.record.in_sync == (1,)


def test_pause_doubles_with_each_takeover_that_came_to_nothing_and_begins_anew_after_a_reign() -> None:
    backoff = Backoff((20 * MS,))
    pauses = [backoff.pause_ns(opened=False) // MS for _ in range(8)]
    assert pauses == [20, 40, 80, 160, 320, 640, 640, 640]
    assert backoff.pause_ns(opened=True) == 20 * MS
    assert backoff.pause_ns(opened=False) == 20 * MS


def test_claims_that_follow_close_on_each_other_are_each_given_longer_and_those_that_do_not_none() -> None:
    backoff = Backoff((20 * MS,))
    apart = [backoff.on_epoch(epoch, epoch * 600 * MS) for epoch in range(1, 6)]
    assert apart == [0, 0, 0, 0, 0]
    crowded = [backoff.on_epoch(epoch, (9_000 + epoch * 10) * MS) // MS for epoch in range(10, 18)]
    assert crowded == [0, 0, 40, 80, 160, 320, 640, 640]
    assert backoff.on_epoch(17, 9_200 * MS) == 0, "it was seen before"
    assert backoff.on_epoch(18, 10_600 * MS) == 0, "the crowd has gone"


def test_candidate_gives_one_that_has_claimed_time_where_claims_follow_close_on_each_other(
    stage: Build, make_config: Build
) -> None:
    play = challenger(stage, make_config)
    for epoch in range(11, 16):
        play.sees(make_config(epoch=epoch, attempt=f"1.{epoch}"))
    play.tell(ev.SequencerDown(1, ev.Down.EOF))
    play.pass_time(1)
    assert not play.pending_cas
    play.pass_time(1_000)
    assert play.pending_cas.record.sequencer == 2


def test_first_epoch_that_is_opened_is_the_beginning_whoever_claimed_before(stage: Build, make_config: Build) -> None:
    play = stage(member=2)
    play.raise_curtain()
    play.sees(replace(make_config(), founding=True))
    play.tell(ev.SequencerDown(1, ev.Down.EOF))
    play.pass_time(100)
    assert play.pending_cas.record.sequencer == 2
    assert play.machine._claim.cause is ev.EpochCause.BOOTSTRAP


def wobble(play: Any, event_down: Any, event_up: Any, *, ms: int) -> None:
    """A peer is silent beyond its deadline for so long, and back."""
    play.tell(event_down)
    play.pass_time(ms)
    play.tell(event_up)
    play.pass_time(1_500)


def test_candidate_whose_claims_for_silence_were_in_vain_waits_longer_each_time_and_not_for_a_crash(
    stage: Build, make_config: Build
) -> None:
    play = challenger(stage, make_config)
    play.settle()
    for engine in (1, 2, 1):
        wobble(play, ev.EngineDown(engine, ev.Down.HANG), ev.EngineUp(engine, 4), ms=play_extra(play) + 100)
    play.tell(ev.SequencerDown(1, ev.Down.HANG))
    play.pass_time(1_350)
    assert not play.pending_cas
    play.pass_time(100)
    assert play.pending_cas.record.sequencer == 2


def test_candidate_claims_at_once_when_the_leader_dies_however_often_it_claimed_in_vain(
    stage: Build, make_config: Build
) -> None:
    play = challenger(stage, make_config)
    play.settle()
    for engine in (1, 2, 1):
        wobble(play, ev.EngineDown(engine, ev.Down.HANG), ev.EngineUp(engine, 4), ms=play_extra(play) + 100)
    play.tell(ev.SequencerDown(1, ev.Down.EOF))
    assert play.pending_cas.record.sequencer == 2


def test_leader_that_hangs_and_then_dies_is_not_waited_for_any_longer(stage: Build, make_config: Build) -> None:
    play = challenger(stage, make_config)
    play.settle()
    for engine in (1, 2, 1):
        wobble(play, ev.EngineDown(engine, ev.Down.HANG), ev.EngineUp(engine, 4), ms=play_extra(play) + 100)
    play.tell(ev.SequencerDown(1, ev.Down.HANG))
    play.pass_time(200)
    play.tell(ev.SequencerDown(1, ev.Down.EOF))
    assert play.pending_cas.record.sequencer == 2


def play_extra(play: Any) -> int:
    """Milliseconds that silence has to last beyond its deadline now."""
    return int(play.machine.peers.patience.extra_ns(play.now_ns)) // MS
