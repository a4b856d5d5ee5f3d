"""Every row of the gateway's tables of states, by what really brings it about."""

from typing import Any

import pytest

from lockstep.gateway import single_call
from lockstep.gateway.beginning import Beginning as Life
from lockstep.gateway.delivered import Delivered
from lockstep.gateway.resumption import (
    LAST_INDEX,
    PATIENCE_NS,
    Began,
    Compared,
    Counted,
    Drained,
    Failed,
    Fetched,
    FetchedAll,
    Resumption,
    Ticked,
)
from lockstep.gateway.sessions import Refused, Session
from lockstep.gateway.states import (
    BEGINNINGS,
    CALLINGS,
    OFFICES,
    RESUMINGS,
    Befell,
    Beginning,
    Calling,
    Heard,
    Learnt,
    Office,
    Owed,
    Resuming,
    after,
)
from lockstep.gateway.uplink import Uplink
from lockstep.runtime.downlink import Downlink
from lockstep.runtime.following import FOLLOWINGS, Came, Following
from lockstep.runtime.inquiry import Fault, NoAnswer
from lockstep.stream.codes import Code
from lockstep.stream.delivery_mark import DeliveryMark
from lockstep.v1 import common_pb2, replication_pb2
from tests.runtime.test_downlink import events, release

from .test_uplink import receipt

MS = 1_000_000


class Mark:
    """The note on disk: delivered up to seq 9 of epoch 2."""

    uuid = "u"
    delivered = DeliveryMark(2, 9)

    def begin(self, uuid, delivered):
        self.uuid, self.delivered = uuid, delivered

    def advance(self, delivered):
        self.delivered = delivered


@pytest.fixture
def taken(monkeypatch):
    rows = []

    def noted(table, state, occasion):
        rows.append((state, occasion))
        return after(table, state, occasion)

    for module in (
        "gateway.beginning",
        "gateway.uplink",
        "runtime.downlink",
        "gateway.resumption",
        "gateway.single_call",
    ):
        monkeypatch.setattr(f"lockstep.{module}.after", noted)
    return rows


def newest(epoch, seq):
    return replication_pb2.QueryReply(cluster_uuid="u", stamp=common_pb2.Stamp(epoch=epoch, seq=seq))


@pytest.mark.parametrize(("state", "learnt"), BEGINNINGS, ids=lambda part: part.name)
def test_every_row_of_a_beginning_comes_about(state, learnt, taken):
    life = Life(7, Delivered(Mark()), lambda: [1, 2])
    if state is not Beginning.PAUSE:
        life.on_time()
    if state is Beginning.COMPARE:
        life.on_end(newest(3, 20), 0)
    assert life.state is state
    compared = state is Beginning.COMPARE
    match learnt:
        case Learnt.TIME:
            life.on_time()
        case Learnt.NO_ANSWER:
            life.on_end(NoAnswer(Fault.UNAVAILABLE, "nobody"), 0)
        case Learnt.SOMETHING_DELIVERED:
            life.on_end(newest(3, 20), 0)
        case Learnt.IS_HISTORY:
            life.on_end(replication_pb2.QueryReply() if compared else newest(2, 20), 0)
        case Learnt.LACKS:
            life.on_end(replication_pb2.QueryReply(diverged_at=5) if compared else newest(2, 3), 0)
    assert taken[-1] == (state, learnt)


@pytest.mark.parametrize(("state", "heard"), OFFICES, ids=lambda part: part.name)
def test_every_row_of_the_way_there_comes_about(state, heard, taken):
    uplink = Uplink(3, 9, max_commands=100)
    if state is Office.HELD or heard is Heard.OPEN_AGAIN:
        uplink.on_receipt(receipt(), 0)
    if heard is Heard.OPEN_AGAIN:
        uplink.on_receipt(receipt(is_open=False), 0)
    assert uplink.state is state
    match heard:
        case Heard.NEW_REIGN:
            uplink.on_receipt(receipt(reign=2), 0)
        case Heard.OPEN_AGAIN:
            uplink.on_receipt(receipt(), 0)
        case Heard.CLOSED:
            uplink.on_receipt(receipt(is_open=False), 0)
        case Heard.DISOWNED:
            uplink.on_said(1, 1, False)
            uplink.on_tick(1_000 * MS)
    assert taken[-1] == (state, heard)


