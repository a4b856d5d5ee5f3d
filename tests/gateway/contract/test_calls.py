"""docs/client-protocol.md, single calls: keys, replies, statuses and metadata; and market data's numbers."""

import random
import time

import grpc
import pytest

from lockstep.gateway import single_call
from lockstep.stream.codes import Code
from lockstep.stream.records import REMEMBERED_NUMBERS, EventKind
from lockstep.v1 import accounts_pb2, common_pb2, market_data_pb2, orders_pb2

SELL = 2
ACCEPTED, TRADE, DUPLICATE = EventKind.ACCEPTED, EventKind.TRADE, EventKind.DUPLICATE
L1, L2, TRADES = market_data_pb2.FEED_L1, market_data_pb2.FEED_L2, market_data_pb2.FEED_TRADES


def kinds(reply):
    return [row.kind for row in reply.reports]


def event_ids(reply):
    return [(row.event_id.seq, row.event_id.index) for row in reply.reports]


# ---- keys ----------------------------------------------------------------------------------------------------------


def test_same_key_gives_the_same_outcome_and_executes_once(desk):
    first = desk.place(1)
    again = desk.place(1)
    assert (first.duplicate, again.duplicate) == (False, True)
    assert event_ids(first) == event_ids(again)
    assert kinds(again) == [ACCEPTED]
    orders = desk.gateway.accounts.ListOpenOrders(accounts_pb2.ListOpenOrdersRequest(account=desk.alice), timeout=30)
    assert len(orders.orders) == 1


def test_same_key_while_the_first_is_under_way_gives_its_outcome_as_well(desk):
    desk.cluster.hold_submits = True
    request = orders_pb2.PlaceRequest(order=desk.new_order(), key=desk.key(1))
    calls = [desk.gateway.orders.Place.future(request, timeout=30) for _ in range(3)]
    desk.gateway.wait_until(lambda status: status.counters["unanswered"] >= 1)
    desk.cluster.hold_submits = False
    replies = [call.result() for call in calls]
    assert len({tuple(event_ids(reply)) for reply in replies}) == 1
    assert [kinds(reply) for reply in replies] == [[ACCEPTED]] * 3
    assert sum(not reply.duplicate for reply in replies) == 1


def test_call_without_a_key_is_executed_each_time(desk):
    first, second = desk.place(), desk.place()
    assert (first.duplicate, second.duplicate) == (False, False)
    assert first.reports[0].order_id != second.reports[0].order_id


def test_refused_call_keeps_its_outcome_too(desk):
    first = desk.place(1, quantity_lots=0)
    again = desk.place(1, quantity_lots=0)
    assert [row.code for row in again.reports] == [Code.BAD_QUANTITY]
    assert (again.duplicate, event_ids(again)) == (True, event_ids(first))


def test_same_key_with_another_command_is_refused(desk):
    desk.place(1)
    other = desk.place(1, quantity_lots=11)
    assert [(row.kind, row.code) for row in other.reports] == [(EventKind.REJECTED, Code.KEY_REUSED)]
    ref = orders_pb2.OrderRef(account=desk.alice, order_id=1)
    cancel = orders_pb2.CancelRequest(key=desk.key(1), cancel=orders_pb2.CancelOrder(order=ref))
    refused = desk.gateway.orders.Cancel(cancel, timeout=30)
    assert [(row.kind, row.code) for row in refused.reports] == [(EventKind.CANCEL_REJECTED, Code.KEY_REUSED)]
    assert kinds(desk.place(1)) == [ACCEPTED]


def test_same_key_with_another_command_is_refused_while_the_first_is_under_way(desk):
    desk.cluster.hold_submits = True
    first = desk.gateway.orders.Place.future(
        orders_pb2.PlaceRequest(order=desk.new_order(), key=desk.key(1)), timeout=8
    )
    desk.gateway.wait_until(lambda status: status.counters["unanswered"] >= 1)
    other = desk.gateway.orders.Place.future(
        orders_pb2.PlaceRequest(order=desk.new_order(quantity_lots=11), key=desk.key(1)), timeout=8
    )
    time.sleep(0.05)
    desk.cluster.hold_submits = False
    assert kinds(first.result()) == [ACCEPTED]
    assert [row.code for row in other.result().reports] == [Code.KEY_REUSED]


