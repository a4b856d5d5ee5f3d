"""Two real sequencer processes, real etcd, real Aeron; the engines are fakes that speak the real protocol."""

import json
import os
import pickle
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from lockstep.ops.local.etcd_server import LocalEtcd
from lockstep.runtime.driver import claim_path
from lockstep.runtime.topology import LinkKind, Member, ProcessKind, Timing, Topology
from lockstep.runtime.transport import DriverUnavailable, Transport, wait_for_driver
from lockstep.runtime.watch import WatchServer
from lockstep.sequencer.events import EpochCause
from lockstep.stream.messages import Receipt, Submit, decode, encode
from lockstep.stream.records import COMMAND, CommandKind
from lockstep.v1 import cluster_pb2, cluster_pb2_grpc

FAKE_ENGINE = Path(__file__).with_name("fake_engine.py")
RUN_SEQUENCER = (
    "import pickle, sys; from pathlib import Path; from lockstep.sequencer.process import run; "
    "from lockstep.runtime.topology import ProcessKind; topology = pickle.loads(Path(sys.argv[1]).read_bytes()); "
    "sys.exit(run(topology, topology.member(ProcessKind.SEQUENCER, int(sys.argv[2]))))"
)


def free_ports(count: int) -> list[int]:
    """TCP ports nobody uses at the moment."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Gateway:
    """The test's own end of the SUBMIT and RECEIPT links."""

    def __init__(self, topology: Topology) -> None:
        me = topology.gateways[0]
        self.transport = Transport(topology.aeron_dir)
        self.watch = WatchServer(me.host, me.watch_port, me.id, incarnation=9)
        self.submits: dict[int, Any] = {}
        self.receipts: dict[int, Any] = {}
        for peer in topology.sequencers:
            out, back = topology.link(LinkKind.SUBMIT, me, peer), topology.link(LinkKind.RECEIPT, peer, me)
            self.submits[peer.id] = self.transport.outbound(out, queue_limit_bytes=1 << 20)
            self.receipts[peer.id] = self.transport.inbound(back)
        self.last: dict[int, Receipt] = {}
        self.first_open_ns: dict[int, int] = {}

    def poll(self) -> None:
        """Read receipts, and say on the liveness links that this is incarnation 9."""
        self.watch.poll(time.monotonic_ns())
        for sequencer, link in self.receipts.items():
            link.poll(lambda raw, sequencer=sequencer: self.on_receipt(sequencer, decode(raw, Receipt)), 64)

    def on_receipt(self, sequencer: int, receipt: Receipt) -> None:
        """Remember the newest, and when each reign was first seen open."""
        self.last[sequencer] = receipt
        if receipt.opens:
            self.first_open_ns.setdefault(receipt.reign, time.monotonic_ns())

    def wait(self, condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
        """Poll until something holds."""
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, f"waited without effect; last receipts {self.last}"
            self.poll()
            time.sleep(0.0002)

    def submit(self, sequencer: int, first: int, count: int) -> None:
        """Send commands under the reign that the sequencer's receipts name."""
        receipt = self.last[sequencer]
        records = np.zeros(count, COMMAND)
        records["kind"], records["gateway"] = CommandKind.NEW_ORDER, 1
        sent = Submit(
            sender=1, view_epoch=receipt.epoch, reign=receipt.reign, first_link_no=first, incarnation=9,
            administrative=False, records=records,
        )  # fmt: skip
        assert self.submits[sequencer].send(encode(sent))


class Cluster:
    """Processes of one test."""

    def __init__(self, directory: Path, endpoint: str) -> None:
        ports = iter(free_ports(10))

        def member(kind: ProcessKind, number: int) -> Member:
            return Member(kind, number, "127.0.0.1", grpc_port=next(ports), watch_port=next(ports))

        self.aeron_dir = Path("/dev/shm") / f"lockstep-test-{os.getpid()}-{directory.name}"
        self.topology = Topology(
            name=directory.name,
            etcd_endpoints=(endpoint,),
            aeron_dir=self.aeron_dir,
            sequencers=tuple(member(ProcessKind.SEQUENCER, number) for number in (1, 2)),
            engines=tuple(member(ProcessKind.ENGINE, number) for number in (1, 2)),
            gateways=(member(ProcessKind.GATEWAY, 1),),
            timing=Timing(tick_ms=0),
        )
        self.file = directory / "topology.pickle"
        self.file.write_bytes(pickle.dumps(self.topology))
        self.directory = directory
        self.processes: dict[str, subprocess.Popen[str]] = {}
        self.said: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.spawn("driver", "-m", "lockstep.runtime.driver", "--dir", str(self.aeron_dir))
        try:
            wait_for_driver(self.aeron_dir, 60)
        except DriverUnavailable:
            self.close()
            raise

    def spawn(self, name: str, *arguments: str) -> None:
        """Start a Python process; its log goes to a file."""
        with (self.directory / f"{name}.log").open("a") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=log, text=True
            )

    def start_engine(self, number: int) -> None:
        """Start a fake engine and listen to what it says."""
        name = f"engine-{number}"
        self.spawn(name, str(FAKE_ENGINE), str(self.file), str(number))
        stream = self.processes[name].stdout
        assert stream is not None

        def listen() -> None:
            for line in stream:
                self.said.put({"engine": number, **json.loads(line)})

        threading.Thread(target=listen, daemon=True).start()

    def start_sequencer(self, number: int) -> None:
        """Start a real sequencer."""
        self.spawn(f"sequencer-{number}", "-c", RUN_SEQUENCER, str(self.file), str(number))

    def kill(self, name: str) -> int:
        """kill -9; returns the monotonic time of it."""
        at_ns = time.monotonic_ns()
        process = self.processes.pop(name)
        process.kill()
        process.wait()
        return at_ns

    def hears(self, engine: int, **wanted: Any) -> dict[str, Any]:
        """Wait until an engine says a control record with these fields."""
        end = time.monotonic() + 30
        heard = []
        while time.monotonic() < end:
            try:
                said = self.said.get(timeout=0.2)
            except queue.Empty:
                continue
            heard.append(said)
            if said["engine"] == engine and all(said.get(name) == value for name, value in wanted.items()):
                return said
        raise AssertionError(f"engine {engine} never said {wanted}; heard {heard}; logs in {self.directory}")

    def stub(self, sequencer: int) -> Any:
        """Cluster service of a sequencer."""
        address = self.topology.member(ProcessKind.SEQUENCER, sequencer).grpc_address
        return cluster_pb2_grpc.ClusterStub(grpc.insecure_channel(address))

    def status(
        self, sequencer: int, wanted: Callable[[cluster_pb2.GetStatusReply], bool]
    ) -> cluster_pb2.GetStatusReply:
        """Ask a sequencer for its status until it is as wanted."""
        end = time.monotonic() + 30
        stub, reply = self.stub(sequencer), None
        while time.monotonic() < end:
            reply = stub.GetStatus(cluster_pb2.GetStatusRequest(), wait_for_ready=True, timeout=30)
            if wanted(reply):
                return reply
            time.sleep(0.02)
        raise AssertionError(f"sequencer {sequencer} never came to the wanted status; last {reply}")

    def close(self) -> None:
        """End everything that is left."""
        for process in reversed(self.processes.values()):
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(3)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.aeron_dir, ignore_errors=True)
        claim_path(self.aeron_dir).unlink(missing_ok=True)


