"""The load generator of `lockstep bench cluster`: a process that offers orders at a rate and times their reports.

`offering.py` has what is sent when, and what it says on standard output.
"""

import asyncio
import contextlib
import json
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import uvloop

from lockstep import tls_credentials
from lockstep.admin import AdminCommand, DefineAccount, DefineInstrument
from lockstep.aio import AsyncClient
from lockstep.bench.offering import MAX_BATCH, Pace, Times, announce, end_with_parent, file_by_second, offer_and_measure
from lockstep.codes import REFUSING_KINDS, code_name
from lockstep.columns import CommandColumns, ReportColumns
from lockstep.enums import CommandKind, EventKind, OrderType, Side, TimeInForce
from lockstep.errors import LockstepError
from lockstep.session import AsyncSession

MIX: Final = (
    "50 % new limit orders (GTC) within 20 ticks of a fixed mid price, 40 % cancels of the session's own recent orders "
    "(filled ones among them are refused), 2 % replaces, 8 % IOC; 4 instruments, one account with unlimited funds for "
    "each session; ack policy synced, 2 engines"
)
INSTRUMENTS: Final = 4
TOKEN_VARIABLE: Final = "LOCKSTEP_BENCH_TOKEN"  # noqa: S105 - a name
"""A command line is for everybody on the machine to read."""
_MID_TICKS: Final = 10_000
_REACH_TICKS: Final = 20
_FAR_TICKS: Final = 1_000
_FAR_LEVELS: Final = 1_000
"""Price levels of either side of a book that resting orders lie on."""
_RECENT: Final = 512
_BLOCK: Final = 1024
_MADE_AT_ONCE: Final = 65_536
"""Orders of all sessions: what numpy takes for a call is shared by many."""
_COUNTED_AT_ONCE: Final = 32_768
_OPENED_AT_ONCE: Final = 50
_SETUP_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class LoadPlan(Pace):
    """What to offer, and where."""

    addresses: tuple[str, ...] = ()
    sessions: int = 4
    seed: int = 0
    instruments: int = INSTRUMENTS
    resting: int = 0
    """Orders of a further account that rest before the first measured order, and are never reached."""
    spreads: bool = False
    """Whether the sessions are dealt to the addresses; otherwise all are at the first that answers."""
    token: str | None = None
    client_number: int | None = None
    """Of a client that the cluster knows; None: it lets in everybody."""
    first_account: int = 0
    """Account of the first session; 0: behind those that there are."""
    ca_file: str = ""
    """Of the authority that gateways' certificates are believed by; empty: plaintext."""