def test_same_key_with_another_command_at_two_gateways_is_refused_for_whoever_comes_second(desk):
    desk.cluster.hold_submits = True
    mine = orders_pb2.PlaceRequest(order=desk.new_order(), key=desk.key(1))
    call = desk.gateway.orders.Place.future(mine, timeout=30)
    desk.gateway.wait_until(lambda status: status.counters["unanswered"] >= 1)
    desk.stamp_order(1, quantity_lots=11)
    desk.cluster.hold_submits = False
    reply = call.result()
    assert [row.code for row in reply.reports] == [Code.KEY_REUSED]
    desk.cluster.hold_submits = True
    call = desk.gateway.orders.Place.future(
        orders_pb2.PlaceRequest(order=desk.new_order(client_order_id=2), key=desk.key(2)), timeout=8
    )
    desk.gateway.wait_until(lambda status: status.counters["unanswered"] >= 1)
    desk.stamp_order(2, client_order_id=2)
    desk.cluster.hold_submits = False
    assert kinds(call.result()) == [ACCEPTED], "the same command: its outcome is this call's"


def test_keys_that_overtake_each_other_by_hundreds_are_all_answered(desk):
    numbers = list(range(1, 301))
    random.Random(1).shuffle(numbers)

    def begin(number):
        request = orders_pb2.PlaceRequest(order=desk.new_order(), key=desk.key(number))
        return desk.gateway.orders.Place.future(request, timeout=30)

    def reply_to(number, call):
        for _ in range(20):
            try:
                return call.result()
            except grpc.RpcError as error:
                # The machine may be so busy that for a second nothing of the session came.
                if error.code() not in (grpc.StatusCode.ABORTED, grpc.StatusCode.UNAVAILABLE):
                    raise
                call = begin(number)
        raise AssertionError(f"number {number} is not answered")

    calls = [begin(number) for number in numbers]
    replies = [reply_to(number, call) for number, call in zip(numbers, calls, strict=True)]
    assert [reply.reports[0].session_no for reply in replies] == numbers
    assert {tuple(kinds(reply)) for reply in replies} == {(ACCEPTED,)}


def test_key_waits_while_others_of_its_session_still_come(desk):
    calls = []
    for number in range(12, 0, -1):
        request = orders_pb2.PlaceRequest(order=desk.new_order(), key=desk.key(number))
        calls.append(desk.gateway.orders.Place.future(request, timeout=30))
        time.sleep(0.15)
    assert [kinds(call.result()) for call in calls] == [[ACCEPTED]] * 12, "the highest has waited for 1.8 s"


def test_first_outcome_is_given_for_the_latest_8192_numbers_and_duplicate_alone_before(desk):
    assert REMEMBERED_NUMBERS == 8192, "docs/client-protocol.md says so"
    first = desk.place(1)
    client = desk.stream(next_no=2, last_seen=first.reports[0].event_id, columnar=True)
    for first_no in range(2, 2 + REMEMBERED_NUMBERS, 2048):
        client.send(batch=orders_pb2.CommandBatch(
            first_no=first_no, count=2048, side=[common_pb2.SIDE_BUY], order_type=[common_pb2.ORDER_TYPE_LIMIT],
            tif=[common_pb2.TIME_IN_FORCE_IOC], account=[desk.alice], instrument=[desk.instrument], price_ticks=[50],
            quantity_lots=[1],
        ))  # fmt: skip
        delivered = 0
        while delivered < 2 * 2048:
            delivered += client.expect("report_batch").count
    oldest = desk.place(2, tif=3, price_ticks=50, quantity_lots=1)
    assert (oldest.duplicate, kinds(oldest)) == (True, [ACCEPTED, EventKind.CANCELED])
    assert {row.session_no for row in oldest.reports} == {2}
    forgotten = desk.place(1)
    assert (forgotten.duplicate, kinds(forgotten)) == (True, [DUPLICATE])
    assert (forgotten.reports[0].session_no, forgotten.reports[0].original_seq) == (1, 0)


def test_outcome_whose_reports_were_cut_is_duplicate_alone_with_its_seq(desk):
    first = desk.place(1)
    seq = first.reports[0].event_id.seq
    desk.cluster.cut_after = seq
    try:
        again = desk.place(1)
    finally:
        desk.cluster.cut_after = 0
    assert (again.duplicate, kinds(again), again.reports[0].original_seq) == (True, [DUPLICATE], seq)