@pytest.mark.parametrize(("state", "came"), FOLLOWINGS, ids=lambda part: part.name)
def test_every_row_of_the_way_back_comes_about(state, came, taken):
    downlink = Downlink(10, 1)
    downlink.on_release(release(11, 12, 11, 12, parent=1, begins=((11, 1),)))
    if state is not Following.IN_STEP:
        downlink.on_release(release(15, 15, 15))
    if state is Following.PAUSING:
        downlink.on_fetch_failed(0)
    assert downlink.state is state
    match came:
        case Came.GAP:
            downlink.on_release(release(15, 15, 15))
        case Came.OTHER_HISTORY:
            downlink.on_release(release(13, 13, 13, epoch=5, parent=4))
        case Came.FETCHED:
            downlink.on_fetched(events(13, 14), 14)
        case Came.NOT_NOW:
            downlink.on_fetch_failed(0)
        case Came.LOST:
            downlink.on_fetch_failed(0, diverged=True)
        case Came.PAUSE_OVER:
            downlink.on_time(1_000 * MS)
    assert (state, came) in taken


SEEN_ALL, SEEN_MORE, AWAY = (100, LAST_INDEX), (140, 0), Failed("away")
HELLOS: dict[Resuming, dict[str, Any]] = {
    Resuming.DOUBT: {"seen": (40, 0), "delivered_epoch": 3},
    Resuming.BEHIND: {"seen": SEEN_MORE, "delivered_epoch": 5},
    Resuming.PAST: {},
}
"""What brings a stream into a state, at a gateway of epoch 5 that has delivered seq 100; else: what makes it fetch."""
OTHER_HELLOS: dict[tuple[Resuming, Owed], dict[str, Any]] = {
    (Resuming.NEW, Owed.CERTAINTY): HELLOS[Resuming.DOUBT],
    (Resuming.NEW, Owed.OUR_OWN): HELLOS[Resuming.BEHIND],
    (Resuming.NEW, Owed.A_COUNT): {},
    (Resuming.NEW, Owed.NOTHING): {"seen": SEEN_ALL},
    (Resuming.DOUBT, Owed.OUR_OWN): {"seen": SEEN_MORE, "delivered_epoch": 3},
    (Resuming.DOUBT, Owed.NOTHING): {"seen": SEEN_ALL, "delivered_epoch": 3},
    (Resuming.BEHIND, Owed.A_COUNT): {"delivered_epoch": 6},
    (Resuming.BEHIND, Owed.REPORTS): {"seen": (40, 0), "delivered_epoch": 6},
}
LATER_EPOCH = {
    (Resuming.BEHIND, Owed.CERTAINTY),
    (Resuming.BEHIND, Owed.A_COUNT),
    (Resuming.BEHIND, Owed.REPORTS),
    (Resuming.FETCH, Owed.CERTAINTY),
    (Resuming.FULL, Owed.CERTAINTY),
}
"""Rows that come about when the gateway is of epoch 6 by then."""
HAPPENS: dict[tuple[Resuming, Owed], tuple[Any, ...]] = {
    (Resuming.DOUBT, Owed.CERTAINTY): (AWAY, Ticked()),
    (Resuming.DOUBT, Owed.VOID): (Compared(37),),
    (Resuming.DOUBT, Owed.NO_ANSWER): (AWAY,),
    (Resuming.PAST, Owed.REPORTS): (Counted(1, 100),),
    (Resuming.PAST, Owed.NO_PAST): (Counted(0, 100),),
    (Resuming.PAST, Owed.NO_ANSWER): (AWAY,),
    (Resuming.FETCH, Owed.CERTAINTY): (AWAY, Ticked()),
    (Resuming.FETCH, Owed.REPORTS): (AWAY, Ticked()),
    (Resuming.FETCH, Owed.NOTHING): (Fetched(SEEN_ALL), AWAY, Ticked()),
    (Resuming.FETCH, Owed.FETCHED): (FetchedAll(),),
    (Resuming.FETCH, Owed.NO_ANSWER): (AWAY,),
}
USUALLY: dict[Resuming, Any] = {
    Resuming.NEW: Began(),
    Resuming.DOUBT: Compared(0),
    Resuming.BEHIND: Ticked(),
    Resuming.FULL: Drained(),
}


@pytest.mark.parametrize(("state", "owed"), RESUMINGS, ids=lambda part: part.name)
def test_every_row_of_a_stream_comes_about(state, owed, taken):
    hello = OTHER_HELLOS.get((state, owed), HELLOS.get(state, {"seen": (40, 0), "delivered_epoch": 5}))
    stream, now_ns = Resumption(100, **hello), 1_000
    stands = {"epoch": 5, "delivered_seq": 100}
    if state is not Resuming.NEW:
        stream.step(Began(), now_ns, **stands)
    if state is Resuming.FULL:
        stream.step(Fetched(SEEN_ALL if owed is Owed.NOTHING else (50, 0)), now_ns, **stands)
        stream.wait_for_room()
    assert stream.state is state
    if owed in (Owed.NO_ANSWER, Owed.TOO_LONG):
        now_ns += PATIENCE_NS
    if (state, owed) in LATER_EPOCH:
        stands = {"epoch": 6, "delivered_seq": 150}
    if (state, owed) == (Resuming.BEHIND, Owed.NOTHING):
        stands["delivered_seq"] = 150
    if owed is Owed.ROOM:
        stream.wait_for_room()
    else:
        for event in HAPPENS.get((state, owed)) or (USUALLY[state],):
            stream.step(event, now_ns, **stands)
    assert taken[-1] == (state, owed)
    assert stream.state is RESUMINGS[state, owed]


