"""docs/client-protocol.md, session streams: Hello, numbering, refusals, resuming, the end."""

import contextlib
import threading
import time

import grpc
import numpy as np
import pytest

from lockstep.gateway import resumption, service_orders
from lockstep.stream.codes import Code
from lockstep.stream.records import COMMAND, CommandKind, EventKind
from lockstep.v1 import common_pb2, orders_pb2

SESSION = "/lockstep.v1.OrderEntry/Session"
ACCEPTED, REJECTED, TRADE, DUPLICATE = (
    EventKind.ACCEPTED, EventKind.REJECTED, EventKind.TRADE, EventKind.DUPLICATE,
)  # fmt: skip


def answers(rows):
    return [(row.kind, row.session_no) for row in rows]


def ids(rows):
    return [(row.event_id.seq, row.event_id.index, row.leg) for row in rows]


def messages(gateway, *requests):
    """A stream of these bytes, half-closed: its call, and what came."""
    call = gateway.channel.stream_stream(SESSION)(iter(requests), timeout=8)
    said: list[orders_pb2.SessionResponse] = []
    with contextlib.suppress(grpc.RpcError):
        said.extend(orders_pb2.SessionResponse.FromString(raw) for raw in call)
    return call, said


def hello(session_id, **fields):
    return orders_pb2.SessionRequest(hello=orders_pb2.Hello(session_id=session_id, **fields)).SerializeToString()


def ended(client):
    """(status, numeric code in the metadata) of a stream that the gateway ends."""
    status = client.ended()
    return status, int(dict(client.call.trailing_metadata())["lockstep-code"])


# ---- Hello and Welcome ---------------------------------------------------------------------------------------------


def test_welcome_is_the_first_message_and_comes_once(gateway, desk):
    _call, said = messages(
        gateway,
        hello(desk.s1, next_no=1),
        orders_pb2.SessionRequest(command=desk.order(1)).SerializeToString(),
    )
    assert [one.WhichOneof("message") for one in said] == ["welcome", "reports"]
    welcome = said[0].welcome
    assert (welcome.gateway, welcome.credit, welcome.max_batch) == (gateway.member.id, 8192, 2048)
    assert (welcome.stamp.epoch, welcome.stamp.seq) == (desk.cluster.epoch, welcome.stamp.seq)


@pytest.mark.parametrize(
    ("first", "status", "code"),
    [
        (None, grpc.StatusCode.INVALID_ARGUMENT, Code.MISSING_FIELD),
        ("command", grpc.StatusCode.FAILED_PRECONDITION, Code.MISSING_FIELD),
        (b"\xff\xff", grpc.StatusCode.INVALID_ARGUMENT, Code.MALFORMED_BATCH),
    ],
    ids=["nothing", "a command", "no message"],
)
def test_stream_that_does_not_begin_with_hello_ends(gateway, desk, first, status, code):
    if first == "command":
        first = orders_pb2.SessionRequest(command=desk.order(1)).SerializeToString()
    call, said = messages(gateway, *([] if first is None else [first]))
    assert (call.code(), said) == (status, [])
    assert int(dict(call.trailing_metadata())["lockstep-code"]) == code


def test_stream_that_says_no_hello_ends_and_may_come_again(gateway, desk, monkeypatch):
    monkeypatch.setattr(service_orders, "HELLO_PATIENCE_S", 0.2)
    over = threading.Event()

    def requests():
        over.wait(20)
        yield hello(desk.s1)

    with grpc.insecure_channel(gateway.member.grpc_address) as channel:
        call = channel.stream_stream(SESSION)(requests())
        assert call.code() is grpc.StatusCode.UNAVAILABLE
        over.set()
    assert dict(call.trailing_metadata())["lockstep-code"] == str(int(Code.UNAVAILABLE))
    call, said = messages(gateway, hello(desk.s1, next_no=1))
    assert (call.code(), [one.WhichOneof("message") for one in said]) == (grpc.StatusCode.OK, ["welcome"])


