"""Order entry through a real gateway: gRPC in front, Aeron links and a small cluster behind."""

import time

import grpc
import pytest

from lockstep.gateway.handshakes import Handshakes
from lockstep.stream.codes import Code
from lockstep.stream.records import EventFlag, EventKind
from lockstep.v1 import accounts_pb2, common_pb2, orders_pb2

ALICE, BOB, ACME = 1, 2, 7
S1, S2 = (1 << 32) | 5, (2 << 32) | 6


def batch(first_no, count, **columns):
    defaults = {
        "side": [1],
        "order_type": [1],
        "tif": [2],
        "account": [ALICE],
        "instrument": [ACME],
        "price_ticks": [100],
        "quantity_lots": [10],
        "client_order_id": list(range(first_no, first_no + count)),
    }
    return orders_pb2.CommandBatch(first_no=first_no, count=count, **{**defaults, **columns})


def kinds(rows):
    return [(row.kind, row.session_no) for row in rows]


def test_order_is_accepted_filled_and_canceled_on_both_sides(gateway, order):
    alice, bob = gateway.session(S1), gateway.session(S2, columnar=True)
    welcome = alice.expect("welcome")
    assert (welcome.gateway, welcome.credit, welcome.max_batch) == (gateway.member.id, 8192, 2048)
    assert welcome.stamp.epoch == 1
    bob.expect("welcome")
    alice.send(command=order(1, quantity_lots=30))
    (accepted,) = alice.rows(1)
    assert (accepted.kind, accepted.session_no, accepted.leaves_lots) == (EventKind.ACCEPTED, 1, 30)
    bob.send(batch=batch(1, 1, side=[2], account=[BOB], quantity_lots=[20]))
    taken = bob.rows(2)
    assert kinds(taken) == [(EventKind.ACCEPTED, 1), (EventKind.TRADE, 1)]
    assert taken[1].counterparty_order_id == accepted.order_id
    (made,) = alice.rows(1)
    assert (made.kind, made.leg, made.session_no, made.side) == (EventKind.TRADE, 1, 0, 1)
    assert (made.account, made.order_id, made.client_order_id) == (ALICE, accepted.order_id, 1)
    assert (made.leaves_lots, made.quantity_lots) == (10, 20)
    assert made.counterparty_order_id == taken[0].order_id
    assert (made.event_id.seq, made.event_id.index) == (taken[1].event_id.seq, taken[1].event_id.index)
    cancel = orders_pb2.CancelOrder(order=orders_pb2.OrderRef(account=ALICE, client_order_id=1))
    alice.send(command=orders_pb2.Command(session_no=2, cancel=cancel))
    (canceled,) = alice.rows(1)
    assert (canceled.kind, canceled.quantity_lots, canceled.code) == (EventKind.CANCELED, 10, Code.CANCEL_REQUESTED)
    alice.close()
    bob.close()


def test_stream_that_broke_is_resumed_from_the_last_event_seen(gateway, cluster, order):
    first = gateway.session(S1)
    first.expect("welcome")
    for number in range(1, 6):
        first.send(command=order(number))
    seen = first.rows(5)[1].event_id
    first.close()
    again = gateway.session(S1, last_seen=seen, next_no=6)
    again.expect("welcome")
    again.send(command=order(6))
    assert kinds(again.rows(4)) == [(EventKind.ACCEPTED, number) for number in (3, 4, 5, 6)]
    again.close()


def test_new_session_needs_no_search_of_the_past(gateway, cluster, order):
    client = gateway.session(S1)
    client.expect("welcome")
    client.send(command=order(1))
    client.rows(1)
    assert [fetch for fetch in cluster.fetches if fetch[2] == S1] == []
    client.close()


def test_client_that_asks_is_told_its_next_number_after_all_earlier_reports(gateway, cluster, order):
    first = gateway.session(S1)
    first.expect("welcome")
    for number in range(1, 6):
        first.send(command=order(number))
    seen = first.rows(5)[2].event_id
    first.close()
    for last_seen, rest in ((common_pb2.EventId(), 5), (seen, 2)):
        again = gateway.session(S1, last_seen=last_seen, next_no=1, asks_next_no=True)
        assert again.expect("welcome").next_number_follows
        assert len(again.rows(rest)) == rest
        delivered = again.expect("next_number")
        assert delivered.next_no == 6
        assert delivered.stamp.epoch == 1
        again.close()
    unasked = gateway.session(S1, next_no=1)
    assert not unasked.expect("welcome").next_number_follows
    unasked.close()
    new = gateway.session(S2, asks_next_no=True)
    new.expect("welcome")
    assert new.expect("next_number").next_no == 1
    new.close()


