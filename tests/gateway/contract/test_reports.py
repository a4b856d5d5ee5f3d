"""docs/client-protocol.md, reports: who receives what, and what the fields of each kind mean."""

import time

import pytest

from lockstep.stream.codes import Code
from lockstep.stream.records import EventFlag, EventKind
from lockstep.v1 import common_pb2, orders_pb2

SELL = 2
STOP, STOP_LIMIT = 3, 4
IOC, GTD = 3, 5
ACCEPTED, TRADE, CANCELED = EventKind.ACCEPTED, EventKind.TRADE, EventKind.CANCELED


def sides(rows):
    """(kind, leg, session_no) of each row."""
    return [(row.kind, row.leg, row.session_no) for row in rows]


def numbers(row):
    """(price, quantity, leaves, previous price, previous leaves)"""
    return (
        row.price_ticks, row.quantity_lots, row.leaves_lots, row.previous_price_ticks, row.previous_leaves_lots,
    )  # fmt: skip


def accepted(client, command):
    """Send it; the row that says it is accepted."""
    client.send(command=command)
    (row,) = client.rows(1)
    assert row.kind == ACCEPTED
    return row


# ---- legs ----------------------------------------------------------------------------------------------------------


def test_taker_is_leg_0_with_its_number_and_maker_leg_1_without(desk):
    alice, bob = desk.stream(), desk.stream(desk.s2)
    made = accepted(alice, desk.order(1, quantity_lots=30, client_order_id=5))
    bob.send(command=desk.order(1, side=SELL, account=desk.bob, price_ticks=99, quantity_lots=20, client_order_id=6))
    took, (maker,) = bob.rows(2)[1], alice.rows(1)
    assert (sides([took]), sides([maker])) == ([(TRADE, 0, 1)], [(TRADE, 1, 0)])
    assert took.event_id == maker.event_id
    assert (took.side, took.account, took.client_order_id, numbers(took)) == (SELL, desk.bob, 6, (100, 20, 0, 0, 0))
    assert (maker.side, maker.account, maker.client_order_id, numbers(maker)) == (1, desk.alice, 5, (100, 20, 10, 0, 0))
    assert (maker.order_id, maker.counterparty_order_id) == (made.order_id, took.order_id)
    assert took.counterparty_order_id == made.order_id


def test_session_on_both_sides_gets_two_rows_of_one_event_in_one_message(desk):
    client = desk.stream()
    accepted(client, desk.order(1))
    client.send(command=desk.order(2, side=SELL, account=desk.bob))
    rows = list(client.expect("reports").reports)
    assert sides(rows) == [(ACCEPTED, 0, 2), (TRADE, 0, 2), (TRADE, 1, 0)]
    assert rows[1].event_id == rows[2].event_id
    assert (rows[1].account, rows[2].account) == (desk.bob, desk.alice)


def test_owner_of_an_order_that_another_session_canceled_gets_leg_1(desk):
    owner, other = desk.stream(), desk.stream(desk.s2)
    order_id = accepted(owner, desk.order(1)).order_id
    other.send(command=desk.cancel(1, order_id))
    (asked,), (lost,) = other.rows(1), owner.rows(1)
    assert (sides([asked]), sides([lost])) == ([(CANCELED, 0, 1)], [(CANCELED, 1, 0)])
    assert (asked.event_id, asked.order_id, asked.code) == (lost.event_id, lost.order_id, lost.code)
    assert (lost.order_id, lost.side, lost.code) == (order_id, 1, Code.CANCEL_REQUESTED)


def test_owner_that_canceled_its_own_order_gets_leg_0_alone(desk):
    owner = desk.stream()
    order_id = accepted(owner, desk.order(1)).order_id
    owner.send(command=desk.cancel(2, order_id))
    owner.send(command=desk.order(3))
    assert sides(owner.rows(2)) == [(CANCELED, 0, 2), (ACCEPTED, 0, 3)]


def test_order_that_another_session_replaced_is_that_sessions_from_then_on(desk):
    first, second = desk.stream(), desk.stream(desk.s2)
    order_id = accepted(first, desk.order(1)).order_id
    second.send(command=desk.replace(1, order_id, 101, 4))
    (new,), (old,) = second.rows(1), first.rows(1)
    assert (sides([new]), sides([old])) == ([(EventKind.REPLACED, 0, 1)], [(EventKind.REPLACED, 1, 0)])
    assert numbers(new) == numbers(old) == (101, 4, 4, 100, 10)
    second.send(command=desk.order(2, side=SELL, account=desk.bob, quantity_lots=1))
    assert sides(second.rows(3)) == [(ACCEPTED, 0, 2), (TRADE, 0, 2), (TRADE, 1, 0)]
    first.send(command=desk.order(2))
    assert sides(first.rows(1)) == [(ACCEPTED, 0, 2)], "the former owner receives no more of it"