def test_second_hello_ends_the_stream(gateway, desk):
    call, said = messages(gateway, hello(desk.s1), hello(desk.s1))
    assert call.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert [one.WhichOneof("message") for one in said] == ["welcome"]


@pytest.mark.parametrize("session_id", [0, 0x7FFF_0001_0000_0001])
def test_session_zero_and_those_of_gateways_are_nobodys(gateway, session_id):
    call, _said = messages(gateway, hello(session_id))
    assert call.code() == grpc.StatusCode.PERMISSION_DENIED
    assert int(dict(call.trailing_metadata())["lockstep-code"]) == Code.NOT_ENTITLED


# ---- numbers -------------------------------------------------------------------------------------------------------


def test_each_number_is_executed_once_and_a_repetition_is_told_as_duplicate(desk):
    client = desk.stream()
    client.send(command=desk.order(1))
    client.send(command=desk.order(2))
    first = client.rows(2)
    assert answers(first) == [(ACCEPTED, 1), (ACCEPTED, 2)]
    client.send(command=desk.order(1))
    client.send(command=desk.order(3))
    again, third = client.rows(2)
    assert (again.kind, again.session_no, again.order_id) == (DUPLICATE, 1, 0)
    assert again.original_seq == first[0].event_id.seq
    assert answers([third]) == [(ACCEPTED, 3)]


def test_used_number_with_other_content_is_refused_and_has_no_effect(desk):
    client = desk.stream()
    client.send(command=desk.order(1))
    (first,) = client.rows(1)
    client.send(command=desk.order(1, price_ticks=99))
    client.send(command=desk.cancel(1, first.order_id))
    client.send(command=desk.order(2))
    reused, canceled, second = client.rows(3)
    assert (reused.kind, reused.session_no, reused.code) == (REJECTED, 1, Code.KEY_REUSED)
    assert (canceled.kind, canceled.session_no, canceled.code) == (EventKind.CANCEL_REJECTED, 1, Code.KEY_REUSED)
    assert answers([second]) == [(ACCEPTED, 2)]
    client.send(command=desk.order(1))
    (again,) = client.rows(1)
    assert (again.kind, again.original_seq) == (DUPLICATE, first.event_id.seq)


def test_repetition_of_a_number_that_is_not_answered_yet_is_dropped(desk):
    client = desk.stream()
    desk.cluster.hold_submits = True
    for _ in range(3):
        client.send(command=desk.order(1))
    client.send(command=desk.order(2))
    # What stands before a command on the stream was dealt with when that is admitted.
    desk.gateway.wait_until(lambda status: status.counters["unanswered"] == 2)
    desk.cluster.hold_submits = False
    assert answers(client.rows(2)) == [(ACCEPTED, 1), (ACCEPTED, 2)]


def test_refused_command_has_taken_its_number(desk):
    client = desk.stream()
    client.send(command=desk.order(1, price_ticks=-5))
    client.send(command=desk.order(2, quantity_lots=0))
    rows = client.rows(2)
    assert [(row.kind, row.session_no, row.code) for row in rows] == [
        (REJECTED, 1, Code.PRICE_OUT_OF_RANGE),
        (REJECTED, 2, Code.BAD_QUANTITY),
    ]
    client.send(command=desk.order(1))
    assert answers(client.rows(1)) == [(DUPLICATE, 1)]


def test_administration_is_numbered_like_an_order(desk):
    client = desk.stream()
    define = orders_pb2.DefineAccount(account=0, name="nobody")
    client.send(command=orders_pb2.Command(session_no=1, define_account=define))
    client.send(command=desk.order(2))
    wrong, right = client.rows(2)
    assert (wrong.kind, wrong.session_no, wrong.code) == (EventKind.ADMIN_REJECTED, 1, Code.BAD_DEFINITION)
    assert answers([right]) == [(ACCEPTED, 2)]


