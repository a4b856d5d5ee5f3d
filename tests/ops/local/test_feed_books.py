"""The client's books are the engines' at every event, over failovers and the loss of a gateway and of a feed."""

import asyncio
import random
import time
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import pytest

from lockstep import AsyncClient, Client, Feed, FeedState
from lockstep import feeds as client_feeds
from lockstep.errors import Refused
from lockstep.feed_machine import FeedMachine
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from tests.calm import CALM
from tests.ops.local.engine_books import Books, books_of, journal_of

INSTRUMENTS = (1, 2)
ACCOUNTS = (1, 2)


@dataclass(frozen=True)
class Seen:
    """One update of a book, as the client has applied it."""

    instrument: int
    previous: int
    last: int
    snapshot: bool
    epoch: int
    checksum: int
    """Of the client's own book behind it."""


class Recorder(FeedMachine):
    """The client's own machine, which writes down what it does."""

    made: ClassVar["list[Recorder]"] = []

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self.seen: list[Seen] = []
        Recorder.made.append(self)

    def _on_book(self, update):
        book = super()._on_book(update)
        self.seen.append(
            Seen(update.instrument, update.previous_last_seq, update.last_seq, update.snapshot, update.epoch,
                 book.checksum())
        )  # fmt: skip
        return book


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    plan = ClusterPlan(timing=CALM, engines=3, gateways=2, feeds=2, implementations=("native", "reference"))
    with LocalCluster(plan) as running:
        with Client(running.gateway_addresses) as client, client.session(timeout_s=20.0) as session:
            for number in INSTRUMENTS:
                session.define_instrument(id=number, symbol=f"I{number}", tick="0.01")
            for account in ACCOUNTS:
                session.define_account(account=account, name=f"A{account}", unlimited_cash=True)
                for number in INSTRUMENTS:
                    last = session.adjust_position(account=account, instrument=number, quantity_lots=10**9)
            last.result(20)
        yield running


async def trade(client: AsyncClient, over: asyncio.Event, seed: int) -> int:
    """Orders of all that changes a book, at random, until it is over; how many."""
    dice = random.Random(seed)
    session = await client.session(timeout_s=20.0)
    handles, resting = [], 0
    while not over.is_set():
        for _ in range(4):
            account, number = dice.choice(ACCOUNTS), dice.choice(INSTRUMENTS)
            what = dice.random()
            if what < 0.2 and resting:
                ref = dice.randint(max(1, resting - 30), resting)
                handles.append(await session.cancel(account=1 + ref % 2, client_order_id=ref))
            elif what < 0.4 and resting:
                ref = dice.randint(max(1, resting - 30), resting)
                handles.append(
                    await session.replace(account=1 + ref % 2, client_order_id=ref, quantity_lots=dice.randint(1, 20),
                                          price_ticks=dice.randint(90, 110))
                )  # fmt: skip
            else:
                resting += 1
                terms: dict = {"display_lots": 2} if what > 0.9 else {"hidden": True} if what > 0.87 else {}
                handles.append(
                    await session.place(account=1 + resting % 2, instrument=number, side=dice.choice(("buy", "sell")),
                                        quantity_lots=dice.randint(3, 20), price_ticks=dice.randint(90, 110),
                                        client_order_id=resting, **terms)
                )  # fmt: skip
                del account
        # So slow that a client which gets no CPU for some seconds still gets each change by itself.
        await asyncio.sleep(0.03)
    for handle in handles:
        try:
            await handle
        except Refused:
            # Of an order that is gone already.
            continue
    await session.close()
    return len(handles)


def check(machine: Recorder, books: dict[int, Books]) -> None:
    """No seq twice, none left out, and behind each update the engine's book."""
    for number in INSTRUMENTS:
        mine = [one for one in machine.seen if one.instrument == number]
        history = books[number]
        wanted = history.orders if machine.feed is Feed.L3 else history.levels
        assert mine[0].snapshot
        for before, one in pairwise(mine):
            assert not one.snapshot, one
            assert one.previous == before.last < one.last, (before, one)
            assert one.epoch >= before.epoch, (before, one)
        for one in mine:
            at = bisect_right(history.seqs, one.last)
            # Before the first change the book is empty.
            assert one.checksum == (wanted[at - 1] if at else 0), (one, at)
        assert mine[-1].last >= history.seqs[-1], "the last change never came"


