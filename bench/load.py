"""The load generator of `lockstep bench cluster`: a process that offers orders at a rate and times their reports.

It says what it does in JSON lines on standard output: `measuring`, `measured`, then the result.
"""

import asyncio
import contextlib
import gc
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import uvloop
from numpy.typing import NDArray

from lockstep.admin import AdminCommand, DefineAccount, DefineInstrument
from lockstep.aio import AsyncClient
from lockstep.bench.latency import new_histogram, percentiles_us, record_us
from lockstep.bench.pacing import Pacer
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
_INSTRUMENTS: Final = 4
_MID_TICKS: Final = 10_000
_REACH_TICKS: Final = 20
_BATCH_INTERVAL_S: Final = 0.002
_DRAIN_S: Final = 15.0
_RECENT: Final = 512
_BLOCK: Final = 1024
_MAX_BATCH: Final = 2048
_COUNTED_AT_ONCE: Final = 32_768
_NONE: Final = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What to offer."""

    addresses: tuple[str, ...]
    mode: str
    """`single`: each order is a message of its own; `batched`: what is due within 2 ms goes as one batch."""
    rate: int
    duration_s: float
    warm_up_s: float
    sessions: int
    seed: int
    sheds: bool = False
    """Whether an order that finds no room when it is due (the gateways refuse what is too much), or is late already, is
    not given at all."""


class LoadSession:
    """One session's share of the load, and the times of its answers."""

    def __init__(self, account: int, seed: int) -> None:
        self.account = account
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
        self._block = self._make(_BLOCK)
        self._taken = 0
        self._due_ns = np.zeros(1 << 16, np.int64)
        self._last_no = 0
        self.seconds: dict[int, list[NDArray[np.int64]]] = {}
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

    async def send(self, due_ns: NDArray[np.int64]) -> None:
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
        taken = min(count, self._session.room, _MAX_BATCH)
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
        due_ns = self._due_ns[numbers]
        latency_us = (came_ns[outcome] - due_ns) // 1000
        second = due_ns // 1_000_000_000
        for one in np.unique(second).tolist():
            self.seconds.setdefault(one, []).append(latency_us[second == one])
        refused = np.isin(kind[outcome], _REFUSING)
        for value, count in zip(*np.unique(code[outcome][refused], return_counts=True), strict=True):
            self.refused[code_name(int(value))] += int(count)

    def _orders(self, count: int) -> CommandColumns:
        """The next orders of the mix, cut from blocks: making them one by one would cost more than sending them."""
        if self._taken + count > len(self._block):
            self._block, self._taken = self._make(max(count, _BLOCK)), 0
        self._taken += count
        return self._block.slice(self._taken - count, self._taken)

    def _make(self, count: int) -> CommandColumns:
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
            instrument=(ids % _INSTRUMENTS + 1).astype("<u4"),
            client_order_id=ids,
            price_ticks=np.where(cancels, 0, _MID_TICKS + sign * offset).astype("<i8"),
            quantity_lots=np.where(cancels, 0, chance.integers(1, 50, count)).astype("<i8"),
        )


_REFUSING: Final = np.array([int(kind) for kind in REFUSING_KINDS], dtype=np.uint8)


async def run_load(plan: LoadPlan) -> dict[str, Any]:
    """Offer the load; the result."""
    async with AsyncClient(plan.addresses) as client:
        first_account = await _define(client, plan.sessions)
        sessions = [LoadSession(first_account + i, plan.seed + i) for i in range(plan.sessions)]
        for session in sessions:
            await session.open(client, linger_ms=0.0 if plan.mode == "single" else 0.2)
        gc.collect()
        gc.freeze()
        gc.disable()
        await _offer(plan, sessions, plan.warm_up_s)
        for session in sessions:
            session.measure()
        _tell({"event": "measuring"})
        started = time.monotonic()
        await _offer(plan, sessions, plan.duration_s)
        seconds = time.monotonic() - started
        for session in sessions:
            session.end(time.monotonic_ns())
        _tell({"event": "measured"})
        # Nothing is counted before the last answer has come: it would wait, and be timed, behind the counting.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_S):
                for session in sessions:
                    await session.drain()
        for session in sessions:
            session.count()
        result = _sum_up(sessions, seconds)
        for session in sessions:
            await session.close()
    return result