# ---- what the gateway does not take --------------------------------------------------------------------------------


def test_number_that_was_left_out_is_named_once_and_what_follows_is_dropped(desk):
    client = desk.stream()
    for number in (2, 3, 4):
        client.send(command=desk.order(number))
    refusal = client.expect("refusal")
    assert (refusal.code, refusal.from_no, refusal.retryable) == (Code.SESSION_GAP, 1, True)
    client.send(command=desk.order(1))
    assert answers(client.rows(1)) == [(ACCEPTED, 1)]
    client.send(command=desk.order(3))
    assert client.expect("refusal").from_no == 2
    for number in (2, 3):
        client.send(command=desk.order(number))
    assert answers(client.rows(2)) == [(ACCEPTED, 2), (ACCEPTED, 3)]


@pytest.mark.parametrize("why", [Code.BUSY, Code.UNAVAILABLE])
def test_commands_behind_a_refusal_are_dropped_until_the_refused_one_comes_again(desk, why):
    client = desk.stream()
    credit = desk.cluster.credit
    if why is Code.BUSY:
        desk.cluster.credit = 0
        time.sleep(0.03)
    else:
        desk.cluster.leave_office()
        desk.gateway.wait_until(lambda status: "no sequencer" in status.why)
    for number in (1, 2, 3):
        client.send(command=desk.order(number))
    refusal = client.expect("refusal")
    assert (refusal.code, refusal.from_no, refusal.retryable) == (why, 1, True)
    assert refusal.retry_after_ms > 0
    if why is Code.BUSY:
        desk.cluster.credit = credit
    else:
        desk.cluster.take_office(1)
    desk.gateway.wait_serving()
    time.sleep(0.03)
    for number in (1, 2, 3):
        client.send(command=desk.order(number))
    assert answers(client.rows(3)) == [(ACCEPTED, 1), (ACCEPTED, 2), (ACCEPTED, 3)]


def test_message_of_a_wrong_shape_uses_no_number_and_the_stream_goes_on(desk):
    client = desk.stream()
    short = orders_pb2.CommandBatch(first_no=1, count=3, account=[desk.alice], price_ticks=[1, 2])
    client.send(batch=short)
    refusal = client.expect("refusal")
    assert (refusal.code, refusal.from_no, refusal.retryable) == (Code.MALFORMED_BATCH, 1, False)
    client.send(command=desk.order(0))
    assert client.expect("refusal").code == Code.MALFORMED_BATCH
    client.send(batch=orders_pb2.CommandBatch(first_no=1, count=2049, account=[desk.alice]))
    assert client.expect("refusal").code == Code.BATCH_TOO_LARGE
    client.send(command=desk.order(1))
    assert answers(client.rows(1)) == [(ACCEPTED, 1)]


# ---- Hello again ---------------------------------------------------------------------------------------------------


def five_orders(desk):
    client = desk.stream()
    for number in range(1, 6):
        client.send(command=desk.order(number, price_ticks=100 + number))
    return client, client.rows(5)


def test_resumed_stream_tells_everything_after_the_last_event_seen(desk):
    first, rows = five_orders(desk)
    first.close()
    again = desk.stream(last_seen=rows[1].event_id, next_no=6)
    again.send(command=desk.order(6))
    assert answers(again.rows(4)) == [(ACCEPTED, number) for number in (3, 4, 5, 6)]
    whole = desk.stream(next_no=7)
    assert ids(whole.rows(6)[:5]) == ids(rows)


def test_duplicates_are_told_again_like_every_other_row(desk):
    client = desk.stream()
    client.send(command=desk.order(1))
    client.rows(1)
    client.send(command=desk.order(1))
    delivered = client.rows(1)
    again = desk.stream(next_no=2)
    assert answers(again.rows(2)) == [(ACCEPTED, 1), (DUPLICATE, 1)]
    assert delivered[0].kind == DUPLICATE


