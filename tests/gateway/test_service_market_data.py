"""Market data through a real gateway: snapshots and increments that add up to the engine's own book."""

import threading
import time

import grpc
import numpy as np
import pytest

from lockstep import Client, PublicTrade, TradesMissed
from lockstep import Feed as PackageFeed
from lockstep.gateway import service_market_data
from lockstep.stream.records import COMMAND, CommandKind, EventKind
from lockstep.v1 import accounts_pb2, common_pb2, market_data_pb2, orders_pb2

ALICE, BOB, ACME = 1, 2, 7
S1 = (1 << 32) | 5
L1, L2, TRADES = market_data_pb2.FEED_L1, market_data_pb2.FEED_L2, market_data_pb2.FEED_TRADES


class Feed:
    """A subscriber: keeps levels, best and trades, and checks the chain of seqs."""

    def __init__(self, gateway, feeds, instruments=(ACME,), **wanted):
        request = market_data_pb2.SubscribeRequest(instruments=instruments, feeds=feeds, **wanted)
        self.call = gateway.market.Subscribe(request)
        self.levels, self.trades, self.seqs = {}, [], {}
        self.best = market_data_pb2.BestBidOffer()
        self.count = len(feeds) * len(instruments)
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self._read)
        self.thread.start()
        assert self.ready.wait(5)

    def _read(self):
        try:
            for update in self.call:
                assert update.previous_seq == self.seqs.get((update.instrument, update.feed), 0)
                self.seqs[update.instrument, update.feed] = update.seq
                which = update.WhichOneof("update")
                if which == "snapshot":
                    self.levels = {} if update.feed == L2 else self.levels
                    for level in (*update.snapshot.bids, *update.snapshot.asks):
                        self.levels[level.side, level.price_ticks] = (level.quantity_lots, level.orders)
                elif which == "book":
                    for level in update.book.levels:
                        self.levels[level.side, level.price_ticks] = (level.quantity_lots, level.orders)
                elif which == "best":
                    self.best = update.best
                else:
                    self.trades.append(update.trade)
                if len(self.seqs) == self.count:
                    self.ready.set()
        except grpc.RpcError:
            self.ready.set()

    def close(self):
        self.call.cancel()
        self.thread.join(5)


def displayed(feed):
    return {key: value for key, value in feed.levels.items() if value[0]}


def engine_levels(cluster):
    with cluster.lock:
        view = cluster.engine.book(ACME, 1000)
    both = [(1, level) for level in view.bids] + [(2, level) for level in view.asks]
    return {(side, level.price_ticks): (level.quantity_lots, level.orders) for side, level in both}


def test_snapshot_and_increments_add_up_to_the_engines_book(gateway, cluster, order):
    client = gateway.session(S1)
    client.expect("welcome")
    for number in range(1, 6):
        client.send(command=order(number, price_ticks=100 + number))
    client.rows(5)
    feed = Feed(gateway, [L1, L2, TRADES])
    assert displayed(feed) == engine_levels(cluster)
    client.send(command=order(6, side=2, account=BOB, price_ticks=104, quantity_lots=15))
    client.send(command=order(7, side=2, account=BOB, price_ticks=110, quantity_lots=3))
    ref = orders_pb2.OrderRef(account=ALICE, client_order_id=1)
    cancel = orders_pb2.CancelOrder(order=ref)
    client.send(command=orders_pb2.Command(session_no=8, cancel=cancel))
    replace = orders_pb2.ReplaceOrder(
        order=orders_pb2.OrderRef(account=ALICE, client_order_id=2), price_ticks=99, quantity_lots=50
    )
    client.send(command=orders_pb2.Command(session_no=9, replace=replace))
    give_up = time.monotonic() + 5
    while displayed(feed) != engine_levels(cluster) or len(feed.trades) < 2 or feed.best.ask_quantity_lots != 3:
        assert time.monotonic() < give_up, (feed.levels, engine_levels(cluster))
        time.sleep(0.005)
    assert [(trade.price_ticks, trade.quantity_lots, trade.aggressor) for trade in feed.trades] == [
        (105, 10, 2),
        (104, 5, 2),
    ]
    assert (feed.best.bid_price_ticks, feed.best.bid_quantity_lots) == (104, 5)
    assert (feed.best.ask_price_ticks, feed.best.ask_quantity_lots) == (110, 3)
    assert gateway.status().counters["subscribers"] == 1
    feed.close()
    client.close()


