"""Thousands of connects a second against each door in turn: what that does to orders, and what is left of it.

A local cluster with one gateway that has a binary door, and one feed. A client gives orders at a fixed pace, open loop,
for as long without the flood as beside it; a process of its own connects, and ends each connection at once by a reset,
as whoever floods a port would. Afterwards each process has to have as many descriptors as before.
"""

import asyncio
import contextlib
import json
import socket
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import uvloop

from lockstep.aio import AsyncClient
from lockstep.bench.child import Child
from lockstep.errors import Refused
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.session import AsyncSession
from lockstep.trials.demo import INSTRUMENTS, fund, wait_whole

LEFT_OUT: Final = (
    "TLS handshakes; connections from many addresses; the network (the flood and the client use the same cores)"
)
_RESET: Final = struct.pack("ii", 1, 0)
_AT_ONCE: Final = 256
"""Connects that are under way at once: a full backlog holds the flood back, not the memory."""
_TICK_S: Final = 0.01
_CALM_S: Final = 40.0
"""For descriptors to be as many as before."""
_SETTLE_S: Final = 1.0
_OPEN_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class ConnectsPlan:
    """How much of everything."""

    implementations: tuple[str, ...] = ("native",)
    connects_per_s: int = 5_000
    phase_s: float = 10.0
    orders_per_s: int = 200


@dataclass(frozen=True, slots=True)
class FloodPlan:
    """What the process that connects is told."""

    host: str
    port: int
    per_s: int
    seconds: float


@dataclass(frozen=True, slots=True)
class DoorResult:
    """One door. Latencies in milliseconds, from when an order was due."""

    door: str
    p50_alone_ms: float
    p99_alone_ms: float
    p50_ms: float
    p99_ms: float
    times: float
    """p99 beside the flood by that without."""
    connects_per_s: int
    """That were made."""
    refused: int
    """That the kernel or the door refused, or did not take in time."""
    descriptors_left: dict[str, int]
    """More than before, by process, if any were left after forty seconds."""

    @property
    def text(self) -> str:
        """For people."""
        left = ", ".join(f"{name} +{count}" for name, count in self.descriptors_left.items()) or "none"
        return (
            f"  {self.connects_per_s} connects/s made, {self.refused} refused; orders p99 {self.p99_alone_ms:g} ms "
            f"alone, {self.p99_ms:g} ms beside them ({self.times:g} times; p50 {self.p50_alone_ms:g} and "
            f"{self.p50_ms:g} ms); descriptors left: {left}"
        )

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def run_connects_bench(plan: ConnectsPlan, say: Callable[[str], None]) -> list[DoorResult]:
    """Start a cluster, and flood each door.

    Raises:
        EnvironmentFault: the cluster does not start.
    """
    say("starting a cluster")
    with LocalCluster(ClusterPlan(feeds=1, soup=True, implementations=plan.implementations)) as cluster:
        return uvloop.run(_measure(plan, cluster, say))


async def _measure(plan: ConnectsPlan, cluster: LocalCluster, say: Callable[[str], None]) -> list[DoorResult]:
    feed = cluster.topology.feeds[0]
    doors = {
        "gRPC of a gateway": cluster.gateway_addresses[0],
        "binary door of a gateway": cluster.soup_addresses[0],
        "HTTP of a feed": f"{feed.host}:{feed.http_port}",
        "gRPC of a feed": feed.grpc_address,
    }
    results = []
    async with AsyncClient(cluster.gateway_addresses) as client:
        await fund(client, 1)
        session = await client.session(timeout_s=_OPEN_S)
        await wait_whole(cluster, "before the flood")
        await _orders(session, plan.orders_per_s, _SETTLE_S)
        for door, address in doors.items():
            say(f"{door}: {plan.orders_per_s} orders/s for {plan.phase_s:g} s, then beside the flood")
            results.append(await _one(plan, cluster, session, door, address))
            say(results[-1].text)
        await session.close()
    return results


