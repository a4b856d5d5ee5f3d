"""The reader of `bench reads`: a process that reads again as soon as it has an answer.

It gives way, with the lowest priority of the machine: in the field a reader computes on one of its own, and what is
measured is its cost to the cluster. `spin` reads nothing and only computes: what orders notice of that alone.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import grpc
import numpy as np
import uvloop

from lockstep.aio import AsyncClient
from lockstep.errors import Refused, Unavailable
from lockstep.runtime.access.dialing import open_channel
from lockstep.runtime.channel_options import CHANNEL_OPTIONS
from lockstep.runtime.engine_pages import event_pages
from lockstep.runtime.topology import Topology
from lockstep.session_events import Checkpoint, ReportId
from lockstep.stream.records import EVENT
from lockstep.v1 import cluster_pb2, cluster_pb2_grpc, replication_pb2, replication_pb2_grpc

KINDS: Final = (
    "open_orders", "accounts", "instruments", "resume", "events", "journal", "snapshot", "status", "spin"
)  # fmt: skip
CLIENT: Final = 77
"""Client number of the reader, and of the sessions that it resumes."""
LISTED_ACCOUNT: Final = 1
STREAMS: Final = 6
TRADING_ACCOUNT: Final = 2
PRICE_TICKS: Final = 1_000
GIVE_WAY: Final = "--give-way"
_NICE: Final = 19
_SPIN_S: Final = 0.005
_SNAPSHOT_S: Final = 60.0
_CALL_S: Final = 120.0
_TRIES: Final = 5
"""It reads on beyond its time until something was read, or so many reads failed."""


def stream_id(number: int) -> int:
    """Of a session whose only report lies at the beginning of the history."""
    return CLIENT << 32 | 1_000 + number


def take_snapshot(topology: Topology) -> None:
    """Have one taken beside the first engine, to be read afterwards."""
    with open_channel(topology.engines[0].grpc_address, CHANNEL_OPTIONS) as channel:
        cluster_pb2_grpc.ClusterStub(channel).TakeSnapshot(cluster_pb2.TakeSnapshotRequest(), timeout=_SNAPSHOT_S)


# ---- what clients read, at a gateway ---------------------------------------------------------------------------------


async def _at_the_gateway(kind: str, client: AsyncClient) -> int:
    if kind == "open_orders":
        return len(await client.open_orders(LISTED_ACCOUNT))
    if kind == "accounts":
        return len(await client.accounts())
    if kind == "instruments":
        return len(await client.instruments())
    return sum(await asyncio.gather(*(_resume(client, number) for number in range(STREAMS))))


async def _resume(client: AsyncClient, number: int) -> int:
    """A session that has seen the first event of all: what came later of its own, and all that has to be searched."""
    checkpoint = Checkpoint(stream_id(number), last_seen=ReportId(1, 0, 0), next_no=2)
    session = await client.session(resume=checkpoint, timeout_s=30)
    # An order of its own waits behind everything that is older.
    handle = await session.place(
        account=TRADING_ACCOUNT, instrument=1, side="buy", quantity_lots=1, price_ticks=PRICE_TICKS, tif="ioc"
    )
    with suppress(Refused):
        await handle
    await session.close()
    return 1


# ---- what replicas, followers and operators read, at the engines -----------------------------------------------------


def _at_engines(kind: str, channels: list[grpc.Channel]) -> int:
    """All of one engine's history, or of its snapshot, or what every engine says of itself."""
    if kind == "status":
        stubs = [cluster_pb2_grpc.ClusterStub(channel) for channel in channels]
        return len([stub.GetStatus(cluster_pb2.GetStatusRequest(), timeout=_CALL_S) for stub in stubs])
    stub = replication_pb2_grpc.ReplicationStub(channels[0])
    if kind == "events":
        pages = event_pages(stub, replication_pb2.FetchEventsRequest(), timeout_s=_CALL_S)
        return sum(len(page.events) // EVENT.itemsize for page in pages)
    if kind == "journal":
        request = replication_pb2.FetchJournalRequest(from_seq=1)
        return sum(len(page.batches) for page in stub.FetchJournal(request, timeout=_CALL_S))
    chunks = stub.FetchSnapshot(replication_pb2.FetchSnapshotRequest(), timeout=_CALL_S)
    return sum(1 for _ in chunks)


# ---- again and again -------------------------------------------------------------------------------------------------


async def _read(kind: str, seconds: float, where: list[str]) -> dict[str, Any]:
    if kind == "spin":
        return await _again(seconds, _spin)
    gateway, *engines = where
    if kind in ("events", "journal", "snapshot", "status"):
        channels = [open_channel(address, CHANNEL_OPTIONS) for address in engines]

        async def once() -> int:
            return _at_engines(kind, channels)

        return await _again(seconds, once)
    async with AsyncClient(gateway, client_number=CLIENT, timeout_s=30) as client:
        return await _again(seconds, lambda: _at_the_gateway(kind, client))


async def _spin() -> int:
    until = time.monotonic() + _SPIN_S
    turns = 0
    while time.monotonic() < until:
        turns += 1
    return turns


async def _again(seconds: float, once: Callable[[], Awaitable[int]]) -> dict[str, Any]:
    took_ms: list[float] = []
    failed = most = 0
    until = time.monotonic() + seconds
    while time.monotonic() < until or not (took_ms or failed >= _TRIES):
        began = time.monotonic()
        try:
            rows = await once()
        except (Unavailable, grpc.RpcError):
            failed += 1
            continue
        took_ms.append((time.monotonic() - began) * 1e3)
        most = max(most, rows)
    median_ms = round(float(np.median(took_ms)), 1) if took_ms else 0.0
    cpu_s = round(time.process_time(), 2)
    return {"reads": len(took_ms), "failed": failed, "rows": most, "median_ms": median_ms, "cpu_s": cpu_s}


def _give_way() -> None:
    """Lowest priority, among the groups that Linux makes of sessions, too: within such a group alone nice counts."""
    os.nice(_NICE)
    with suppress(OSError):
        os.setsid()
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(_NICE))


def main() -> int:
    """Kind, seconds, address of the gateway, addresses of the engines; at the end perhaps the word to give way."""
    kind, seconds, *where = sys.argv[1:]
    if where[-1] == GIVE_WAY:
        where.pop()
        _give_way()
    sys.stdout.write(json.dumps(uvloop.run(_read(kind, float(seconds), where))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
