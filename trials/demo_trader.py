"""The demo's traders: each has a session, an account and a seeded stream of orders at a steady rate, come what may.

The flow is open loop. A trader sends what is due whether or not anything came back, so that a failover shows as it
would to a market that does not stop.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import numpy as np

from lockstep.aio import AsyncClient
from lockstep.columns import CommandColumns, ReportColumns
from lockstep.enums import CommandKind, OrderType, Side, TimeInForce
from lockstep.reconciler.proof import SEEN, SeenRows
from lockstep.session import AsyncSession
from lockstep.stream.records import EventKind

_MID_TICKS: Final = 10_000
_SPREAD_TICKS: Final = 12
_RECENT: Final = 64


class Tape:
    """When reports came, of all traders together, on the monotonic clock in nanoseconds."""

    def __init__(self) -> None:
        self.arrivals_ns: list[int] = []


class OrderFlow:
    """A seeded stream of orders, cancels and replacements of one account."""

    def __init__(self, *, account: int, instruments: tuple[int, ...], seed: int) -> None:
        self._account = account
        self._instruments = instruments
        self._chance = random.Random(seed)  # noqa: S311 - a repeatable flow, not a secret
        self._next_id = 1
        self._recent: list[int] = []

    def next(self, rows: int) -> CommandColumns:
        """The next commands."""
        columns: dict[str, list[int]] = {name: [] for name in _COLUMNS}
        for _ in range(rows):
            for name, value in zip(_COLUMNS, self._order(), strict=True):
                columns[name].append(value)
        return CommandColumns(count=rows, account=self._account, **columns)

    def _order(self) -> tuple[int, ...]:
        dice = self._chance.random()
        instrument = self._chance.choice(self._instruments)
        if dice < 0.10 and self._recent:
            return (CommandKind.CANCEL, 0, 0, 0, instrument, self._recent.pop(0), 0, 0)
        price = _MID_TICKS + self._chance.randint(-_SPREAD_TICKS, _SPREAD_TICKS)
        lots = self._chance.randint(1, 20)
        if dice < 0.15 and self._recent:
            order = self._chance.choice(self._recent)
            return (CommandKind.REPLACE, 0, 0, 0, instrument, order, price, lots)
        side = self._chance.choice((Side.BUY, Side.SELL))
        tif = TimeInForce.IOC if dice > 0.85 else TimeInForce.GTC
        self._next_id += 1
        if tif is TimeInForce.GTC:
            self._recent = [*self._recent[-_RECENT:], self._next_id]
        return (CommandKind.NEW_ORDER, side, OrderType.LIMIT, tif, instrument, self._next_id, price, lots)

    def harmless(self) -> CommandColumns:
        """A command that concerns nobody else."""
        return CommandColumns(count=1, account=self._account, kind=CommandKind.CANCEL, client_order_id=_NO_SUCH_ORDER)


class Trader:
    """One session's flow and its own record of it."""

    def __init__(self, *, account: int, instruments: tuple[int, ...], seed: int, tape: Tape) -> None:
        self.account = account
        self.sent = 0
        """Commands numbered so far, this session's definitions not counted: it makes none."""
        self.session_id = 0
        self._flow = OrderFlow(account=account, instruments=instruments, seed=seed)
        self._tape = tape
        self._batches: list[SeenRows] = []
        self._session: AsyncSession | None = None

    async def open(self, client: AsyncClient) -> None:
        """Open the session."""
        self._session = await client.session(on_batch=self._on_batch, linger_ms=0.5, timeout_s=10.0)
        self.session_id = self._session.session_id

    async def run(self, *, rows: int, interval_s: float, offset_s: float, stop: asyncio.Event) -> None:
        """Send `rows` commands every `interval_s` until `stop`."""
        assert self._session is not None
        due = time.monotonic() + offset_s
        while not stop.is_set():
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            due += interval_s
            await self._session.submit_columns(self._flow.next(rows))
            self.sent += rows

    async def drain(self, drain_s: float) -> None:
        """Wait for the answers to all commands."""
        assert self._session is not None
        await asyncio.wait_for(self._session.drain(), drain_s)

    async def hear_out(self, drain_s: float) -> None:
        """Once all traders are drained: wait for what others' last orders did to this one's.

        The answer to one more command, which concerns nobody else, comes behind all of that on the same stream.
        """
        assert self._session is not None
        await self._session.submit_columns(self._flow.harmless())
        self.sent += 1
        await asyncio.wait_for(self._session.drain(), drain_s)

    async def close(self) -> None:
        """End the session."""
        if self._session is not None:
            await self._session.close()

    @property
    def unanswered(self) -> int:
        """Commands without an answer."""
        assert self._session is not None
        return self._session.unanswered

    @property
    def refusals(self) -> int:
        """Times that a gateway asked this session to wait and send again."""
        assert self._session is not None
        return self._session.counters.refusals

    def seen(self) -> SeenRows:
        """Every report row in the order in which it came."""
        return np.concatenate([np.zeros(0, SEEN), *self._batches])

    def _on_batch(self, batch: ReportColumns) -> None:
        self._tape.arrivals_ns.append(time.monotonic_ns())
        self._batches.append(seen_rows(batch))


@asynccontextmanager
async def trading(traders: Sequence[Trader], *, rate: int, rows: int) -> AsyncIterator[None]:
    """While it is entered, all traders send: `rows` commands at a time, together `rate` a second, in turn."""
    stop = asyncio.Event()
    interval_s = len(traders) * rows / rate
    flows = [
        asyncio.create_task(
            trader.run(rows=rows, interval_s=interval_s, offset_s=i * interval_s / len(traders), stop=stop)
        )
        for i, trader in enumerate(traders)
    ]
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*flows)


_NO_SUCH_ORDER: Final = 2**63
_COLUMNS: Final = (
    "kind",
    "side",
    "order_type",
    "tif",
    "instrument",
    "client_order_id",
    "price_ticks",
    "quantity_lots",
)


def seen_rows(batch: ReportColumns) -> SeenRows:
    """Report columns as rows to be compared with the engines' history."""
    rows = np.zeros(len(batch), SEEN)
    for name in ("seq", "index", "leg", "kind", "session_no"):
        rows[name] = getattr(batch, name)
    orders = batch.kind < EventKind.INSTRUMENT_DEFINED
    for name in ("order_id", "price_ticks", "quantity_lots"):
        rows[name] = np.where(orders, getattr(batch, name), 0)
    return rows
