"""A cluster with two gateways that have the binary door, and Nasdaq's own client at it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial

import pytest
from nasdaq_protocols import soup

from lockstep import Client, DefineAccount, DefineInstrument
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from tests.calm import CALM
from tests.edge.soup.ouch_messages import messages, packet

ACCOUNTS = range(1, 40)


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    plan = ClusterPlan(timing=CALM, gateways=2, soup=True, implementations=("native", "reference"))
    with LocalCluster(plan) as running:
        with Client(running.gateway_addresses[0]) as client, client.session() as session:
            handles = [
                session.submit(DefineInstrument(1, "ACME", 10_000)),
                session.submit(DefineInstrument(2, "LOTS", 100, 100)),
                session.submit(DefineInstrument(3, "TOO-LONG-FOR-IT", 10_000)),
                *(session.submit(DefineAccount(number, f"A{number}", True, True)) for number in ACCOUNTS),
            ]
            for handle in handles:
                handle.result(timeout=20)
        yield running


class Trader:
    """One session over the door, by `nasdaq_protocols`, through as many connections as it takes."""

    def __init__(self, user: str, password: str = "", session: str = "") -> None:
        self.user, self.password, self.session = user, password, session
        self.said: list[dict] = []
        self.raw: list[bytes] = []
        self.on_other: Callable[[soup.SoupMessage], None] = lambda _message: None
        """Gets what is not sequenced."""
        self._connections = 0
        self._soup: soup.SoupClientSession | None = None
        self._more = asyncio.Event()

    async def connect(self, address: str, sequence: int | None = None) -> None:
        """Log in; by default behind what was received."""
        host, _, port = address.rpartition(":")
        wanted = len(self.said) + 1 if sequence is None else sequence
        self._connections += 1
        self._soup = await soup.connect_async(
            (host, int(port)), self.user, self.password, self.session, wanted,
            on_msg_coro=partial(self._on_message, self._connections),
            client_heartbeat_interval=1, server_heartbeat_interval=15,
        )  # fmt: skip
        self.session = self._soup.session_id.session

    async def connect_somewhere(self, *addresses: str, patience_s: float = 20.0) -> str:
        """As a client does whose gateway has gone."""
        give_up_s = time.monotonic() + patience_s
        while True:
            for address in addresses:
                try:
                    await self.connect(address)
                except OSError as error:
                    why = error
                else:
                    return address
            # Not `asyncio.timeout`: `nasdaq_protocols` keeps a cancellation to itself while it closes.
            if time.monotonic() > give_up_s:
                raise TimeoutError(f"no login at {addresses}: {why}")
            await asyncio.sleep(0.05)

    async def _on_message(self, connection: int, message: soup.SoupMessage) -> None:
        # What an earlier connection still says is heard again on this one.
        if isinstance(message, soup.SequencedData) and connection == self._connections:
            self.raw.append(message.data)
            self.said += messages(packet(b"S", message.data))
            self._more.set()
        elif connection == self._connections:
            self.on_other(message)

    def send(self, *texts: bytes) -> None:
        assert self._soup is not None
        for text in texts:
            self._soup.send_unseq_data(text)

    @property
    def connected(self) -> bool:
        return self._soup is not None and self._soup.is_active()

    async def gone(self, patience_s: float = 10.0) -> None:
        """Wait for the end of the connection."""
        async with asyncio.timeout(patience_s):
            while self.connected:  # noqa: ASYNC110 - the session has no event for it
                await asyncio.sleep(0.02)

    async def until(self, count: int, patience_s: float = 20.0) -> list[dict]:
        """Wait until so many messages have come; all of them."""
        async with asyncio.timeout(patience_s):
            while len(self.said) < count:
                self._more.clear()
                await self._more.wait()
        return self.said

    async def close(self) -> None:
        """Without a word, as a client that dies."""
        if self._soup is not None:
            await self._soup.close()


@contextlib.asynccontextmanager
async def trading(user: str, address: str, session: str = "") -> AsyncIterator[Trader]:
    trader = Trader(user, session=session)
    await trader.connect_somewhere(address)
    try:
        yield trader
    finally:
        await trader.close()
