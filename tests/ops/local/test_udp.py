"""Lines of a real cluster's feeds over Aeron, with datagrams lost and a feed killed: what a WebSocket's reader has."""

import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from lockstep import AsyncClient, Client, FeedState
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.udp import UdpFeed
from lockstep.v1 import feed_pb2
from tests.calm import CALM

FEEDS = ("FEED_L2", "FEED_TRADES", "FEED_INSTRUMENTS")

DRIVER = """
import sys, pyaeron
driver = pyaeron.MediaDriver(dir=sys.argv[1], threading="shared", dir_delete_on_start=True, dir_delete_on_shutdown=True)
print("ready", flush=True)
sys.stdin.read()
driver.close()
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(ClusterPlan(timing=CALM, feeds=2, udp=True)) as running:
        with Client(running.gateway_addresses) as client, client.session(timeout_s=20.0) as session:
            session.define_instrument(id=1, symbol="I1", tick="0.01")
            for account in (1, 2):
                session.define_account(account=account, name=f"A{account}", unlimited_cash=True)
                last = session.adjust_position(account=account, instrument=1, quantity_lots=10**9)
            last.result(20)
        yield running


@pytest.fixture
def lossy_driver() -> Iterator:
    """Start a media driver that loses a share of the datagrams that it receives; its directory."""
    started = []

    def start(share: float) -> str:
        base = tempfile.mkdtemp(prefix="lockstep-lossy-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
        lossy = {
            "AERON_UDP_CHANNEL_INCOMING_INTERCEPTORS": "loss",
            # Of data frames alone (RECV mask: bit of frame type 1).
            "AERON_UDP_CHANNEL_TRANSPORT_BINDINGS_LOSS_ARGS": f"rate={share}|recv-msg-mask=0x2|seed=7",
        }
        process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, f"{base}/aeron"], env=os.environ | lossy, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append((process, base))
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return f"{base}/aeron"

    yield start
    for process, base in started:
        process.communicate(timeout=20)
        subprocess.run(["rm", "-rf", base], check=True)


async def read_websocket(cluster: LocalCluster, over: asyncio.Event, found: list) -> None:
    """Every message of the same streams at interval 0 from the first feed, which lives on."""
    feed = cluster.topology.feeds[0]
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"ws://{feed.host}:{feed.http_port}/feed", max_msg_size=0) as socket,
    ):
        for name in FEEDS:
            asked = feed_pb2.FeedRequest(subscribe=feed_pb2.Subscription(feed=name, interval_ms=0))
            await socket.send_bytes(asked.SerializeToString())
        while not over.is_set():
            try:
                message = await socket.receive(timeout=0.2)
            except TimeoutError:
                continue
            assert message.type is aiohttp.WSMsgType.BINARY, message
            found += feed_pb2.FeedFrame.FromString(message.data).updates


async def trade(client: AsyncClient, over: asyncio.Event) -> None:
    dice = random.Random(3)
    session = await client.session(timeout_s=20.0)
    while not over.is_set():
        for _ in range(6):
            handle = await session.place(
                account=dice.choice((1, 2)), instrument=1, side=dice.choice(("buy", "sell")),
                quantity_lots=dice.randint(1, 9), price_ticks=dice.randint(90, 110),
            )  # fmt: skip
        await asyncio.sleep(0.01)
    await handle
    await session.close()


def said(update: feed_pb2.FeedUpdate) -> tuple[int, int, bytes]:
    """An update, apart from the chain of its stream, which a reader's beginning cuts."""
    copy = feed_pb2.FeedUpdate()
    copy.CopyFrom(update)
    for name in ("previous_last_seq", "first_seq", "epoch"):
        copy.ClearField(name)
    return update.last_seq, update.feed, copy.SerializeToString(deterministic=True)


def trades_of(updates: list[feed_pb2.FeedUpdate]) -> list[bytes]:
    return [trade.SerializeToString(deterministic=True) for update in updates for trade in update.trades]


