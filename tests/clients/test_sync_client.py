"""The blocking client against a real gRPC server in another thread."""

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lockstep import (
    Client,
    CommandColumns,
    EventKind,
    Feed,
    Quote,
    Refused,
    ReportsNotKept,
    SessionEnded,
    SessionFull,
    TradesMissed,
    Unavailable,
)
from lockstep.v1 import common_pb2, market_data_pb2


def test_quick_start_works_as_written(gateway_thread: Any) -> None:
    with Client(gateway_thread.address) as client:
        done = client.place(account=1, instrument="ACME", side="buy", quantity_lots=10, price="101.50")
        assert done.order_id > 0
        assert done.outcome.price_ticks == 10_150
        assert client.order(account=1, order_id=done.order_id) is None
        with pytest.raises(Refused, match="INSUFFICIENT_CASH"):
            client.place(account=1, instrument="ACME", side="buy", quantity_lots=13, price="101.50")


def test_session_hands_out_rows_batches_and_handles(gateway_thread: Any) -> None:
    with Client(gateway_thread.address) as client, client.session() as session:
        handle = session.place(account=1, instrument="ACME", side="sell", quantity_lots=7, price="1")
        assert handle.result(timeout=30).filled_lots == 0
        ids = np.arange(1, 201, dtype=np.uint64)
        assert session.submit_columns(CommandColumns(account=1, client_order_id=ids, quantity_lots=1)) == 2
        session.drain(5)
        rows = list(session.reports(timeout_s=0.1))
        assert [row.kind for row in rows[:3]] == [EventKind.ACCEPTED, EventKind.TRADE, EventKind.TRADE]
        assert len(rows) == 203


def test_many_threads_share_one_session(gateway_thread: Any, exchange: Any) -> None:
    with Client(gateway_thread.address) as client, client.session(max_unanswered=64) as session:
        results: list[int] = []

        def trade() -> None:
            for _ in range(50):
                handle = session.place(account=1, instrument=7, side="buy", quantity_lots=1, price_ticks=5)
                results.append(handle.result(10).outcome.session_no - handle.session_no)

        threads = [threading.Thread(target=trade) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert results == [0] * 200


def test_full_session_blocks_until_there_is_room(gateway_thread: Any) -> None:
    with Client(gateway_thread.address) as client, client.session(max_unanswered=8) as session:
        handles = []
        for number in range(1, 101):
            handles.append(session.place(account=1, instrument=7, side="buy", quantity_lots=1, price_ticks=number))
            # With eight unanswered at the most, the one eight numbers before has its answer when a call returns.
            assert session.unanswered <= 8
            assert all(handle.done() for handle in handles[:-8])
        session.drain(5)
        assert session.unanswered == 0


def test_drain_and_handle_say_so_when_the_time_is_over(gateway_thread: Any) -> None:
    gateway_thread.swallow_reports = True
    with Client(gateway_thread.address) as client:
        session = client.session(max_unanswered=1, on_full="raise")
        handle = session.place(account=1, instrument=7, side="buy", quantity_lots=1, price_ticks=5)
        with pytest.raises(Unavailable, match="command 1 is not answered after"):
            handle.result(timeout=0.05)
        with pytest.raises(Unavailable, match="1 commands unanswered"):
            session.drain(0.05)
        with pytest.raises(SessionFull):
            session.cancel(account=1, order_id=5)
        assert len(session.close(drain_s=0.05).unanswered) == 1
        with pytest.raises(SessionEnded):
            handle.result(1)
        with pytest.raises(SessionEnded):
            session.cancel(account=1, order_id=5)


WAITS: dict[str, Callable[[Any, Any, Any, Any], object]] = {
    "handle": lambda handle, _session, _subscription, wait: handle.result(wait),
    "drain": lambda _handle, session, _subscription, wait: session.drain(wait),
    "reports": lambda _handle, session, _subscription, wait: next(session.reports(wait)),
    "batches": lambda _handle, session, _subscription, wait: next(session.batches(wait)),
    "close": lambda _handle, session, _subscription, wait: session.close(wait),
    "market data": lambda _handle, _session, subscription, wait: subscription.next(wait),
}


@pytest.mark.parametrize("name", WAITS)
@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), 1e30, "1", True])
def test_wait_that_is_no_time_is_refused_and_ends_neither_session_nor_client(
    gateway_thread: Any, name: str, wrong: object
) -> None:
    gateway_thread.swallow_reports = True
    with Client(gateway_thread.address) as client:
        session, subscription = client.session(), client.subscribe(["ACME"])
        handle = session.place(account=1, instrument=7, side="buy", quantity_lots=1, price_ticks=5)
        with pytest.raises((TypeError, ValueError), match=r"^(timeout|timeout_s|drain_s)"):
            WAITS[name](handle, session, subscription, wrong)
        assert client.status().serving
        assert session.close(drain_s=0).next_no == 2


