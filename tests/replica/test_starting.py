"""What an engine says while it replays."""

import socket
import time
from typing import cast

import grpc
import pytest

from lockstep.replica import starting
from lockstep.replica.starting import Starting
from lockstep.runtime.process_log import open_log
from lockstep.runtime.topology import Member, ProcessKind
from lockstep.v1 import cluster_pb2, cluster_pb2_grpc, replication_pb2, replication_pb2_grpc
from tests.everybody import open_guard


@pytest.fixture
def member() -> Member:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return Member(ProcessKind.ENGINE, 3, "127.0.0.1", probe.getsockname()[1], 1)


def ask(member: Member) -> cluster_pb2.GetStatusReply:
    with grpc.insecure_channel(member.grpc_address) as channel:
        stub = cluster_pb2_grpc.ClusterStub(channel)
        return stub.GetStatus(cluster_pb2.GetStatusRequest(), timeout=30, wait_for_ready=True)


def test_a_long_replay_tells_how_far_it_is_and_leaves_the_address_free(member: Member) -> None:
    with Starting(member, open_log("engine-3"), open_guard()) as one:
        assert "opens its journal" in ask(member).why
        one.on_replayed(250, 1000)
        said = ask(member)
        assert (said.kind, said.member, said.role) == (ENGINE, 3, cluster_pb2.ROLE_LEARNER)
        assert said.why == "starting: it has replayed seq 250 of 1000 (25 %)"
        assert (said.journal.replayed_seq, said.journal.replay_to_seq) == (250, 1000)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", member.grpc_port))


METHODS = [
    ("Fence", replication_pb2.FenceRequest(cluster_uuid="u", epoch=1, sequencer=1)),
    ("Query", replication_pb2.QueryRequest(session_id=1)),
    ("FetchJournal", replication_pb2.FetchJournalRequest(from_seq=1)),
    ("FetchEvents", replication_pb2.FetchEventsRequest()),
    ("FetchSnapshot", replication_pb2.FetchSnapshotRequest()),
]


def test_who_wants_more_than_the_status_is_told_to_come_again(member: Member) -> None:
    every = replication_pb2.DESCRIPTOR.services_by_name["Replication"].methods
    assert {name for name, _ in METHODS} == {method.name for method in every}, "a method has no answer here"
    with (
        Starting(member, open_log("engine-3"), open_guard()) as one,
        grpc.insecure_channel(member.grpc_address) as channel,
    ):
        ask(member)
        one.on_replayed(1, 4)
        stubs = replication_pb2_grpc.ReplicationStub(channel), cluster_pb2_grpc.ClusterStub(channel)
        for stub, name, request in (
            *((stubs[0], name, request) for name, request in METHODS),
            (stubs[1], "TakeSnapshot", cluster_pb2.TakeSnapshotRequest()),
            (stubs[1], "Reinit", cluster_pb2.ReinitRequest()),
        ):
            with pytest.raises(grpc.RpcError) as refused:
                list(getattr(stub, name)(request, timeout=30))
            error = cast(grpc.Call, refused.value)
            assert error.code() is grpc.StatusCode.UNAVAILABLE, name
            assert error.details() == "engine-3 is starting: it has replayed seq 1 of 4 (25 %); ask again"


ENGINE = cluster_pb2.PROCESS_KIND_ENGINE


def test_a_start_that_is_over_at_once_opens_nothing(member: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    monkeypatch.setattr(starting, "start_grpc_server", lambda *_args, **_options: opened.append(1))
    with Starting(member, open_log("engine-3"), open_guard()) as one:
        one.on_replayed(1, 1)
    time.sleep(0.7)
    assert not opened


def test_an_address_that_is_taken_does_not_disturb_the_replay(member: Member) -> None:
    with (
        socket.create_server(("127.0.0.1", member.grpc_port)),
        Starting(member, open_log("engine-3"), open_guard()) as one,
    ):
        time.sleep(0.8)
        one.on_replayed(1, 2)