def test_session_that_is_opened_beside_too_many_others_is_told_when_to_come_again(gateway, monkeypatch):
    monkeypatch.setattr(Handshakes, "begin", lambda _self, _token, _now_ns: 321)
    turned_away = gateway.session(S1)
    assert turned_away.ended() is grpc.StatusCode.RESOURCE_EXHAUSTED
    metadata = dict(turned_away.call.trailing_metadata())
    assert metadata["lockstep-code"] == str(int(Code.BUSY))
    assert metadata["lockstep-retry-after-ms"] == "321"
    monkeypatch.undo()
    let_in = gateway.session(S1)
    let_in.expect("welcome")
    let_in.close()


def test_next_number_counts_what_is_in_flight_through_this_gateway(gateway, cluster, order):
    cluster.hold_submits = True
    first = gateway.session(S1)
    first.expect("welcome")
    before = gateway.status().counters["commands"]
    for number in range(1, 4):
        first.send(command=order(number))
    gateway.wait_until(lambda status: status.counters["commands"] == before + 3)
    again = gateway.session(S1, asks_next_no=True)
    again.expect("welcome")
    assert again.expect("next_number").next_no == 4
    cluster.hold_submits = False
    assert kinds(again.rows(3)) == [(EventKind.ACCEPTED, number) for number in (1, 2, 3)]
    again.close()


def test_next_number_says_how_far_the_engines_have_come_whatever_the_hello_claims(gateway, cluster, order):
    first = gateway.session(S1)
    first.expect("welcome")
    for number in range(1, 4):
        first.send(command=order(number))
    first.rows(3)
    first.close()
    again = gateway.session(S1, next_no=9, asks_next_no=True)
    again.expect("welcome")
    again.rows(3)
    delivered = again.expect("next_number")
    assert (delivered.next_no, delivered.executed_no) == (4, 3)
    again.close()
    new = gateway.session(S2, next_no=5, asks_next_no=True)
    new.expect("welcome")
    delivered = new.expect("next_number")
    assert (delivered.next_no, delivered.HasField("executed_no"), delivered.executed_no) == (1, True, 0)
    new.close()


def test_unanswered_commands_are_sent_again_in_a_new_reign(gateway, cluster, order):
    client = gateway.session(S1)
    client.expect("welcome")
    client.send(command=order(1))
    client.rows(1)
    cluster.hold_submits = True
    for number in range(2, 8):
        client.send(command=order(number))
    gateway.wait_until(lambda status: status.counters["unanswered"] == 6)
    cluster.hold_submits = False
    cluster.lose_submits = 1_000
    time.sleep(0.02)
    cluster.lose_submits = 0
    cluster.take_office(2)
    rows = client.rows(6)
    assert kinds(rows) == [(EventKind.ACCEPTED, number) for number in range(2, 8)]
    assert cluster.submits[-1].reign == 2
    gateway.wait_until(lambda status: status.counters["unanswered"] == 0)
    client.close()


def test_submit_that_was_lost_is_sent_again(gateway, cluster, order):
    client = gateway.session(S1)
    client.expect("welcome")
    cluster.lose_submits = 1
    for number in range(1, 4):
        client.send(command=order(number))
        time.sleep(0.01)
    assert kinds(client.rows(3)) == [(EventKind.ACCEPTED, number) for number in (1, 2, 3)]
    client.close()


def test_release_that_was_lost_is_fetched_from_an_engine(gateway, cluster, order):
    client = gateway.session(S1)
    client.expect("welcome")
    cluster.lose_releases = 1
    client.send(command=order(1))
    client.send(command=order(2))
    assert kinds(client.rows(2)) == [(EventKind.ACCEPTED, 1), (EventKind.ACCEPTED, 2)]
    assert any(fetch[2] == 0 for fetch in cluster.fetches)
    client.close()


def test_without_credit_a_command_is_refused_and_taken_when_it_comes_again(gateway, cluster, order):
    client = gateway.session(S1)
    client.expect("welcome")
    cluster.credit = 0
    time.sleep(0.03)
    client.send(command=order(1))
    refusal = client.expect("refusal")
    assert (refusal.code, refusal.from_no, refusal.retryable) == (Code.BUSY, 1, True)
    cluster.credit = 1000
    time.sleep(0.03)
    client.send(command=order(1))
    assert kinds(client.rows(1)) == [(EventKind.ACCEPTED, 1)]
    client.close()