def test_owner_whose_order_prevention_reduced_or_canceled_in_another_session_gets_leg_1(desk):
    owner, other = desk.stream(), desk.stream(desk.s2)
    accepted(owner, desk.order(1, quantity_lots=10))
    other.send(command=desk.order(1, side=SELL, quantity_lots=4, stp=4))
    taken = other.rows(3)
    assert sides(taken) == [(ACCEPTED, 0, 1), (EventKind.REDUCED, 0, 1), (CANCELED, 0, 1)]
    (reduced,) = owner.rows(1)
    assert (sides([reduced]), reduced.code) == ([(EventKind.REDUCED, 1, 0)], Code.SELF_TRADE)
    assert numbers(reduced) == (100, 4, 6, 0, 0)


def test_order_that_expires_is_told_to_its_owner_as_leg_1(desk):
    owner = desk.stream()
    due_ns = time.time_ns() + 100_000_000
    order_id = accepted(owner, desk.order(1, tif=GTD, expire_ns=due_ns)).order_id
    time.sleep(0.15)
    desk.tick()
    (gone,) = owner.rows(1)
    assert (sides([gone]), gone.order_id, gone.code) == ([(CANCELED, 1, 0)], order_id, Code.EXPIRED)
    assert numbers(gone) == (100, 10, 0, 0, 0)


def test_stop_that_another_session_set_off_is_told_as_leg_0_without_a_number(desk):
    owner, other = desk.stream(), desk.stream(desk.s2)
    stop = accepted(owner, desk.order(1, order_type=STOP_LIMIT, side=SELL, price_ticks=94, stop_price_ticks=95))
    assert (stop.flags, numbers(stop)) == (EventFlag.WAITS, (94, 10, 10, 0, 0))
    for number, side, price in ((1, 1, 95), (2, 1, 94), (3, SELL, 95)):
        other.send(command=desk.order(number, side=side, account=desk.bob, price_ticks=price))
    triggered, trade = owner.rows(2)
    assert sides([triggered, trade]) == [(EventKind.TRIGGERED, 0, 0), (TRADE, 0, 0)]
    assert numbers(triggered) == (94, 10, 10, 95, 0)
    assert numbers(trade) == (94, 10, 0, 0, 0)


# ---- fields by kind ------------------------------------------------------------------------------------------------


def test_accepted_has_the_order_as_it_comes_in_before_it_trades(desk):
    client = desk.stream()
    accepted(client, desk.order(1, quantity_lots=4))
    client.send(command=desk.order(2, side=SELL, account=desk.bob, price_ticks=99, quantity_lots=10, client_order_id=9))
    rows = client.rows(3)
    assert (rows[0].order_id, rows[0].client_order_id) == (rows[0].event_id.seq, 9)
    assert numbers(rows[0]) == (99, 10, 10, 0, 0)
    assert rows[0].flags == EventFlag.BOOKS
    assert (rows[1].price_ticks, rows[1].quantity_lots, rows[1].leaves_lots) == (100, 4, 6)
    client.send(command=desk.order(3, tif=IOC, price_ticks=98))
    (taken, gone) = client.rows(2)
    assert taken.flags == 0
    assert (gone.kind, gone.code, numbers(gone)) == (CANCELED, Code.IOC_REMAINDER, (98, 10, 0, 0, 0))


def test_accepted_iceberg_is_marked_as_not_all_displayed(desk):
    client = desk.stream()
    row = accepted(client, desk.order(1, quantity_lots=100, display_lots=10))
    assert row.flags == EventFlag.BOOKS | EventFlag.UNSEEN


@pytest.mark.parametrize(("price", "lots", "flags"), [(100, 4, 0), (101, 4, 2), (100, 20, 2)])
def test_replaced_has_the_new_terms_and_what_they_were_before(desk, price, lots, flags):
    client = desk.stream()
    order_id = accepted(client, desk.order(1)).order_id
    client.send(command=desk.replace(2, order_id, price, lots))
    (row,) = client.rows(1)
    assert (row.kind, row.order_id, numbers(row)) == (EventKind.REPLACED, order_id, (price, lots, lots, 100, 10))
    assert row.flags == EventFlag.BOOKS | flags