def test_wait_below_0_is_over_at_once(gateway_thread: Any) -> None:
    gateway_thread.swallow_reports = True
    with Client(gateway_thread.address) as client:
        session = client.session()
        handle = session.place(account=1, instrument=7, side="buy", quantity_lots=1, price_ticks=5)
        with pytest.raises(Unavailable, match="not answered"):
            handle.result(-1)
        with pytest.raises(Unavailable, match="unanswered"):
            session.drain(-0.5)
        with pytest.raises(Unavailable, match="no market data"):
            client.subscribe(["ACME"]).next(-1)
        assert list(session.reports(-1)) == []
        assert len(session.close(-1).unanswered) == 1


def test_book_is_asked_for_by_id(gateway_thread: Any) -> None:
    with Client(gateway_thread.address) as client, pytest.raises(TypeError, match=r"^instrument must be an integer"):
        client.subscribe(["ACME"]).book("ACME")  # type: ignore[arg-type]


def test_callback_gets_columns_and_the_iterators_say_why_they_do_not(gateway_thread: Any) -> None:
    seen: list[int] = []
    with (
        Client(gateway_thread.address) as client,
        client.session(on_batch=lambda batch: seen.extend(batch.session_no.tolist())) as session,
    ):
        session.submit_columns(CommandColumns(count=30, quantity_lots=1))
        session.drain(5)
        with pytest.raises(ReportsNotKept, match="callback"):
            next(iter(session.reports()))
    assert seen == list(range(1, 31))


def test_market_data_waits_no_longer_than_asked_and_loses_nothing_by_it(gateway_thread: Any) -> None:
    best = market_data_pb2.BestBidOffer(bid_price_ticks=5, bid_quantity_lots=2)
    update = market_data_pb2.MarketDataUpdate(
        stamp=common_pb2.Stamp(epoch=1), instrument=7, feed=market_data_pb2.FEED_L1, seq=4, best=best
    )
    gateway_thread.market_scripts = [[update]]
    with Client(gateway_thread.address) as client:
        subscription = client.subscribe(["ACME"], feeds=[Feed.L1])
        quote = subscription.next(timeout_s=5)
        assert isinstance(quote, Quote)
        assert quote.bid is not None
        assert (quote.bid.price_ticks, quote.ask) == (5, None)
        start = time.monotonic()
        with pytest.raises(Unavailable, match="no market data"):
            subscription.next(timeout_s=0.1)
        assert time.monotonic() - start < 5
        subscription.close()


def test_trades_that_cannot_be_had_are_said_by_the_blocking_client_too(gateway_thread: Any) -> None:
    gone = market_data_pb2.TradesMissed(after=common_pb2.EventId(seq=5), through_seq=80, text="cut")
    stamp, feed = common_pb2.Stamp(epoch=1), market_data_pb2.FEED_TRADES
    gateway_thread.market_scripts = [[market_data_pb2.MarketDataUpdate(stamp=stamp, feed=feed, seq=80, missed=gone)]]
    with Client(gateway_thread.address) as client:
        subscription = client.subscribe(["ACME"], feeds=[Feed.TRADES])
        assert subscription.next(timeout_s=5) == TradesMissed(0, 5, 0, 80, 1, 0, "cut")
        assert (subscription.trades_missed, subscription.last_break) == (1, "")
        subscription.close()


def test_address_without_port_and_wrong_options_are_named() -> None:
    with pytest.raises(ValueError, match="has no port"):
        Client("localhost")
    with pytest.raises(ValueError, match="no gateway address"):
        Client("")


def test_closed_client_says_that_it_is_closed(gateway_thread: Any) -> None:
    client = Client(gateway_thread.address)
    client.close()
    client.close()
    with pytest.raises(Unavailable, match="client is closed"):
        client.status()