class LoadSession:
    """One session's share of the load, and the times of its answers."""

    def __init__(self, account: int, seed: int, instruments: int = INSTRUMENTS, *, made: int = _BLOCK) -> None:
        """`made`: orders that are made at once."""
        self.account = account
        self._made = made
        self._instruments = instruments
        self.answered_in_time = 0
        """Orders answered before the end of the phase."""
        self.fills = 0
        self.orders = 0
        self.shed = 0
        """Orders that were not given."""
        self.first_measured = 0
        self.refused: Counter[str] = Counter()
        self._chance = np.random.default_rng(seed)
        self._next_id = 1
        self._block = self.make(made)
        self._taken = 0
        self._due_ns = np.zeros(1 << 16, np.int64)
        self._last_no = 0
        self.seconds: dict[int, list[Times]] = {}
        """Latencies in microseconds by the second in which the order was due; put into a histogram in the end."""
        self._arrived: list[tuple[int, ReportColumns]] = []
        self._arrived_rows = 0
        self._ended_ns = 2**63 - 1
        self._session: AsyncSession | None = None

    async def open(self, client: AsyncClient, *, linger_ms: float) -> None:
        """Open the session."""
        self._session = await client.session(
            on_batch=self._on_batch, linger_ms=linger_ms, batch_rows=1024, max_unanswered=200_000, timeout_s=10.0
        )

    async def send(self, due_ns: Times) -> None:
        """Send one order for each time that has come."""
        assert self._session is not None
        count = len(due_ns)
        first = await self._session.submit_columns(self._orders(count))
        while first + count > len(self._due_ns):
            self._due_ns = np.concatenate([self._due_ns, np.zeros_like(self._due_ns)])
        self._due_ns[first : first + count] = due_ns
        self._last_no = first + count - 1
        if self.first_measured:
            self.orders += count

    def room_for(self, count: int) -> int:
        """How many of so many orders the gateway takes now, in one batch; the others are counted as not given."""
        assert self._session is not None
        taken = min(count, self._session.room, MAX_BATCH)
        if self.first_measured:
            self.shed += count - taken
        return taken

    def measure(self) -> None:
        """From the next order on, count."""
        self.first_measured = self._last_no + 1

    def end(self, now_ns: int) -> None:
        """The phase is over: what is answered from here on is late."""
        self._ended_ns = now_ns

    @property
    def unanswered(self) -> int:
        """Orders under way."""
        assert self._session is not None
        return self._session.unanswered

    async def drain(self) -> None:
        """Wait until everything is answered."""
        assert self._session is not None
        await self._session.drain()

    async def close(self) -> None:
        """Close the session."""
        if self._session is not None:
            await self._session.close(0.1)

    def _on_batch(self, batch: ReportColumns) -> None:
        # Timed now, counted later and many at once: counting must not compete with the cluster for the cores.
        if self.first_measured:
            self._arrived.append((time.monotonic_ns(), batch))
            self._arrived_rows += len(batch.index)
            if self._arrived_rows >= _COUNTED_AT_ONCE:
                self.count()

    def count(self) -> None:
        """Bring the figures up to date with the reports that have come."""
        arrived, self._arrived, self._arrived_rows = self._arrived, [], 0
        if not arrived:
            return
        rows = [len(batch.index) for _, batch in arrived]
        came_ns = np.repeat([now_ns for now_ns, _ in arrived], rows)
        number, kind, code, leg, index = (
            np.concatenate([getattr(batch, name) for _, batch in arrived])
            for name in ("session_no", "kind", "code", "leg", "index")
        )
        outcome = (index == 0) & (leg == 0) & (number >= self.first_measured)
        numbers = number[outcome].astype(np.int64)
        self.fills += int(((kind == EventKind.TRADE) & (leg == 0)).sum())
        self.answered_in_time += int((came_ns[outcome] <= self._ended_ns).sum())
        file_by_second(self.seconds, self._due_ns[numbers], came_ns[outcome])
        refused = np.isin(kind[outcome], _REFUSING)
        for value, count in zip(*np.unique(code[outcome][refused], return_counts=True), strict=True):
            self.refused[code_name(int(value))] += int(count)

    def _orders(self, count: int) -> CommandColumns:
        """The next orders of the mix, cut from blocks: making them one by one would cost more than sending them."""
        if self._taken + count > len(self._block):
            self._block, self._taken = self.make(max(count, self._made)), 0
        self._taken += count
        return self._block.slice(self._taken - count, self._taken)

    def make(self, count: int) -> CommandColumns:
        chance = self._chance
        dice = chance.random(count)
        cancels, replaces, immediate = dice < 0.40, (dice >= 0.40) & (dice < 0.42), dice >= 0.92
        new = ~(cancels | replaces)
        kind = np.where(cancels, CommandKind.CANCEL, np.where(replaces, CommandKind.REPLACE, CommandKind.NEW_ORDER))
        ids = np.zeros(count, np.uint64)
        fresh = int(new.sum())
        ids[new] = np.arange(self._next_id, self._next_id + fresh, dtype=np.uint64)
        # Counted back from the order before each, wherever the block begins.
        before = self._next_id - 1 + np.cumsum(new)[~new]
        recent = np.maximum(1, before - chance.integers(0, _RECENT, count - fresh))
        ids[~new] = recent.astype(np.uint64)
        self._next_id += fresh
        offset = chance.integers(1, _REACH_TICKS + 1, count)
        side = np.where(chance.random(count) < 0.5, Side.BUY, Side.SELL)
        # Buyers mostly below the mid price, sellers above; those who cross make the trades.
        sign = np.where((side == Side.BUY) ^ (chance.random(count) < 0.25), -1, 1)
        return CommandColumns(
            count=count,
            kind=kind.astype("u1"),
            side=np.where(new, side, 0).astype("u1"),
            order_type=np.where(new, OrderType.LIMIT, 0).astype("u1"),
            tif=np.where(new, np.where(immediate, TimeInForce.IOC, TimeInForce.GTC), 0).astype("u1"),
            account=self.account,
            instrument=(ids % self._instruments + 1).astype("<u4"),
            client_order_id=ids,
            price_ticks=np.where(cancels, 0, _MID_TICKS + sign * offset).astype("<i8"),
            quantity_lots=np.where(cancels, 0, chance.integers(1, 50, count)).astype("<i8"),
        )


