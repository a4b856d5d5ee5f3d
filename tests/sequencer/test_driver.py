"""The sequencer's driver: the order of a turn, and what the machine hears once."""

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lockstep.sequencer import events as ev
from lockstep.sequencer.driver import SequencerDriver
from lockstep.sequencer.machine import SequencerMachine
from lockstep.sequencer.ports import Beat, EngineBeat, GatewayBeat, Ports, SequencerBeat
from lockstep.sequencer.settings import MS
from lockstep.stream.delivery_mark import DeliveryMark

ACK: Any = object()
SUBMIT: Any = object()


class World:
    """Ports that hand out what a test puts in, and a machine that notes what it hears."""

    def __init__(self) -> None:
        self.happened: list[ev.Event] = []
        self.frames: list[Any] = []
        self.said: list[Beat] = []
        self.calls: list[tuple[str, int]] = []
        self.heard: list[ev.Event] = []
        self.time_ns = 0
        self.reign: Any = None
        self.work_due = False
        self.due_ns = 2**63
        self.peers = SimpleNamespace(delivered={})
        self.driver = SequencerDriver(cast(SequencerMachine, self), cast(Ports, self), member=1)
        self.turn()

    def turn(self) -> list[ev.Event]:
        """What the machine hears in one turn, but for the clocks, 2 ms after the one before."""
        self.time_ns += 2 * MS
        self.heard = []
        self.driver.turn()
        return [event for event in self.heard if not isinstance(event, ev.ClocksRead)]

    # ---- the machine ----

    def step(self, event: ev.Event, now_ns: int) -> ev.Effects:
        assert now_ns == self.time_ns
        self.heard.append(event)
        return ev.NOTHING

    # ---- the ports ----

    def now_ns(self) -> int:
        return self.time_ns

    def wall_ns(self) -> int:
        return self.time_ns

    def clocks(self) -> tuple[()]:
        return ()

    def happenings(self) -> Iterable[ev.Event]:
        happened, self.happened = self.happened, []
        return happened

    def beats(self) -> Iterable[Beat]:
        return self.said

    def poll(self, on_ack: Callable[[Any], None], on_submit: Callable[[Any], None]) -> int:
        frames, self.frames = self.frames, []
        for frame in frames:
            (on_submit if frame is SUBMIT else on_ack)(frame)
        return len(frames)

    def warm(self, engine: int) -> None:
        self.calls.append(("warm", engine))

    def drop_queued(self, engine: int) -> None:
        self.calls.append(("drop_queued", engine))


@pytest.fixture
def world() -> World:
    return World()


def test_what_happened_comes_before_frames_and_frames_before_the_time_and_heartbeats(world: World) -> None:
    world.reign, world.work_due = SimpleNamespace(office_epoch=1), True
    up = ev.EngineUp(1, 1)
    world.happened, world.frames, world.said = [up], [ACK, SUBMIT], [EngineBeat(1, 3)]
    heard = world.turn()
    assert heard == [up, ev.AckReceived(ACK), ev.SubmitReceived(SUBMIT), ev.Tick(), ev.EnginePromised(1, 3)]
    assert world.calls == [("warm", 1)]


def test_frames_that_wait_for_an_engine_whose_process_has_ended_are_dropped(world: World) -> None:
    world.happened = [ev.EngineDown(2, ev.Down.EOF), ev.EngineDown(1, ev.Down.HANG)]
    world.turn()
    assert world.calls == [("drop_queued", 2)]


def test_the_clocks_are_read_at_once_where_a_peer_comes(world: World) -> None:
    world.turn()
    assert not [event for event in world.heard if isinstance(event, ev.ClocksRead)]
    for came in (ev.EngineUp(1, 1), ev.SequencerUp(2, 1)):
        world.happened = [came]
        world.turn()
        assert [event for event in world.heard if isinstance(event, ev.ClocksRead)]


@pytest.mark.parametrize(
    ("beat", "event"),
    [
        (EngineBeat(1, 4), ev.EnginePromised(1, 4)),
        (EngineBeat(1, 0, 7 * MS), ev.EngineStalled(1, 7 * MS)),
        (SequencerBeat(2, mute=True), ev.SequencerMute(2, True)),
        (GatewayBeat(1, 5, DeliveryMark(1, 9)), ev.GatewaySaid(1, 5, DeliveryMark(1, 9))),
    ],
    ids=["promise", "stall", "mute", "gateway"],
)
def test_what_heartbeats_repeat_is_heard_once(world: World, beat: Beat, event: ev.Event) -> None:
    world.said = [beat]
    assert world.turn() == [event]
    if isinstance(event, ev.GatewaySaid):
        world.peers.delivered[1] = event.delivered
    assert world.turn() == []


def test_a_stall_counts_by_what_came_to_it(world: World) -> None:
    world.said = [EngineBeat(1, 0, 7 * MS)]
    world.turn()
    world.said = [EngineBeat(1, 0, 9 * MS)]
    assert world.turn() == [ev.EngineStalled(1, 2 * MS)]


def test_a_sequencer_that_comes_again_says_anew_that_its_driver_is_lost(world: World) -> None:
    world.said = [SequencerBeat(2, mute=True)]
    world.turn()
    up = ev.SequencerUp(2, 1)
    world.happened = [up]
    assert world.turn() == [up, ev.SequencerMute(2, True)]


def test_what_gateways_have_delivered_is_known_before_a_fence_is_judged(world: World) -> None:
    mark, answer = DeliveryMark(1, 9), ev.FenceAnswered(engine=1, epoch=2, accepted=True, promised=2)
    world.said, world.happened = [GatewayBeat(1, 5, mark), EngineBeat(1, 2)], [answer]
    assert world.turn()[:2] == [ev.GatewaySaid(1, 5, mark), answer]


def test_a_leader_hears_nothing_new_of_what_a_gateway_delivered_in_its_own_reign(world: World) -> None:
    world.reign = SimpleNamespace(office_epoch=3)
    world.happened = [ev.GatewaySaid(1, 5)]
    world.said = [GatewayBeat(1, 5, DeliveryMark(3, 9))]
    assert world.turn() == [ev.GatewaySaid(1, 5)]
    world.said = [GatewayBeat(1, 5, DeliveryMark(2, 9))]
    assert world.turn() == [ev.GatewaySaid(1, 5, DeliveryMark(2, 9))]
