"""Two real engine processes behind a real media driver; the sequencer and the gateway are played by the test."""

import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from lockstep.engine.pages import account_rows
from lockstep.runtime.topology import LinkKind, inbound_links, outbound_links
from lockstep.runtime.transport import Transport, wait_for_driver
from lockstep.stream.messages import Ack, Release, Stream, decode_any, encode
from lockstep.stream.records import EVENT, CommandKind
from lockstep.v1 import cluster_pb2, cluster_pb2_grpc, common_pb2, replication_pb2, replication_pb2_grpc

ENGINE = Path(__file__).with_name("engine_process.py")
DEADLINE_S = 40


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Rig:
    """Driver, engines, and the links of sequencers 1 and 2 and of gateway 1."""

    def __init__(self, root: Path, sequencer_type: type) -> None:
        self.sequencer_type = sequencer_type
        self.data = root
        base = Path("/dev/shm") if Path("/dev/shm").is_dir() else root
        self.aeron = Path(tempfile.mkdtemp(prefix="lstest-", dir=base)) / "driver"
        self.children: dict[object, subprocess.Popen] = {}
        ports = free_ports(10)
        self.described = {
            "data": str(root),
            "aeron": str(self.aeron),
            "sequencer": [ports[0:2], ports[2:4]],
            "engine": [ports[4:6], ports[6:8]],
            "gateway": [ports[8:10]],
        }
        spec = importlib.util.spec_from_file_location("engine_process", ENGINE)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.topology = module.topology(self.described)
        self.spawn("driver", "-m", "lockstep.runtime.driver", "--dir", str(self.aeron))
        wait_for_driver(self.aeron, DEADLINE_S)
        self.transport = Transport(self.aeron)
        self.acks: list[Ack] = []
        self.released: list[Release] = []
        self.window: list[Stream] = []
        self.out: dict[tuple[int, int], Any] = {}
        self.inbound: list[tuple[Any, list[Any]]] = []
        for sequencer in self.topology.sequencers:
            for (kind, engine), found in outbound_links(self.topology, sequencer).items():
                if kind is LinkKind.STREAM:
                    link = found
                    self.out[sequencer.id, engine] = self.transport.outbound(link, queue_limit_bytes=1 << 24)
            for (kind, _), found in inbound_links(self.topology, sequencer).items():
                if kind is LinkKind.ACK_TO_SEQUENCER:
                    self.inbound.append((self.listen(found), self.acks))
        for (kind, _), found in inbound_links(self.topology, self.topology.gateways[0]).items():
            if kind is LinkKind.RELEASE:
                self.inbound.append((self.listen(found), self.released))
        self.stubs = {}
        self.cluster = {}
        for engine in self.topology.engines:
            channel = grpc.insecure_channel(engine.grpc_address, options=[("grpc.max_reconnect_backoff_ms", 100)])
            self.stubs[engine.id] = replication_pb2_grpc.ReplicationStub(channel)
            self.cluster[engine.id] = cluster_pb2_grpc.ClusterStub(channel)

    def listen(self, found):
        return self.transport.inbound(found)

    def spawn(self, key, *arguments):
        log = (self.data / f"{key}.log").open("ab")
        self.children[key] = subprocess.Popen([sys.executable, *arguments], stdout=log, stderr=log)

    def start(self, engine):
        self.spawn(engine, str(ENGINE), json.dumps(self.described), str(engine))

    def kill(self, engine):
        os.kill(self.children[engine].pid, signal.SIGKILL)
        self.children[engine].wait()

    def send(self, *frames, to=(1, 2)):
        for made in frames:
            self.window.append(made)
            for engine in to:
                self.out[made.sender, engine].send(encode(made))

    def poll(self):
        for link, into in self.inbound:
            link.poll(lambda raw, into=into: into.append(decode_any(raw)), 64)
        for ack in self.acks:
            if ack.rewinds:
                for made in [made for made in self.window if made.batch.first_seq > ack.acked_seq]:
                    newest = self.window[-1]
                    again = replace(made, sender=newest.sender, leader_epoch=newest.leader_epoch)
                    self.out[newest.sender, ack.sender].send(encode(again))
        for link in self.out.values():
            link.flush()
        self.last_acks = self.acks[-20:] or getattr(self, "last_acks", [])
        self.acks.clear()

    def until(self, condition, what):
        give_up = time.monotonic() + DEADLINE_S
        while time.monotonic() < give_up:
            self.poll()
            if condition():
                return
            time.sleep(0.001)
        pytest.fail(f"never happened: {what}\n" + "".join((self.data / f"{n}.log").read_text()[-2000:] for n in (1, 2)))

    def fence(self, engine, epoch, sequencer, uuid="c1a5e000-0000-4000-8000-000000000001"):
        request = replication_pb2.FenceRequest(cluster_uuid=uuid, epoch=epoch, sequencer=sequencer)
        give_up = time.monotonic() + DEADLINE_S
        while True:
            try:
                return self.stubs[engine].Fence(request, timeout=DEADLINE_S, wait_for_ready=True)
            except grpc.RpcError as error:
                # One that is still starting says so, and to come again.
                if error.code() is not grpc.StatusCode.UNAVAILABLE or time.monotonic() > give_up:
                    raise
                time.sleep(0.05)

    def status(self, engine):
        return self.cluster[engine].GetStatus(cluster_pb2.GetStatusRequest(), timeout=DEADLINE_S, wait_for_ready=True)

    def released_through(self, seq):
        return lambda: any(each.last_seq >= seq for each in self.released)

    def at(self, engine, seq, role=None):
        def reached():
            try:
                status = self.status(engine)
            except grpc.RpcError:
                return False
            return status.seq == seq and role in (None, status.role)

        return reached

    def close(self):
        self.transport.close()
        for child in self.children.values():
            if child.poll() is None:
                child.terminate()
        for child in self.children.values():
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        shutil.rmtree(self.aeron.parent, ignore_errors=True)


