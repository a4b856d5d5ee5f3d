"""A native engine that was built with an error in its arithmetic, in a real cluster beside the reference engine.

The build rounds fees to the nearest instead of down. The wrong engine is made the primary, which is the one that
releases fills; nobody may hear of the first fill whose fee it gets wrong.
"""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockstep import Client, EventKind
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.runtime.cluster_view import StatusProbe
from tests.calm import CALM

ROOT = Path(__file__).resolve().parents[2]
ACME, ALICE, BOB = 7, 1, 2
NATIVE = 1
"""Engine 1 is native, engine 2 the reference."""
PATIENCE_S = 60.0

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wrong_core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The native core with the planted bug."""
    output = tmp_path_factory.mktemp("core") / "_core.so"
    build = [ROOT / "engine/native/build-core", sys.executable, output, "-O1", "-DLOCKSTEP_PLANTED_BUG"]
    subprocess.run(list(map(str, build)), check=True, timeout=600)
    return output


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    """One engine of each kind; who dies stays dead."""
    plan = ClusterPlan(engines=2, implementations=("native", "reference"), restart=False, timing=CALM)
    with LocalCluster(plan) as running:
        yield running


def open_market(client: Client) -> None:
    with client.session() as session:
        session.define_instrument(id=ACME, symbol="ACME", tick="0.01").result(PATIENCE_S)
        session.set_fees(instrument=ACME, maker_fee_ppm=0, taker_fee_ppm=555).result(PATIENCE_S)
        for account, name in ((ALICE, "alice"), (BOB, "bob")):
            made = session.define_account(account=account, name=name, unlimited_cash=True, unlimited_positions=True)
            made.result(PATIENCE_S)


def cross(client: Client, lots: int, price_ticks: int) -> list[int]:
    """Alice offers, Bob takes: the fees of the fills that Bob hears of within a while."""
    session = client.session()
    for account, side in ((ALICE, "sell"), (BOB, "buy")):
        session.place(
            account=account, instrument=ACME, side=side, quantity_lots=lots, price_ticks=price_ticks, track=False
        )
    fees: list[int] = []
    deadline = time.monotonic() + 5.0
    with contextlib.suppress(TimeoutError):
        while not fees and (left := deadline - time.monotonic()) > 0:
            for report in session.reports(timeout_s=left):
                if report.kind == EventKind.TRADE and report.leg == 0:
                    fees.append(report.fee_micros)
                    break
    # Not as a context manager: that one insists on an answer to everything, and at the end there must be none.
    session.close(0.5)
    return fees


def wait_for(roles: set[str], cluster: LocalCluster) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while (now := {m.role for m in cluster.status().members if m.name.startswith("engine")}) != roles:
        assert time.monotonic() < give_up, now
        time.sleep(0.2)


def test_wrong_primary_is_found_out_before_its_fill_is_released(cluster: LocalCluster, wrong_core: Path) -> None:
    with Client(cluster.gateway_addresses) as client:
        open_market(client)
        # 2 lots at 100 ticks are worth 2 000 000 micros: a fee of 1 110, on which both agree.
        assert cross(client, 2, 100) == [1_110]
        cluster.kill(f"engine-{NATIVE}")
        command = [sys.executable, str(ROOT / "tests/native_core.py"), str(wrong_core), "engine"]
        arguments = ["--config", str(cluster.config_path), "--id", str(NATIVE)]
        wrong = subprocess.Popen([*command, *arguments])
        try:
            assert cluster.wait_until_whole(PATIENCE_S), cluster.status().lacks(cluster.topology)
            leader = cluster.status().leader()
            assert leader is not None
            with StatusProbe.of(cluster.topology) as probe:
                probe.switch_primary(leader.address, NATIVE, timeout_s=PATIENCE_S)
            assert cross(client, 2, 100) == [1_110]
            assert cluster.find("primary") == f"engine-{NATIVE}"
            # 3 lots at 101 ticks are worth 3 030 000 micros, 555 millionths of which are 1 681.65.
            assert cross(client, 3, 101) == [], "a fill left the cluster that the engines do not agree on"
            wait_for({"diverged"}, cluster)
        finally:
            wrong.terminate()
            wrong.wait(PATIENCE_S)