def test_without_a_leader_commands_are_refused_as_unavailable(gateway, cluster, order):
    cluster.leave_office()
    gateway.wait_until(lambda status: "no sequencer" in status.why)
    client = gateway.session(S1)
    client.expect("welcome")
    client.send(command=order(1))
    assert client.expect("refusal").code == Code.UNAVAILABLE
    with pytest.raises(grpc.RpcError) as failed:
        gateway.orders.Place(orders_pb2.PlaceRequest(order=order(1).new_order), timeout=30)
    assert failed.value.code() == grpc.StatusCode.UNAVAILABLE
    client.close()


def test_second_stream_takes_the_session_over(gateway, order):
    first = gateway.session(S1)
    first.expect("welcome")
    second = gateway.session(S1)
    second.expect("welcome")
    assert first.expect("refusal").code == Code.SESSION_TAKEN_OVER
    assert first.ended() == grpc.StatusCode.ABORTED
    second.send(command=order(1))
    assert kinds(second.rows(1)) == [(EventKind.ACCEPTED, 1)]
    second.close()


def test_number_that_was_left_out_is_asked_for_once(gateway, order):
    client = gateway.session(S1)
    client.expect("welcome")
    for number in (2, 3, 4):
        client.send(command=order(number))
    refusal = client.expect("refusal")
    assert (refusal.code, refusal.from_no, refusal.retryable) == (Code.SESSION_GAP, 1, True)
    client.send(command=order(1))
    assert kinds(client.rows(1)) == [(EventKind.ACCEPTED, 1)]
    client.close()


def test_batch_of_a_wrong_shape_is_refused_whole_and_the_session_goes_on(gateway):
    client = gateway.session(S1, columnar=True)
    client.expect("welcome")
    wrong = [
        (batch(1, 3, price_ticks=[1, 2]), Code.MALFORMED_BATCH),
        (batch(1, 0), Code.MALFORMED_BATCH),
        (batch(0, 1), Code.MALFORMED_BATCH),
        (orders_pb2.CommandBatch(first_no=1, count=5000, side=[common_pb2.SIDE_BUY]), Code.BATCH_TOO_LARGE),
    ]
    for message, code in wrong:
        client.send(batch=message)
        refusal = client.expect("refusal")
        assert (refusal.code, refusal.retryable) == (code, False), message
        assert refusal.text
    client.send(batch=batch(1, 2))
    assert kinds(client.rows(2)) == [(EventKind.ACCEPTED, 1), (EventKind.ACCEPTED, 2)]
    client.close()


def test_wrong_commands_in_a_batch_are_refused_one_by_one_with_a_code(gateway):
    client = gateway.session(S1, columnar=True)
    client.expect("welcome")
    client.send(
        batch=batch(
            1,
            6,
            side=[1, 9, 1, 1, 300, 1],
            price_ticks=[100, 100, -1, 2**41, 100, 100],
            account=[ALICE, ALICE, ALICE, ALICE, ALICE, 99],
        )
    )
    rows = client.rows(6)
    assert [row.session_no for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row.code for row in rows] == [
        Code.OK,
        Code.UNKNOWN_ENUM_VALUE,
        Code.PRICE_OUT_OF_RANGE,
        Code.PRICE_OUT_OF_RANGE,
        Code.UNKNOWN_ENUM_VALUE,
        Code.UNKNOWN_ACCOUNT,
    ]
    client.send(batch=batch(7, 1))
    assert kinds(client.rows(1)) == [(EventKind.ACCEPTED, 7)]
    client.close()


def test_unparsable_message_ends_the_stream_with_invalid_argument(gateway):
    call = gateway.channel.stream_stream("/lockstep.v1.OrderEntry/Session")(
        iter([orders_pb2.SessionRequest(hello=orders_pb2.Hello(session_id=S1)).SerializeToString(), b"\xff\xff\xff"])
    )
    with pytest.raises(grpc.RpcError):
        list(call)
    assert call.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_stream_without_hello_is_told_so(gateway, order):
    call = gateway.orders.Session(iter([orders_pb2.SessionRequest(command=order(1))]))
    with pytest.raises(grpc.RpcError):
        list(call)
    assert call.code() == grpc.StatusCode.FAILED_PRECONDITION


def test_half_closed_stream_still_gets_its_answers(gateway, order):
    requests = [orders_pb2.SessionRequest(hello=orders_pb2.Hello(session_id=S1, next_no=1))]
    requests += [orders_pb2.SessionRequest(command=order(number)) for number in range(1, 4)]
    rows = [row for response in gateway.orders.Session(iter(requests), timeout=30) for row in response.reports.reports]
    assert kinds(rows) == [(EventKind.ACCEPTED, number) for number in (1, 2, 3)]