@pytest.fixture
def rig(tmp_path, new_sequencer):
    made = Rig(tmp_path, new_sequencer)
    yield made
    made.close()


@pytest.fixture
def trading(rig):
    """Both engines fenced for epoch 1; engine 1 is primary; some commands are committed and released."""
    leader = rig.sequencer_type(1)
    for engine in (1, 2):
        rig.start(engine)
    for engine in (1, 2):
        assert rig.fence(engine, 1, 1).accepted
    rig.send(leader.epoch_start(1, 2, primary=1), leader.commands(10), leader.commands(5))
    rig.until(rig.released_through(16), "release of the first commands")
    # The release says what both engines hold; that it is committed a standby reads a frame later.
    rig.until(lambda: all(rig.status(engine).committed_seq == 16 for engine in (1, 2)), "commit known to both engines")
    return rig, leader


def events_of(rig, engine, **request):
    replies = rig.stubs[engine].FetchEvents(replication_pb2.FetchEventsRequest(**request), timeout=DEADLINE_S)
    return np.frombuffer(b"".join(reply.events for reply in replies), dtype=EVENT)


def test_commit_release_queries_and_fetches(trading):
    rig, _ = trading
    released = [each for each in rig.released if each.count]
    assert {each.sender for each in released} == {1}
    assert sum(each.count for each in released) == 16
    assert rig.status(1).digest == rig.status(2).digest
    query = rig.stubs[1].Query(replication_pb2.QueryRequest(accounts_after=0, limit=10), timeout=DEADLINE_S)
    assert len(account_rows(query.account_rows)) == 10
    assert (query.more, query.primary, query.stamp.seq) == (True, True, 16)
    request = replication_pb2.QueryRequest(accounts_after=query.next.account)
    # Another engine goes on where the first one ended.
    rest = rig.stubs[2].Query(request, timeout=DEADLINE_S)
    assert (len(account_rows(rest.account_rows)), rest.more, rest.primary) == (5, False, False)
    events = events_of(rig, 2, after=common_pb2.EventId(seq=5, index=2**32 - 1), to_seq=9)
    assert events["seq"].tolist() == [6, 7, 8, 9]
    with pytest.raises(grpc.RpcError) as refused:
        list(rig.stubs[2].FetchSnapshot(replication_pb2.FetchSnapshotRequest(), timeout=DEADLINE_S))
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND, "the live state is not written for anybody"
    with pytest.raises(grpc.RpcError) as refused:
        rig.fence(2, 5, 2, uuid="5e1f0000-0000-4000-8000-000000000001")
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION


def test_killed_standby_comes_back_as_learner_from_its_peer_and_grows(trading):
    rig, leader = trading
    rig.kill(2)
    rig.send(leader.epoch_start(1, primary=1, epoch=2), leader.commands(20))
    rig.until(rig.released_through(37), "release by the engine that is left")
    # What left the retransmission window has to come from the peer.
    rig.window.clear()
    rig.start(2)
    rig.until(rig.at(2, 37, cluster_pb2.ROLE_LEARNER), "catch-up of engine 2")
    # Epoch 2 begins at seq 17: nothing after it can have been delivered under epoch 1.
    last = common_pb2.EventId(seq=16, index=2**32 - 1)
    assert events_of(rig, 1, after=last, delivered_epoch=1)["seq"].tolist()[0] == 17
    last.seq = 17
    with pytest.raises(grpc.RpcError, match="from seq 17 on is not what was delivered") as diverged:
        events_of(rig, 1, after=last, delivered_epoch=1)
    assert diverged.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    rig.send(leader.control(CommandKind.GROW, member=2), leader.commands(4))
    rig.until(rig.released_through(42), "release of what both have acked")
    rig.until(rig.at(2, 42, cluster_pb2.ROLE_STANDBY), "engine 2 in sync")
    assert rig.status(1).digest == rig.status(2).digest
    assert rig.status(2).incarnation == 2


def test_killed_primary_is_replaced_and_its_divergent_tail_archived(trading):
    rig, leader = trading
    rig.send(leader.commands(3), to=(1,))
    rig.until(rig.at(1, 19), "the tail that only the primary has")
    rig.kill(1)
    tip = rig.fence(2, 2, 2).tip
    assert (tip.seq, tip.epoch) == (16, 1)
    rig.window.clear()
    successor = rig.sequencer_type(2, 2, 17, leader.time_ns)
    rig.send(successor.epoch_start(2, primary=2), successor.commands(8))
    rig.until(rig.released_through(25), "release by the promoted engine")
    assert {each.sender for each in rig.released if each.count and each.first_seq > 16} == {2}
    rig.start(1)
    rig.until(rig.at(1, 25, cluster_pb2.ROLE_LEARNER), "engine 1 with the new history")
    assert rig.status(1).digest == rig.status(2).digest
    (archived,) = (rig.data / "ENGINE-1" / "archive").glob("*.jsonl")
    assert [json.loads(line)["seq"] for line in archived.read_text().splitlines()] == [17, 18, 19]


def test_sigterm_ends_an_engine_in_order_and_a_busy_directory_is_named(trading):
    rig, _ = trading
    second = subprocess.run(
        [sys.executable, str(ENGINE), json.dumps(rig.described), "1"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert second.returncode == 1
    assert "in use by another process" in second.stderr
    assert "Traceback" not in second.stderr
    rig.children[1].terminate()
    assert rig.children[1].wait(5) == 0


def test_stopped_primary_that_wakes_up_in_a_later_reign_gives_its_tail_up(trading):
    rig, leader = trading
    rig.send(leader.commands(3), to=(1,))
    rig.until(rig.at(1, 19), "the tail that only the primary has")
    os.kill(rig.children[1].pid, signal.SIGSTOP)
    try:
        assert rig.fence(2, 2, 2).accepted
        rig.window.clear()
        successor = rig.sequencer_type(2, 2, 17, leader.time_ns)
        rig.send(successor.epoch_start(2, primary=2), successor.commands(8))
        rig.until(rig.released_through(25), "release by the promoted engine")
    finally:
        os.kill(rig.children[1].pid, signal.SIGCONT)
    rig.send(successor.commands(2))
    rig.until(rig.at(1, 27, cluster_pb2.ROLE_LEARNER), "engine 1 with the new history")
    assert rig.status(1).digest == rig.status(2).digest
    assert rig.status(2).role == cluster_pb2.ROLE_PRIMARY
    assert list((rig.data / "ENGINE-1" / "archive").glob("*.batches"))
