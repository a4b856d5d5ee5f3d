"""A thousand clients lose their gateway at one moment: how long until each of them trades again, and at what cost.

Each client has connections and a session of its own, and the addresses of both gateways, its own one first; half begin
at each. One gateway dies (`kill -9`, and is started again) while every client has an order to give: it is answered when
the session is open at either gateway. All clients are in one process, whose CPU counts: they come back no faster than
it can open connections.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import uvloop

from lockstep.aio import AsyncClient
from lockstep.errors import Refused, SessionEnded, Unavailable
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.ops.operator.view import view_of
from lockstep.session import AsyncSession
from lockstep.trials.demo import INSTRUMENTS, fund, wait_whole

LEFT_OUT: Final = "the network between hosts; the clients' own machines (all are in one process, on the same cores)"
_AT_ONCE: Final = 50
"""Sessions that are opened together at the beginning."""
_OPEN_S: Final = 60.0
_GATEWAY: Final = "gateway-1"


@dataclass(frozen=True, slots=True)
class ReconnectPlan:
    """How many, and how long they may take."""

    implementations: tuple[str, ...] = ("native",)
    clients: int = 1_000
    patience_s: float = 60.0


@dataclass(frozen=True, slots=True)
class ReconnectResult:
    """Of the clients whose gateway died, and of the others."""

    clients: int
    moved: int
    """Clients whose stream was at the gateway that died."""
    unanswered: int
    """Clients without an answer at the end."""
    p50_s: float
    p99_s: float
    last_s: float
    """From the kill to the answer, of all clients."""
    connections: int
    """Streams that the clients began after the kill."""
    client_cpu_s: float
    """Of the process that all clients are in, from the kill to the last answer."""
    epochs: int
    """That began meanwhile: none should."""

    def to_json(self) -> dict[str, object]:
        """For `--json`."""
        return {**asdict(self), "left_out": LEFT_OUT}


def run_reconnect_bench(plan: ReconnectPlan, say: Callable[[str], None]) -> ReconnectResult:
    """Start a cluster with two gateways, open the sessions, kill one gateway.

    Raises:
        EnvironmentFault: the cluster does not start, or is not whole before the kill.
    """
    say("starting a cluster")
    with LocalCluster(ClusterPlan(gateways=2, implementations=plan.implementations)) as cluster:
        return uvloop.run(_measure(plan, cluster, say))


async def _measure(plan: ReconnectPlan, cluster: LocalCluster, say: Callable[[str], None]) -> ReconnectResult:
    first, second = cluster.gateway_addresses
    async with AsyncClient(second) as funding:
        await fund(funding, 1)
    ways = ((second, first), (first, second))
    clients = [AsyncClient(ways[n % 2], timeout_s=_OPEN_S) for n in range(plan.clients)]
    say(f"opening {plan.clients} sessions")
    gate = asyncio.Semaphore(_AT_ONCE)
    sessions = await asyncio.gather(*(_open(client, gate) for client in clients))
    await wait_whole(cluster, "before the kill")
    epoch = _epoch(cluster)
    before = [session.counters.connections for session in sessions]
    say(f"kill -9 of {_GATEWAY}")
    cpu_s, began = time.process_time(), time.monotonic()
    await asyncio.to_thread(cluster.kill, _GATEWAY)
    took = await asyncio.gather(*(_back(session, began, plan.patience_s) for session in sessions))
    cpu_s = time.process_time() - cpu_s
    answered = sorted(seconds for seconds in took if seconds is not None)
    p50, p99 = (float(np.percentile(answered, of)) if answered else 0.0 for of in (50, 99))
    anew = [session.counters.connections - begun for session, begun in zip(sessions, before, strict=True)]
    epochs = _epoch(cluster) - epoch
    await asyncio.gather(*(client.close() for client in clients))
    return ReconnectResult(
        clients=plan.clients,
        moved=sum(count > 0 for count in anew),
        unanswered=plan.clients - len(answered),
        p50_s=round(p50, 2),
        p99_s=round(p99, 2),
        last_s=round(answered[-1] if answered else 0.0, 2),
        connections=sum(anew),
        client_cpu_s=round(cpu_s, 2),
        epochs=epochs,
    )


def _epoch(cluster: LocalCluster) -> int:
    return view_of(cluster.status(), cluster.topology).epoch


async def _open(client: AsyncClient, gate: asyncio.Semaphore) -> AsyncSession:
    """A session that has traded: its stream is open, and known to a gateway."""
    async with gate:
        session = await client.session(timeout_s=_OPEN_S)
        await _order(session)
        return session


async def _back(session: AsyncSession, began: float, patience_s: float) -> float | None:
    """Seconds from the kill until an order is answered that is given now; None: not within its patience."""
    try:
        async with asyncio.timeout(patience_s):
            await _order(session)
    except (TimeoutError, SessionEnded, Unavailable):
        return None
    return time.monotonic() - began


async def _order(session: AsyncSession) -> None:
    number, _ = INSTRUMENTS[0]
    handle = await session.place(account=1, instrument=number, side="buy", quantity_lots=1, price_ticks=1, tif="ioc")
    try:
        await handle
    except Refused:
        return
