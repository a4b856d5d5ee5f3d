"""`lockstep bench reads`: what trading notices of reads beside it, each kind alone, against the same load without any.

A cluster is filled with what makes reads large: one account with many open orders, many accounts, many instruments,
and sessions whose only report lies at the beginning of a long history. The load is one order at a time at one gateway,
open loop; the reader (`reader.py`) is a process of its own at the other gateway, or at an engine.

Each kind is measured in rounds, the load alone before it in each: what the machine does meanwhile falls on both.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import uvloop

from lockstep.admin import DefineAccount, DefineInstrument
from lockstep.aio import AsyncClient
from lockstep.bench import reader
from lockstep.bench.latency import new_histogram, percentiles_us, record_us
from lockstep.bench.pacing import Pacer
from lockstep.columns import CommandColumns, ReportColumns
from lockstep.enums import CommandKind, OrderType, Side, TimeInForce
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.runtime.process import EnvironmentFault
from lockstep.runtime.realtime import require_realtime, take_realtime
from lockstep.runtime.topology import Timing
from lockstep.session import AsyncSession
from lockstep.session_events import Checkpoint

READS: Final = reader.KINDS
ALONE: Final = "none"
_BLOCK: Final = 1_000
_SETUP_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class ReadsPlan:
    """What to measure."""

    implementations: tuple[str, ...]
    reads: tuple[str, ...] = READS
    orders: int = 100_000
    accounts: int = 20_000
    instruments: int = 5_000
    rate: int = 500
    duration_s: float = 10.0
    rounds: int = 3
    reader_gives_way: bool = True
    """Whether the reader has the lowest priority; on a machine that is busy it may then never get its turn."""
    realtime: bool = False
    """Whether cluster and load are scheduled in real time (`runtime.realtime`), as if the reader had other cores."""


@dataclass(frozen=True, slots=True)
class ReadPhase:
    """One kind of read beside the load; "none": the load alone."""

    name: str
    latency_us: dict[str, float]
    unanswered: int
    read: dict[str, Any] = field(default_factory=dict)
    """How many reads were answered, how many failed, what one brought at the most (rows), median time (ms), CPU (s)."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What one kind of read did to the p99 of orders: medians over the rounds, in microseconds."""

    name: str
    alone_us: float
    beside_us: float

    @property
    def ratio(self) -> float:
        """Beside the read to alone."""
        return self.beside_us / self.alone_us if self.alone_us else 0.0


def moved(phases: list[ReadPhase]) -> list[Moved]:
    """Each kind against the load alone of its own rounds."""
    pairs: dict[str, list[tuple[float, float]]] = {}
    for alone, beside in zip(phases[::2], phases[1::2], strict=True):
        pairs.setdefault(beside.name, []).append((alone.latency_us["p99"], beside.latency_us["p99"]))
    return [
        Moved(name, *(float(np.median(column)) for column in zip(*both, strict=True))) for name, both in pairs.items()
    ]


def run_reads_bench(plan: ReadsPlan, say: Callable[[str], None]) -> list[ReadPhase]:
    """The phases, in pairs: the load alone, and the same load beside one kind of read.

    Raises:
        EnvironmentFault: the cluster does not start, or a reader fails.
    """
    timing = Timing(realtime_priority=int(plan.realtime))
    if plan.realtime:
        require_realtime(timing.realtime_priority)
    wanted = ClusterPlan(gateways=2, implementations=plan.implementations, restart=False, timing=timing)
    with LocalCluster(wanted) as cluster:
        trading, reading = cluster.gateway_addresses
        say(f"filling: {plan.orders} orders in one account, {plan.accounts} accounts, {plan.instruments} instruments")
        uvloop.run(_fill(plan, reading))
        if "snapshot" in plan.reads:
            reader.take_snapshot(cluster.topology)
        if plan.realtime:
            take_realtime(timing.realtime_priority)
        phases = []
        for turn in range(1, plan.rounds + 1):
            for name in plan.reads:
                for kind in (ALONE, name):
                    say(f"round {turn}: {plan.duration_s:.0f} s of {plan.rate} orders/s, read beside it: {kind}")
                    where = [reading, *(engine.grpc_address for engine in cluster.topology.engines)]
                    phases.append(_phase(plan, kind, trading, where))
        return phases


