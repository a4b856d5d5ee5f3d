"""Whoever holds calls of a server and does nothing with them costs the others nothing."""

import contextlib
import gc
import threading
import time
from concurrent.futures import Future

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from lockstep.ops.local.ports import free_ports
from lockstep.runtime import call_guard
from lockstep.runtime.places import Limit
from lockstep.runtime.process import start_grpc_server
from lockstep.stream.codes import Code
from lockstep.v1 import cluster_pb2, cluster_pb2_grpc, replication_pb2, replication_pb2_grpc
from tests.everybody import open_guard

BIG = 1 << 20
HELD = 80
"""More than there are threads in any process, or were."""


class Replication(replication_pb2_grpc.ReplicationServicer):
    """Streams megabytes for as long as somebody takes them."""

    def __init__(self) -> None:
        self.open = 0
        self.begun = 0

    async def Fence(self, _request, _context):  # noqa: N802
        return replication_pb2.FenceReply(accepted=True)

    async def FetchSnapshot(self, request, _context):  # noqa: N802
        self.open += 1
        self.begun += 1
        try:
            for _ in range(request.seq or 1_000):
                yield replication_pb2.FetchSnapshotReply(chunk=bytes(BIG))
        finally:
            self.open -= 1


class Served:
    """A server as engines and sequencers have it, with a slow operation."""

    def __init__(self) -> None:
        self.address = f"127.0.0.1:{free_ports(1)[0]}"
        self.replication = Replication()
        self.go = threading.Event()
        self.running: list[threading.Thread] = []
        self.left: list[bool] = []
        self.server = start_grpc_server(
            self.address,
            lambda server: replication_pb2_grpc.add_ReplicationServicer_to_server(self.replication, server),
            ("lockstep.v1.Replication",),
            cluster_pb2.GetStatusReply,
            operations={"TakeSnapshot": self.take, "Reinit": self.refuse, "SetAckPolicy": self.refuse_late},
            access=open_guard(),
        )
        self._stack = contextlib.ExitStack()

    def take(self, _request, context):
        self.running.append(threading.current_thread())
        self.go.wait(10)
        self.left.append(not context.is_active())
        return cluster_pb2.TakeSnapshotReply()

    def refuse(self, _request, context):
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"within {context.time_remaining():.0f} s")

    def refuse_late(self, _request, context):
        """Once nobody waits any more."""
        self.running.append(threading.current_thread())
        while context.is_active():
            time.sleep(0.01)
        self.left.append(True)
        context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "too late")

    def channel(self) -> grpc.Channel:
        """A connection of its own."""
        return self._stack.enter_context(
            grpc.insecure_channel(self.address, options=[("grpc.use_local_subchannel_pool", 1)])
        )

    def assert_answers(self) -> None:
        channel = self.channel()
        began_s = time.monotonic()
        cluster_pb2_grpc.ClusterStub(channel).GetStatus(cluster_pb2.GetStatusRequest(), timeout=30)
        stub = replication_pb2_grpc.ReplicationStub(channel)
        assert stub.Fence(replication_pb2.FenceRequest(epoch=1), timeout=30).accepted
        assert time.monotonic() - began_s < 2

    def close(self) -> None:
        self.go.set()
        self._stack.close()
        self.server.stop(0)


@pytest.fixture
def served():
    made = Served()
    yield made
    made.close()


@contextlib.contextmanager
def silence():
    """Requests of a caller that opens a call and sends nothing."""
    over = threading.Event()

    def nothing():
        over.wait(60)
        yield from ()

    yield nothing
    over.set()


def refusal(call, *, stream: bool = True) -> tuple[grpc.StatusCode, str, str]:
    """How a call ended: status, code, and after how long it may be tried again, without what is added by chance."""
    with contextlib.suppress(grpc.RpcError):
        if stream:
            list(call)
    said = dict(call.trailing_metadata() or ())
    pause = said.get("lockstep-retry-after-ms", "")
    spread = pause.isdigit() and 100 <= int(pause) < 200
    return call.code(), said.get("lockstep-code", ""), "100" if spread else pause


BUSY = (grpc.StatusCode.RESOURCE_EXHAUSTED, str(int(Code.BUSY)), "100")


def until(true, seconds: float = 10.0) -> None:
    deadline_s = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert true()


