"""Which engine is asked first."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import pytest

from lockstep.gateway.engines import Engines
from lockstep.stream.records import EVENT
from lockstep.stream.topology import Member, ProcessKind
from lockstep.v1 import replication_pb2, replication_pb2_grpc


class Replication(replication_pb2_grpc.ReplicationServicer):
    """Has one event a seq; says nothing as long as `go` is not set."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def FetchEvents(self, request: Any, _context: Any) -> Any:  # noqa: N802
        self.go.wait(10)
        events = np.zeros(request.to_seq - request.after.seq, dtype=EVENT)
        events["seq"] = np.arange(request.after.seq + 1, request.to_seq + 1)
        yield replication_pb2.FetchEventsReply(events=events.tobytes(), through_seq=request.to_seq)


@pytest.fixture
def members() -> Iterator[tuple[Member, ...]]:
    """Engine 1 hangs, engine 2 answers."""
    hung, alive = Replication(), Replication()
    alive.go.set()
    made, servers = [], []
    for number, engine in enumerate((hung, alive), start=1):
        server = grpc.server(ThreadPoolExecutor(2))
        replication_pb2_grpc.add_ReplicationServicer_to_server(engine, server)
        port = server.add_insecure_port("127.0.0.1:0")
        made.append(Member(ProcessKind.ENGINE, number, "127.0.0.1", grpc_port=port, watch_port=0))
        server.start()
        servers.append(server)
    yield tuple(made)
    hung.go.set()
    for server in servers:
        server.stop(None).wait()


def test_gap_is_filled_by_the_engine_that_showed_it_while_the_primary_of_before_hangs(members) -> None:
    async def scenario() -> None:
        engines = Engines(members)
        engines.primary = 1
        # The hung one would be waited for until its connection is given up.
        async with asyncio.timeout(5.0):
            events = await engines.fetch(after_seq=3, to_seq=6, first=2)
        assert events["seq"].tolist() == [4, 5, 6]
        await engines.close()

    asyncio.run(scenario())