def test_of_icebergs_and_hidden_orders_only_what_is_displayed_is_told(gateway, cluster, order):
    client = gateway.session(S1)
    client.expect("welcome")
    client.send(command=order(1, quantity_lots=30, display_lots=10))
    client.rows(1)
    feed = Feed(gateway, [L1, L2, TRADES])
    assert feed.levels == {(1, 100): (10, 1)}
    client.send(command=order(2, quantity_lots=50, price_ticks=103, flags=2))
    client.send(command=order(3, quantity_lots=40, price_ticks=101, display_lots=15))
    client.send(command=order(4, order_type=4, price_ticks=99, stop_price_ticks=110))
    client.send(command=order(5, tif=7, price_ticks=98))
    client.send(command=order(6, side=2, account=BOB, price_ticks=101, quantity_lots=90))
    wanted = {(1, 100): (10, 1), (2, 101): (0, 0), (1, 101): (0, 0)}
    give_up = time.monotonic() + 5
    while displayed(feed) != engine_levels(cluster) or len(feed.trades) < 4 or feed.best.ask_quantity_lots:
        assert time.monotonic() < give_up, (feed.levels, engine_levels(cluster))
        time.sleep(0.005)
    assert feed.levels == {key: feed.levels.get(key, value) for key, value in wanted.items()}
    assert [(trade.price_ticks, trade.quantity_lots) for trade in feed.trades] == [
        (103, 50), (101, 15), (101, 15), (101, 10),
    ]  # fmt: skip
    assert (feed.best.bid_price_ticks, feed.best.bid_quantity_lots, feed.best.ask_quantity_lots) == (100, 10, 0)
    feed.close()
    client.close()


def test_limited_depth_is_kept_when_the_best_levels_go_and_come(gateway, order):
    client = gateway.session(S1)
    client.expect("welcome")
    for number, price in enumerate((100, 99, 98, 97), 1):
        client.send(command=order(number, price_ticks=price))
    client.rows(4)
    feed = Feed(gateway, [L2], depth=2)
    assert sorted(displayed(feed)) == [(1, 99), (1, 100)]

    def until(*prices):
        give_up = time.monotonic() + 5
        while sorted(displayed(feed)) != [(1, price) for price in prices]:
            assert time.monotonic() < give_up, feed.levels
            time.sleep(0.005)

    for number in (1, 2):
        ref = orders_pb2.OrderRef(account=ALICE, client_order_id=number)
        client.send(command=orders_pb2.Command(session_no=4 + number, cancel=orders_pb2.CancelOrder(order=ref)))
    until(97, 98)
    client.send(command=order(7, price_ticks=50))
    client.send(command=order(8, price_ticks=103))
    until(98, 103)
    feed.close()
    client.close()


def trade_once(client, order, first_no):
    """Two orders that trade; the next free number."""
    client.send(command=order(first_no, price_ticks=100))
    client.send(command=order(first_no + 1, side=2, account=BOB, price_ticks=100))
    client.rows(4)
    return first_no + 2


def read_trades(gateway, count, **resume):
    """(Ids of trades, missed) of a stream, up to that many of both."""
    request = market_data_pb2.SubscribeRequest(instruments=[ACME], feeds=[TRADES], **resume)
    call = gateway.market.Subscribe(request, timeout=30)
    seen, missed = [], []
    for update in call:
        if update.HasField("trade"):
            seen.append((update.trade.event_id.seq, update.trade.event_id.index))
        elif update.HasField("missed"):
            missed.append((update.missed.after.seq, update.missed.through_seq))
        if len(seen) + len(missed) == count:
            break
    call.cancel()
    return seen, missed


def test_returning_subscriber_gets_the_trades_that_it_missed_once_then_the_live_ones(gateway, cluster, order):
    client = gateway.session(S1)
    client.expect("welcome")
    feed = Feed(gateway, [TRADES])
    number = 1
    for _ in range(6):
        number = trade_once(client, order, number)
    give_up = time.monotonic() + 5
    while len(feed.trades) < 6:
        assert time.monotonic() < give_up, feed.trades
        time.sleep(0.005)
    feed.close()
    ids = [trade.event_id for trade in feed.trades]
    keys = [(event_id.seq, event_id.index) for event_id in ids]
    assert keys == sorted(set(keys))
    for have in (1, 3, 6):
        # A trade comes while the others are fetched, or after it.
        more = threading.Timer(0.1, trade_once, (client, order, number))
        more.start()
        seen, missed = read_trades(gateway, len(keys) - have + 1, last_seen=ids[have - 1])
        more.join()
        number += 2
        assert seen[:-1] == keys[have:]
        assert seen[-1] > keys[-1]
        assert not missed
        keys.append(seen[-1])
    cluster.cut_after = ids[3].seq
    seen, missed = read_trades(gateway, 1 + len(keys[4:]), last_seen=ids[1])
    assert (missed, seen) == ([(ids[1].seq, ids[3].seq)], keys[4:])
    client.close()