def test_last_event_seen_means_both_of_its_legs(desk):
    client = desk.stream()
    client.send(command=desk.order(1))
    client.send(command=desk.order(2, side=2))
    rows = client.rows(4)
    trades = [row for row in rows if row.kind == TRADE]
    assert [row.leg for row in trades] == [0, 1]
    assert trades[0].event_id == trades[1].event_id
    client.send(command=desk.order(3))
    third = client.rows(1)
    again = desk.stream(last_seen=trades[0].event_id, next_no=4)
    assert ids(again.rows(1)) == ids(third)
    before = {"seq": trades[0].event_id.seq, "index": trades[0].event_id.index - 1}
    both = desk.stream(last_seen=before, next_no=4)
    assert ids(both.rows(3)) == ids([*trades, *third])


def test_epochs_and_seqs_of_stamps_never_fall_and_old_events_carry_the_present_epoch(desk):
    client, rows = five_orders(desk)
    epoch = desk.cluster.epoch
    assert {row.epoch for row in rows} == {epoch}
    client.close()
    desk.cluster.take_office(2 if desk.cluster.leader == 1 else 1)
    desk.gateway.wait_until(lambda status: status.epoch == epoch + 1)
    again = desk.raw_stream(last_seen=rows[0].event_id, last_epoch=epoch, next_no=6)
    stamps: list[tuple[int, int]] = []
    delivered: list[common_pb2.ExecutionReport] = []
    while len(delivered) < 4:
        said = again.next()
        part = getattr(said, said.WhichOneof("message"))
        stamps.append((part.stamp.epoch, part.stamp.seq))
        delivered += getattr(part, "reports", ())
    assert stamps == sorted(stamps)
    assert ids(delivered) == ids(rows[1:])
    assert {row.epoch for row in delivered} == {epoch + 1}
    assert stamps[0][0] == epoch + 1


def test_seq_of_a_stamp_may_be_ahead_of_the_reports_told(desk):
    client, rows = five_orders(desk)
    again = desk.raw_stream(next_no=6)
    welcome = again.expect("welcome")
    assert welcome.stamp.seq >= rows[-1].event_id.seq
    assert ids(again.rows(1)) == ids(rows[:1])
    client.close()


def test_history_that_was_given_up_is_refused_for_good(desk):
    client, rows = five_orders(desk)
    client.close()
    epoch = desk.cluster.epoch
    desk.cluster.take_office(desk.cluster.leader)
    desk.gateway.wait_until(lambda status: status.epoch == epoch + 1)
    desk.cluster.diverged_at = rows[1].event_id.seq
    try:
        again = desk.stream(last_seen=rows[2].event_id, last_epoch=epoch, next_no=6)
        refusal = again.expect("refusal")
    finally:
        desk.cluster.diverged_at = 0
    assert (refusal.code, refusal.retryable, refusal.from_no) == (Code.REPORTS_GONE, False, 0)
    assert f"from seq {rows[1].event_id.seq} on is void" in refusal.text
    assert ended(again) == (grpc.StatusCode.OUT_OF_RANGE, Code.REPORTS_GONE)


def test_reports_that_were_cut_from_every_journal_are_refused_for_good(desk, monkeypatch):
    monkeypatch.setattr(resumption, "PATIENCE_NS", 100_000_000)
    client, rows = five_orders(desk)
    client.close()
    desk.cluster.cut_after = rows[3].event_id.seq
    try:
        again = desk.stream(last_seen=rows[0].event_id, next_no=6)
        refusal = again.expect("refusal")
        assert ended(again) == (grpc.StatusCode.OUT_OF_RANGE, Code.REPORTS_GONE)
        rest = desk.stream(last_seen=rows[3].event_id, next_no=6)
        assert ids(rest.rows(1)) == ids(rows[4:])
    finally:
        desk.cluster.cut_after = 0
    assert (refusal.code, refusal.retryable) == (Code.REPORTS_GONE, False)
    assert f"before seq {rows[3].event_id.seq + 1}" in refusal.text


