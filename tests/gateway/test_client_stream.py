"""One client's stream: the order of its rows, what waits, and what becomes of that at its end."""

import grpc
import numpy as np
import pytest

from lockstep.gateway.client_stream import MAX_PENDING_ROWS, ClientStream, RowsOutOfOrder
from lockstep.gateway.events import HelloSaid, OpenedStream, Started
from lockstep.gateway.machine import GatewayMachine, Settings
from lockstep.gateway.reports import ReportRows
from lockstep.gateway.resumption import LAST_INDEX, AskEvents, Began, FetchedAll, Resumption
from lockstep.stream.records import EVENT
from lockstep.v1 import orders_pb2

S = (1 << 32) | 5


def rows(*ids):
    events = np.zeros(len(ids), dtype=EVENT)
    events["seq"], events["index"] = [row[0] for row in ids], [row[1] for row in ids]
    return ReportRows(events, np.array([row[2] if len(row) > 2 else 0 for row in ids], dtype=np.uint8))


def opened(boundary=10, seen=(0, 0)):
    return ClientStream(1, S, Resumption(boundary, seen=seen), columnar=False)


def delivered(stream):
    messages = [orders_pb2.SessionResponse.FromString(raw) for raw in stream.take(3, 50)]
    return [(row.event_id.seq, row.event_id.index, row.leg) for said in messages for row in said.reports.reports]


def test_live_reports_wait_from_the_making_of_the_stream_on():
    stream = opened()
    stream.put_live(rows((11, 0)))
    assert delivered(stream) == []
    stream.put_resumed(rows((9, 0), (10, 0)))
    stream.put_live(rows((12, 0, 0), (12, 0, 1)))
    assert delivered(stream) == [(9, 0, 0), (10, 0, 0)]
    stream.release_live()
    stream.put_live(rows((13, 0)))
    assert delivered(stream) == [(11, 0, 0), (12, 0, 0), (12, 0, 1), (13, 0, 0)]


def test_live_reports_that_wait_for_older_ones_do_not_keep_a_stream_from_being_drained():
    """The older ones are fetched when it is drained: each would wait for the other."""
    stream = opened()
    stream.put_resumed(rows((5, 0)))
    stream.put_live(rows((11, 0)))
    assert stream.has_rows
    delivered(stream)
    assert not stream.has_rows
    assert stream.pending_rows == 1
    stream.release_live()
    assert stream.has_rows


@pytest.mark.parametrize("wrong", [(10, 1), (10, 0), (9, 7)])
def test_row_that_would_be_told_twice_or_late_is_a_broken_invariant(wrong):
    stream = opened()
    stream.put_resumed(rows((10, 1)))
    stream.put_live(rows(wrong))
    with pytest.raises(RowsOutOfOrder, match="is to follow row"):
        stream.release_live()


def test_two_legs_of_what_was_seen_last_are_not_told_again():
    stream = opened(seen=(10, 1))
    with pytest.raises(RowsOutOfOrder):
        stream.put_resumed(rows((10, 1, 1)))


def test_client_that_was_told_more_elsewhere_is_told_only_what_is_later():
    stream = opened(boundary=10, seen=(14, 1))
    stream.put_live(rows((11, 0), (12, 0)))
    stream.put_live(rows((14, 0), (14, 1, 0), (14, 1, 1), (14, 2), (15, 0)))
    stream.put_live(rows((16, 0)))
    stream.release_live()
    assert delivered(stream) == [(14, 2, 0), (15, 0, 0), (16, 0, 0)]


def test_stream_that_nobody_reads_any_more_keeps_nothing():
    stream = opened()
    stream.put_resumed(rows((9, 0)))
    stream.close()
    stream.put_resumed(rows((10, 0)))
    stream.put_live(rows((11, 0)))
    assert (stream.over, stream.pending_rows, delivered(stream)) == (True, 0, [])


def test_too_slow_client_loses_its_stream_and_no_half_of_it_is_told():
    stream = opened(boundary=0)
    stream.release_live()
    many = np.zeros(MAX_PENDING_ROWS, dtype=EVENT)
    many["seq"] = np.arange(1, MAX_PENDING_ROWS + 1)
    stream.put_live(ReportRows(many, np.zeros(len(many), dtype=np.uint8)))
    assert stream.end is None
    stream.put_live(rows((MAX_PENDING_ROWS + 1, 0)))
    assert stream.end is not None
    assert stream.end.status == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert delivered(stream) == []


def test_boundary_is_where_the_gateway_stands_when_the_stream_takes_the_session():
    machine = GatewayMachine(Settings(gateway=1, incarnation=1))
    machine.step(Started(40, 3), 0)
    taken = machine.step(HelloSaid(S, "alice", 1, 1, last_seen=(20, 4), last_epoch=3), 0).opened
    assert isinstance(taken, OpenedStream)
    assert machine.downlink is not None
    machine.downlink.delivered_seq = 90
    assert taken.resumption.boundary == 40
    began = taken.resumption.step(Began(), 0, epoch=3, delivered_seq=machine.delivered_seq)
    assert isinstance(began.ask, AskEvents)
    assert (began.ask.after, began.ask.to_seq) == ((20, 4), 40)
    assert taken.resumption.step(FetchedAll(), 0, epoch=3, delivered_seq=90).release
    later = machine.step(HelloSaid(S, "alice", 2, 1, last_seen=(90, LAST_INDEX), last_epoch=3), 0).opened
    assert isinstance(later, OpenedStream)
    assert later.resumption.boundary == 90
