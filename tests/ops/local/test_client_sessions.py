"""Sessions and subscriptions of the SDK in a real cluster with two gateways: taken up again, with what they missed."""

import dataclasses
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from lockstep import Checkpoint, Client, Feed, PublicTrade, Refused, Unavailable
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from tests.calm import CALM

TERMS: dict[str, Any] = {"instrument": "ACME", "quantity_lots": 1, "price_ticks": 100}


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(ClusterPlan(timing=CALM, gateways=2, implementations=("native", "reference"))) as running:
        with Client(running.gateway_addresses) as client, client.session(timeout_s=20.0) as session:
            session.define_instrument(id=1, symbol="ACME", tick="0.01")
            for account in (1, 2):
                session.define_account(account=account, name=f"A{account}", unlimited_cash=True)
                session.adjust_position(account=account, instrument=1, quantity_lots=1_000_000).result(20)
        yield running


@pytest.mark.parametrize("elsewhere", [False, True])
def test_session_taken_up_from_its_first_checkpoint_places_at_once(cluster: LocalCluster, elsewhere: bool) -> None:
    first, second = cluster.gateway_addresses
    with Client(first, timeout_s=20.0) as client, Client(second if elsewhere else first, timeout_s=20.0) as other:
        for _ in range(8):
            session = client.session(timeout_s=20.0)
            checkpoint = Checkpoint.from_json(session.checkpoint().to_json())
            for number in range(1, 6):
                session.place(account=1, side="buy", client_order_id=number, track=False, **TERMS)
            session.close()
            again = other.session(resume=checkpoint, timeout_s=20.0)
            handle = again.place(account=1, side="buy", client_order_id=6, **TERMS)
            assert handle.session_no == 6
            assert handle.result(20).outcome.client_order_id == 6
            seen = [row.client_order_id for row in again.reports(timeout_s=0.1)]
            assert seen == [1, 2, 3, 4, 5, 6]
            assert again.mass_cancel(account=1).result(20).reports
            again.close()


def test_commands_still_on_their_way_when_the_session_is_taken_up_keep_their_numbers(cluster: LocalCluster) -> None:
    with Client(cluster.gateway_addresses[0], timeout_s=20.0) as client:
        for _ in range(5):
            session = client.session(timeout_s=20.0, linger_ms=0)
            checkpoint = session.checkpoint()
            for number in range(1, 40):
                session.place(account=1, side="buy", client_order_id=number, track=False, **TERMS)
            session.close(drain_s=0.001)
            again = client.session(resume=checkpoint, timeout_s=20.0)
            handle = again.place(account=1, side="buy", client_order_id=1000, **TERMS)
            assert handle.result(20).outcome.client_order_id == 1000
            reported = [row.client_order_id for row in again.reports(timeout_s=0.1)]
            assert reported == [*range(1, handle.session_no), 1000]
            again.mass_cancel(account=1).result(20)
            again.close()


def test_checkpoint_that_is_ahead_of_the_cluster_is_refused_with_the_reason(cluster: LocalCluster) -> None:
    with Client(cluster.gateway_addresses, timeout_s=20.0) as client:
        session = client.session(timeout_s=20.0)
        session.place(account=1, side="buy", **TERMS).result(20)
        checkpoint = session.close()
        ahead = dataclasses.replace(checkpoint, next_no=checkpoint.next_no + 5)
        with pytest.raises(Refused, match=r"up to 6 as answered, but .* only up to 1: it is a checkpoint of another"):
            client.session(resume=ahead, timeout_s=20.0)
        elsewhere = Checkpoint(checkpoint.session_id + 1, next_no=4)
        with pytest.raises(Refused, match=r"up to 3 as answered, but .* only up to 0"):
            client.session(resume=elsewhere, timeout_s=20.0)
        again = client.session(resume=checkpoint, timeout_s=20.0)
        handle = again.place(account=1, side="buy", **TERMS)
        assert (handle.session_no, len(handle.result(20).reports)) == (2, 1)
        again.mass_cancel(account=1).result(20)
        again.close()


def test_trades_of_the_time_when_its_gateway_was_down_come_to_a_blocking_subscriber(cluster: LocalCluster) -> None:
    first, second = cluster.gateway_addresses
    with Client(first, timeout_s=20.0) as watcher, Client(second, timeout_s=20.0) as client:
        feed = watcher.subscribe(["ACME"], feeds=[Feed.TRADES])
        session = client.session(timeout_s=20.0)
        with pytest.raises(Unavailable):
            feed.next(0.5)

        def trade() -> int:
            session.place(account=1, side="sell", **TERMS).result(20)
            return session.place(account=2, side="buy", **TERMS).result(20).reports[1].seq

        traded = [trade()]
        reported = [feed.next(20)]
        cluster.signal("gateway-1", signal.SIGKILL)
        traded += [trade() for _ in range(3)]
        reported.append(feed.next(60))
        traded.append(trade())
        reported += [feed.next(20) for _ in range(3)]
        assert [update.seq for update in reported if isinstance(update, PublicTrade)] == traded
        assert (feed.trades_missed, feed.resubscriptions > 0) == (0, True)
        feed.close()
        session.close()