@pytest.mark.parametrize("ahead", ["seq", "epoch"])
def test_gateway_that_is_behind_its_client_says_so_and_takes_no_command(desk, monkeypatch, ahead):
    monkeypatch.setattr(resumption, "PATIENCE_NS", 100_000_000)
    client, rows = five_orders(desk)
    client.close()
    seen = {"seq": rows[4].event_id.seq + (1000 if ahead == "seq" else 0)}
    epoch = desk.cluster.epoch + (ahead == "epoch")
    again = desk.raw_stream(last_seen=seen, last_epoch=epoch, next_no=6)
    again.send(command=desk.order(6))
    if ahead == "seq":
        assert again.expect("welcome").stamp.epoch == epoch
    assert again.responses.get(timeout=5) is None, "nothing is said under an epoch that is lower than the client's"
    assert ended(again) == (grpc.StatusCode.UNAVAILABLE, Code.UNAVAILABLE)
    after = desk.stream(last_seen=rows[4].event_id, next_no=6)
    after.send(command=desk.order(6))
    assert answers(after.rows(1)) == [(ACCEPTED, 6)]


# ---- next_no -------------------------------------------------------------------------------------------------------


def test_too_high_next_no_is_believed_and_refused_by_the_engine_until_the_right_number_comes(desk):
    client = desk.stream(next_no=10)
    client.send(command=desk.order(10))
    (refused,) = client.rows(1)
    assert (refused.kind, refused.session_no, refused.code) == (REJECTED, 10, Code.SESSION_OUT_OF_ORDER)
    for number in (1, 2, 3):
        client.send(command=desk.order(number))
    assert answers(client.rows(3)) == [(ACCEPTED, 1), (ACCEPTED, 2), (ACCEPTED, 3)]


def test_too_low_next_no_does_no_harm(desk):
    client, _rows = five_orders(desk)
    client.close()
    again = desk.stream(next_no=2)
    again.rows(5)
    for number in (4, 5, 6):
        again.send(command=desk.order(number, price_ticks=100 + number))
    assert answers(again.rows(3)) == [(DUPLICATE, 4), (DUPLICATE, 5), (ACCEPTED, 6)]


def test_last_number_is_the_highest_that_a_report_of_leg_0_names(desk):
    client, _rows = five_orders(desk)
    other = desk.stream(desk.s2)
    other.send(command=desk.order(1, side=2, account=desk.bob, price_ticks=105))
    other.rows(2)
    client.close()
    again = desk.stream(next_no=1)
    rows = again.rows(6)
    last_no = max(row.session_no for row in rows if row.leg == 0)
    assert (last_no, rows[5].leg, rows[5].session_no) == (5, 1, 0)
    again.send(command=desk.order(last_no + 1))
    assert answers(again.rows(1)) == [(ACCEPTED, 6)]


# ---- two streams, and the end of one -------------------------------------------------------------------------------


def test_later_stream_takes_the_session_and_the_earlier_one_is_told(desk):
    first = desk.stream()
    second = desk.stream()
    refusal = first.expect("refusal")
    assert (refusal.code, refusal.from_no, refusal.retryable) == (Code.SESSION_TAKEN_OVER, 0, False)
    assert ended(first) == (grpc.StatusCode.ABORTED, Code.SESSION_TAKEN_OVER)
    second.send(command=desk.order(1))
    assert answers(second.rows(1)) == [(ACCEPTED, 1)]


def test_commands_that_the_earlier_stream_brought_in_are_answered_on_the_later_one(desk):
    first = desk.stream()
    desk.cluster.hold_submits = True
    first.send(command=desk.order(1))
    desk.gateway.wait_until(lambda status: status.counters["unanswered"] >= 1)
    second = desk.stream(next_no=1)
    second.send(command=desk.order(2))
    desk.cluster.hold_submits = False
    assert answers(second.rows(2)) == [(ACCEPTED, 1), (ACCEPTED, 2)]