def test_gateway_that_is_stopped_sends_its_clients_elsewhere(gateway, order):
    client = gateway.session(S1)
    client.expect("welcome")
    client.send(command=order(1))
    client.rows(1)
    gateway.stop_request.request("test")
    assert client.ended() == grpc.StatusCode.UNAVAILABLE
    assert int(dict(client.call.trailing_metadata())["lockstep-code"]) == Code.SHUTTING_DOWN
    client.close()


def test_unary_calls_give_the_outcome(gateway, order):
    placed = gateway.orders.Place(orders_pb2.PlaceRequest(order=order(5).new_order), timeout=30)
    assert [row.kind for row in placed.reports] == [EventKind.ACCEPTED]
    assert placed.stamp.event_id == placed.reports[0].event_id
    ref = orders_pb2.OrderRef(account=ALICE, client_order_id=5)
    found = gateway.orders.GetOrder(orders_pb2.GetOrderRequest(order=ref), timeout=30)
    assert (found.order.price_ticks, found.order.leaves_lots) == (100, 10)
    replace = orders_pb2.ReplaceOrder(order=ref, price_ticks=101, quantity_lots=4)
    replaced = gateway.orders.Replace(orders_pb2.ReplaceRequest(replace=replace), timeout=30)
    assert (replaced.reports[0].kind, replaced.reports[0].previous_price_ticks) == (EventKind.REPLACED, 100)
    canceled = gateway.orders.Cancel(orders_pb2.CancelRequest(cancel=orders_pb2.CancelOrder(order=ref)), timeout=30)
    assert canceled.reports[0].kind == EventKind.CANCELED
    mass = orders_pb2.MassCancelOrders(account=ALICE)
    ended = gateway.orders.MassCancel(orders_pb2.MassCancelRequest(mass_cancel=mass), timeout=30)
    assert ended.reports[-1].kind == EventKind.MASS_CANCELED
    with pytest.raises(grpc.RpcError) as failed:
        gateway.orders.GetOrder(orders_pb2.GetOrderRequest(order=ref), timeout=30)
    assert failed.value.code() == grpc.StatusCode.NOT_FOUND


def test_unary_call_with_the_same_key_executes_once(gateway, cluster, order):
    key = orders_pb2.IdempotencyKey(session_id=S1, session_no=1)
    request = orders_pb2.PlaceRequest(key=key, order=order(1).new_order)
    first = gateway.orders.Place(request, timeout=30)
    again = gateway.orders.Place(request, timeout=30)
    assert (first.duplicate, again.duplicate) == (False, True)
    assert [row.event_id for row in again.reports] == [row.event_id for row in first.reports]
    open_orders = gateway.accounts.ListOpenOrders(accounts_pb2.ListOpenOrdersRequest(account=ALICE), timeout=30)
    assert len(open_orders.orders) == 1


def test_unary_call_with_a_used_key_and_another_order_is_refused_and_has_no_effect(gateway, cluster, order):
    key = orders_pb2.IdempotencyKey(session_id=S1, session_no=1)
    first = gateway.orders.Place(orders_pb2.PlaceRequest(key=key, order=order(1).new_order), timeout=30)
    other = orders_pb2.PlaceRequest(key=key, order=order(1).new_order)
    other.order.quantity_lots += 1
    (refusal,) = gateway.orders.Place(other, timeout=30).reports
    assert (refusal.kind, refusal.code, refusal.session_no) == (EventKind.REJECTED, Code.KEY_REUSED, 1)
    ref = orders_pb2.OrderRef(account=ALICE, order_id=first.reports[0].order_id)
    cancel = orders_pb2.CancelRequest(key=key, cancel=orders_pb2.CancelOrder(order=ref))
    (refusal,) = gateway.orders.Cancel(cancel, timeout=30).reports
    assert (refusal.kind, refusal.code) == (EventKind.CANCEL_REJECTED, Code.KEY_REUSED)
    open_orders = gateway.accounts.ListOpenOrders(accounts_pb2.ListOpenOrdersRequest(account=ALICE), timeout=30)
    assert len(open_orders.orders) == 1


def test_unary_calls_with_one_key_at_once_are_told_apart_by_what_they_ask(gateway, cluster, order):
    key = orders_pb2.IdempotencyKey(session_id=S1, session_no=1)
    request = orders_pb2.PlaceRequest(key=key, order=order(1).new_order)
    other = orders_pb2.PlaceRequest(key=key, order=order(1).new_order)
    other.order.quantity_lots += 1
    cluster.hold_submits = True
    first = gateway.orders.Place.future(request, timeout=30)
    gateway.wait_until(lambda status: status.counters["unanswered"] == 1)
    second, third = (gateway.orders.Place.future(one, timeout=30) for one in (request, other))
    time.sleep(0.05)
    cluster.hold_submits = False
    assert (first.result().duplicate, second.result().duplicate) == (False, True)
    assert second.result().reports[0].event_id == first.result().reports[0].event_id
    assert third.result().reports[0].code == Code.KEY_REUSED