@pytest.fixture(scope="module")
def etcd() -> Iterator[LocalEtcd]:
    """One disposable etcd for the module."""
    with tempfile.TemporaryDirectory() as directory, LocalEtcd.start(Path(directory)) as server:
        yield server


@pytest.fixture
def cluster(etcd: LocalEtcd, tmp_path: Path) -> Iterator[Cluster]:
    """Two fake engines and two sequencers, of which the first leads."""
    directory = Path(tempfile.mkdtemp(dir=tmp_path))
    made = Cluster(directory, etcd.endpoint)
    try:
        for number in (1, 2):
            made.start_engine(number)
            made.hears(number, kind="READY")
        # One after the other: on a busy machine the second may have started first, and would lead.
        made.start_sequencer(1)
        made.status(1, lambda reply: reply.role == cluster_pb2.ROLE_LEADER)
        made.start_sequencer(2)
        made.status(2, lambda _: True)
        yield made
    finally:
        made.close()


@pytest.fixture
def gateway(cluster: Cluster) -> Iterator[Gateway]:
    """A gateway that has seen sequencer 1 open."""
    made = Gateway(cluster.topology)
    try:
        made.wait(lambda: 1 in made.last and made.last[1].opens)
        made.wait(lambda: made.watch.watchers == len(cluster.topology.sequencers))
        heard_s = time.monotonic() + 0.1  # several heartbeats
        made.wait(lambda: time.monotonic() > heard_s)
        yield made
    finally:
        made.watch.close()
        made.transport.close()


