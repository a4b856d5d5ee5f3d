"""Answers to gateways' queries: what is looked up as protocol messages, listings as pages of rows. Nothing decided.

The rows are made by the engine; what clients are shown of them is built in the gateways, beside no matching loop.
"""

from collections.abc import Sequence
from dataclasses import fields
from typing import Final

from lockstep.engine.contract import MatchingEngine, OrderView
from lockstep.engine.pages import MAX_ROWS
from lockstep.replica.divergence import EpochEntry, diverged_at
from lockstep.v1 import orders_pb2, replication_pb2

_ORDER_FIELDS: Final = tuple(field.name for field in fields(OrderView))
_LOOKUPS: Final = ("order", "account", "session_id", "delivered")


def answer_query(
    request: replication_pb2.QueryRequest, engine: MatchingEngine, epochs: Sequence[EpochEntry] = ()
) -> replication_pb2.QueryReply:
    """The state after the last applied command. The caller adds stamp and role, and waits until it is committed.

    `epochs`: the log's epoch table.
    """
    reply = replication_pb2.QueryReply()
    query = request.WhichOneof("query")
    if query == "order":
        ref = request.order
        found = (
            engine.order(ref.order_id) if ref.order_id else engine.order_by_client_id(ref.account, ref.client_order_id)
        )
        if found is not None and (not ref.account or found.account == ref.account):
            reply.orders.append(_order(found))
    elif query == "account":
        _put_account(reply, engine, request.account)
    elif query == "session_id":
        reply.session_last_no = engine.session_last_no(request.session_id)
    elif query == "delivered":
        reply.diverged_at = diverged_at(epochs, request.delivered.epoch, request.delivered.seq)
    else:
        _put_page(reply, request, engine, min(request.limit or MAX_ROWS, MAX_ROWS))
    return reply


def is_listing(request: replication_pb2.QueryRequest) -> bool:
    """It is answered by a page, not by one thing that is looked up."""
    return request.WhichOneof("query") not in _LOOKUPS


def _put_account(reply: replication_pb2.QueryReply, engine: MatchingEngine, account: int) -> None:
    if account:
        page = engine.accounts_page(account - 1, 1)
        if page.after == account:
            reply.account_rows, reply.position_rows = page.rows, page.positions


def _put_page(
    reply: replication_pb2.QueryReply, request: replication_pb2.QueryRequest, engine: MatchingEngine, limit: int
) -> None:
    query = request.WhichOneof("query")
    if query in ("open_orders", "all_orders"):
        if query == "open_orders":
            orders = engine.orders_page(request.open_orders.account, request.open_orders.order_id, limit)
        else:
            orders = engine.all_orders_page((request.all_orders.account, request.all_orders.order_id), limit)
        reply.order_rows, reply.more = orders.rows, orders.more
        reply.next.account, reply.next.order_id = orders.after
    elif query == "accounts_after":
        accounts = engine.accounts_page(request.accounts_after, limit)
        reply.account_rows, reply.position_rows, reply.more = accounts.rows, accounts.positions, accounts.more
        reply.next.account = accounts.after
    elif query == "instruments_after":
        instruments = engine.instruments_page(request.instruments_after, limit)
        reply.instrument_rows, reply.more = instruments.rows, instruments.more
        reply.next.account = instruments.after


def _order(order: OrderView) -> orders_pb2.Order:
    # A view's fields are the message's.
    return orders_pb2.Order(**{name: getattr(order, name) for name in _ORDER_FIELDS})
