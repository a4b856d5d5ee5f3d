"""Tokens over failovers: of the primary, and from gateway to gateway with orders under way. Nothing is lost or doubled.

Each order takes one share at once, so whatever is executed twice shows in the account's position.
"""

import asyncio
import signal
from collections import Counter
from random import Random

import pytest

from lockstep import Client
from tests.edge.soup.conftest import Trader, trading
from tests.edge.soup.ouch_messages import enter

MAKER, PRIMARY, GATEWAYS, HUNG, LATE = "30", "31", "32", "33", "34"


@pytest.fixture(scope="module")
def liquidity(cluster):
    """A million shares on offer."""

    async def offer():
        async with trading(MAKER, cluster.soup_addresses[0]) as maker:
            maker.send(enter("OFFER", "S", 1_000_000, price=2_000_000))
            await maker.until(2)

    asyncio.run(offer())


def take(number: int) -> bytes:
    return enter(f"take {number}", "B", 1, price=2_000_000, tif=0)


def position(cluster, account: int) -> int:
    with Client(cluster.gateway_addresses) as client:
        return next(one.quantity_lots for one in client.account(account).positions if one.instrument == 1)


def judge(cluster, trader: Trader, sent: int) -> None:
    """Every token was accepted once and executed once, also by what the cluster has booked."""
    accepted = Counter(one["token"] for one in trader.said if one["type"] == "A")
    executed = Counter(one["token"] for one in trader.said if one["type"] == "E")
    assert set(accepted.values()) == set(executed.values()) == {1}
    assert len(accepted) == len(executed) == sent
    assert position(cluster, int(trader.user)) == sent


def test_a_failover_of_the_primary_loses_and_doubles_nothing(cluster, liquidity):
    async def trade():
        async with trading(PRIMARY, cluster.soup_addresses[0]) as trader:
            for number in range(300):
                trader.send(take(number))
                if number == 100:
                    await asyncio.to_thread(lambda: cluster.kill(cluster.find("primary")))
                await asyncio.sleep(0.005)
            await trader.until(601)
            assert trader.connected, "nobody had to log in again"
            judge(cluster, trader, 300)

    asyncio.run(trade())
    assert cluster.wait_until_whole(30)


async def resend(trader: Trader, sent: list[int], dice: Random) -> None:
    """All that is not answered, as a client might: in any order, some of it twice, with new ones in between."""
    answered = {one["token"].strip() for one in trader.said if one["type"] == "A"}
    missing = [number for number in sent if f"take {number}" not in answered]
    again = missing + dice.choices(missing, k=len(missing) // 2) if missing else []
    for _ in range(5):
        sent.append(len(sent))
        again.append(sent[-1])
    dice.shuffle(again)
    trader.send(*(take(number) for number in again))


def test_killed_gateways_lose_and_double_nothing_though_they_come_back_with_what_was_under_way(cluster, liquidity):
    async def trade():
        dice = Random(1)
        addresses = list(cluster.soup_addresses)
        sent: list[int] = []
        trader = Trader(GATEWAYS)
        here = await trader.connect_somewhere(addresses[0])
        for _ in range(6):
            for _ in range(40):
                sent.append(len(sent))
                trader.send(take(sent[-1]))
                await asyncio.sleep(0.001)
            cluster.kill(f"gateway-{addresses.index(here) + 1}")
            await trader.close()
            others = [address for address in addresses if address != here]
            here = await trader.connect_somewhere(*others)
            await resend(trader, sent, dice)
            await trader.until(1 + 2 * len(sent))
            assert await asyncio.to_thread(cluster.wait_until_whole, 30)
        await asyncio.sleep(0.5)
        await trader.close()
        judge(cluster, trader, len(sent))

    asyncio.run(trade())


def test_a_gateway_that_hung_executes_nothing_of_what_it_finds_in_its_buffers(cluster, liquidity):
    async def trade():
        dice = Random(2)
        first, second = cluster.soup_addresses
        sent: list[int] = []
        trader = Trader(HUNG)
        await trader.connect_somewhere(first)
        for _ in range(3):
            for _ in range(20):
                sent.append(len(sent))
                trader.send(take(sent[-1]))
            cluster.signal("gateway-1", signal.SIGSTOP)
            for _ in range(20):
                sent.append(len(sent))
                trader.send(take(sent[-1]))
            await asyncio.sleep(0.05)
            await trader.connect(second)
            await resend(trader, sent, dice)
            await trader.until(1 + 2 * len(sent))
            cluster.signal("gateway-1", signal.SIGCONT)
            assert await asyncio.to_thread(cluster.wait_until_whole, 30)
            await trader.close()
            await trader.connect_somewhere(first)
        await asyncio.sleep(0.5)
        await trader.close()
        judge(cluster, trader, len(sent))

    asyncio.run(trade())


def test_what_a_dead_gateway_had_not_sent_is_never_executed_beside_what_was_sent_again(cluster, liquidity):
    """Its log holds twenty orders that no sequencer has. Of these the client sends one again elsewhere, before it is
    back."""

    async def trade():
        first, second = cluster.soup_addresses
        trader = Trader(LATE)
        await trader.connect_somewhere(first)
        trader.send(take(0))
        await trader.until(3)
        leader = await asyncio.to_thread(cluster.find, "sequencer")
        cluster.signal(leader, signal.SIGSTOP)
        trader.send(*(take(number) for number in range(1, 21)))
        await asyncio.sleep(0.05)
        cluster.kill("gateway-1")
        cluster.kill(leader)
        await trader.close()
        await trader.connect_somewhere(second)
        assert len(trader.said) == 3, "no sequencer had them"
        trader.send(take(20))
        await trader.until(5)
        assert await asyncio.to_thread(cluster.wait_until_whole, 30)
        await asyncio.sleep(0.5)
        assert len(trader.said) == 5
        trader.send(*(take(number) for number in range(21)))
        await trader.until(1 + 2 * 21)
        await asyncio.sleep(0.2)
        await trader.close()
        judge(cluster, trader, 21)

    asyncio.run(trade())
