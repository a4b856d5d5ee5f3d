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

MAKER, PRIMARY, GATEWAYS, HUNG, LATE, LONG = "30", "31", "32", "33", "34", "35"


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
        return sum(one.quantity_lots for one in client.account(account).positions if one.instrument == 1)


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


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_tokens_hold_over_many_failures_of_everything(cluster, liquidity, seed):
    """Gateways, primaries and leaders die or hang in turn; of what is not answered some is sent again, now or later."""

    async def trade():
        dice = Random(seed)
        addresses = list(cluster.soup_addresses)
        trader = Trader(LONG, session=str(20261200 + seed))
        sent: list[bytes] = []
        before = await asyncio.to_thread(position, cluster, int(LONG))
        here = await trader.connect_somewhere(dice.choice(addresses))
        for _ in range(12):
            trader.send(*(fresh(sent, seed) for _ in range(dice.randrange(1, 60))))
            await asyncio.sleep(dice.random() * 0.02)
            await hurt(cluster, f"gateway-{addresses.index(here) + 1}", dice)
            trader.send(*(fresh(sent, seed) for _ in range(dice.randrange(20))))
            if dice.random() < 0.7:
                await trader.close()
                here = await trader.connect_somewhere(*dice.sample(addresses, 2), patience_s=60)
                some = dice.sample(unanswered(trader, sent), k=dice.randrange(len(unanswered(trader, sent)) + 1))
                trader.send(*some)
            if dice.random() < 0.7:
                assert await asyncio.to_thread(cluster.wait_until_whole, 60)
        assert await asyncio.to_thread(cluster.wait_until_whole, 60)
        await trader.close()
        await trader.connect_somewhere(*addresses, patience_s=60)
        trader.send(*sent)
        await trader.until(1 + 2 * len(sent), patience_s=60)
        await asyncio.sleep(0.5)
        await trader.close()
        counts = Counter((one["type"], one["token"]) for one in trader.said[1:])
        assert set(counts.values()) == {1}
        assert len(trader.said) == 1 + 2 * len(sent)
        assert await asyncio.to_thread(position, cluster, int(LONG)) - before == len(sent)

    asyncio.run(trade())


def fresh(sent: list[bytes], seed: int) -> bytes:
    """A new order; every third has a token that the stream has to note."""
    number = len(sent)
    sent.append(enter(f"s{seed} {number}" if number % 3 else f"S{seed} {number}", "B", 1, price=2_000_000, tif=0))
    return sent[-1]


def unanswered(trader: Trader, sent: list[bytes]) -> list[bytes]:
    accepted = {one["token"].encode() for one in trader.said if one["type"] == "A"}
    return [order for order in sent if order[1:15] not in accepted]


async def hurt(cluster, gateway: str, dice: Random) -> None:
    """Something dies, or hangs for a moment."""
    what = dice.choice((gateway, gateway, "primary", "sequencer", "both"))
    names = [gateway] if what in (gateway, "both") else []
    if what != gateway:
        role = "sequencer" if what == "both" else what
        names.append(await asyncio.to_thread(cluster.find, role, 60))
    for name in names:
        if dice.random() < 0.7:
            cluster.kill(name)
        else:
            cluster.signal(name, signal.SIGSTOP)
            asyncio.get_running_loop().call_later(0.3 + dice.random(), cluster.signal, name, signal.SIGCONT)