_REFUSING: Final = np.array([int(kind) for kind in REFUSING_KINDS], dtype=np.uint8)


async def run_load(plan: LoadPlan) -> dict[str, Any]:
    """Offer the load; the result."""
    async with contextlib.AsyncExitStack() as clients:
        ways = [(*plan.addresses[at:], *plan.addresses[:at]) for at in range(len(plan.addresses))]
        credentials = tls_credentials(plan.ca_file) if plan.ca_file else None

        def client(way: tuple[str, ...]) -> AsyncClient:
            return AsyncClient(way, token=plan.token, client_number=plan.client_number, credentials=credentials)

        at = [await clients.enter_async_context(client(way)) for way in (ways if plan.spreads else ways[:1])]
        first_account = await define(at[0], plan, plan.first_account)
        await _rest(at[0], first_account + plan.sessions, plan)
        made = max(_BLOCK, _MADE_AT_ONCE // plan.sessions)
        sessions = [
            LoadSession(first_account + i, plan.seed + i, plan.instruments, made=made) for i in range(plan.sessions)
        ]
        for first in range(0, plan.sessions, _OPENED_AT_ONCE):
            some = enumerate(sessions[first : first + _OPENED_AT_ONCE], first)
            linger_ms = 0.0 if plan.mode == "single" else 0.2
            await asyncio.gather(*(session.open(at[i % len(at)], linger_ms=linger_ms) for i, session in some))
        result = await offer_and_measure(plan, sessions)
        for first in range(0, plan.sessions, _OPENED_AT_ONCE):
            await asyncio.gather(*(session.close() for session in sessions[first : first + _OPENED_AT_ONCE]))
    return result


class Wanted(Protocol):
    """What of a plan concerns the definitions."""

    @property
    def sessions(self) -> int:
        """Each has an account."""

    @property
    def instruments(self) -> int:
        """How many there are to be."""


async def define(client: AsyncClient, plan: Wanted, first_account: int = 0) -> int:
    """Instruments and accounts. Returns the sessions' first account; the one behind the last is for what rests."""
    known = {item.symbol for item in await client.instruments()}
    accounts = await client.accounts()
    first = first_account or max((account.account for account in accounts), default=0) + 1
    setup = await client.session(timeout_s=_SETUP_S)
    commands: list[AdminCommand] = [
        DefineInstrument(i, f"BENCH-{i}", 10_000) for i in range(1, plan.instruments + 1) if f"BENCH-{i}" not in known
    ]
    commands += [DefineAccount(first + i, f"BENCH-{first + i}", True, True) for i in range(plan.sessions + 1)]
    for handle in [await setup.submit(command) for command in commands]:
        await handle
    await setup.close()
    return first


async def _rest(client: AsyncClient, account: int, plan: LoadPlan) -> None:
    """Fill the books far from the mid price, both sides alike."""
    if not plan.resting:
        return
    session = await client.session(linger_ms=0.2, batch_rows=1024, timeout_s=_SETUP_S)
    for first in range(0, plan.resting, _BLOCK):
        ids = np.arange(first + 1, min(first + _BLOCK, plan.resting) + 1)
        buys = ids % 2 == 0
        away = _FAR_TICKS + (ids // (2 * plan.instruments)) % _FAR_LEVELS
        await session.submit_columns(
            CommandColumns(
                count=len(ids),
                kind=CommandKind.NEW_ORDER,
                side=np.where(buys, Side.BUY, Side.SELL).astype("u1"),
                order_type=OrderType.LIMIT,
                tif=TimeInForce.GTC,
                account=account,
                instrument=(ids // 2 % plan.instruments + 1).astype("<u4"),
                client_order_id=ids.astype("<u8"),
                price_ticks=(_MID_TICKS + np.where(buys, -away, away)).astype("<i8"),
                quantity_lots=1,
            )
        )
    await session.drain()
    await session.close()


def main() -> int:
    """Run the plan given as JSON in the first argument; its token comes by the environment (`TOKEN_VARIABLE`)."""
    fields = json.loads(sys.argv[1])
    token = os.environ.pop(TOKEN_VARIABLE, None)
    plan = LoadPlan(**{**fields, "addresses": tuple(fields["addresses"]), "token": token})
    end_with_parent()
    try:
        announce(uvloop.run(run_load(plan)))
    except LockstepError as error:
        sys.stderr.write(f"load generator: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