@pytest.mark.parametrize(
    ("hello", "unasked"),
    [
        (HELLOS[Resuming.DOUBT], FetchedAll()),
        (HELLOS[Resuming.BEHIND], Compared(0)),
        ({}, Fetched((7, 0))),
        ({"seen": (40, 0), "delivered_epoch": 5}, Counted(0, 100)),
        ({"seen": (40, 0), "delivered_epoch": 5}, Drained()),
    ],
)
def test_answer_that_was_not_asked_for_is_a_broken_invariant(hello, unasked):
    stream = Resumption(100, **hello)
    stream.step(Began(), 0, epoch=5, delivered_seq=100)
    with pytest.raises(AssertionError, match=type(unasked).__name__):
        stream.step(unasked, 0, epoch=5, delivered_seq=100)


GONE = single_call.TurnedAway(Refused(0, Code.BUSY), "come again")
DUPLICATE = single_call.Answered(original=9)
WAYS = {
    Calling.LEARN: (single_call.Began(),),
    Calling.TURN: (single_call.Began(),),
    Calling.UNDER_WAY: (single_call.Began(),),
    Calling.SENT: (single_call.Began(),),
    Calling.OUTCOME: (single_call.Began(), DUPLICATE),
}
"""What brings a call into a state, if its session is as `expected` says."""
GOES_ON: dict[Calling, Any] = {
    Calling.NEW: single_call.Began(),
    Calling.LEARN: single_call.Learnt(),
    Calling.TURN: single_call.Ticked(),
    Calling.UNDER_WAY: single_call.Answered(),
    Calling.SENT: single_call.Answered(),
}


def of_session(expected, answered):
    return Session(77, "", expected=expected, answered=answered)


BEFORE, BELOW, AT, IN_FLIGHT = None, of_session(3, 2), of_session(5, 4), of_session(6, 4)
"""What is known of the session of a call with number 5: nothing; a number is missing; it is next; it is under way."""
KNOWN = {Calling.LEARN: BEFORE, Calling.TURN: BELOW, Calling.UNDER_WAY: IN_FLIGHT}
THEN = {Befell.UNKNOWN: BEFORE, Befell.EARLY: BELOW, Befell.TAKEN: IN_FLIGHT, Befell.STALLED: BELOW}


@pytest.mark.parametrize(("state", "befell"), CALLINGS, ids=lambda part: part.name)
def test_every_row_of_a_call_comes_about(state, befell, taken):
    call = single_call.SingleCall(5)
    event: Any
    for event in WAYS.get(state, ()):
        call.step(event, 0, KNOWN.get(state, AT))
    assert call.state is state
    match befell:
        case Befell.TURNED_AWAY:
            event = GONE
        case Befell.DUPLICATE:
            event = DUPLICATE
        case Befell.FOUND:
            event = single_call.Found()
        case Befell.OTHERS:
            event = single_call.Answered(own=False)
        case _:
            event = GOES_ON[state]
    now_ns = single_call.LOOK_NS if befell is Befell.STALLED else 0
    call.step(event, now_ns, THEN.get(befell, AT))
    assert taken[-1] == (state, befell)
    assert call.state is CALLINGS[state, befell]


def test_every_state_is_reached_and_only_the_last_ones_cannot_be_left():
    for table, first, last in (
        (BEGINNINGS, set(), {Beginning.OVER}),
        (OFFICES, set(), set()),
        (FOLLOWINGS, set(), {Following.LEFT_BEHIND}),
        (RESUMINGS, {Resuming.NEW}, {Resuming.LIVE, Resuming.ENDED}),
        (CALLINGS, {Calling.NEW}, {Calling.OVER}),
    ):
        states = set(type(next(iter(table.values()))))
        assert set(table.values()) == states - first
        assert {state for state, _ in table} == states - last


def test_what_stands_in_no_row_is_an_error():
    with pytest.raises(AssertionError, match="fetched, in state in step"):
        after(FOLLOWINGS, Following.IN_STEP, Came.FETCHED)