def _phase(plan: ReadsPlan, kind: str, trading: str, where: list[str]) -> ReadPhase:
    beside = None
    if kind != ALONE:
        arguments = [sys.executable, "-m", "lockstep.bench.reader", kind, str(plan.duration_s), *where]
        if plan.reader_gives_way:
            arguments.append(reader.GIVE_WAY)
        beside = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    latency, unanswered = uvloop.run(_load(plan, trading))
    said = beside.communicate()[0] if beside is not None else "{}"
    if beside is not None and beside.returncode:
        raise EnvironmentFault(f"the reader of {kind!r} ended with exit code {beside.returncode}; its error is above")
    return ReadPhase(kind, latency, unanswered, json.loads(said or "{}"))


# ---- what there is to read -------------------------------------------------------------------------------------------


async def _fill(plan: ReadsPlan, address: str) -> None:
    async with AsyncClient(address, client_number=reader.CLIENT, timeout_s=60) as client:
        for number in range(reader.STREAMS):
            # Its only command, and the first of all: all that comes later has to be searched for others.
            session = await client.session(resume=Checkpoint(reader.stream_id(number)), timeout_s=_SETUP_S)
            await (await session.submit(DefineAccount(reader.TRADING_ACCOUNT + 1 + number, f"S{number}", True, True)))
            await session.close()
        session = await client.session(timeout_s=_SETUP_S, max_unanswered=4 * _BLOCK)
        first = reader.TRADING_ACCOUNT + 1 + reader.STREAMS
        numbers = (
            reader.LISTED_ACCOUNT,
            reader.TRADING_ACCOUNT,
            *range(first, max(first, plan.accounts - reader.STREAMS + 1)),
        )
        definitions = [DefineInstrument(n, f"I{n}", 10_000) for n in range(1, plan.instruments + 1)]
        for start in range(0, len(definitions), _BLOCK):
            await _all(session, definitions[start : start + _BLOCK])
        accounts = [DefineAccount(n, f"A{n}", True, True) for n in numbers]
        for start in range(0, len(accounts), _BLOCK):
            await _all(session, accounts[start : start + _BLOCK])
        for start in range(0, plan.orders, _BLOCK):
            ids = np.arange(start, min(start + _BLOCK, plan.orders), dtype=np.int64)
            await session.submit_columns(_orders(reader.LISTED_ACCOUNT, ids % plan.instruments + 1, TimeInForce.GTC))
        await session.drain()
        await session.close()


async def _all(session: AsyncSession, commands: Any) -> None:
    for handle in [await session.submit(command) for command in commands]:
        await handle


def _orders(account: int, instruments: Any, tif: TimeInForce) -> CommandColumns:
    count = len(instruments)
    return CommandColumns(
        kind=np.full(count, CommandKind.NEW_ORDER, "u1"),
        side=np.full(count, Side.BUY, "u1"),
        order_type=np.full(count, OrderType.LIMIT, "u1"),
        tif=np.full(count, tif, "u1"),
        account=np.full(count, account, "<u4"),
        instrument=np.asarray(instruments, "<u4"),
        price_ticks=np.full(count, reader.PRICE_TICKS, "<i8"),
        quantity_lots=np.ones(count, "<i8"),
    )


# ---- the load --------------------------------------------------------------------------------------------------------


async def _load(plan: ReadsPlan, address: str) -> tuple[dict[str, float], int]:
    """Orders that find nobody (IOC), so that the state stays as it is; latency from the time each was due."""
    due_ns: list[int] = []
    took_us: list[int] = []

    def answered(batch: ReportColumns) -> None:
        now_ns = time.monotonic_ns()
        for number, kind in zip(batch.session_no.tolist(), batch.kind.tolist(), strict=True):
            if kind == 4:  # CANCELED: the end of an order that found nobody
                took_us.append((now_ns - due_ns[number - 1]) // 1000)

    async with AsyncClient(address) as client:
        session = await client.session(on_batch=answered, linger_ms=0.0, timeout_s=30, max_unanswered=100_000)
        order = np.ones(1, np.int64)
        step_ns = 1_000_000_000 // plan.rate
        pacer = Pacer()
        begin_ns = time.monotonic_ns()
        for turn in range(round(plan.rate * plan.duration_s)):
            await pacer.until(begin_ns + turn * step_ns)
            due_ns.append(begin_ns + turn * step_ns)
            await session.submit_columns(_orders(reader.TRADING_ACCOUNT, order, TimeInForce.IOC))
        pacer.close()
        await session.drain()
        await session.close()
    histogram = new_histogram()
    record_us(histogram, np.array(took_us))
    return percentiles_us(histogram), len(due_ns) - len(took_us)
