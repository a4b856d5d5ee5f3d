"""Feeds of a real cluster: the engines' books through failovers and the loss of feeds; no trade twice or lost."""

import asyncio
import random
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from lockstep import AsyncClient, Book, Client, EventKind, Feed, FeedState, FeedTrade, Side, Unavailable
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.v1 import feed_pb2, feed_pb2_grpc
from tests.calm import CALM

INSTRUMENTS = (1, 2)


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    plan = ClusterPlan(timing=CALM, engines=3, gateways=2, feeds=2, implementations=("native", "reference"))
    with LocalCluster(plan) as running:
        with Client(running.gateway_addresses) as client, client.session(timeout_s=20.0) as session:
            for number in INSTRUMENTS:
                session.define_instrument(id=number, symbol=f"I{number}", tick="0.01")
            for account in (1, 2):
                session.define_account(account=account, name=f"A{account}", unlimited_cash=True)
                for number in INSTRUMENTS:
                    last = session.adjust_position(account=account, instrument=number, quantity_lots=10**9)
            last.result(20)
        yield running


async def trade(client: AsyncClient, seconds: float, seed: int) -> list[tuple[int, int]]:
    """Orders at random for a while; the event ids of all trades, as this session was told of them."""
    dice = random.Random(seed)
    session = await client.session(timeout_s=20.0)
    until = time.monotonic() + seconds
    handles = []
    while time.monotonic() < until:
        for _ in range(5):
            side, account = dice.choice(("buy", "sell")), dice.choice((1, 2))
            where: dict[str, Any] = {"instrument": dice.choice(INSTRUMENTS), "price_ticks": dice.randint(95, 105)}
            handles.append(await session.place(account=account, side=side, quantity_lots=dice.randint(1, 9), **where))
        await asyncio.sleep(0.02)
    results = [await handle for handle in handles]
    rows = {(row.seq, row.index) for result in results for row in result.reports if row.kind == EventKind.TRADE}
    await session.close()
    return sorted(rows)


async def expect_live(*readers) -> None:
    until = time.monotonic() + 20
    while any(reader.state is not FeedState.LIVE for reader in readers):
        assert time.monotonic() < until, [(reader.state, reader.last_break) for reader in readers]
        await asyncio.sleep(0.05)


async def expect_engines_books(client: AsyncClient, readers: list) -> None:
    """When nothing happens any more, every reader's books are those of a gateway's own market data, level by level."""
    found = await client.subscribe(list(INSTRUMENTS), feeds=[Feed.L2])
    wanted: dict[int, tuple[list, list]] = {}
    while len(wanted) < len(INSTRUMENTS):
        update = await found.next(10)
        assert isinstance(update, Book)
        wanted[update.instrument] = (update.bids(), update.asks())
    await found.close()
    until = time.monotonic() + 10
    for reader in readers:
        for number, halves in wanted.items():
            while True:
                book = reader.book(number)
                depth = book.depth or None
                shown = book.bids(), book.asks()
                if book.state is FeedState.LIVE and shown == (halves[0][:depth], halves[1][:depth]):
                    break
                assert time.monotonic() < until, (number, book, shown, halves)
                await asyncio.sleep(0.05)


