"""QuickFIX through kills of the primary, the leader and the gateway: nothing lost or doubled, no number reset.

Each order takes one share at once, so whatever is executed twice shows in the account's position.
"""

import time
from collections import Counter
from pathlib import Path

import pytest

from lockstep import Client
from tests.edge.fix.initiator import Initiator, order

MAKER, TAKER, LONG = "30", "31", "32"


@pytest.fixture(scope="module")
def liquidity(cluster, tmp_path_factory):
    """A million shares on offer, by a client that stays away from then on."""
    with Initiator(tmp_path_factory.mktemp("maker"), MAKER, cluster.fix_addresses[:1]) as maker:
        maker.send("D", order("OFFER", "2", 1_000_000, "200"))
        maker.heard(1)


def take(trader: Initiator, number: int) -> None:
    trader.send("D", order(f"take-{number}-with-a-name-of-the-usual-length", "1", 1, "200", t59="3"))


def position(cluster, account: int) -> int:
    with Client(cluster.gateway_addresses) as client:
        return sum(one.quantity_lots for one in client.account(account).positions if one.instrument == 1)


def judge(cluster, trader: Initiator, sent: int) -> None:
    """Each order was reported new once and filled once; by what the cluster has booked, too; nobody reset anything."""
    counts = Counter((one[11], one[150]) for one in trader.said)
    assert set(counts.values()) == {1}
    assert Counter(kind for _, kind in counts) == {"0": sent, "F": sent}
    assert len({one[17] for one in trader.said}) == 2 * sent
    numbers = [int(one[34]) for one in trader.said]
    assert numbers == sorted(set(numbers))
    assert position(cluster, int(trader.said[0][1])) == sent
    assert not trader.resets
    assert not trader.rejects


def run(cluster, trader: Initiator, kills: list[str], orders: int, pause_s: float = 0.004) -> None:
    """Orders one after the other, whether or not there is a connection, with a kill now and then."""
    every = orders // (len(kills) + 1)
    for number in range(orders):
        take(trader, number)
        if number % every == every - 1 and kills:
            kill(cluster, kills.pop(0))
        time.sleep(pause_s)


def kill(cluster, what: str) -> None:
    cluster.kill(what if what.startswith("gateway") else cluster.find(what, 60))


def test_kills_of_primary_leader_and_gateway_lose_and_double_nothing(cluster, liquidity, tmp_path: Path):
    with Initiator(tmp_path, TAKER, cluster.fix_addresses) as trader:
        run(cluster, trader, ["primary", "gateway-1", "sequencer", "gateway-2"], 500)
        trader.heard(1000, 90)
        time.sleep(0.3)
        assert cluster.wait_until_whole(60)
        judge(cluster, trader, 500)


@pytest.mark.slow
def test_twenty_thousand_orders_over_three_failovers_and_two_gateway_kills(cluster, liquidity, tmp_path: Path):
    with Initiator(tmp_path, LONG, cluster.fix_addresses) as trader:
        kills = ["primary", "gateway-1", "sequencer", "gateway-2", "primary"]
        run(cluster, trader, kills, 20_000, 0.003)
        trader.heard(40_000, 240)
        time.sleep(0.5)
        assert cluster.wait_until_whole(60)
        judge(cluster, trader, 20_000)