def test_cluster_survives_the_death_of_leader_and_primary(cluster: Cluster, gateway: Gateway) -> None:
    start = cluster.hears(1, kind="EPOCH_START")
    assert (start["epoch"], start["primary"], start["in_sync"], start["sequencer"]) == (1, 1, [1, 2], 1)
    gateway.submit(1, 1, 100)
    gateway.submit(1, 101, 50)
    gateway.wait(lambda: gateway.last[1].next_link_no == 151 and gateway.last[1].committed_seq == 151)
    status = cluster.status(2, lambda reply: "sequencer 1 leads" in reply.why)
    assert status.role == cluster_pb2.ROLE_CANDIDATE

    # An operator switches the primary; only the leader can.
    with pytest.raises(grpc.RpcError) as refused:
        cluster.stub(2).SwitchPrimary(cluster_pb2.SwitchPrimaryRequest(to=2))
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "sequencer 1 leads" in refused.value.details()
    reply = cluster.stub(1).SwitchPrimary(cluster_pb2.SwitchPrimaryRequest())
    assert (reply.primary, reply.stamp.epoch) == (2, 2)
    said = cluster.hears(1, kind="EPOCH_START", epoch=2)
    assert (said["primary"], said["in_sync"]) == (2, [1, 2])
    time.sleep(0.3)

    killed_ns = cluster.kill("sequencer-1")
    gateway.wait(lambda: 3 in gateway.first_open_ns)
    takeover_ms = (gateway.first_open_ns[3] - killed_ns) / 1e6
    said = cluster.hears(1, kind="EPOCH_START", epoch=3)
    assert (said["sequencer"], said["primary"], said["seq"], said["cause"]) == (2, 2, 153, EpochCause.SEQUENCER_LOST)
    gateway.submit(2, 1, 10)
    gateway.wait(lambda: gateway.last[2].committed_seq == 163)

    killed_ns = cluster.kill("engine-2")
    said = cluster.hears(1, kind="EPOCH_START", epoch=4)
    promotion_ms = (said["at_ns"] - killed_ns) / 1e6
    assert (said["primary"], said["in_sync"], said["cause"]) == (1, [1], EpochCause.PRIMARY_LOST)
    assert said["seqs_contiguous"]
    assert said["times_rise"]
    gateway.submit(2, 11, 5)
    gateway.wait(lambda: gateway.last[2].committed_seq == 169)
    # How fast that is, `lockstep bench failover` measures; here the machine may be busy with anything.
    print(f"takeover of the sequencer {takeover_ms:.1f} ms, promotion of the standby {promotion_ms:.1f} ms")

    # A sequencer that comes back finds a leader and stays a candidate.
    cluster.start_sequencer(1)
    status = cluster.status(1, lambda reply: "sequencer 2 leads" in reply.why)
    assert (status.role, status.epoch, list(status.learners)) == (cluster_pb2.ROLE_CANDIDATE, 4, [2])
    # An engine comes back with what its peer has journaled, and grows in again.
    cluster.start_engine(2)
    grown = cluster.hears(2, kind="GROW")
    assert grown["member"] == 2
    cluster.status(2, lambda reply: list(reply.in_sync) == [1, 2])


def ask(call: Callable[..., Any], request: Any) -> Any:
    """As an operator does, who has to try again where etcd is slow."""
    end = time.monotonic() + 30
    while True:
        try:
            return call(request)
        except grpc.RpcError as error:
            if "try again" not in (error.details() or "") or time.monotonic() > end:
                raise