@pytest.mark.parametrize("kind", ["new_order", "cancel", "replace"])
def test_refusal_echoes_the_ids_and_has_no_amounts(desk, kind):
    client = desk.stream()
    commands = {
        "new_order": (desk.order(1, client_order_id=8, quantity_lots=0), EventKind.REJECTED, 0),
        "cancel": (desk.cancel(1, 2**40), EventKind.CANCEL_REJECTED, 2**40),
        "replace": (desk.replace(1, 2**40, 5, 5), EventKind.REPLACE_REJECTED, 2**40),
    }
    command, expected, order_id = commands[kind]
    client.send(command=command)
    (row,) = client.rows(1)
    assert (row.kind, row.session_no, row.account, row.order_id) == (expected, 1, desk.alice, order_id)
    assert row.client_order_id == (8 if kind == "new_order" else 0)
    assert row.code in (Code.BAD_QUANTITY, Code.UNKNOWN_ORDER)
    assert (numbers(row), row.side, row.flags) == ((0, 0, 0, 0, 0), 0, 0)


def test_mass_cancel_tells_each_order_and_then_their_number(desk):
    client = desk.stream()
    for number in (1, 2):
        accepted(client, desk.order(number))
    mass = orders_pb2.MassCancelOrders(account=desk.alice, instrument=desk.instrument)
    client.send(command=orders_pb2.Command(session_no=3, mass_cancel=mass))
    rows = client.rows(3)
    assert sides(rows) == [(CANCELED, 0, 3), (CANCELED, 0, 3), (EventKind.MASS_CANCELED, 0, 3)]
    assert {row.code for row in rows[:2]} == {Code.MASS_CANCEL}
    assert (rows[2].order_id, numbers(rows[2])) == (0, (0, 2, 0, 0, 0))


def test_administration_has_the_position_after_and_no_other_amount(desk):
    client = desk.stream()
    adjust = orders_pb2.AdjustPosition(account=desk.alice, instrument=desk.instrument, quantity_lots=7)
    client.send(command=orders_pb2.Command(session_no=1, adjust_position=adjust))
    client.send(command=orders_pb2.Command(session_no=2, adjust_position=adjust))
    client.send(command=orders_pb2.Command(session_no=3, adjust_cash={"account": desk.alice, "amount_micros": 9}))
    rows = client.rows(3)
    assert [row.kind for row in rows] == [EventKind.POSITION_ADJUSTED] * 2 + [EventKind.CASH_ADJUSTED]
    assert [numbers(row) for row in rows] == [(0, 7, 0, 0, 0), (0, 14, 0, 0, 0), (0, 0, 0, 0, 0)]


def test_auction_trade_has_the_buyer_as_leg_0_without_a_number(desk):
    buyer, seller = desk.stream(), desk.stream(desk.s2)
    buyer.send(command=orders_pb2.Command(session_no=1, set_phase={"instrument": desk.instrument, "phase": 2}))
    buyer.rows(1)
    accepted(buyer, desk.order(2))
    seller.send(command=desk.order(1, side=SELL, account=desk.bob))
    seller.rows(1)
    buyer.send(command=orders_pb2.Command(session_no=3, set_phase={"instrument": desk.instrument, "phase": 3}))
    (sold,) = seller.rows(1)
    bought = next(row for row in buyer.rows(2) if row.kind == TRADE)
    assert (sides([bought]), sides([sold])) == ([(TRADE, 0, 0)], [(TRADE, 1, 0)])
    assert (bought.side, sold.side, bought.flags) == (1, SELL, EventFlag.AUCTION)


def test_epoch_of_a_report_is_the_one_of_its_message_in_rows_and_columns(desk):
    plain = desk.stream()
    accepted(plain, desk.order(1))
    rows = desk.stream(next_no=2).expect("reports")
    assert rows.stamp.epoch == rows.reports[0].epoch == desk.cluster.epoch
    columns = desk.stream(next_no=2, columnar=True).expect("report_batch")
    assert (columns.stamp.epoch, list(columns.seq)) == (desk.cluster.epoch, [rows.reports[0].event_id.seq])


def test_column_of_zeros_is_left_out_and_all_others_have_a_row_each(desk):
    client = desk.stream(columnar=True)
    client.send(batch=orders_pb2.CommandBatch(
        first_no=1, count=2, side=[common_pb2.SIDE_BUY], order_type=[common_pb2.ORDER_TYPE_LIMIT],
        tif=[common_pb2.TIME_IN_FORCE_GTC], account=[desk.alice], instrument=[desk.instrument], price_ticks=[100, 101],
        quantity_lots=[10],
    ))  # fmt: skip
    batch = client.expect("report_batch")
    lengths = {field.name: len(getattr(batch, field.name)) for field in batch.DESCRIPTOR.fields if field.is_repeated}
    assert batch.count == 2
    assert set(lengths.values()) == {0, 2}
    assert (lengths["leg"], lengths["index"], lengths["code"], lengths["seq"]) == (0, 0, 0, 2)
