"""Which engine is asked first, which next, and whose answer counts."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
import pytest

from lockstep.runtime.engines import Engines, EnginesBusy, EnginesUnavailable
from lockstep.runtime.topology import Member, ProcessKind
from lockstep.stream.records import EVENT
from lockstep.v1 import common_pb2, replication_pb2, replication_pb2_grpc


class Replication(replication_pb2_grpc.ReplicationServicer):
    """Has one event a seq, and state as of `stamp`; says nothing as long as `go` is not set."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.stamp = common_pb2.Stamp(epoch=3, seq=100)
        self.asked = 0
        self.busy = False
        self.left = threading.Event()
        """A caller has gone."""
        self.searches = 0
        self.page_seqs = 0
        """Seqs of one page; 0: all at once."""

    def Query(self, _request: Any, context: Any) -> replication_pb2.QueryReply:  # noqa: N802
        self.asked += 1
        if self.busy:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "others come first")
        context.add_callback(self.left.set)
        self.go.wait(10)
        return replication_pb2.QueryReply(stamp=self.stamp)

    def FetchEvents(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.go.wait(10)
        if self.busy:
            self.busy = False
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "others come first")
        self.searches += 1
        through = request.to_seq
        if self.page_seqs:
            through = min(through, request.after.seq + self.page_seqs)
        events = np.zeros(through - request.after.seq, dtype=EVENT)
        events["seq"] = np.arange(request.after.seq + 1, through + 1)
        # Nothing is of the session that is asked for.
        raw = b"" if request.session_id else events.tobytes()
        yield replication_pb2.FetchEventsReply(
            epoch=self.stamp.epoch, events=raw, through_seq=through, paused=through < request.to_seq
        )


@dataclass
class Cluster:
    """Two engines; the first one, the primary, hangs until its `go` is set."""

    members: tuple[Member, ...]
    primary: Replication
    standby: Replication


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    primary, standby = Replication(), Replication()
    standby.go.set()
    made, servers = [], []
    for number, engine in enumerate((primary, standby), start=1):
        server = grpc.server(ThreadPoolExecutor(2))
        replication_pb2_grpc.add_ReplicationServicer_to_server(engine, server)
        port = server.add_insecure_port("127.0.0.1:0")
        made.append(Member(ProcessKind.ENGINE, number, "127.0.0.1", grpc_port=port, watch_port=0))
        server.start()
        servers.append(server)
    yield Cluster(tuple(made), primary, standby)
    primary.go.set()
    for server in servers:
        server.stop(None).wait()


def query(cluster: Cluster, **least: int) -> tuple[common_pb2.Stamp, float]:
    """What the answer is stamped with, and how many seconds it took."""

    async def scenario() -> tuple[common_pb2.Stamp, float]:
        engines = Engines(cluster.members)
        engines.primary = 1
        began = time.monotonic()
        try:
            reply = await engines.query(replication_pb2.QueryRequest(account=1), **least)
            return reply.stamp, time.monotonic() - began
        finally:
            await engines.close()

    return asyncio.run(scenario())


def test_the_primary_answers_where_it_lives(cluster: Cluster) -> None:
    cluster.primary.go.set()
    cluster.primary.stamp.seq = 101
    stamp, _ = query(cluster)
    assert stamp.seq == 101


def test_another_engine_answers_for_a_primary_that_hangs_without_its_timeout(cluster: Cluster) -> None:
    stamp, took_s = query(cluster, min_epoch=3, min_seq=100)
    assert (stamp.epoch, stamp.seq) == (3, 100)
    assert took_s < 0.9


@pytest.mark.parametrize(("least", "why"), [({"min_seq": 101}, "of seq 100"), ({"min_epoch": 4}, "of epoch 3")])
def test_an_answer_older_than_what_was_told_does_not_count(cluster: Cluster, least: dict[str, int], why: str) -> None:
    with pytest.raises(EnginesUnavailable, match=f"engine 2: answers {why}.*engine 1: DEADLINE_EXCEEDED"):
        query(cluster, **least)
    cluster.primary.stamp.epoch, cluster.primary.stamp.seq = 4, 101
    cluster.primary.go.set()
    stamp, _ = query(cluster, **least)
    assert (stamp.epoch, stamp.seq) == (4, 101)


LISTING = replication_pb2.QueryRequest(accounts_after=0)


def page(cluster: Cluster, timeout_s: float, **least: Any) -> common_pb2.Stamp:
    async def scenario() -> common_pb2.Stamp:
        engines = Engines(cluster.members)
        engines.primary = 1
        try:
            return (await engines.page(LISTING, timeout_s=timeout_s, **least)).stamp
        finally:
            await engines.close()

    return asyncio.run(scenario())


def test_a_page_that_is_slow_is_asked_of_one_engine_once_and_of_nobody_else(cluster: Cluster) -> None:
    with pytest.raises(EnginesBusy, match="engine 1: DEADLINE_EXCEEDED"):
        page(cluster, timeout_s=0.5)
    assert (cluster.primary.asked, cluster.standby.asked) == (1, 0)
    assert cluster.primary.left.wait(2), "the engine learns that nobody waits for it"


def test_a_page_is_not_asked_of_another_engine_because_the_first_has_others_to_answer(cluster: Cluster) -> None:
    cluster.primary.busy = True
    with pytest.raises(EnginesBusy, match="others come first"):
        page(cluster, timeout_s=5)
    assert cluster.standby.asked == 0


def test_a_page_comes_from_the_next_engine_where_the_first_is_behind_or_not_wanted(cluster: Cluster) -> None:
    cluster.primary.go.set()
    cluster.primary.stamp.seq = 99
    cluster.standby.stamp.seq = 100
    assert page(cluster, timeout_s=5, min_seq=100).seq == 100
    assert page(cluster, timeout_s=5, standby=True).seq == 100
    assert cluster.primary.asked == 1


def searched(cluster: Cluster, *clients: str) -> list[tuple[str, int, list[int]]]:
    """(Client, how far, what came) of the pages of searches at once, in the order in which they came."""

    async def scenario() -> list[tuple[str, int, list[int]]]:
        engines = Engines(cluster.members)
        engines.primary = 1
        pages: list[tuple[str, int, list[int]]] = []

        async def search(client: str) -> None:
            async for events, through in engines.events(after=(0, 0), to_seq=100, session_id=7, client=client):
                pages.append((client, through[0], events["seq"].tolist()))

        await asyncio.gather(*(search(client) for client in clients))
        await engines.close()
        return pages

    return asyncio.run(scenario())


def test_a_search_goes_on_where_its_last_page_ended_also_if_nothing_was_found_there(cluster: Cluster) -> None:
    cluster.primary.go.set()
    cluster.primary.page_seqs = 30
    cluster.primary.busy = True
    assert searched(cluster, "one") == [("one", through, []) for through in (30, 60, 90, 100)]
    assert (cluster.primary.searches, cluster.standby.searches) == (4, 0)


def test_a_client_with_six_searches_does_not_keep_another_from_its_own(cluster: Cluster) -> None:
    cluster.primary.go.set()
    cluster.primary.page_seqs = 10
    pages = searched(cluster, *["greedy"] * 6, "modest")
    assert [through for client, through, _ in pages if client == "modest"] == list(range(10, 101, 10))
    last = max(place for place, (client, _, _) in enumerate(pages) if client == "modest")
    # Each of its pages waits for a few of the others; behind all six it would be the 64th at the best.
    assert last < 50