async def _one(plan: ConnectsPlan, cluster: LocalCluster, session: AsyncSession, door: str, address: str) -> DoorResult:
    before = descriptors(cluster.pids())
    alone = await _orders(session, plan.orders_per_s, plan.phase_s)
    host, _, port = address.rpartition(":")
    with contextlib.ExitStack() as stack:
        flood = Child(stack, __spec__.name, FloodPlan(host, int(port), plan.connects_per_s, plan.phase_s))
        await asyncio.to_thread(flood.wait_for, "began")
        beside = await _orders(session, plan.orders_per_s, plan.phase_s)
        said = await asyncio.to_thread(flood.wait_for, "ended")
    left = await _left(cluster, before)
    p50_alone, p99_alone, p50, p99 = (
        round(float(np.percentile(values, of)), 2) for values in (alone, beside) for of in (50, 99)
    )
    return DoorResult(
        door=door,
        p50_alone_ms=p50_alone,
        p99_alone_ms=p99_alone,
        p50_ms=p50,
        p99_ms=p99,
        times=round(p99 / p99_alone, 2),
        connects_per_s=round(said["made"] / said["seconds"]),
        refused=said["refused"],
        descriptors_left=left,
    )


async def _orders(session: AsyncSession, per_s: int, seconds: float) -> list[float]:
    """Milliseconds from when each order was due to its answer, whether or not earlier ones were answered by then."""
    number, _ = INSTRUMENTS[0]
    found: list[float] = []

    async def order(due_s: float) -> None:
        placed = await session.place(
            account=1, instrument=number, side="buy", quantity_lots=1, price_ticks=1, tif="ioc"
        )
        with contextlib.suppress(Refused):
            await placed
        found.append((time.monotonic() - due_s) * 1e3)

    begin_s = time.monotonic()
    async with asyncio.timeout(seconds + _OPEN_S), asyncio.TaskGroup() as orders:
        for place in range(round(per_s * seconds)):
            due_s = begin_s + place / per_s
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            orders.create_task(order(due_s))
    return found


def descriptors(pids: dict[str, int]) -> dict[str, int]:
    """Open ones, by process."""
    return {name: sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()) for name, pid in pids.items()}


async def _left(cluster: LocalCluster, before: dict[str, int]) -> dict[str, int]:
    give_up_s = time.monotonic() + _CALM_S
    while True:
        now = descriptors(cluster.pids())
        left = {name: count - before[name] for name, count in now.items() if count > before.get(name, count)}
        if not left or time.monotonic() > give_up_s:
            return left
        await asyncio.sleep(_SETTLE_S)


# ---- the process that connects ---------------------------------------------------------------------------------------


async def _flood(plan: FloodPlan) -> tuple[int, int, float]:
    """(made, refused, seconds)."""
    loop, counts, room = asyncio.get_running_loop(), [0, 0], asyncio.Semaphore(_AT_ONCE)

    async def connect() -> None:
        sock = socket.socket()
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            async with asyncio.timeout(1.0):
                await loop.sock_connect(sock, (plan.host, plan.port))
            counts[0] += 1
        except (OSError, TimeoutError):
            counts[1] += 1
        finally:
            sock.close()
            room.release()

    begin_s = time.monotonic()
    given = 0
    async with asyncio.TaskGroup() as tasks:
        while (past_s := time.monotonic() - begin_s) < plan.seconds:
            while given < past_s * plan.per_s:
                await room.acquire()
                tasks.create_task(connect())
                given += 1
            await asyncio.sleep(_TICK_S)
    return counts[0], counts[1], time.monotonic() - begin_s


def main() -> None:
    """Connect as the argument says."""
    plan = FloodPlan(**json.loads(sys.argv[1]))
    print(json.dumps({"event": "began"}), flush=True)
    made, refused, seconds = uvloop.run(_flood(plan))
    print(json.dumps({"event": "ended", "made": made, "refused": refused, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