def missing(machines: list[Recorder], books: dict[int, Books]) -> dict[int, list[int]]:
    """Changes of the engine's book that none of these has shown by themselves since both were told of changes."""
    found = {}
    for number in INSTRUMENTS:
        shown = {one.last for machine in machines for one in machine.seen if one.instrument == number}
        first = max(
            next(one.last for one in machine.seen if one.instrument == number and not one.snapshot)
            for machine in machines
        )
        found[number] = [seq for seq in books[number].seqs if seq > first and seq not in shown]
    return found


async def until(condition, what: str, patience_s: float = 30.0) -> None:
    give_up_s = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < give_up_s, what
        await asyncio.sleep(0.05)


SOME = ("primary", "feed-1", "sequencer")
ALL = ("primary", "gateway", "sequencer", "feed-1", "feed-2", "primary")


@pytest.mark.slow
@pytest.mark.parametrize("victims", [SOME, ALL], ids=["some", "all"])
def test_the_clients_books_are_the_engines_at_every_event(cluster: LocalCluster, monkeypatch, victims) -> None:
    """Readers of one feed go on at another one, some commands later; readers of two feeds miss nothing."""
    monkeypatch.setattr(client_feeds, "FeedMachine", Recorder)
    Recorder.made = []

    async def run() -> tuple[list, int]:
        async with AsyncClient(cluster.gateway_addresses, timeout_s=20.0) as client:
            names = [f"I{number}" for number in INSTRUMENTS]
            readers = [
                await client.books(names, depth=10),
                await client.books(names, Feed.L3, interval_ms=0),
                await client.books(names, interval_ms=0, legs=2),
                await client.books(names, Feed.L3, interval_ms=0, legs=2),
                await client.books(names, depth=10, interval_ms=10, legs=2),
            ]
            over = asyncio.Event()
            await until(lambda: all(leg.state is FeedState.LIVE for leg in Recorder.made), "never live")
            noticed = asyncio.ensure_future(watch(readers[2:], over))
            trading = asyncio.ensure_future(trade(client, over, seed=5))
            for victim in victims:
                await asyncio.sleep(0.7)
                name = victim if victim[-1].isdigit() else await asyncio.to_thread(cluster.find, victim, 20.0)
                await asyncio.to_thread(cluster.kill, name)
                assert await asyncio.to_thread(cluster.wait_until_whole, 60.0)
                # Both legs, before the next one loses its feed.
                await until(lambda: all(leg.state is FeedState.LIVE for leg in Recorder.made), "never live again")
            await asyncio.sleep(0.5)
            over.set()
            commands = await trading
            # On a machine without CPU to spare both feeds may seem silent at once.
            shown = [text for text in await noticed if "said nothing" not in text]
            assert not shown, "a reader of two feeds showed the loss of one"
            seq = (await client.status()).seq
            await until(lambda: all(leg.seq >= seq for leg in Recorder.made), "never came to the end")
            for reader in readers:
                assert reader.state is FeedState.LIVE
                assert (reader.restarted, reader.checksum_errors) == (0, 0), reader.last_break
                # Of those that read one feed only whose feed died has noticed.
                assert reader.breaks > 0 or victims is SOME
            assert sum(reader.breaks for reader in readers) > 0
            return readers, commands

    _readers, commands = asyncio.run(run())
    assert commands > 100
    batches = journal_of(cluster.topology.engines[0].grpc_address)
    books = books_of(batches, INSTRUMENTS)
    assert len({batch.epoch for batch in batches}) > sum(
        not victim.startswith(("feed", "gateway")) for victim in victims
    )
    assert len(Recorder.made) == 8
    for machine in Recorder.made:
        check(machine, books)
    for legs in (Recorder.made[2:4], Recorder.made[4:6]):
        assert missing(legs, books) == {number: [] for number in INSTRUMENTS}, legs[0].feed


async def watch(readers: list, over: asyncio.Event) -> list[str]:
    """Every moment at which one of these, or a book of theirs, was not LIVE or went back."""
    found, seqs = [], dict.fromkeys(range(2 * len(readers)), 0)
    while not over.is_set():
        for i, reader in enumerate(readers):
            if reader.state is not FeedState.LIVE:
                found.append(f"reader {i}: {reader.last_break}")
            for k, number in enumerate(INSTRUMENTS):
                book = reader.book(number)
                if book.state is not FeedState.LIVE or book.seq < seqs[2 * i + k]:
                    found.append(f"reader {i}: {book}, it was at {seqs[2 * i + k]}: {reader.last_break}")
                seqs[2 * i + k] = book.seq
        await asyncio.sleep(0.001)
    return found
