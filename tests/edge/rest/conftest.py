"""Clusters with REST doors, and a caller that knows nothing of Lockstep: `urllib` alone."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from lockstep import Client
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.runtime.topology import Client as Principal
from tests.calm import CALM

CLIENTS = (
    Principal(name="operator", token="operator-token", number=9, admin=True),
    Principal(name="alice", token="alice-token", number=1, accounts=(1, 2)),
    Principal(name="bob", token="bob-token", number=2, accounts=(3,)),
)
ALICE, BOB, OPERATOR = "alice-token", "bob-token", "operator-token"


class Answer:
    """What came back."""

    def __init__(self, status: int, headers: Any, raw: bytes) -> None:
        self.status = status
        self.headers = headers
        self.raw = raw

    @property
    def json(self) -> Any:
        return json.loads(self.raw)

    def __repr__(self) -> str:
        return f"{self.status} {self.raw.decode(errors='replace')[:600]}"


class Caller:
    """One address, one token."""

    def __init__(self, base: str, token: str | None = ALICE, timeout_s: float = 20) -> None:
        self.base = base
        self.token = token
        self.timeout_s = timeout_s

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        raw: bytes | None = None,
        **headers: Any,
    ) -> Answer:
        """`headers`: names with _ for -."""
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token is not None:
            said.setdefault("Authorization", f"Bearer {self.token}")
        if key is not None:
            said["Idempotency-Key"] = key
        data = raw
        if body is not None:
            data = json.dumps(body).encode()
            said.setdefault("Content-Type", "application/json")
        elif raw is not None:
            said.setdefault("Content-Type", "application/json")
        request = urllib.request.Request(self.base + path, data=data, headers=said, method=method)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_s) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read())

    def get(self, path: str, **headers: Any) -> Answer:
        return self.ask("GET", path, **headers)

    def place(self, key: str, account: int = 1, **terms: Any) -> Answer:
        order = {"instrument": "ACME", "side": "buy", "quantity_lots": 1, "price": "101.50", "tif": "gtc", **terms}
        return self.ask("POST", f"/v1/accounts/{account}/orders", order, key=key)

    def place_until_answered(self, key: str, account: int = 1, patience_s: float = 60, **terms: Any) -> Answer:
        """Repeats what had no answer, as a client would. On a busy machine an answer takes its time."""
        give_up_s = time.monotonic() + patience_s
        while True:
            with suppress(OSError):
                answer = self.place(key, account, **terms)
                if answer.status not in (429, 503):
                    return answer
            assert time.monotonic() < give_up_s, f"{key} has no answer"
            time.sleep(0.02)


def base_of(cluster: LocalCluster, feed: int = 0) -> str:
    one = cluster.topology.feeds[feed]
    return f"http://{one.host}:{one.http_port}"


def define(cluster: LocalCluster, token: str | None) -> None:
    """ACME, a lot instrument, and accounts 1 to 4 with money."""
    with Client(cluster.gateway_addresses, token=token, client_number=9) as client, client.session() as session:
        handles = [
            session.define_instrument(id=1, symbol="ACME", tick="0.01"),
            session.define_instrument(id=2, symbol="LOTS/X", tick="0.000001", lot_units=100),
            *(
                session.define_account(account=number, name=f"account {number}", unlimited_positions=True)
                for number in (1, 2, 3, 4)
            ),
            *(session.adjust_cash(account=number, amount="1000000") for number in (1, 2, 3, 4)),
        ]
        for handle in handles:
            handle.result(timeout=20)


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """Two gateways, two feeds with doors, one engine of each kind, three clients."""
    plan = ClusterPlan(timing=CALM, gateways=2, feeds=2, implementations=("native", "reference"), clients=CLIENTS)
    with LocalCluster(plan) as running:
        define(running, OPERATOR)
        for feed in range(2):
            wait_until_served(running, feed)
        yield running


def wait_until_served(cluster: LocalCluster, feed: int = 0) -> None:
    """Until the door knows what was defined."""
    import time

    give_up_s = time.monotonic() + 20
    while True:
        try:
            if Caller(base_of(cluster, feed), OPERATOR).get("/v1/instruments/2").status == 200:
                return
        except OSError:
            pass
        assert time.monotonic() < give_up_s, "the door does not serve"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def alice(cluster) -> Caller:
    return Caller(base_of(cluster))


@pytest.fixture(scope="module")
def alice_elsewhere(cluster) -> Caller:
    """At the other door."""
    return Caller(base_of(cluster, 1))


@pytest.fixture(scope="module")
def bob(cluster) -> Caller:
    return Caller(base_of(cluster), BOB)