@pytest.mark.parametrize(
    ("fields", "status", "text"),
    [
        ({"feeds": [L2]}, grpc.StatusCode.INVALID_ARGUMENT, "ask for it too"),
        ({"feeds": [TRADES]}, grpc.StatusCode.UNAVAILABLE, "has seen seq 999 of epoch 0"),
        ({"feeds": [TRADES], "last_epoch": 44}, grpc.StatusCode.UNAVAILABLE, "of epoch 44: ask another gateway"),
    ],
)
def test_where_a_subscriber_says_it_was_has_to_be_in_the_history(gateway, fields, status, text, monkeypatch):
    monkeypatch.setattr(service_market_data, "_BEHIND_PATIENCE_S", 0.05)
    request = market_data_pb2.SubscribeRequest(instruments=[ACME], last_seen=common_pb2.EventId(seq=999), **fields)
    call = gateway.market.Subscribe(request, timeout=30)
    with pytest.raises(grpc.RpcError):
        list(call)
    assert call.code() == status
    assert text in call.details()


def test_client_of_the_package_has_every_trade_once_when_its_gateway_was_down(
    gateway, gateway_type, topology, cluster, order
):
    client = gateway.session(S1)
    client.expect("welcome")
    seen: list[tuple[int, int]] = []
    with Client(topology.gateways[0].grpc_address) as trader:
        subscription = trader.subscribe(["ACME"], feeds=[PackageFeed.L1, PackageFeed.TRADES])

        def read(count):
            while len(seen) < count:
                update = subscription.next(timeout_s=15)
                assert not isinstance(update, TradesMissed)
                if isinstance(update, PublicTrade):
                    seen.append((update.seq, update.index))

        # A subscription is open when it has brought something.
        subscription.next(timeout_s=15)
        number = trade_once(client, order, 1)
        read(1)
        client.close()
        gateway.stop()
        # Trades while no gateway is there: they come from elsewhere.
        rows = np.zeros(8, dtype=COMMAND)
        rows["kind"], rows["session_id"], rows["session_no"] = CommandKind.NEW_ORDER, S1, range(number, number + 8)
        rows["instrument"], rows["account"], rows["side"] = ACME, ALICE, [1, 2] * 4
        rows["order_type"], rows["tif"], rows["price_ticks"], rows["quantity_lots"] = 1, 2, 100, 10
        cluster.stamp(rows)
        again = gateway_type(topology)
        again.start()
        try:
            again.wait_serving()
            read(5)
            client = again.session(S1, next_no=number + 8)
            client.expect("welcome")
            trade_once(client, order, number + 8)
            read(6)
            client.close()
            subscription.close()
        finally:
            again.stop()
    history = cluster.history()
    traded = history[history["kind"] == EventKind.TRADE]
    assert seen == list(zip(traded["seq"].tolist(), traded["index"].tolist(), strict=True))
    assert (subscription.trades_missed, subscription.resubscriptions > 0) == (0, True)


def test_instruments_are_listed(gateway):
    listed = gateway.market.ListInstruments(market_data_pb2.ListInstrumentsRequest(), timeout=30)
    assert [(found.id, found.symbol, found.tick_micros) for found in listed.instruments] == [(ACME, "ACME", 10_000)]


@pytest.mark.parametrize(
    ("request_fields", "status"),
    [
        ({"instruments": [99], "feeds": [L1]}, grpc.StatusCode.NOT_FOUND),
        ({"feeds": []}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"feeds": [77]}, grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
def test_subscription_to_what_does_not_exist_is_refused(gateway, request_fields, status):
    call = gateway.market.Subscribe(market_data_pb2.SubscribeRequest(**request_fields), timeout=30)
    with pytest.raises(grpc.RpcError):
        list(call)
    assert call.code() == status


def test_accounts_are_shown_as_the_engine_has_them(gateway, order):
    gateway.orders.Place(orders_pb2.PlaceRequest(order=order(1).new_order), timeout=30)
    reply = gateway.accounts.GetAccount(accounts_pb2.GetAccountRequest(account=ALICE), timeout=30)
    assert (reply.account.name, reply.account.unlimited_cash) == ("alice", True)
    assert reply.account.reserved_micros == 100 * 10 * 10_000
    listed = gateway.accounts.ListAccounts(accounts_pb2.ListAccountsRequest(), timeout=30)
    assert [account.account for account in listed.accounts] == [ALICE, BOB]
    with pytest.raises(grpc.RpcError) as failed:
        gateway.accounts.GetAccount(accounts_pb2.GetAccountRequest(account=55), timeout=30)
    assert failed.value.code() == grpc.StatusCode.NOT_FOUND