def test_operator_commands_reach_etcd_stream_status_and_history(cluster: Cluster, gateway: Gateway) -> None:
    gateway.submit(1, 1, 10)
    gateway.wait(lambda: gateway.last[1].committed_seq == 11)
    leader, candidate = cluster.stub(1), cluster.stub(2)
    reply = ask(leader.SetAckPolicy, cluster_pb2.SetAckPolicyRequest(policy=cluster_pb2.ACK_POLICY_REPLICATED))
    assert (reply.epoch, reply.seq) == (2, 12)
    assert cluster.hears(1, kind="EPOCH_START", epoch=2)["cause"] == EpochCause.ACK_POLICY_CHANGED
    assert ask(leader.SetAutomaticFailover, cluster_pb2.SetAutomaticFailoverRequest(enabled=False)).epoch == 2
    reply = ask(leader.FenceMember, cluster_pb2.FenceMemberRequest(member=1, fenced=True))
    assert cluster.hears(2, kind="EPOCH_START", epoch=3)["in_sync"] == [2]
    for sequencer in (1, 2):
        status = cluster.status(sequencer, lambda reply: reply.epoch == 3)
        assert (status.ack_policy, status.paused, list(status.fenced)) == (1, True, [1])
    views = {view.member: view for view in cluster.status(1, lambda reply: len(reply.engines) == 2).engines}
    assert "fenced" in views[1].why_not_eligible
    assert "is the primary" in views[2].why_not_eligible
    with pytest.raises(grpc.RpcError) as refused:
        leader.FenceMember(cluster_pb2.FenceMemberRequest(member=2, fenced=True))
    assert "last one in sync" in refused.value.details()
    with pytest.raises(grpc.RpcError) as refused:
        candidate.ForceFailover(cluster_pb2.ForceFailoverRequest(to=1))
    assert "accept_data_loss" in refused.value.details()

    # The only in-sync engine dies, and nobody may go on without it but on an operator's word.
    cluster.kill("engine-2")
    reply = ask(candidate.ForceFailover, cluster_pb2.ForceFailoverRequest(to=1, accept_data_loss=True))
    said = cluster.hears(1, kind="EPOCH_START", epoch=reply.epoch)
    assert (said["in_sync"], said["sequencer"], said["cause"]) == ([1], 2, EpochCause.DATA_LOSS_ACCEPTED)
    end = time.monotonic() + 30
    while True:
        history = leader.GetHistory(cluster_pb2.GetHistoryRequest(from_epoch=2)).entries
        if [entry.cause for entry in history] == ["ACK_POLICY_CHANGED", "MEMBER_FENCED", "DATA_LOSS_ACCEPTED"]:
            break
        assert time.monotonic() < end, history
        time.sleep(0.05)
    assert history[-1].gap_ns > 0


@pytest.mark.slow
def test_leader_that_was_stopped_finds_its_successor_and_does_no_harm(cluster: Cluster, gateway: Gateway) -> None:
    process = cluster.processes["sequencer-1"]
    process.send_signal(signal.SIGSTOP)
    gateway.wait(lambda: 2 in gateway.first_open_ns)
    process.send_signal(signal.SIGCONT)
    cluster.status(1, lambda reply: reply.role == cluster_pb2.ROLE_CANDIDATE and reply.epoch == 2)
    gateway.submit(2, 1, 10)
    gateway.wait(lambda: gateway.last[2].committed_seq == gateway.last[2].next_link_no + 1)


def test_unreachable_etcd_is_one_clear_message_and_exit_code_1(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    cluster = Cluster(Path(tempfile.mkdtemp(dir=tmp_path)), f"127.0.0.1:{port}")
    try:
        ended = subprocess.run(
            [sys.executable, "-c", RUN_SEQUENCER, str(cluster.file), "1"],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    finally:
        cluster.close()
    assert ended.returncode == 1
    assert f"etcd does not answer at 127.0.0.1:{port}" in ended.stderr
    assert "Traceback" not in ended.stderr, ended.stderr
