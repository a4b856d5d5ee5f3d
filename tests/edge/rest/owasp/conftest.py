"""One cluster for the whole matrix: OWASP API Security Top 10 (2023), one file for each item."""

from collections.abc import Iterator

import pytest

from lockstep.edge.rest.operations import OPERATIONS, PREFIX, Operation
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from tests.calm import CALM
from tests.edge.rest.conftest import CLIENTS, OPERATOR, Caller, base_of, define, wait_until_served

BODIES = {
    "NewOrder": {"instrument": "ACME", "side": "buy", "quantity_lots": 1, "price": "101.50"},
    "ReplaceOrder": {"price": "101.40", "quantity_lots": 2},
    "MassCancel": {},
}


@pytest.fixture(scope="package")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(ClusterPlan(timing=CALM, feeds=1, clients=CLIENTS)) as running:
        define(running, OPERATOR)
        wait_until_served(running)
        yield running


@pytest.fixture(scope="module")
def nobody(cluster) -> Caller:
    return Caller(base_of(cluster), None)


def request(caller: Caller, operation: Operation, account: int = 1, order: str = "5", key: str = "matrix", **headers):
    """The operation as it is meant, on an account and an order."""
    path = PREFIX + operation.path.format(account=account, order_id=order, instrument="ACME")
    body = BODIES[operation.body] if operation.body else None
    return caller.ask(operation.method, path, body, key=key if operation.keyed else None, **headers)


WITH_ACCOUNT = [one for one in OPERATIONS if "{account}" in one.path]
WITH_ORDER = [one for one in OPERATIONS if "{order_id}" in one.path]
EVERY = list(OPERATIONS)