def test_hello_of_an_earlier_connection_is_refused_and_leaves_the_later_one_alone(desk):
    later = desk.stream(cancel_on_disconnect_ms=60_000, connection=8)
    earlier = desk.raw_stream(cancel_on_disconnect_ms=60_000, connection=7)
    assert ended(earlier) == (grpc.StatusCode.ABORTED, Code.STALE_CONNECTION)
    later.send(command=desk.order(1))
    assert answers(later.rows(1)) == [(ACCEPTED, 1)]


@pytest.mark.parametrize("grace_ms", [0, 60_000])
def test_stream_with_a_number_ends_when_a_higher_one_is_opened_at_another_gateway(desk, grace_ms):
    client = desk.stream(cancel_on_disconnect_ms=grace_ms, connection=7)
    client.send(command=desk.order(1))
    assert answers(client.rows(1)) == [(ACCEPTED, 1)]
    elsewhere = np.zeros(1, dtype=COMMAND)
    elsewhere["kind"], elsewhere["gateway"] = CommandKind.SESSION_OPENED, 2
    elsewhere["order_id"], elsewhere["client_order_id"] = desk.s1, 8
    desk.cluster.stamp(elsewhere)
    assert ended(client) == (grpc.StatusCode.ABORTED, Code.STALE_CONNECTION)


def test_number_that_another_gateway_brought_in_is_told_here_and_a_duplicate_when_it_comes_again(desk):
    client = desk.stream()
    elsewhere = np.zeros(1, dtype=COMMAND)
    terms = {"kind": 1, "side": 1, "order_type": 1, "tif": 2, "price_ticks": 100, "quantity_lots": 10}
    ids_of = {"account": desk.alice, "instrument": desk.instrument, "session_id": desk.s1, "session_no": 1}
    for name, value in {**terms, **ids_of}.items():
        elsewhere[name] = value
    desk.cluster.stamp(elsewhere)
    assert answers(client.rows(1)) == [(ACCEPTED, 1)]
    client.send(command=desk.order(1))
    client.send(command=desk.order(2))
    assert answers(client.rows(2)) == [(DUPLICATE, 1), (ACCEPTED, 2)]


def test_half_closed_stream_is_answered_and_then_ends_with_ok(gateway, desk):
    requests = [hello(desk.s1, next_no=1)]
    requests += [orders_pb2.SessionRequest(command=desk.order(no)).SerializeToString() for no in (1, 2, 3)]
    call, said = messages(gateway, *requests)
    rows = [row for one in said for row in one.reports.reports]
    assert (call.code(), answers(rows)) == (grpc.StatusCode.OK, [(ACCEPTED, 1), (ACCEPTED, 2), (ACCEPTED, 3)])


def test_stream_that_its_client_breaks_off_leaves_the_session_and_its_orders(desk):
    client, rows = five_orders(desk)
    client.call.cancel()
    again = desk.stream(last_seen=rows[4].event_id, next_no=6)
    again.send(command=desk.cancel(6, rows[0].order_id))
    (canceled,) = again.rows(1)
    assert (canceled.kind, canceled.order_id) == (EventKind.CANCELED, rows[0].order_id)


def test_idle_stream_stays_open_and_pings_every_tenth_of_a_second_are_allowed(gateway, desk):
    options = [
        ("grpc.keepalive_time_ms", 100),
        ("grpc.keepalive_timeout_ms", 500),
        ("grpc.http2.ping_timeout_ms", 500),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]
    with grpc.insecure_channel(gateway.member.grpc_address, options=options) as channel:

        def requests():
            yield hello(desk.s1, next_no=1)
            time.sleep(1.2)
            yield orders_pb2.SessionRequest(command=desk.order(1)).SerializeToString()

        said = [orders_pb2.SessionResponse.FromString(raw) for raw in channel.stream_stream(SESSION)(requests())]
    assert [one.WhichOneof("message") for one in said] == ["welcome", "reports"]