# ---- what a reply holds --------------------------------------------------------------------------------------------


def test_reply_holds_what_answers_the_command_and_not_the_sessions_own_maker_leg(desk):
    stream = desk.stream()
    desk.place(1)
    reply = desk.place(2, side=SELL, account=desk.bob)
    assert [(row.kind, row.leg, row.session_no) for row in reply.reports] == [(ACCEPTED, 0, 2), (TRADE, 0, 2)]
    assert event_ids(desk.place(2, side=SELL, account=desk.bob)) == event_ids(reply)
    delivered = stream.rows(4)
    assert [(row.kind, row.leg) for row in delivered] == [(ACCEPTED, 0), (ACCEPTED, 0), (TRADE, 0), (TRADE, 1)]


def test_stamp_of_a_reply_names_its_first_event_and_is_not_behind_it(desk):
    reply = desk.place(1)
    assert reply.stamp.event_id == reply.reports[0].event_id
    assert reply.stamp.seq >= reply.reports[-1].event_id.seq
    assert reply.stamp.epoch == reply.reports[0].epoch == desk.cluster.epoch


def test_query_after_a_reply_shows_what_the_reply_told(desk):
    reply = desk.place(1)
    ref = orders_pb2.OrderRef(account=desk.alice, order_id=reply.reports[0].order_id)
    found = desk.gateway.orders.GetOrder(orders_pb2.GetOrderRequest(order=ref), timeout=30)
    assert found.stamp.seq >= reply.stamp.event_id.seq
    assert (found.order.order_id, found.order.session_id) == (ref.order_id, desk.s1)


# ---- statuses and metadata -----------------------------------------------------------------------------------------


def place(desk, **request):
    return lambda: desk.gateway.orders.Place(orders_pb2.PlaceRequest(**request), timeout=30)


def get_order(desk, **ref):
    request = orders_pb2.GetOrderRequest(order=orders_pb2.OrderRef(**ref))
    return lambda: desk.gateway.orders.GetOrder(request, timeout=30)


def subscribe(desk, **request):
    return lambda: list(desk.gateway.market.Subscribe(market_data_pb2.SubscribeRequest(**request), timeout=30))


def account(desk, number):
    return lambda: desk.gateway.accounts.GetAccount(accounts_pb2.GetAccountRequest(account=number), timeout=30)


