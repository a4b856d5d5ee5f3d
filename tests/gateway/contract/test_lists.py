"""docs/client-protocol.md, lists: pages, cursors, and as of when they are."""

import grpc

from lockstep.v1 import accounts_pb2, market_data_pb2, orders_pb2


def pages(call, request):
    """All replies of a list; each page is as of the one before or later."""
    replies = []
    while True:
        reply = call(request, timeout=30)
        replies.append(reply)
        if not reply.next_cursor:
            break
        request.cursor, request.min_seq = reply.next_cursor, reply.stamp.seq
    seqs = [reply.stamp.seq for reply in replies]
    assert seqs == sorted(seqs)
    return replies


def test_pages_put_together_have_each_row_once_in_order_of_id(desk):
    placed = [desk.place().reports[0].order_id for _ in range(7)]
    call = desk.gateway.accounts.ListOpenOrders
    for limit, sizes in ((0, [7]), (1, [1] * 7), (3, [3, 3, 1]), (7, [7]), (2**32 - 1, [7])):
        replies = pages(call, accounts_pb2.ListOpenOrdersRequest(account=desk.alice, limit=limit))
        assert [len(reply.orders) for reply in replies] == sizes
        assert [order.order_id for reply in replies for order in reply.orders] == placed
    accounts = [
        account.account
        for reply in pages(desk.gateway.accounts.ListAccounts, accounts_pb2.ListAccountsRequest(limit=2))
        for account in reply.accounts
    ]
    assert accounts == sorted(set(accounts))
    assert {desk.alice, desk.bob} <= set(accounts)
    instruments = [
        instrument.id
        for reply in pages(desk.gateway.market.ListInstruments, market_data_pb2.ListInstrumentsRequest(limit=1))
        for instrument in reply.instruments
    ]
    assert instruments == sorted(set(instruments))
    assert desk.instrument in instruments


def test_a_list_goes_on_behind_its_cursor_though_the_order_there_has_ended(desk):
    placed = [desk.place().reports[0].order_id for _ in range(5)]
    request = accounts_pb2.ListOpenOrdersRequest(account=desk.alice, limit=2)
    first = desk.gateway.accounts.ListOpenOrders(request, timeout=30)
    assert first.next_cursor == placed[1]
    for order_id in placed[1:3]:
        ref = orders_pb2.OrderRef(account=desk.alice, order_id=order_id)
        cancel = orders_pb2.CancelRequest(cancel=orders_pb2.CancelOrder(order=ref))
        desk.gateway.orders.Cancel(cancel, timeout=30)
    later = desk.place().reports[0].order_id
    request.cursor = first.next_cursor
    rest = pages(desk.gateway.accounts.ListOpenOrders, request)
    assert [order.order_id for reply in rest for order in reply.orders] == [placed[3], placed[4], later]


def test_rows_of_a_page_are_as_they_were_placed(desk):
    order_id = desk.place(client_order_id=2**64 - 1, quantity_lots=12, price_ticks=101).reports[0].order_id
    (order,) = desk.gateway.accounts.ListOpenOrders(
        accounts_pb2.ListOpenOrdersRequest(account=desk.alice), timeout=5
    ).orders
    assert (order.order_id, order.client_order_id, order.account) == (order_id, 2**64 - 1, desk.alice)
    assert (order.instrument, order.price_ticks, order.quantity_lots, order.leaves_lots) == (
        desk.instrument,
        101,
        12,
        12,
    )
    assert (order.stop_price_ticks, order.display_lots, order.shown_lots) == (0, 0, 0)


def test_a_page_is_as_of_min_seq_or_later_or_there_is_none_now(desk, failure):
    seq = desk.place().stamp.seq
    request = accounts_pb2.ListOpenOrdersRequest(account=desk.alice, min_seq=seq)
    assert desk.gateway.accounts.ListOpenOrders(request, timeout=30).stamp.seq >= seq
    request.min_seq = 2**62
    status, _ = failure(lambda: desk.gateway.accounts.ListOpenOrders(request, timeout=30))
    assert status is grpc.StatusCode.UNAVAILABLE


def test_cursor_that_no_page_ended_with_is_refused_or_ends_the_list(desk, failure):
    for call, request in (
        (desk.gateway.accounts.ListAccounts, accounts_pb2.ListAccountsRequest(cursor=2**32)),
        (desk.gateway.market.ListInstruments, market_data_pb2.ListInstrumentsRequest(cursor=2**64 - 1)),
    ):
        status, _ = failure(lambda call=call, request=request: call(request, timeout=30))
        assert status is grpc.StatusCode.INVALID_ARGUMENT
    orders = accounts_pb2.ListOpenOrdersRequest(account=desk.alice, cursor=2**64 - 1)
    assert not desk.gateway.accounts.ListOpenOrders(orders, timeout=30).orders
    accounts = accounts_pb2.ListAccountsRequest(cursor=2**32 - 1)
    assert not desk.gateway.accounts.ListAccounts(accounts, timeout=30).accounts
