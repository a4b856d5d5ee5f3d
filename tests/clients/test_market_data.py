"""Books that stay whole: snapshots, increments, gaps, breaks, gateways that were left behind."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from lockstep import (
    AsyncClient,
    AsyncSubscription,
    Book,
    Client,
    Feed,
    Level,
    PublicTrade,
    Refused,
    SubscriptionEnded,
    TradesMissed,
    Unavailable,
)
from lockstep.book import FeedGap, MarketMachine
from lockstep.newer_asyncio import timeout
from lockstep.v1 import common_pb2, market_data_pb2

BUY, SELL = 1, 2
LAST_INDEX = 2**32 - 1


def level(side: int, price: int, lots: int) -> market_data_pb2.PriceLevel:
    return market_data_pb2.PriceLevel(side=side, price_ticks=price, quantity_lots=lots, orders=1)  # type: ignore[arg-type]


def snapshot(seq: int, *levels: market_data_pb2.PriceLevel, epoch: int = 1) -> market_data_pb2.MarketDataUpdate:
    book = market_data_pb2.BookSnapshot(
        bids=[row for row in levels if row.side == BUY], asks=[row for row in levels if row.side == SELL]
    )
    stamp = common_pb2.Stamp(epoch=epoch, seq=seq)
    return market_data_pb2.MarketDataUpdate(
        stamp=stamp, instrument=7, feed=market_data_pb2.FEED_L2, seq=seq, snapshot=book
    )


def change(
    seq: int, previous: int, *levels: market_data_pb2.PriceLevel, epoch: int = 1
) -> market_data_pb2.MarketDataUpdate:
    return market_data_pb2.MarketDataUpdate(
        stamp=common_pb2.Stamp(epoch=epoch, seq=seq),
        instrument=7,
        feed=market_data_pb2.FEED_L2,
        seq=seq,
        previous_seq=previous,
        book=market_data_pb2.BookUpdate(levels=levels),
    )


def trade(seq: int, index: int, previous: int) -> market_data_pb2.MarketDataUpdate:
    return market_data_pb2.MarketDataUpdate(
        stamp=common_pb2.Stamp(epoch=1, seq=seq),
        instrument=7,
        feed=market_data_pb2.FEED_TRADES,
        seq=seq,
        previous_seq=previous,
        trade=market_data_pb2.Trade(event_id=common_pb2.EventId(seq=seq, index=index), price_ticks=5, quantity_lots=1),
    )


def test_book_follows_snapshot_and_increments() -> None:
    machine = MarketMachine()
    machine.on_update(snapshot(10, level(BUY, 99, 5), level(BUY, 98, 1), level(SELL, 101, 3)))
    book = machine.on_update(change(12, 10, level(BUY, 99, 0), level(SELL, 100, 4), level(BUY, 97, 2)))
    assert isinstance(book, Book)
    assert book.bids() == [Level(98, 1, 1), Level(97, 2, 1)]
    assert book.asks() == [Level(100, 4, 1), Level(101, 3, 1)]
    assert (book.best_bid, book.best_ask, book.seq) == (Level(98, 1, 1), Level(100, 4, 1), 12)
    assert book.bids(1) == [Level(98, 1, 1)]


@pytest.mark.parametrize("depth", range(6))
def test_book_is_read_to_any_depth_best_first(depth: int) -> None:
    machine = MarketMachine()
    rows = [level(BUY, price, 1) for price in (5, 9, 7)] + [level(SELL, price, 1) for price in (15, 11, 13)]
    book = machine.on_update(snapshot(10, *rows))
    assert isinstance(book, Book)
    assert [row.price_ticks for row in book.bids(depth)] == [9, 7, 5][: depth or None]
    assert [row.price_ticks for row in book.asks(depth)] == [11, 13, 15][: depth or None]


def test_book_is_not_read_to_a_negative_depth() -> None:
    for read in (Book(7).bids, Book(7).asks):
        with pytest.raises(ValueError, match="depth=-1; use a number of levels"):
            read(-1)


def test_increment_that_does_not_follow_is_a_gap_and_changes_nothing() -> None:
    machine = MarketMachine()
    machine.on_update(snapshot(10, level(BUY, 99, 5)))
    with pytest.raises(FeedGap, match="follows seq 11"):
        machine.on_update(change(12, 11, level(BUY, 99, 0)))
    assert machine.books[7].best_bid == Level(99, 5, 1)


def test_increment_without_a_snapshot_is_a_gap() -> None:
    with pytest.raises(FeedGap, match="without a snapshot"):
        MarketMachine().on_update(change(12, 11))


def test_gateway_of_a_lower_epoch_is_not_believed() -> None:
    machine = MarketMachine()
    machine.on_update(snapshot(10, epoch=3))
    machine.on_subscribed()
    with pytest.raises(FeedGap, match="left behind"):
        machine.on_update(snapshot(11, epoch=2))


def tape(seq: int) -> market_data_pb2.MarketDataUpdate:
    return market_data_pb2.MarketDataUpdate(
        stamp=common_pb2.Stamp(epoch=1, seq=seq),
        instrument=7,
        feed=market_data_pb2.FEED_TRADES,
        seq=seq,
        snapshot=market_data_pb2.BookSnapshot(),
    )


def test_trades_are_told_once_and_a_break_that_may_have_cost_some_is_counted() -> None:
    machine = MarketMachine()
    assert machine.on_update(tape(4)) is None
    assert isinstance(machine.on_update(trade(5, 1, 4)), PublicTrade)
    assert isinstance(machine.on_update(trade(5, 2, 5)), PublicTrade)
    machine.on_subscribed()
    assert machine.on_update(tape(4)) is None
    assert machine.on_update(trade(5, 2, 4)) is None
    assert machine.trades_missed == 0
    machine.on_subscribed()
    assert machine.on_update(tape(8)) == TradesMissed(7, 5, 2, 8, 1)
    assert isinstance(machine.on_update(trade(9, 0, 8)), PublicTrade)
    assert machine.trades_missed == 1


def progress(seq: int, epoch: int = 1) -> market_data_pb2.MarketDataUpdate:
    return market_data_pb2.MarketDataUpdate(
        stamp=common_pb2.Stamp(epoch=epoch, seq=seq), feed=market_data_pb2.FEED_TRADES, seq=seq, trades_through=seq
    )


def missed(after: int, through: int, void_from: int = 0, epoch: int = 1) -> market_data_pb2.MarketDataUpdate:
    return market_data_pb2.MarketDataUpdate(
        stamp=common_pb2.Stamp(epoch=epoch, seq=through),
        feed=market_data_pb2.FEED_TRADES,
        seq=through,
        missed=market_data_pb2.TradesMissed(
            after=common_pb2.EventId(seq=after, index=LAST_INDEX),
            through_seq=through,
            void_from_seq=void_from,
            text="why",
        ),
    )


def resumes_from(machine: MarketMachine) -> tuple[int, int, int]:
    request = market_data_pb2.SubscribeRequest()
    machine.fill_in(request)
    return request.last_seen.seq, request.last_seen.index, request.last_epoch


def test_next_stream_is_asked_to_begin_where_the_last_one_ended() -> None:
    machine = MarketMachine()
    request = market_data_pb2.SubscribeRequest()
    machine.fill_in(request)
    assert not request.HasField("last_seen")
    machine.on_update(tape(4))
    assert resumes_from(machine) == (4, LAST_INDEX, 1)
    machine.on_update(trade(6, 3, 4))
    assert resumes_from(machine) == (6, 3, 1)
    machine.on_update(progress(9, epoch=2))
    assert resumes_from(machine) == (9, LAST_INDEX, 2)
    machine.on_subscribed()
    begins = tape(9)
    begins.stamp.epoch = 2
    assert machine.on_update(begins) is None
    assert resumes_from(machine) == (9, LAST_INDEX, 2)
    assert machine.trades_missed == 0


def test_trades_told_again_after_a_break_are_handed_out_once() -> None:
    machine = MarketMachine()
    for message in (tape(4), trade(5, 1, 4), trade(6, 0, 5)):
        machine.on_update(message)
    machine.on_subscribed()
    reported = [machine.on_update(message) for message in (tape(4), trade(5, 1, 4), trade(6, 0, 5), trade(6, 1, 6))]
    assert [(row.seq, row.index) for row in reported if isinstance(row, PublicTrade)] == [(6, 1)]


def test_what_cannot_be_had_is_handed_out_in_its_place() -> None:
    machine = MarketMachine()
    for message in (tape(4), trade(5, 1, 4)):
        machine.on_update(message)
    machine.on_subscribed()
    assert machine.on_update(missed(5, 80)) == TradesMissed(0, 5, LAST_INDEX, 80, 1, 0, "why")
    assert resumes_from(machine) == (80, LAST_INDEX, 1)
    assert machine.on_update(tape(5)) is None
    assert isinstance(machine.on_update(trade(81, 0, 5)), PublicTrade)
    assert machine.trades_missed == 1


def test_trades_of_the_history_that_took_the_place_of_void_ones_are_handed_out() -> None:
    machine = MarketMachine()
    for message in (tape(4), trade(5, 1, 4), trade(8, 0, 5)):
        machine.on_update(message)
    machine.on_subscribed()
    void = machine.on_update(missed(6, 6, void_from=7, epoch=2))
    assert void == TradesMissed(0, 6, LAST_INDEX, 6, 2, 7, "why")
    assert resumes_from(machine) == (6, LAST_INDEX, 2)
    begins, new = tape(6), trade(7, 0, 6)
    begins.stamp.epoch = new.stamp.epoch = 2
    assert machine.on_update(begins) is None
    assert isinstance(machine.on_update(new), PublicTrade)
    assert resumes_from(machine) == (7, 0, 2)


def test_subscription_goes_on_with_the_trades_where_it_was_cut_off(run_with_gateways: Callable[..., Any]) -> None:
    async def body(first: Any, second: Any) -> None:
        first.market_scripts = [[tape(4), trade(5, 1, 4)], []]
        second.market_scripts = [[tape(5), trade(5, 2, 5), missed(5, 30), trade(31, 0, 5)]]
        async with AsyncClient([first.address, second.address]) as client:
            subscription = await client.subscribe(["ACME"], feeds=[Feed.TRADES])
            seen = [await subscription.next(5) for _ in range(4)]
            await subscription.close()
        assert [type(update) for update in seen] == [PublicTrade, PublicTrade, TradesMissed, PublicTrade]
        assert subscription.trades_missed == 1
        begun, resumed = first.subscriptions[0], second.subscriptions[0]
        assert not begun.HasField("last_seen")
        assert (resumed.last_seen.seq, resumed.last_seen.index, resumed.last_epoch) == (5, 1, 1)

    run_with_gateways(body, 2)


def test_subscription_asks_for_no_older_state_than_its_client_was_told_of(
    run_with_gateways: Callable[..., Any],
) -> None:
    async def body(first: Any, second: Any) -> None:
        first.exchange.epoch, first.exchange.seq = 3, 41
        for gateway in (first, second):
            gateway.market_scripts = [[snapshot(42, level(BUY, 98, 7))] for _ in range(2)]
        async with AsyncClient([first.address, second.address]) as client:
            await client.instruments()
            first.exchange.seq = 44
            subscription = await client.subscribe(["ACME"], feeds=[Feed.L2])
            await subscription.next(5)
            await subscription.close()
            session = await client.session()
            handle = await session.place(account=1, instrument="ACME", side="buy", quantity_lots=1, price_ticks=5)
            (report,) = (await handle).reports
            subscription = await client.subscribe([7], feeds=[Feed.L2])
            await subscription.next(5)
            await subscription.close()
        asked = [request.at_least for gateway in (first, second) for request in gateway.subscriptions]
        assert {(at_least.epoch, at_least.seq) for at_least in asked} == {(3, 41), (3, report.seq)}
        assert report.seq > 44

    run_with_gateways(body, 2)


def test_gap_makes_the_subscription_subscribe_again_and_the_book_is_whole(
    run_with_gateways: Callable[..., Any],
) -> None:
    async def body(first: Any, second: Any) -> None:
        first.market_scripts = [[snapshot(10, level(BUY, 99, 5)), change(14, 12, level(BUY, 99, 1))]]
        second.market_scripts = [[snapshot(14, level(BUY, 98, 7)), change(15, 14, level(SELL, 100, 1))], []]
        first.market_scripts.append([snapshot(20, level(BUY, 50, 1))])
        async with AsyncClient([first.address, second.address]) as client:
            subscription = await client.subscribe(["ACME"], feeds=[Feed.L2])
            seen = []
            async for update in subscription:
                assert isinstance(update, Book)
                seen.append((update.seq, [row.price_ticks for row in update.bids()]))
                if update.seq == 20:
                    break
            await subscription.close()
        assert seen == [(10, [99]), (14, [98]), (15, [98]), (20, [50])]
        assert subscription.resubscriptions == 2
        assert list(first.subscriptions[0].instruments) == [7]

    run_with_gateways(body, 2)


def test_subscription_to_an_unknown_symbol_is_refused_at_once(run_with_gateways: Callable[..., Any]) -> None:
    async def body(gateway: Any) -> None:
        async with AsyncClient(gateway.address) as client:
            with pytest.raises(Refused, match="UNKNOWN_INSTRUMENT"):
                await client.subscribe(["NOPE"])

    run_with_gateways(body)


def best(seq: int, previous: int = 0) -> market_data_pb2.MarketDataUpdate:
    return market_data_pb2.MarketDataUpdate(
        stamp=common_pb2.Stamp(epoch=1, seq=seq),
        instrument=7,
        feed=market_data_pb2.FEED_L1,
        seq=seq,
        previous_seq=previous,
        best=market_data_pb2.BestBidOffer(bid_price_ticks=seq, bid_quantity_lots=1),
    )


def test_trades_before_the_first_one_that_was_seen_are_missed_like_those_after_it() -> None:
    machine = MarketMachine()
    assert machine.on_update(tape(4)) is None
    machine.on_subscribed()
    missed = machine.on_update(tape(9))
    assert missed == TradesMissed(7, 4, 2**32 - 1, 9, 1)
    machine.on_subscribed()
    assert machine.on_update(tape(9)) is None, "nothing happened since"
    assert machine.trades_missed == 1


def test_trades_of_an_instrument_that_came_while_no_stream_was_open_are_missed() -> None:
    machine = MarketMachine()
    machine.on_update(tape(4))
    machine.on_update(trade(6, 0, 4))
    machine.on_subscribed()
    new = tape(12)
    new.instrument = 8
    assert machine.on_update(new) == TradesMissed(8, 6, 0, 12, 1)


def test_both_clients_say_that_trades_were_missed_where_they_are_missing(
    run_with_gateways: Callable[..., Any],
) -> None:
    async def body(gateway: Any) -> None:
        def script() -> list[list[market_data_pb2.MarketDataUpdate]]:
            return [[tape(4), trade(5, 1, 4)], [tape(8), trade(9, 0, 8)]]

        gateway.market_scripts = script()
        async with AsyncClient(gateway.address) as client:
            subscription = await client.subscribe(["ACME"], feeds=[Feed.TRADES])
            reported = [await subscription.next(5) for _ in range(3)]
            assert [type(each) for each in reported] == [PublicTrade, TradesMissed, PublicTrade]
            assert reported[1] == TradesMissed(7, 5, 1, 8, 1)
            assert subscription.trades_missed == 1

        def blocking() -> None:
            with Client(gateway.address) as client:
                subscription = client.subscribe(["ACME"], feeds=[Feed.TRADES])
                assert [subscription.next(5) for _ in range(3)] == reported
                assert (subscription.trades_missed, subscription.resubscriptions) == (1, 1)
                assert "gateway goes away" in subscription.last_break

        gateway.market_scripts = script()
        await asyncio.to_thread(blocking)

    run_with_gateways(body)


@pytest.mark.parametrize("threads", [2, 7])
def test_threads_that_ask_at_once_get_each_update_once_and_in_order(gateway_thread: Any, threads: int) -> None:
    gateway_thread.market_scripts = [[best(seq, seq - 1) for seq in range(1, 301)]]
    with Client(gateway_thread.address) as client:
        subscription = client.subscribe(["ACME"], feeds=[Feed.L1])
        got: list[list[int]] = [[] for _ in range(threads)]
        other: list[BaseException] = []

        def ask(mine: list[int]) -> None:
            try:
                while True:
                    mine.append(subscription.next(1.0).seq)  # type: ignore[union-attr]
            except Unavailable:
                return
            except BaseException as error:  # noqa: BLE001 - what must not happen
                other.append(error)

        asking = [threading.Thread(target=ask, args=(mine,)) for mine in got]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join(30)
        assert not other
        assert sorted(seq for mine in got for seq in mine) == list(range(1, 301))
        assert all(mine == sorted(mine) for mine in got)


def test_refused_subscription_says_why_each_time_it_is_asked(run_with_gateways: Callable[..., Any]) -> None:
    async def body(gateway: Any) -> None:
        gateway.refuse_subscriptions = (grpc.StatusCode.PERMISSION_DENIED, "no market data for you")
        async with AsyncClient(gateway.address) as client:
            subscription = await client.subscribe(["ACME"])
            for _ in range(3):
                with pytest.raises(Refused, match=r"NOT_ENTITLED.*no market data for you"):
                    await subscription.next(5)
            with pytest.raises(Refused, match="no market data for you"):
                async for _ in subscription:
                    pass
            await subscription.close()
            with pytest.raises(Refused, match="no market data for you"):
                await subscription.next(5)

        def blocking() -> None:
            with Client(gateway.address) as client:
                subscription = client.subscribe(["ACME"])
                for _ in range(2):
                    with pytest.raises(Refused, match="no market data for you"):
                        subscription.next(5)
                with pytest.raises(Refused, match="no market data for you"):
                    next(iter(subscription))

        await asyncio.to_thread(blocking)

    run_with_gateways(body)


def test_closed_subscription_says_so_and_wakes_those_who_wait(run_with_gateways: Callable[..., Any]) -> None:
    async def body(gateway: Any) -> None:
        async with AsyncClient(gateway.address) as client:
            subscription = await client.subscribe(["ACME"])
            waiting = [asyncio.ensure_future(subscription.next()) for _ in range(3)]
            iterating = asyncio.ensure_future(_all_of(subscription))
            await asyncio.sleep(0.1)
            await subscription.close()
            for task in waiting:
                with pytest.raises(SubscriptionEnded, match="the subscription was closed"):
                    await asyncio.wait_for(task, 5)
            assert await asyncio.wait_for(iterating, 5) == [], "a loop over it just ends"
            await subscription.close()
            for _ in range(2):
                with pytest.raises(SubscriptionEnded, match="the subscription was closed"):
                    await subscription.next(1)
            with pytest.raises(SubscriptionEnded, match="the subscription was closed"):
                await _all_of(subscription)

        def blocking() -> None:
            client = Client(gateway.address)
            subscription, other = client.subscribe(["ACME"]), client.subscribe(["ACME"])
            subscription.close()
            with pytest.raises(SubscriptionEnded, match="the subscription was closed"):
                subscription.next(1)
            with pytest.raises(SubscriptionEnded, match="the subscription was closed"):
                next(iter(subscription))
            client.close()
            with pytest.raises(SubscriptionEnded, match="the client was closed"):
                other.next(1)
            other.close()

        await asyncio.to_thread(blocking)

    run_with_gateways(body)


async def _all_of(subscription: AsyncSubscription) -> list[object]:
    return [update async for update in subscription]


def test_books_stand_still_while_nobody_asks_also_after_a_time_out(run_with_gateways: Callable[..., Any]) -> None:
    async def body(gateway: Any) -> None:
        gateway.market_scripts = [[snapshot(10, level(BUY, 99, 5))]]
        gateway.market_more = asyncio.Queue()
        async with AsyncClient(gateway.address) as client:
            subscription = await client.subscribe(["ACME"], feeds=[Feed.L2])
            book = await subscription.next(5)
            assert isinstance(book, Book)
            with pytest.raises(Unavailable, match="ask again"):
                await subscription.next(0.1)
            with pytest.raises(asyncio.TimeoutError):
                async with timeout(0.1):
                    await subscription.next()
            for seq in range(11, 16):
                gateway.market_more.put_nowait(change(seq, seq - 1, level(BUY, 99, seq)))
            await asyncio.sleep(0.3)
            assert (book.seq, book.best_bid) == (10, Level(99, 5, 1)), "nobody asked"
            for seq in range(11, 16):
                update = await subscription.next(5)
                assert (update.seq, book.best_bid) == (seq, Level(99, seq, 1))  # type: ignore[union-attr]
            await subscription.close()

    run_with_gateways(body)


def test_subscription_begins_when_it_is_made_and_not_with_the_first_question(
    run_with_gateways: Callable[..., Any],
) -> None:
    async def body(gateway: Any) -> None:
        gateway.market_scripts = [[tape(4), trade(5, 1, 4)]]
        async with AsyncClient(gateway.address) as client:
            subscription = await client.subscribe(["ACME"], feeds=[Feed.TRADES])
            async with timeout(5):
                while not gateway.subscriptions:  # noqa: ASYNC110 - nothing announces it
                    await asyncio.sleep(0.01)
            assert isinstance(await subscription.next(5), PublicTrade)

    run_with_gateways(body)


def test_poll_without_waiting_gets_what_has_come(run_with_gateways: Callable[..., Any]) -> None:
    async def body(gateway: Any) -> None:
        gateway.market_scripts = [[best(1), best(2, 1)]]
        async with AsyncClient(gateway.address) as client:
            subscription = await client.subscribe(["ACME"], feeds=[Feed.L1])
            got = []
            for _ in range(200):
                try:
                    got.append((await subscription.next(0)).seq)  # type: ignore[union-attr]
                except Unavailable:
                    await asyncio.sleep(0.01)
                if len(got) == 2:
                    break
            assert got == [1, 2]

    run_with_gateways(body)
