"""Every row of the sequencer's table of states, by what really brings it about."""

from collections.abc import Callable
from typing import Any

import pytest

from lockstep.sequencer import events as ev
from lockstep.sequencer.machine import BrokenInvariant
from lockstep.sequencer.states import TRANSITIONS, Occasion, State
from lockstep.stream.delivery_mark import DeliveryMark

from .test_machine import challenger, journaled

Build = Callable[..., Any]


def arrive(play: Any, state: State) -> None:
    """Bring a challenger (sequencer 2, engines 1 and 2 up) into a state."""
    steps: dict[State, Callable[[], object]] = {
        State.CANDIDATE: lambda: None,
        State.CLAIMING: lambda: play.tell(ev.SequencerDown(1, ev.Down.EOF)),
        State.FENCING: lambda: play.wins(),
        State.NARROWING: lambda: (play.tell(ev.EngineDown(2, ev.Down.EOF)), play.promise(1, 10)),
        State.RECOVERING: lambda: (play.promise(1, 10), play.promise(2, 8)),
        State.LEADER: lambda: (play.promise(1, 10), play.promise(2, 10)),
        State.HALTED: lambda: (play.promise(1, 10), play.promise(2, 10, tip_digest=b"another")),
    }
    way = [State.CANDIDATE, State.CLAIMING, State.FENCING]
    for one in way[: way.index(state) + 1] if state in way else [*way, state]:
        steps[one]()
    assert play.machine.state is state


def refuse_the_fence(play: Any) -> None:
    play.promise(1, accepted=False, promised=play.epoch + 3)


def force_a_leader_that_waits(play: Any) -> None:
    """Engine 2 has left, and engine 1, the only one in sync, is lost."""
    play.tell(ev.EngineDown(2, ev.Down.EOF))
    play.wins()
    play.tell(ev.EngineUp(2, play.epoch), ev.EngineDown(1, ev.Down.EOF))
    play.tell(ev.ForceFailoverRequested(1, to=2))


def lose_what_clients_know(play: Any) -> None:
    play.tell(ev.GatewaySaid(1, 5, DeliveryMark(4, 50)))
    play.wins()


OCCUR: dict[Occasion, Callable[[Any], object]] = {
    Occasion.CLAIMS: lambda play: play.tell(ev.SequencerDown(1, ev.Down.EOF)),
    Occasion.SWAP_WON: lambda play: play.wins(),
    Occasion.SWAP_NOT_WON: lambda play: play.tell(ev.StoreDown(play.pending_cas.record.attempt)),
    Occasion.SET_CHANGES: lambda play: (play.tell(ev.EngineDown(2, ev.Down.EOF)), play.promise(1, 10)),
    Occasion.LOGS_DIFFER: lambda play: (play.promise(1, 10), play.promise(2, 8)),
    Occasion.LOGS_COMPLETE: lambda play: (play.promise(1, 10), play.promise(2, 10)),
    Occasion.CONTRADICTION: lambda play: (play.promise(1, 10), play.promise(2, 10, tip_digest=b"another")),
    Occasion.ENGINE_LOST: lambda play: play.tell(ev.EngineDown(2, ev.Down.EOF)),
    Occasion.PROMISED_MORE: refuse_the_fence,
    Occasion.OVERRIDDEN: lambda play: play.tell(ev.ForceFailoverRequested(1, to=1)),
    Occasion.LOSS_FOUND: lose_what_clients_know,
}
IN_OTHER_WAYS: dict[tuple[State, Occasion], Callable[[Any], object]] = {
    (State.LEADER, Occasion.PROMISED_MORE): lambda play: play.tell(ev.EnginePromised(1, play.epoch + 3)),
    (State.LEADER, Occasion.OVERRIDDEN): force_a_leader_that_waits,
    (State.RECOVERING, Occasion.LOGS_COMPLETE): lambda play: play.tell(
        ev.JournalFetched(1, play.epoch, (journaled(9, 2, epoch=1, time_ns=1),))
    ),
}


@pytest.mark.parametrize(("state", "occasion"), TRANSITIONS, ids=lambda part: part.name)
def test_every_row_of_the_table_comes_about(
    state: State, occasion: Occasion, stage: Build, make_config: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[tuple[State, Occasion]] = []

    class Noted(dict[tuple[State, Occasion], State]):
        def get(self, row: Any, default: Any = None) -> Any:
            taken.append(row)
            return super().get(row, default)

    monkeypatch.setattr("lockstep.sequencer.machine.TRANSITIONS", Noted(TRANSITIONS))
    play = challenger(stage, make_config)
    arrive(play, state)
    taken.clear()
    if occasion is Occasion.DEPOSED:
        play.sees(make_config(epoch=play.epoch + 1, sequencer=1, attempt="another's"))
    else:
        IN_OTHER_WAYS.get((state, occasion), OCCUR.get(occasion, lambda _play: None))(play)
    assert taken[:1] == [(state, occasion)]


def test_every_state_is_reached_and_can_be_left() -> None:
    assert {state for state, _ in TRANSITIONS} == set(State)
    assert set(TRANSITIONS.values()) == set(State)
    assert {occasion for _, occasion in TRANSITIONS} == set(Occasion)


def test_what_stands_in_no_row_is_a_broken_invariant(stage: Build, make_config: Build) -> None:
    play = challenger(stage, make_config)
    with pytest.raises(BrokenInvariant, match="logs of different length, in state candidate"):
        play.machine._enter(Occasion.LOGS_DIFFER, "for no reason")
