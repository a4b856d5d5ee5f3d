"""Cancel on disconnect in a real cluster: clients and gateways that are killed."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from lockstep import Checkpoint, Client
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from tests.calm import CALM

GRACE_S = 2.0
TRADER = """
import sys, time
from lockstep import Client
address, account, grace_s = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
session = Client(address).session(cancel_on_disconnect_s=grace_s, timeout_s=20.0)
session.place(account=account, instrument="ACME", side="buy", quantity_lots=1, price_ticks=90).result(20)
print(session.session_id, flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(ClusterPlan(timing=CALM, gateways=2, implementations=("native", "reference"))) as running:
        with Client(running.gateway_addresses) as client, client.session(timeout_s=20.0) as session:
            session.define_instrument(id=1, symbol="ACME", tick="0.01")
            for account in range(1, 5):
                session.define_account(account=account, name=f"A{account}")
                session.adjust_cash(account=account, amount=1_000_000).result(20)
        yield running


@pytest.fixture
def trader(cluster: LocalCluster) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """A client in a process of its own, with one live order of `account`, at the gateway of that index."""
    started: list[subprocess.Popen[str]] = []

    def start(account: int, gateway: int = 0, grace_s: float = GRACE_S) -> subprocess.Popen[str]:
        arguments = [cluster.gateway_addresses[gateway], str(account), str(grace_s)]
        process = subprocess.Popen([sys.executable, "-c", TRADER, *arguments], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline().strip().isdigit()
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def live(cluster: LocalCluster, account: int) -> int:
    with Client(cluster.gateway_addresses, timeout_s=20.0) as client:
        return len(client.open_orders(account))


def wait_until_canceled(cluster: LocalCluster, account: int, limit_s: float = 60.0) -> None:
    give_up_s = time.monotonic() + limit_s
    while live(cluster, account):
        assert time.monotonic() < give_up_s, f"the orders of account {account} are still there"
        time.sleep(0.05)


@pytest.mark.slow
def test_orders_of_a_killed_client_are_canceled_after_its_time(
    cluster: LocalCluster, trader: Callable[..., subprocess.Popen[str]]
) -> None:
    process = trader(1)
    time.sleep(1.5 * GRACE_S)
    assert live(cluster, 1) == 1
    killed_s = time.monotonic()
    process.send_signal(signal.SIGKILL)
    wait_until_canceled(cluster, 1)
    assert time.monotonic() - killed_s >= GRACE_S


@pytest.mark.slow
def test_session_that_goes_on_at_another_gateway_keeps_its_orders(cluster: LocalCluster) -> None:
    with Client(cluster.gateway_addresses[0], timeout_s=20.0) as client:
        session = client.session(cancel_on_disconnect_s=GRACE_S, timeout_s=20.0)
        session.place(account=2, instrument="ACME", side="buy", quantity_lots=1, price_ticks=90).result(20)
        checkpoint = Checkpoint.from_json(session.close().to_json())
    with Client(cluster.gateway_addresses[1], timeout_s=20.0) as client:
        session = client.session(resume=checkpoint, cancel_on_disconnect_s=GRACE_S, timeout_s=20.0)
        time.sleep(2.5 * GRACE_S)
        assert live(cluster, 2) == 1
        session.close()
    wait_until_canceled(cluster, 2)


@pytest.mark.slow
def test_gateway_that_is_killed_cancels_when_it_is_back_whom_it_lost(
    cluster: LocalCluster, trader: Callable[..., subprocess.Popen[str]]
) -> None:
    gone, stays = trader(3), trader(4, grace_s=30.0)
    cluster.kill_and_hold("gateway-1")
    gone.kill()
    time.sleep(1.5 * GRACE_S)
    assert live(cluster, 3) == 1
    cluster.restart("gateway-1")
    wait_until_canceled(cluster, 3)
    assert live(cluster, 4) == 1
    stays.kill()