STATUS = grpc.StatusCode
FAILURES = {
    "no order": (lambda desk: place(desk), STATUS.INVALID_ARGUMENT, Code.MISSING_FIELD),
    "key without number": (
        lambda desk: place(desk, order=desk.new_order(), key={"session_id": desk.s1}),
        STATUS.INVALID_ARGUMENT,
        Code.MISSING_FIELD,
    ),
    "key of no session": (
        lambda desk: place(desk, order=desk.new_order(), key={"session_no": 1}),
        STATUS.PERMISSION_DENIED,
        Code.NOT_ENTITLED,
    ),
    "gap": (
        lambda desk: place(desk, order=desk.new_order(), key=desk.key(7)), STATUS.ABORTED, Code.SESSION_GAP,
    ),
    "order not named": (lambda desk: get_order(desk), STATUS.INVALID_ARGUMENT, Code.MISSING_FIELD),
    "order not found": (
        lambda desk: get_order(desk, account=desk.alice, order_id=2**40), STATUS.NOT_FOUND, Code.UNKNOWN_ORDER,
    ),
    "account not found": (lambda desk: account(desk, 2**31), STATUS.NOT_FOUND, Code.UNKNOWN_ACCOUNT),
    "no feed": (lambda desk: subscribe(desk), STATUS.INVALID_ARGUMENT, Code.MISSING_FIELD),
    "unknown feed": (lambda desk: subscribe(desk, feeds=[9]), STATUS.INVALID_ARGUMENT, Code.UNKNOWN_ENUM_VALUE),
    "instrument not found": (
        lambda desk: subscribe(desk, instruments=[2**31], feeds=[L1]), STATUS.NOT_FOUND, Code.UNKNOWN_INSTRUMENT,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FAILURES)
def test_every_failed_call_names_a_code_and_a_pause(desk, failure, monkeypatch, case):
    monkeypatch.setattr(single_call, "GAP_PATIENCE_NS", 50_000_000)
    call, status, code = FAILURES[case]
    failed, delivered = failure(call(desk))
    assert (failed, int(delivered["lockstep-code"])) == (status, code)
    assert int(delivered["lockstep-retry-after-ms"]) == 0
    assert ("lockstep-seq" in delivered) is (status is STATUS.NOT_FOUND)


def test_not_found_says_as_of_when(desk, failure):
    reply = desk.place(1)
    calls = (
        get_order(desk, account=desk.alice, order_id=2**40),
        account(desk, 2**31),
        subscribe(desk, instruments=[2**31], feeds=[L2]),
    )
    for call in calls:
        _status, delivered = failure(call)
        assert int(delivered["lockstep-epoch"]) == desk.cluster.epoch
        assert int(delivered["lockstep-seq"]) >= reply.stamp.event_id.seq


def test_without_a_leader_calls_are_unavailable_with_a_pause(desk, failure):
    desk.cluster.leave_office()
    try:
        desk.gateway.wait_until(lambda status: "no sequencer" in status.why)
        status, delivered = failure(lambda: desk.place(1))
    finally:
        desk.cluster.take_office(1)
        desk.gateway.wait_serving()
    assert (status, int(delivered["lockstep-code"])) == (grpc.StatusCode.UNAVAILABLE, Code.UNAVAILABLE)
    assert int(delivered["lockstep-retry-after-ms"]) == 50
    assert kinds(desk.place(1)) == [ACCEPTED]


def test_key_may_come_a_moment_before_the_one_below_it(desk):
    second = desk.gateway.orders.Place.future(
        orders_pb2.PlaceRequest(order=desk.new_order(), key=desk.key(2)), timeout=8
    )
    time.sleep(0.05)
    assert kinds(desk.place(1)) == [ACCEPTED]
    assert kinds(second.result()) == [ACCEPTED]


def test_call_that_is_not_answered_in_time_is_unavailable_and_its_key_gives_the_outcome_later(
    desk, failure, monkeypatch
):
    assert single_call.ANSWER_PATIENCE_NS == 5_000_000_000, "docs/client-protocol.md says so"
    monkeypatch.setattr(single_call, "ANSWER_PATIENCE_NS", 200_000_000)
    desk.cluster.hold_submits = True
    status, delivered = failure(lambda: desk.place(1))
    desk.cluster.hold_submits = False
    assert (status, int(delivered["lockstep-code"])) == (grpc.StatusCode.UNAVAILABLE, Code.UNAVAILABLE)
    monkeypatch.undo()
    assert kinds(desk.place(1)) == [ACCEPTED]


# ---- market data ---------------------------------------------------------------------------------------------------


def first_updates(desk, feeds, count):
    # The instrument was defined elsewhere a moment ago.
    request = market_data_pb2.SubscribeRequest(instruments=[desk.instrument], feeds=feeds, at_least=desk.stamp())
    call = desk.gateway.market.Subscribe(request, timeout=30)
    return call, [next(call) for _ in range(count)]


def test_each_feed_begins_with_previous_seq_0_and_goes_on_from_the_seq_before(desk):
    call, first = first_updates(desk, [L1, L2, TRADES], 3)
    seqs = {update.feed: update.seq for update in first}
    assert {update.previous_seq for update in first} == {0}
    desk.place()
    desk.place(side=SELL, account=desk.bob, quantity_lots=3)
    trade = None
    while trade is None:
        update = next(call)
        assert update.previous_seq == seqs[update.feed]
        seqs[update.feed] = update.seq
        trade = update.trade if update.WhichOneof("update") == "trade" else None
    call.cancel()
    assert (trade.price_ticks, trade.quantity_lots) == (100, 3)


def test_subscriber_is_answered_as_of_what_it_was_told_elsewhere(desk):
    later = desk.instrument + 1_000_000
    at_least = desk.stamp(seqs_later=1)
    request = market_data_pb2.SubscribeRequest(instruments=[later], feeds=[L2], at_least=at_least)
    call = desk.gateway.market.Subscribe(request, timeout=30)
    time.sleep(0.2)
    desk.define_instrument(later)
    assert next(call).instrument == later
    call.cancel()


def test_gateway_that_stays_behind_what_a_subscriber_was_told_ends_the_stream(desk):
    for stamp in (desk.stamp(seqs_later=1_000), desk.stamp(epochs_later=1)):
        request = market_data_pb2.SubscribeRequest(instruments=[desk.instrument], feeds=[L2], at_least=stamp)
        with pytest.raises(grpc.RpcError) as raised:
            next(desk.gateway.market.Subscribe(request, timeout=30))
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
        assert f"its client has seen seq {stamp.seq} of epoch {stamp.epoch}" in raised.value.details()


def test_book_of_a_seq_holds_every_event_up_to_that_seq(desk):
    placed = desk.place().reports[0].event_id.seq
    call, (update,) = first_updates(desk, [L2], 1)
    assert update.seq >= placed
    assert update.stamp.seq == update.seq
    assert [(level.price_ticks, level.quantity_lots) for level in update.snapshot.bids] == [(100, 10)]
    canceled = desk.gateway.orders.Cancel(
        orders_pb2.CancelRequest(cancel={"order": {"account": desk.alice, "order_id": placed}}), timeout=5
    )
    gone = next(call)
    call.cancel()
    assert gone.seq >= canceled.reports[0].event_id.seq
    assert [(level.price_ticks, level.quantity_lots) for level in gone.book.levels] == [(100, 0)]


def test_best_prices_begin_with_the_present_ones_and_trades_with_an_empty_snapshot(desk):
    desk.place()
    desk.place(side=SELL, account=desk.bob, quantity_lots=4)
    call, updates = first_updates(desk, [L1, TRADES], 2)
    call.cancel()
    first = {update.feed: update for update in updates}
    assert (first[L1].best.bid_price_ticks, first[L1].best.bid_quantity_lots) == (100, 6)
    assert first[TRADES].snapshot == market_data_pb2.BookSnapshot()
    assert first[TRADES].WhichOneof("update") == "snapshot"


def test_instruments_of_all_replies_carry_their_stamp(desk):
    reply = desk.gateway.market.ListInstruments(market_data_pb2.ListInstrumentsRequest(), timeout=30)
    assert desk.instrument in [instrument.id for instrument in reply.instruments]
    assert isinstance(reply.stamp, common_pb2.Stamp)
    assert reply.stamp.epoch == desk.cluster.epoch


# ---- notes ---------------------------------------------------------------------------------------------------------


def note(desk, number, high, low, key=None):
    request = orders_pb2.NoteRequest(key=desk.key(number) if key is None else key)
    request.note.high, request.note.low = high, low
    return desk.gateway.orders.Note(request, timeout=30)


def test_note_uses_its_number_up_and_shows_its_name(desk):
    high, low = 2**64 - 1, 2**63 + 5
    reply = note(desk, 1, high, low)
    row = reply.reports[0]
    assert (row.kind, row.code, row.session_no) == (EventKind.REJECTED, Code.NOTED, 1)
    assert (row.order_id, row.client_order_id, row.account) == (high, low, 0)
    assert kinds(desk.place(2)) == [ACCEPTED]


def test_of_two_notes_under_one_number_each_sees_the_first(desk):
    first, other = note(desk, 1, 7, 8), note(desk, 1, 9, 9)
    assert (first.duplicate, other.duplicate) == (False, True)
    assert event_ids(other) == event_ids(first)
    assert (other.reports[0].order_id, other.reports[0].client_order_id) == (7, 8)
    late = desk.place(1)
    assert [(row.kind, row.code) for row in late.reports] == [(EventKind.REJECTED, Code.NOTED)]
    assert late.duplicate, "an order under a noted number has no effect, and its caller sees why"


def test_note_needs_a_key_and_a_session_of_its_client(desk):
    for key in (orders_pb2.IdempotencyKey(), orders_pb2.IdempotencyKey(session_id=desk.key(1).session_id)):
        with pytest.raises(grpc.RpcError) as failed:
            note(desk, 0, 1, 2, key)
        assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    foreign = orders_pb2.IdempotencyKey(session_id=0x7FFF_0000 << 32 | 1, session_no=1)
    with pytest.raises(grpc.RpcError) as failed:
        note(desk, 0, 1, 2, foreign)
    assert failed.value.code() is grpc.StatusCode.PERMISSION_DENIED
    with pytest.raises(grpc.RpcError) as failed:
        desk.gateway.orders.Note(orders_pb2.NoteRequest(key=desk.key(1)), timeout=30)
    assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT
