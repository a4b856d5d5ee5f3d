"""Cancel on disconnect at a real gateway: streams that end, and a gateway that is started again."""

import time

import grpc
import numpy as np
import pytest

from lockstep.stream.codes import Code
from lockstep.stream.records import COMMAND, CommandKind, EventKind

S1, S2 = (1 << 32) | 5, (2 << 32) | 6
GRACE_MS = 400


def closings(cluster):
    """Sessions that were said to be gone, in order."""
    return [
        int(row["order_id"])
        for submit in list(cluster.submits)
        for row in submit.records
        if row["kind"] == CommandKind.SESSION_CLOSED
    ]


def wait_for(condition, limit_s=10):
    give_up_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < give_up_s, "never came true"
        time.sleep(0.01)


def live_orders(cluster):
    with cluster.lock:
        return len(cluster.engine.open_orders(1))


@pytest.fixture
def client(gateway, order):
    opened = gateway.session(S1, cancel_on_disconnect_ms=GRACE_MS, connection=1)
    opened.expect("welcome")
    opened.send(command=order(1))
    opened.rows(1)
    return opened


def test_orders_of_a_session_are_canceled_when_its_time_is_over(gateway, cluster, client, order):
    other = gateway.session(S2)
    other.expect("welcome")
    other.send(command=order(1, client_order_id=50))
    other.rows(1)
    ended_s = time.monotonic()
    client.close()
    wait_for(lambda: live_orders(cluster) == 1)
    assert time.monotonic() - ended_s >= GRACE_MS / 1000
    gateway.wait_until(lambda status: status.counters["cancel_on_disconnect"] == 0)
    resumed = gateway.session(S1, next_no=2)
    resumed.expect("welcome")
    accepted, canceled = resumed.rows(2)
    assert accepted.kind == EventKind.ACCEPTED
    assert (canceled.kind, canceled.code) == (EventKind.CANCELED, Code.DISCONNECTED)
    resumed.close()
    other.close()


def test_closed_session_takes_orders_again_after_a_hello_with_a_higher_number(gateway, cluster, client, order):
    client.close()
    wait_for(lambda: live_orders(cluster) == 0)
    late = gateway.session(S1, next_no=2)
    late.expect("welcome")
    late.send(command=order(2, client_order_id=51))
    *_, answer = late.rows(3)
    assert (answer.kind, answer.code, answer.session_no) == (EventKind.REJECTED, Code.SESSION_CLOSED, 2)
    late.close()
    again = gateway.session(S1, next_no=3, connection=2)
    again.expect("welcome")
    again.send(command=order(3, client_order_id=52))
    *_, answer = again.rows(4)
    assert (answer.kind, answer.session_no) == (EventKind.ACCEPTED, 3)
    again.close()
    time.sleep(2 * GRACE_MS / 1000)
    assert live_orders(cluster) == 1, "the later Hello did not ask for it"


def test_client_that_comes_back_in_time_keeps_its_orders(gateway, cluster, client):
    client.close()
    gateway.wait_until(lambda status: status.counters["lost_sessions"] == 1)
    back = gateway.session(S1, next_no=2, cancel_on_disconnect_ms=GRACE_MS, connection=2)
    back.expect("welcome")
    time.sleep(2 * GRACE_MS / 1000)
    assert live_orders(cluster) == 1
    assert closings(cluster) == []
    back.close()


def test_closing_waits_for_a_leader(gateway, cluster, client):
    cluster.leave_office()
    client.close()
    time.sleep(2 * GRACE_MS / 1000)
    assert live_orders(cluster) == 1
    cluster.take_office(2)
    wait_for(lambda: live_orders(cluster) == 0)
    assert closings(cluster) == [S1]


def test_gateway_that_is_started_again_closes_who_does_not_come_back(topology, cluster, gateway_type, order):
    first = gateway_type(topology)
    first.start()
    first.wait_serving()
    for session_id in (S1, S2):
        client = first.session(session_id, cancel_on_disconnect_ms=1500, connection=1)
        client.expect("welcome")
        client.send(command=order(1, client_order_id=session_id))
        client.rows(1)
    first.stop()
    assert live_orders(cluster) == 2
    second = gateway_type(topology)
    second.start()
    try:
        second.wait_serving()
        back = second.session(S2, next_no=2, cancel_on_disconnect_ms=1500, connection=2)
        back.expect("welcome")
        wait_for(lambda: live_orders(cluster) == 1)
        assert closings(cluster) == [S1]
        back.close()
    finally:
        second.stop()


def test_connection_that_the_client_has_left_is_ended(gateway, cluster):
    """Another gateway has said that a later one was opened there."""
    other = np.zeros(1, dtype=COMMAND)
    other["kind"], other["gateway"], other["order_id"], other["client_order_id"] = CommandKind.SESSION_OPENED, 77, S1, 8
    cluster.stamp(other)
    late = gateway.session(S1, cancel_on_disconnect_ms=GRACE_MS, connection=7)
    assert late.ended() == grpc.StatusCode.ABORTED
    assert "higher connection number" in late.error.details()
    gateway.wait_until(lambda status: status.counters["cancel_on_disconnect"] == 0)
    assert closings(cluster) == []


def test_hello_with_too_low_a_number_is_refused_and_may_come_again_with_a_higher_one(gateway, client):
    late = gateway.session(S1, next_no=2, cancel_on_disconnect_ms=GRACE_MS, connection=1)
    assert late.ended() == grpc.StatusCode.ABORTED
    assert "STALE_CONNECTION" in late.error.details()
    client.close()


def test_hello_without_a_number_is_refused(gateway):
    client = gateway.session(S1, cancel_on_disconnect_ms=GRACE_MS)
    assert client.ended() == grpc.StatusCode.INVALID_ARGUMENT
    assert "connection number" in client.error.details()


def test_time_that_is_too_long_is_refused_with_the_bound(gateway):
    client = gateway.session(S1, cancel_on_disconnect_ms=3_600_001)
    assert client.ended() == grpc.StatusCode.INVALID_ARGUMENT
    assert "at most 3600000" in client.error.details()
