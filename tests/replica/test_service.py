"""The engine's service: its answers wait in no thread, and one whose caller has gone is not made."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from lockstep.ops.local.ports import free_ports
from lockstep.replica.divergence import EpochEntry
from lockstep.replica.effects import FenceAnswer
from lockstep.replica.fetches import Fetches
from lockstep.replica.service import HistoryDiscarded, ReplicationService, TooManyQueries, register
from lockstep.replica.settings import Base
from lockstep.replica.snapshot_file import encode_snapshot_file
from lockstep.replica.snapshots import SnapshotStore
from lockstep.replica.turnstile import SHARE, Turnstile
from lockstep.runtime.places import GIVES_WAY_AFTER_S
from lockstep.runtime.process import start_grpc_server
from lockstep.runtime.refusal import Refusal
from lockstep.stream.digest import Digest
from lockstep.v1 import cluster_pb2, replication_pb2, replication_pb2_grpc
from tests.everybody import open_guard

LISTING = replication_pb2.QueryRequest(accounts_after=0)
UUID = "c1a5e000-0000-4000-8000-000000000001"
FENCE = replication_pb2.FenceRequest(cluster_uuid=UUID, epoch=1, sequencer=1)


@pytest.fixture
def posted():
    return []


@pytest.fixture
def service(posted):
    view: Any = SimpleNamespace(why="it catches up", applied_seq=0, cluster_uuid=UUID)
    unused: Any = None
    return ReplicationService(1, unused, unused, lambda: view, posted.append)


class Context:
    def __init__(self, remaining_s=5.0):
        self.time_remaining = lambda: remaining_s


def ask(service, request, answer, remaining_s=5.0):
    """The call, while the main loop does `answer` with it."""

    async def scenario():
        call = asyncio.create_task(service(request, Context(remaining_s)))
        await asyncio.sleep(0.01)
        answer(call)
        return await call

    return asyncio.run(scenario())


def test_query_of_a_caller_that_has_gone_is_not_answered_by_the_main_loop(service, posted):
    with pytest.raises(asyncio.CancelledError):
        ask(service.Query, LISTING, lambda call: call.cancel())
    assert not posted[0].done.set_running_or_notify_cancel(), "the loop passes it over"


@pytest.mark.parametrize(
    ("said", "code", "text"),
    [
        (TooManyQueries(), grpc.StatusCode.RESOURCE_EXHAUSTED, "ask again"),
        (HistoryDiscarded(), grpc.StatusCode.UNAVAILABLE, "discarded"),
    ],
)
def test_what_the_loop_refuses_is_told(service, posted, said, code, text):
    with pytest.raises(Refusal, match=text) as refused:
        ask(service.Query, LISTING, lambda _: posted[0].done.set_exception(said))
    assert refused.value.code is code


def test_an_answer_that_does_not_come_within_the_callers_time_is_not_waited_for(service, posted):
    began_s = time.monotonic()
    with pytest.raises(Refusal, match=r"in 0\.2 s: it catches up"):
        ask(service.Query, LISTING, lambda _: None, remaining_s=0.2)
    assert time.monotonic() - began_s < 2
    assert posted[0].done.cancelled()


def test_an_order_to_fence_that_can_not_be_one_is_refused_before_the_loop_sees_it(service, posted):
    odd: list[dict[str, Any]] = [
        {"epoch": 0},
        {"epoch": 2**63},
        {"sequencer": 64},
        {"sequencer": 0},
        {"cluster_uuid": "x"},
    ]
    for field in odd:
        request = replication_pb2.FenceRequest()
        request.MergeFrom(FENCE)
        for name, value in field.items():
            setattr(request, name, value)
        with pytest.raises(Refusal) as refused:
            ask(service.Fence, request, lambda _: None)
        assert refused.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert not posted


BASE = Base(7, Digest(b"d" * 16), 5_000, (EpochEntry(1, 1),), 0b110, 2, 1, 4)
HELD = 40
MEGABYTES = 24


@pytest.fixture
def engine(tmp_path):
    """Address and snapshot file of a server as an engine has it, whose main loop promises at once."""
    store = SnapshotStore(tmp_path)
    raw = encode_snapshot_file(UUID, BASE, bytes(range(256)) * (MEGABYTES * 4096))
    store.write(raw, 7, verified=True)
    view: Any = SimpleNamespace(why="", applied_seq=0, cluster_uuid=UUID)
    unused: Any = None
    turnstile = Turnstile()

    def promise(call):
        call.done.set_result(FenceAnswer(1, True, 1, 0, 0, b"", 0, 0))

    fetches = Fetches(1, unused, unused, lambda: view, store)
    address = f"127.0.0.1:{free_ports(1)[0]}"
    made = ReplicationService(1, fetches, turnstile, lambda: view, promise)
    server = start_grpc_server(address, register(made), (), cluster_pb2.GetStatusReply, access=open_guard())
    yield address, raw
    server.stop(0)
    turnstile.close()


def connect(address):
    """A connection of its own."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
    return replication_pb2_grpc.ReplicationStub(grpc.insecure_channel(address, options=options))


def test_a_sequencer_fences_and_a_peer_gets_its_snapshot_while_others_hold_transfers_and_take_nothing(engine):
    address, raw = engine
    held = [connect(address).FetchSnapshot(replication_pb2.FetchSnapshotRequest()) for _ in range(HELD)]
    time.sleep(GIVES_WAY_AFTER_S + 0.5)
    for _ in range(3):
        began_s = time.monotonic()
        assert connect(address).Fence(FENCE, timeout=30).accepted
        assert time.monotonic() - began_s < 0.5
    half = len(raw) // 2
    peer = connect(address)
    rest = list(peer.FetchSnapshot(replication_pb2.FetchSnapshotRequest(seq=7, offset=half), timeout=30))
    assert b"".join(part.chunk for part in rest) == raw[half:]
    assert {(part.seq, part.digest, part.total_bytes) for part in rest} == {(7, BASE.digest, len(raw))}
    assert any(not call.is_active() for call in held), "one gave its place to the peer"
    with pytest.raises(grpc.RpcError, match="no verified snapshot at seq 8"):
        next(peer.FetchSnapshot(replication_pb2.FetchSnapshotRequest(seq=8), timeout=30))
    for call in held:
        call.cancel()


def test_transfers_of_snapshots_are_paced_and_shared_evenly(engine):
    address, raw = engine
    began_s = time.monotonic()
    list(connect(address).FetchSnapshot(replication_pb2.FetchSnapshotRequest(), timeout=60))
    alone_s = time.monotonic() - began_s
    # Of each byte the sending is reckoned, and the pauses are some times that.
    assert alone_s > len(raw) * 4e-9 * (SHARE - 1)
