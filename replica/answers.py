"""Answers to gateways' queries, built from the engine's views: state as protocol messages, nothing decided."""

from collections.abc import Iterable, Sequence
from typing import cast

from lockstep.engine.contract import AccountView, InstrumentView, MatchingEngine, OrderView
from lockstep.engine.snapshot_format import OrderRow, decode_snapshot
from lockstep.replica.divergence import EpochEntry, parted_at
from lockstep.stream.records import AccountFlag
from lockstep.v1 import accounts_pb2, common_pb2, orders_pb2, replication_pb2


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
        account = engine.account(request.account)
        if account is not None:
            reply.accounts.append(_account(account))
    elif query == "all_accounts":
        reply.accounts.extend(_account(account) for account in engine.accounts())
    elif query == "open_orders":
        reply.orders.extend(_order(order) for order in engine.open_orders(request.open_orders))
    elif query == "instruments":
        reply.instruments.extend(_instrument(instrument) for instrument in engine.instruments())
    elif query == "session_id":
        reply.session_last_no = engine.session_last_no(request.session_id)
    elif query == "books":
        reply.books.extend(_books(engine))
    elif query == "told":
        reply.parted_at = parted_at(epochs, request.told.epoch, request.told.seq)
    return reply


def _books(engine: MatchingEngine) -> Iterable[replication_pb2.BookState]:
    # Only the snapshot lists the orders of a level by priority: a replaced order stands behind younger ones.
    books = {view.instrument: replication_pb2.BookState(instrument=view.instrument) for view in engine.instruments()}
    for row in decode_snapshot(engine.snapshot()).orders:
        books[row.instrument].orders.append(_order(row))
    return books.values()


def _order(order: OrderView | OrderRow) -> orders_pb2.Order:
    return orders_pb2.Order(
        order_id=order.order_id,
        client_order_id=order.client_order_id,
        account=order.account,
        instrument=order.instrument,
        session_id=order.session_id,
        side=cast("common_pb2.Side", int(order.side)),
        order_type=cast("common_pb2.OrderType", order.order_type),
        tif=cast("common_pb2.TimeInForce", order.tif),
        price_ticks=order.price_ticks,
        quantity_lots=order.quantity_lots,
        leaves_lots=order.leaves_lots,
        stop_price_ticks=order.stop_price_ticks,
        display_lots=order.display_lots,
        shown_lots=order.shown_lots,
    )


def _account(account: AccountView) -> accounts_pb2.Account:
    return accounts_pb2.Account(
        account=account.account,
        name=account.name,
        unlimited_cash=bool(account.flags & AccountFlag.UNLIMITED_CASH),
        unlimited_positions=bool(account.flags & AccountFlag.UNLIMITED_POSITIONS),
        cash_micros=account.cash_micros,
        reserved_micros=account.reserved_micros,
        status=cast("common_pb2.AccountStatus", account.status),
        margin=bool(account.flags & AccountFlag.MARGIN),
        short_sales=bool(account.flags & AccountFlag.SHORT_SALES),
        day_trade_rule=bool(account.flags & AccountFlag.DAY_TRADE_RULE),
        positions=[
            accounts_pb2.Position(
                instrument=position.instrument,
                quantity_lots=position.quantity_lots,
                reserved_lots=position.reserved_lots,
                cost_micros=position.cost_micros,
                realised_micros=position.realised_micros,
            )
            for position in account.positions
        ],
    )


def _instrument(instrument: InstrumentView) -> common_pb2.Instrument:
    return common_pb2.Instrument(
        id=instrument.instrument,
        symbol=instrument.symbol,
        tick_micros=instrument.tick_micros,
        lot_units=instrument.lot_units,
        phase=cast("common_pb2.Phase", instrument.phase),
        last_price_ticks=instrument.last_price_ticks,
    )