@pytest.mark.parametrize(
    "path",
    [
        "/lockstep.v1.Replication/Fence",
        "/lockstep.v1.Replication/FetchSnapshot",
        "/lockstep.v1.Cluster/GetStatus",
        "/lockstep.v1.Cluster/TakeSnapshot",
        "/grpc.health.v1.Health/Watch",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ],
)
def test_calls_that_never_say_what_they_ask_for_hold_nobody_up(served, path):
    with silence() as nothing:
        for _ in range(4):
            channel = served.channel()
            for _ in range(HELD // 4):
                channel.stream_stream(path)(nothing())
        time.sleep(0.3)
        served.assert_answers()


def test_streams_whose_replies_nobody_takes_hold_nobody_up(served):
    calls = [
        replication_pb2_grpc.ReplicationStub(served.channel()).FetchSnapshot(replication_pb2.FetchSnapshotRequest())
        for _ in range(HELD)
    ]
    time.sleep(0.3)
    served.assert_answers()
    most = call_guard.LIMITS["/lockstep.v1.Replication/FetchSnapshot"].at_once
    # One that gives its place up may end a moment behind the one that gets it.
    until(lambda: 0 < served.replication.open <= most)
    for call in calls:
        call.cancel()
    until(lambda: served.replication.open == 0)


def test_operations_that_take_long_are_a_few_and_leave_the_rest_to_others(served):
    stubs = [cluster_pb2_grpc.ClusterStub(served.channel()) for _ in range(HELD)]
    calls = [stub.TakeSnapshot.future(cluster_pb2.TakeSnapshotRequest(), timeout=20) for stub in stubs]
    until(lambda: sum(call.done() for call in calls) == HELD - call_guard.OPERATION_LIMIT.at_once)
    served.assert_answers()
    assert len(set(served.running)) == call_guard.OPERATION_LIMIT.at_once
    assert {refusal(call, stream=False) for call in calls if call.done()} == {BUSY}
    served.go.set()
    until(lambda: all(call.done() for call in calls))
    assert sum(call.code() is grpc.StatusCode.OK for call in calls) == call_guard.OPERATION_LIMIT.at_once


def test_an_operation_whose_caller_has_gone_is_told_so_and_keeps_its_place_until_it_ends(served):
    stub = cluster_pb2_grpc.ClusterStub(served.channel())
    calls = [stub.TakeSnapshot.future(cluster_pb2.TakeSnapshotRequest()) for _ in range(2)]
    until(lambda: len(served.running) == 2)
    for call in calls:
        call.cancel()
    assert refusal(stub.TakeSnapshot.future(cluster_pb2.TakeSnapshotRequest()), stream=False) == BUSY
    served.go.set()
    until(lambda: served.left == [True, True])
    stub.TakeSnapshot(cluster_pb2.TakeSnapshotRequest(), timeout=30)


def test_what_an_operation_refuses_is_told(served):
    stub = cluster_pb2_grpc.ClusterStub(served.channel())
    with pytest.raises(grpc.RpcError) as failed:
        stub.Reinit(cluster_pb2.ReinitRequest(), timeout=30)
    assert (failed.value.code(), failed.value.details()) == (grpc.StatusCode.FAILED_PRECONDITION, "within 30 s")


def test_a_call_that_says_nothing_is_ended_after_its_time_and_one_that_ends_without_a_word_at_once(served, monkeypatch):
    monkeypatch.setattr(call_guard, "FIRST_MESSAGE_S", 0.5)
    open_call = served.channel().stream_stream("/lockstep.v1.Replication/Fence")
    with silence() as nothing:
        began_s = time.monotonic()
        assert refusal(open_call(nothing())) == BUSY
        assert 0.4 < time.monotonic() - began_s < 5
    delivered = refusal(open_call(iter(())))
    assert delivered == (grpc.StatusCode.INVALID_ARGUMENT, str(int(Code.MALFORMED_BATCH)), "0")


def test_of_too_many_calls_that_say_nothing_the_oldest_is_given_up(served, monkeypatch):
    monkeypatch.setattr(call_guard, "MAX_MUTE", 3)
    open_call = served.channel().stream_stream("/lockstep.v1.Replication/Fence")
    with silence() as nothing:
        calls = []
        for _ in range(4):
            calls.append(open_call(nothing()))
            time.sleep(0.1)
        assert refusal(calls[0]) == BUSY
        assert [call.is_active() for call in calls[1:]] == [True, True, True]


def test_a_stream_of_which_nothing_is_taken_is_ended_and_its_code_with_it(served, monkeypatch):
    monkeypatch.setattr(call_guard, "STALLED_S", 0.5)
    stub = replication_pb2_grpc.ReplicationStub(served.channel())
    call = stub.FetchSnapshot(replication_pb2.FetchSnapshotRequest())
    until(lambda: served.replication.open == 1)
    until(lambda: served.replication.open == 0, 5)
    assert refusal(call) == BUSY, "it hears so as soon as somebody takes what came before"
    # A connection's buffers hold several megabytes, and are filled again when half of them was taken.
    monkeypatch.setattr(call_guard, "STALLED_S", 2)
    whole = stub.FetchSnapshot(replication_pb2.FetchSnapshotRequest(seq=60))
    slowly = 0
    for _ in whole:
        time.sleep(0.06)
        slowly += 1
    assert slowly == 60, "one that is slow is not one that does nothing"


def test_a_refusal_that_nobody_waits_for_any_more_leaves_no_traceback(served, caplog):
    # What other tests of this process left behind says its last words before, not in between.
    gc.collect()
    caplog.clear()
    with grpc.insecure_channel(served.address) as channel:
        call = cluster_pb2_grpc.ClusterStub(channel).SetAckPolicy.future(cluster_pb2.SetAckPolicyRequest())
        until(lambda: served.running)
        call.cancel()
    until(lambda: served.left)
    time.sleep(0.1)
    gc.collect()
    assert [record.getMessage() for record in caplog.records] == []


def test_one_that_takes_nothing_and_goes_leaves_no_traceback(served, monkeypatch, caplog):
    monkeypatch.setattr(call_guard, "STALLED_S", 0.2)
    stub = replication_pb2_grpc.ReplicationStub(served.channel())
    for gone in range(1, 4):
        call = stub.FetchSnapshot(replication_pb2.FetchSnapshotRequest())
        until(lambda gone=gone: served.replication.begun == gone)
        until(lambda: served.replication.open == 0, 5)
        call.cancel()
        served.assert_answers()
    assert caplog.records == []


def test_a_reflection_stream_that_asks_nothing_is_ended_and_one_that_asks_is_served(served, monkeypatch):
    monkeypatch.setattr(call_guard, "STALLED_S", 0.5)
    stub = reflection_pb2_grpc.ServerReflectionStub(served.channel())
    with silence() as nothing:

        def one_then_nothing():
            yield reflection_pb2.ServerReflectionRequest(list_services="")
            yield from nothing()

        call = stub.ServerReflectionInfo(one_then_nothing())
        names = {service.name for service in next(call).list_services_response.service}
        assert "lockstep.v1.Replication" in names
        assert refusal(call) == BUSY


def test_who_takes_nothing_gives_its_place_to_who_does(served, monkeypatch):
    monkeypatch.setitem(call_guard.LIMITS, "/lockstep.v1.Replication/FetchSnapshot", Limit(2, 2))
    monkeypatch.setattr("lockstep.runtime.places.GIVES_WAY_AFTER_S", 0.3)
    idle = []
    for taken in (1, 2):
        stub = replication_pb2_grpc.ReplicationStub(served.channel())
        idle.append(stub.FetchSnapshot(replication_pb2.FetchSnapshotRequest()))
        until(lambda taken=taken: served.replication.open == taken)
    time.sleep(0.6)
    honest = replication_pb2_grpc.ReplicationStub(served.channel())
    assert len(list(honest.FetchSnapshot(replication_pb2.FetchSnapshotRequest(seq=20), timeout=30))) == 20
    # Which of the two is up to the connections, which go on to fill their windows for a while. The other goes on.
    ends = [refusal(call) for call in idle]
    assert [end for end in ends if end[0] is not grpc.StatusCode.OK] == [BUSY]


def test_status_that_a_loop_has_to_make_is_made_once_for_all_who_ask_meanwhile():
    asked: list[Future] = []

    def status():
        asked.append(Future())
        return asked[-1]

    address = f"127.0.0.1:{free_ports(1)[0]}"
    server = start_grpc_server(address, lambda _server: None, (), status, access=open_guard())
    try:
        with grpc.insecure_channel(address) as channel:
            stub = cluster_pb2_grpc.ClusterStub(channel)
            calls = [stub.GetStatus.future(cluster_pb2.GetStatusRequest(), timeout=30) for _ in range(50)]
            until(lambda: bool(asked))
            calls[0].cancel()
            time.sleep(0.3)
            assert len(asked) == 1
            asked[0].set_result(cluster_pb2.GetStatusReply(pid=7))
            assert {call.result(5).pid for call in calls[1:]} == {7}
            late = stub.GetStatus.future(cluster_pb2.GetStatusRequest(), timeout=30)
            until(lambda: len(asked) == 2)
            with pytest.raises(grpc.RpcError) as failed:
                late.result(10)
            assert failed.value.code() is grpc.StatusCode.UNAVAILABLE, "the loop does not answer"
            again = stub.GetStatus.future(cluster_pb2.GetStatusRequest(), timeout=30)
            until(lambda: len(asked) == 3)
            asked[2].set_result(cluster_pb2.GetStatusReply(pid=8))
            assert again.result(5).pid == 8
    finally:
        server.stop(0)


def test_a_server_that_ends_with_calls_held_frees_its_address(served):
    with silence() as nothing:
        served.channel().stream_stream("/lockstep.v1.Replication/Fence")(nothing())
        stub = replication_pb2_grpc.ReplicationStub(served.channel())
        call = stub.FetchSnapshot(replication_pb2.FetchSnapshotRequest())
        until(lambda: served.replication.open == 1)
        began_s = time.monotonic()
        served.server.stop(0.2)
        assert time.monotonic() - began_s < 5
        call.cancel()
    server = start_grpc_server(
        served.address, lambda _server: None, (), cluster_pb2.GetStatusReply, access=open_guard()
    )
    server.stop(0)
