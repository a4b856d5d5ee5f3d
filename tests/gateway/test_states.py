"""Every row of the gateway's tables of states, by what really brings it about."""

import pytest

from lockstep.gateway.beginning import Beginning as Life
from lockstep.gateway.delivered import Delivered
from lockstep.gateway.downlink import Downlink
from lockstep.gateway.states import (
    BEGINNINGS,
    FOLLOWINGS,
    OFFICES,
    Beginning,
    Came,
    Following,
    Heard,
    Learnt,
    Office,
    after,
)
from lockstep.gateway.uplink import Uplink
from lockstep.runtime.inquiry import Fault, NoAnswer
from lockstep.stream.told import Told
from lockstep.v1 import common_pb2, replication_pb2

from .test_downlink import events, release
from .test_uplink import receipt

MS = 1_000_000


class Mark:
    """The note on disk: told up to seq 9 of epoch 2."""

    uuid = "u"
    told = Told(2, 9)

    def begin(self, uuid, told):
        self.uuid, self.told = uuid, told

    def advance(self, told):
        self.told = told


@pytest.fixture
def taken(monkeypatch):
    rows = []

    def noted(table, state, occasion):
        rows.append((state, occasion))
        return after(table, state, occasion)

    for module in ("beginning", "uplink", "downlink"):
        monkeypatch.setattr(f"lockstep.gateway.{module}.after", noted)
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
        case Learnt.SOMETHING_TOLD:
            life.on_end(newest(3, 20), 0)
        case Learnt.IS_HISTORY:
            life.on_end(replication_pb2.QueryReply() if compared else newest(2, 20), 0)
        case Learnt.LACKS:
            life.on_end(replication_pb2.QueryReply(parted_at=5) if compared else newest(2, 3), 0)
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
            downlink.on_fetch_failed(0, parted=True)
        case Came.PAUSE_OVER:
            downlink.on_time(1_000 * MS)
    assert (state, came) in taken


def test_every_state_is_reached_and_only_the_last_ones_cannot_be_left():
    for table, last in ((BEGINNINGS, {Beginning.OVER}), (OFFICES, set()), (FOLLOWINGS, {Following.LEFT_BEHIND})):
        states = set(type(next(iter(table.values()))))
        assert set(table.values()) == states
        assert {state for state, _ in table} == states - last


def test_what_stands_in_no_row_is_an_error():
    with pytest.raises(AssertionError, match="fetched, in state in step"):
        after(FOLLOWINGS, Following.IN_STEP, Came.FETCHED)