async def _define(client: AsyncClient, sessions: int) -> int:
    known = {item.symbol for item in await client.instruments()}
    accounts = await client.accounts()
    first = max((account.account for account in accounts), default=0) + 1
    setup = await client.session(timeout_s=10.0)
    commands: list[AdminCommand] = [
        DefineInstrument(i, f"BENCH-{i}", 10_000) for i in range(1, _INSTRUMENTS + 1) if f"BENCH-{i}" not in known
    ]
    commands += [DefineAccount(first + i, f"BENCH-{first + i}", True, True) for i in range(sessions)]
    for handle in [await setup.submit(command) for command in commands]:
        await handle
    await setup.close()
    return first


async def _offer(plan: LoadPlan, sessions: Sequence[LoadSession], seconds: float) -> None:
    total = round(plan.rate * seconds)
    step_ns = 1e9 / plan.rate
    # A turn is one message of one session: one order, or what has become due since the last turn.
    turn_ns = step_ns if plan.mode == "single" else _BATCH_INTERVAL_S * 1e9 / len(sessions)
    sent = turn = 0
    pacer = Pacer()
    start_ns = time.monotonic_ns()
    while sent < total:
        # A turn of the loop also when late, for the answers. What was missed is caught up, timed from its due time.
        await pacer.until(round(start_ns + turn * turn_ns))
        due = min(total, int((time.monotonic_ns() - start_ns) / step_ns) + 1)
        # One that sheds gives no order late, not even where the lateness is its own.
        rows = due - sent if plan.sheds else min(due - sent, 1 if plan.mode == "single" else _MAX_BATCH)
        if rows > 0:
            session = sessions[turn % len(sessions)]
            given = session.room_for(rows) if plan.sheds else rows
            if given:
                # Those that are not given are the oldest: they would have been late.
                await session.send(start_ns + (np.arange(sent + rows - given, sent + rows) * step_ns).astype(np.int64))
            sent += rows
        turn += 1
    pacer.close()


def _sum_up(sessions: Sequence[LoadSession], seconds: float) -> dict[str, Any]:
    histogram = new_histogram()
    refused: Counter[str] = Counter()
    for session in sessions:
        record_us(histogram, np.concatenate([part for parts in session.seconds.values() for part in parts] or [_NONE]))
        refused.update(session.refused)
    return {
        "event": "result",
        "seconds": seconds,
        "orders": sum(session.orders for session in sessions),
        "answered_in_time": sum(session.answered_in_time for session in sessions),
        "unanswered": sum(session.unanswered for session in sessions),
        "latency_us": percentiles_us(histogram),
        "p99_by_second_us": _p99_by_second(sessions),
        "refused": dict(refused),
        "shed": sum(session.shed for session in sessions),
        "fills": sum(session.fills for session in sessions),
    }


def _p99_by_second(sessions: Sequence[LoadSession]) -> list[int]:
    """p99 of each whole second of the phase, in order: shows which seconds the machine was busy with something else."""
    seconds = sorted({second for session in sessions for second in session.seconds})
    return [
        int(
            np.percentile(
                np.concatenate([part for session in sessions for part in session.seconds.get(second, [])]), 99
            )
        )
        for second in seconds[1:-1]
    ]


def _tell(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _end_with_parent() -> None:
    # Nobody ever writes there: the read returns when the other end is closed.
    os.read(0, 1)
    os._exit(1)


def main() -> int:
    """Run the plan given as JSON in the first argument."""
    fields = json.loads(sys.argv[1])
    plan = LoadPlan(**{**fields, "addresses": tuple(fields["addresses"])})
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _tell(uvloop.run(run_load(plan)))
    except LockstepError as error:
        sys.stderr.write(f"load generator: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