def differences(read: list[feed_pb2.FeedUpdate], found: list[feed_pb2.FeedUpdate]) -> list[tuple]:
    """Where a websocket and the line say different things, behind the snapshots that the websocket began with.

    A websocket that is not read for a while gets several changes in one update. The line has each by itself then, and
    the trades of both are the same.
    """
    begin = max(one.last_seq for one in read if one.snapshot)
    told = [one for one in read if one.last_seq > begin and not one.snapshot]
    mine = [one for one in found if one.last_seq > begin]
    wrong: list[tuple] = []
    for stream in {(one.instrument, one.feed) for one in (*told, *mine)}:
        line = [one for one in mine if (one.instrument, one.feed) == stream]
        at = 0
        for one in told:
            if (one.instrument, one.feed) != stream:
                continue
            part = []
            while at < len(line) and line[at].last_seq <= one.last_seq:
                part.append(line[at])
                at += 1
            same = said(part[0]) == said(one) if len(part) == 1 else bool(part)
            if not same or trades_of(part) != trades_of([one]):
                wrong.append((stream, one.last_seq, [each.last_seq for each in part]))
        wrong += [(stream, 0, [each.last_seq]) for each in line[at:]]
    return wrong


@pytest.mark.parametrize("share", [0.01, pytest.param(0.1, marks=pytest.mark.slow)])
def test_a_lossy_line_is_what_a_websocket_reads_also_when_one_feed_dies(cluster, lossy_driver, share) -> None:
    directory = lossy_driver(share)
    assert cluster.wait_until_whole(30)

    async def run() -> None:
        async with AsyncClient(cluster.gateway_addresses, timeout_s=20.0) as client:
            async with UdpFeed(client, aeron_dir=directory) as line:
                await line.wait_live(20)
                over = asyncio.Event()
                read: list[feed_pb2.FeedUpdate] = []
                found: list[feed_pb2.FeedUpdate] = []

                async def take() -> None:
                    async for update in line.updates():
                        found.append(update)

                taking = asyncio.ensure_future(take())
                reading = asyncio.ensure_future(read_websocket(cluster, over, read))
                trading_over = asyncio.Event()
                trading = asyncio.ensure_future(trade(client, trading_over))
                await asyncio.sleep(2.5)
                cluster.kill("feed-2")
                await asyncio.sleep(2.5)
                trading_over.set()
                await trading
                seq = (await client.status()).seq
                until_s = time.monotonic() + 20
                while line.seq < seq or line.state is not FeedState.LIVE or differences(read, found):
                    # Either may be told the last of it later than the other.
                    if time.monotonic() > until_s:
                        break
                    await asyncio.sleep(0.1)
                over.set()
                await reading
                taking.cancel()
                counters = line.counters
                book = line.book(1)
                gap_ms = sorted(line.gap_ms)
            assert line.seq >= seq, (line.seq, seq, line.state, line.counters, line.last_break)
            assert differences(read, found) == []
            assert len(read) > 500
            assert [one.last_seq for one in found] == sorted(one.last_seq for one in found)
            assert (counters["restarted"], counters["checksum_errors"]) == (0, 0)
            assert counters["gaps"] > 0, counters
            assert counters["repeats"] > 0, "the second feed's line never came"
            assert book is not None
            assert book.state is FeedState.LIVE
            print(f"loss {share:.0%}: {counters}, {len(found)} messages; gaps open for "
                  f"p50 {gap_ms[len(gap_ms) // 2]:.1f}, p99 {gap_ms[len(gap_ms) * 99 // 100]:.1f} ms")  # fmt: skip

    asyncio.run(run())


def test_a_client_with_a_media_driver_of_its_own(cluster) -> None:
    async def run() -> None:
        async with AsyncClient(cluster.gateway_addresses, timeout_s=20.0) as client, UdpFeed(client) as line:
            await line.wait_live(20)
            stream = line.updates()
            placing = asyncio.ensure_future(
                client.place(account=1, instrument=1, side="buy", quantity_lots=3, price_ticks=50)
            )
            update = await asyncio.wait_for(anext(stream), 10)
            done = await placing
            while update.last_seq < done.outcome.seq:
                update = await asyncio.wait_for(anext(stream), 10)
            book = line.book(1)
            assert book is not None
            assert any(row.price_ticks == 50 for row in book.bids())
            assert line.counters["datagrams"] > 0

    asyncio.run(run())
