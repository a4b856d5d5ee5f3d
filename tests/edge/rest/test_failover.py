"""Commands that are sent again while primaries, gateways and doors die: one order for each key, and one answer.

Each order takes one lot at once, so whatever is executed twice shows in the account's position.
"""

import queue
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from lockstep.edge.rest.lanes import name_of, session_of
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.v1 import orders_pb2, orders_pb2_grpc
from tests.calm import CALM
from tests.edge.rest.conftest import CLIENTS, OPERATOR, Answer, Caller, base_of, define, wait_until_served

ORDERS = 150
CANCELS: Any = [2]


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    plan = ClusterPlan(timing=CALM, gateways=2, feeds=2, implementations=("native", "reference"), clients=CLIENTS)
    with LocalCluster(plan) as running:
        define(running, OPERATOR)
        for feed in range(2):
            wait_until_served(running, feed)
        offer = Caller(base_of(running), "bob-token").place(
            "offer", account=3, side="sell", price="1.00", quantity_lots=1_000_000
        )
        assert offer.status == 201, offer
        yield running


class Trader:
    """Takes lots, one key after the other, and repeats what had no answer, at the doors in turn."""

    def __init__(self, cluster: LocalCluster, account: int, name: str) -> None:
        self.account, self.name = account, name
        self.doors = [Caller(base_of(cluster, feed), timeout_s=3) for feed in range(2)]
        self.answers: dict[int, Answer] = {}
        self.repeated = 0

    def take(self, number: int, patience_s: float = 60) -> Answer:
        give_up_s = time.monotonic() + patience_s
        turn = number
        while True:
            turn += 1
            try:
                answer = self.doors[turn % 2].place(f"{self.name}-{number}", self.account, price="1.00", tif="ioc")
                if answer.status not in (429, 503):
                    self.answers.setdefault(number, answer)
                    return answer
            except OSError:
                # The door is away, or silent: it may have been executed.
                pass
            assert time.monotonic() < give_up_s, f"{self.name}-{number} has no answer"
            self.repeated += 1
            time.sleep(0.02)

    def judge(self, orders: int) -> None:
        """Every key again, at both doors: the same bytes; and as many lots as there are keys."""
        assert len(self.answers) == orders
        for number, answer in self.answers.items():
            assert answer.status == 201, answer
            assert answer.json["filled_lots"] == 1
            key = f"{self.name}-{number}"
            again = self.doors[number % 2].place_until_answered(key, self.account, price="1.00", tif="ioc")
            assert (again.status, again.raw) == (201, answer.raw)
        assert len({answer.json["order_id"] for answer in self.answers.values()}) == orders
        held = self.doors[0].get(f"/v1/accounts/{self.account}/positions").json["positions"]
        assert [one["quantity_lots"] for one in held] == [orders]


def trade_while(trader: Trader, orders: int, disturb) -> None:
    """Four threads trade; `disturb` is called with how many are answered."""
    left = iter(range(orders))
    lock = threading.Lock()
    faults: list[BaseException] = []

    def work() -> None:
        try:
            while True:
                with lock:
                    number = next(left, None)
                if number is None:
                    return
                trader.take(number)
        except BaseException as fault:  # noqa: BLE001 - the test says it
            faults.append(fault)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    disturb(lambda: len(trader.answers))
    for thread in threads:
        thread.join()
    assert not faults, faults


def until(count, at: int, patience_s: float = 90) -> None:
    give_up_s = time.monotonic() + patience_s
    while count() < at:
        assert time.monotonic() < give_up_s, f"{count()} answers"
        time.sleep(0.005)


@pytest.mark.slow
def test_primary_gateways_and_a_door_die_and_every_key_is_one_order(cluster):
    trader = Trader(cluster, 1, "failover")

    def disturb(count) -> None:
        until(count, 20)
        cluster.kill(cluster.find("primary"))
        until(count, 40)
        cluster.kill("gateway-1")
        until(count, 60)
        cluster.kill("gateway-2")
        until(count, 80)
        cluster.kill("feed-1")
        until(count, 100)
        cluster.kill(cluster.find("sequencer"))

    trade_while(trader, ORDERS, disturb)
    assert cluster.wait_until_whole(60)
    for feed in range(2):
        wait_until_served(cluster, feed)
    trader.judge(ORDERS)


@pytest.mark.slow
def test_a_hung_gateway_executes_nothing_twice_when_it_goes_on(cluster):
    trader = Trader(cluster, 2, "hung")

    def disturb(count) -> None:
        for turn in range(2):
            until(count, 10 + 20 * turn)
            cluster.signal(f"gateway-{1 + turn}", signal.SIGSTOP)
            until(count, 20 + 20 * turn)
            cluster.signal(f"gateway-{1 + turn}", signal.SIGCONT)

    trade_while(trader, 60, disturb)
    trader.judge(60)


def test_the_first_outcome_is_given_behind_more_numbers_than_engines_keep_keys_of(cluster):
    alice = Caller(base_of(cluster))
    first = alice.place("old", price="0.50")
    assert first.status == 201
    # The lane does not depend on the request.
    use_up(cluster, session_of(1, name_of("old", b"").lane), 8_300)
    for feed in range(2):
        again = Caller(base_of(cluster, feed)).place("old", price="0.50")
        assert (again.status, again.raw) == (201, first.raw)
    assert Caller(base_of(cluster)).place("new", price="0.50").status == 201


def use_up(cluster: LocalCluster, session_id: int, numbers: int) -> None:
    """So many cancels of nothing, in a session stream of the client's own."""
    with grpc.insecure_channel(cluster.gateway_addresses[0]) as channel:
        requests: queue.SimpleQueue = queue.SimpleQueue()
        hello = orders_pb2.Hello(session_id=session_id, next_no=1, asks_next_no=True, columnar=True)
        requests.put(orders_pb2.SessionRequest(hello=hello))
        stream = orders_pb2_grpc.OrderEntryStub(channel).Session(
            iter(requests.get, None), metadata=(("authorization", "Bearer alice-token"),), timeout=60
        )
        first = last = answered = 0
        for said in stream:
            which = said.WhichOneof("message")
            if which == "refusal":
                # On a busy machine fewer find room: the same again, from there.
                assert said.refusal.retryable, said
                time.sleep(said.refusal.retry_after_ms / 1e3)
                first = said.refusal.from_no
            if which == "next_number":
                first = said.next_number.next_no
                last, answered = first + numbers - 1, first - 1
            if which == "report_batch" and last:
                answered = max((answered, *said.report_batch.session_no))
                if answered >= last:
                    break
            # Fewer than a client may have unanswered.
            while last and first <= min(last, answered + 4_000):
                count = min(500, last + 1 - first)
                batch = orders_pb2.CommandBatch(first_no=first, count=count, kind=CANCELS, account=[1], order_id=[1])
                requests.put(orders_pb2.SessionRequest(batch=batch))
                first += count
        requests.put(None)
