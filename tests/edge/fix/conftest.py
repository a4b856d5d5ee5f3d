"""A cluster with two gateways that have the FIX door."""

from collections.abc import Iterator

import pytest

from lockstep import Client, DefineAccount, DefineInstrument
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from tests.calm import CALM

ACCOUNTS = range(1, 40)


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    plan = ClusterPlan(timing=CALM, gateways=2, fix=True, implementations=("native", "reference"))
    with LocalCluster(plan) as running:
        with Client(running.gateway_addresses[0]) as client, client.session() as session:
            handles = [
                session.submit(DefineInstrument(1, "ACME", 10_000)),
                session.submit(DefineInstrument(2, "LOTS-OF-100", 100, 100)),
                *(session.submit(DefineAccount(number, f"A{number}", True, True)) for number in ACCOUNTS),
            ]
            for handle in handles:
                handle.result(timeout=20)
        yield running