def test_stream_that_gives_a_number_to_two_commands_is_told_so(gateway, cluster, order):
    client = gateway.session(S1)
    client.expect("welcome")
    cluster.hold_submits = True
    other = order(1)
    other.new_order.quantity_lots += 1
    for command in (order(1), order(1), other):
        client.send(command=command)
    gateway.wait_until(lambda status: status.counters["unanswered"] == 2)
    cluster.hold_submits = False
    assert [(row.kind, row.code, row.session_no) for row in client.rows(2)] == [
        (EventKind.ACCEPTED, Code.OK, 1),
        (EventKind.REJECTED, Code.KEY_REUSED, 1),
    ]
    client.send(command=other)
    assert [row.code for row in client.rows(1)] == [Code.KEY_REUSED]
    client.close()


def test_unary_call_without_an_order_is_an_invalid_argument(gateway):
    with pytest.raises(grpc.RpcError) as failed:
        gateway.orders.Place(orders_pb2.PlaceRequest(), timeout=30)
    assert failed.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_unary_call_with_a_wrong_field_is_refused_by_a_code(gateway, order):
    wrong = orders_pb2.PlaceRequest(order=order(1, price_ticks=-5).new_order)
    reply = gateway.orders.Place(wrong, timeout=30)
    assert (reply.reports[0].kind, reply.reports[0].code) == (EventKind.REJECTED, Code.PRICE_OUT_OF_RANGE)


def test_stop_that_another_session_set_off_and_what_it_did_are_told_to_its_own(gateway, order):
    alice, bob = gateway.session(S1), gateway.session(S2)
    alice.expect("welcome")
    bob.expect("welcome")
    alice.send(command=order(1, order_type=3, side=2, price_ticks=0, stop_price_ticks=95, quantity_lots=4))
    assert [row.flags for row in alice.rows(1)] == [EventFlag.WAITS]
    bob.send(batch=batch(1, 3, side=[1, 1, 2], account=[BOB], price_ticks=[95, 94, 95], stp=[0]))
    bob.rows(6)
    alice_rows = alice.rows(2)
    assert kinds(alice_rows) == [(EventKind.TRIGGERED, 0), (EventKind.TRADE, 0)]
    assert [row.previous_price_ticks for row in alice_rows] == [95, 0]
    assert (alice_rows[1].leg, alice_rows[1].price_ticks, alice_rows[1].leaves_lots) == (0, 94, 0)
    alice.close()
    bob.close()


def test_owner_learns_what_prevention_took_off_in_another_session(gateway, order):
    alice, other = gateway.session(S1), gateway.session(S2)
    alice.expect("welcome")
    other.expect("welcome")
    alice.send(command=order(1))
    alice.rows(1)
    other.send(batch=batch(1, 1, side=[2], quantity_lots=[4], stp=[4], client_order_id=[77]))
    assert kinds(other.rows(3)) == [(EventKind.ACCEPTED, 1), (EventKind.REDUCED, 1), (EventKind.CANCELED, 1)]
    (reduced,) = alice.rows(1)
    assert (reduced.kind, reduced.code, reduced.leg, reduced.leaves_lots) == (
        EventKind.REDUCED, Code.SELF_TRADE, 1, 6,
    )  # fmt: skip
    alice.close()
    other.close()


def test_administration_goes_through_the_session(gateway):
    client = gateway.session(S1, columnar=True)
    client.expect("welcome")
    symbol = common_pb2.Instrument(id=9, symbol="NEWCO", tick_micros=10_000, lot_units=1)
    define = orders_pb2.DefineInstrument(instrument=symbol)
    client.send(command=orders_pb2.Command(session_no=1, define_instrument=define))
    too_long = orders_pb2.DefineAccount(account=4, name="x" * 33)
    client.send(command=orders_pb2.Command(session_no=2, define_account=too_long))
    defined, refused = client.rows(2)
    assert (defined.kind, defined.instrument, defined.order_id) == (EventKind.INSTRUMENT_DEFINED, 9, 0)
    assert (refused.kind, refused.code) == (EventKind.REJECTED, Code.FIELD_OUT_OF_RANGE)
    client.close()