def test_books_and_trades_are_whole_over_failovers_and_the_loss_of_feeds(cluster: LocalCluster) -> None:
    async def run() -> None:
        async with AsyncClient(cluster.gateway_addresses, timeout_s=20.0) as client:
            names = [f"I{number}" for number in INSTRUMENTS]
            readers = [
                await client.books(names),
                await client.books(names, depth=5, interval_ms=10),
                await client.books(names, Feed.L3, interval_ms=0),
            ]
            tape = await client.trades(names)
            await expect_live(*readers, tape)
            trading = asyncio.ensure_future(trade(client, 5.0, seed=1))
            # Readers choose a feed at random: only with all of them somebody loses his for certain.
            for feed in (None, *cluster.topology.feeds):
                await asyncio.sleep(1.2)
                name = feed.name if feed else await asyncio.to_thread(cluster.find, "primary", 20.0)
                await asyncio.to_thread(cluster.kill, name)
                assert await asyncio.to_thread(cluster.wait_until_whole, 30.0)
            traded = await trading
            await expect_engines_books(client, readers)
            assert all(not reader.checksum_errors for reader in readers)
            seen: list[FeedTrade] = []
            while len(seen) < len(traded):
                item = await tape.next(10)
                assert isinstance(item, FeedTrade), item
                seen.append(item)
            assert sorted((item.seq, item.index) for item in seen) == traded
            for number in INSTRUMENTS:
                mine = [(item.seq, item.index) for item in seen if item.instrument == number]
                assert mine == sorted(mine)
            assert tape.breaks + sum(reader.breaks for reader in readers) > 0
            assert tape.restarted == 0

    asyncio.run(run())


def test_candles_are_what_the_tape_comes_to(cluster: LocalCluster) -> None:
    async def run() -> None:
        async with AsyncClient(cluster.gateway_addresses, timeout_s=20.0) as client:
            tape = await client.trades(["I1"])
            await expect_live(tape)
            begin_ns = time.time_ns()
            traded = await trade(client, 4.0, seed=2)
            await asyncio.sleep(0.5)
            trades: list[FeedTrade] = []
            while True:
                try:
                    item = await tape.next(0.5)
                except Unavailable:
                    break
                assert isinstance(item, FeedTrade)
                trades.append(item)
            candles = await client.list_candles("I1", length_s=1, from_ns=begin_ns)
            assert [one.open_ns for one in candles] == [candles[0].open_ns + i * 10**9 for i in range(len(candles))]
            # The first one's second began before, with trades of the test before this one perhaps.
            for candle in candles[1:-1]:
                inside = [one for one in trades if candle.open_ns <= one.timestamp_ns < candle.open_ns + 10**9]
                assert candle.trades == len(inside)
                assert candle.volume_lots == sum(one.quantity_lots for one in inside)
                if inside:
                    prices = [one.price_ticks for one in inside]
                    assert (candle.open_ticks, candle.close_ticks) == (prices[0], prices[-1])
                    assert (candle.high_ticks, candle.low_ticks) == (max(prices), min(prices))
            assert traded
            assert trades

    asyncio.run(run())


def test_the_blocking_client_has_them_too(cluster: LocalCluster) -> None:
    with Client(cluster.gateway_addresses, timeout_s=20.0) as client:
        client.place(account=1, instrument="I1", side="buy", quantity_lots=3, price_ticks=50)
        books = client.books(["I1"], Feed.L3)
        book = books.next(10)
        while not book.orders(Side.BUY, 50):
            book = books.next(10)
        assert book.state is FeedState.LIVE
        assert book.orders(Side.BUY, 50)[0].quantity_lots == 3
        books.close()
        with pytest.raises(ValueError, match="there are 0, 1, 5, 10, 20"):
            client.books(["I1"], depth=7)
        with pytest.raises(ValueError, match=r"depth=5: is of Feed\.L2"):
            client.books(["I1"], Feed.L1, depth=5)


def test_what_is_wrong_is_refused_with_what_there_is(cluster: LocalCluster) -> None:
    with grpc.insecure_channel(cluster.feed_addresses[0]) as channel:
        stub = feed_pb2_grpc.MarketFeedStub(channel)
        for asked, text in (
            (feed_pb2.FollowRequest(), "1 to 64 subscriptions"),
            (feed_pb2.FollowRequest(subscriptions=[feed_pb2.Subscription(feed="FEED_L2", depth=3)]), "no depth 3"),
            (
                feed_pb2.FollowRequest(subscriptions=[feed_pb2.Subscription(feed="FEED_L2", instruments=[77])]),
                "unknown instruments",
            ),
        ):
            with pytest.raises(grpc.RpcError) as refused:
                next(stub.Follow(asked, timeout=10))
            assert text in refused.value.details()
