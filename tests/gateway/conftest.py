"""A gateway as it runs in production, and behind it a small cluster in this process.

The cluster is one thread that plays the leading sequencer and the primary engine: real Aeron links, real frames, the
real reference engine, a real gRPC server for queries and events. Nothing is replicated and everything commits at once,
so a test can say exactly what a gateway sees: a new reign, a lost frame, a release that never comes.
"""

from __future__ import annotations

import itertools
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
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import uvloop

from lockstep.engine.reference import ReferenceEngine
from lockstep.gateway.process import serve
from lockstep.replica.answers import answer_query
from lockstep.replica.fetches import FIRST_SEQ_KEY
from lockstep.runtime.driver import claim_path, default_directory
from lockstep.runtime.process import SERVER_OPTIONS, StopRequest
from lockstep.runtime.topology import LinkKind, Member, ProcessKind, Timing, Topology
from lockstep.runtime.transport import Transport, wait_for_driver
from lockstep.stream.batch import Batch, stamp_batch
from lockstep.stream.messages import Receipt, Release, Submit, decode, encode
from lockstep.stream.records import ADMIN, COMMAND, CONTROL, EVENT, AccountFlag, CommandKind
from lockstep.v1 import (
    accounts_pb2_grpc,
    cluster_pb2,
    cluster_pb2_grpc,
    common_pb2,
    market_data_pb2_grpc,
    orders_pb2,
    orders_pb2_grpc,
    replication_pb2,
    replication_pb2_grpc,
)

ACME, ALICE, BOB = 7, 1, 2
RECEIPT_NS = 5_000_000
LIMIT_S = 30.0
"""How long a test waits for what has to come. Nothing is measured by it: a busy machine may need much of it."""
_gateway_ids = itertools.count(1)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@pytest.fixture(scope="module")
def aeron_dir() -> Iterator[Path]:
    base = Path(tempfile.mkdtemp(prefix="lockstep-gw-", dir=default_directory("x").parent))
    directory = base / "aeron"
    process = subprocess.Popen(
        [sys.executable, "-m", "lockstep.runtime.driver", "--dir", str(directory), "--max-park-us", "100"]
    )
    try:
        wait_for_driver(directory, 10)
        yield directory
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)
        claim_path(directory).unlink(missing_ok=True)
        shutil.rmtree(base)


class Replication(replication_pb2_grpc.ReplicationServicer):
    def __init__(self, cluster: StubCluster) -> None:
        self._cluster = cluster

    def Query(self, request: Any, _context: Any) -> Any:  # noqa: N802
        with self._cluster.lock:
            reply = answer_query(request, self._cluster.engine)
            reply.stamp.epoch, reply.stamp.seq = self._cluster.epoch, self._cluster.engine.last_seq
            if request.WhichOneof("query") == "delivered":
                reply.diverged_at = self._cluster.diverged_at
        reply.primary = True
        self._cluster.queries.append(request.WhichOneof("query"))
        return reply

    def FetchEvents(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.after.seq < self._cluster.cut_after:
            context.set_trailing_metadata(((FIRST_SEQ_KEY, str(self._cluster.cut_after + 1)),))
            context.abort(grpc.StatusCode.OUT_OF_RANGE, "cut")
        with self._cluster.lock:
            events = self._cluster.history()
            committed, epoch = self._cluster.engine.last_seq, self._cluster.epoch
        to_seq = min(request.to_seq or committed, committed)
        after = (events["seq"] > request.after.seq) | (
            (events["seq"] == request.after.seq) & (events["index"] > request.after.index)
        )
        wanted = after & (events["seq"] <= to_seq)
        if request.session_id:
            mine = (events["session_id"] == request.session_id) | (events["maker_session_id"] == request.session_id)
            wanted &= mine & (events["kind"] < 192)
        self._cluster.fetches.append((request.after.seq, request.to_seq, request.session_id))
        for part in np.array_split(events[wanted], 3):
            if len(part):
                yield replication_pb2.FetchEventsReply(
                    epoch=epoch, events=part.tobytes(), through_seq=int(part["seq"][-1]) - 1
                )
        yield replication_pb2.FetchEventsReply(epoch=epoch, through_seq=to_seq, committed_seq=committed)


class StubCluster:
    """Sequencers 1 and 2 and engine 1. Attributes that tests set take effect at once."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.engine = ReferenceEngine()
        self.lock = threading.RLock()
        self.epoch = 0
        self.reign = 0
        self.leader = 0
        self.credit = 65_536
        self.lose_submits = 0
        self.lose_releases = 0
        self.cut_after = 0
        """Events of seqs up to this one can't be fetched any more."""
        self.diverged_at = 0
        """What an engine says of the history that a client received under an earlier epoch; 0: it is the same."""
        self.hold_submits = False
        self.submits: list[Submit] = []
        self.queries: list[str] = []
        self.fetches: list[tuple[int, int, int]] = []
        self.journal: list[Batch] = []
        self._events: list[np.ndarray] = []
        self._next_link: dict[tuple[int, int], int] = {}
        self._incarnation = 0
        self._released = 0
        self._stop = threading.Event()
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._server = grpc.server(ThreadPoolExecutor(4), options=list(SERVER_OPTIONS))
        replication_pb2_grpc.add_ReplicationServicer_to_server(Replication(self), self._server)
        self._server.add_insecure_port(topology.engines[0].grpc_address)
        self._thread = threading.Thread(target=self._run, name="stub-cluster")

    def start(self) -> None:
        self._server.start()
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self._server.stop(0).wait()

    def call(self, work: Callable[[], None]) -> None:
        """Run `work` in the cluster's thread and wait for it."""
        done = threading.Event()

        def turn() -> None:
            work()
            done.set()

        self._calls.put(turn)
        assert done.wait(5)

    def take_office(self, sequencer: int) -> None:
        """A new reign: link numbers begin anew, the epoch rises."""

        def work() -> None:
            self.epoch += 1
            self.reign, self.leader = self.epoch, sequencer
            self._next_link = {}
            start = np.zeros(1, dtype=CONTROL)
            start["kind"], start["epoch"] = CommandKind.EPOCH_START, self.epoch
            start["in_sync"], start["primary"], start["sequencer"] = 2, 1, sequencer
            self._stamp(start.view(COMMAND))

        self.call(work)

    def leave_office(self) -> None:
        self.call(lambda: setattr(self, "leader", 0))

    def define(self) -> None:
        """One instrument, two accounts without limits."""
        rows = np.zeros(3, dtype=ADMIN)
        rows["kind"] = [CommandKind.DEFINE_INSTRUMENT, CommandKind.DEFINE_ACCOUNT, CommandKind.DEFINE_ACCOUNT]
        rows["name"] = [b"ACME", b"alice", b"bob"]
        rows["instrument"], rows["account"] = [ACME, 0, 0], [0, ALICE, BOB]
        rows["tick_micros"], rows["lot_units"] = [10_000, 0, 0], [1, 0, 0]
        rows["flags"] = AccountFlag.UNLIMITED_CASH | AccountFlag.UNLIMITED_POSITIONS
        rows["flags"][0] = 0
        self.stamp(rows.view(COMMAND))

    def stamp(self, commands: np.ndarray) -> None:
        """Commands that come from elsewhere."""
        self.call(lambda: self._stamp(commands))

    def history(self) -> np.ndarray:
        return np.concatenate(self._events) if self._events else np.empty(0, dtype=EVENT)

    # ---- the cluster's thread

    def _run(self) -> None:
        transport = Transport(self.topology.aeron_dir)
        gateway = self.topology.gateways[0]

        def open_link(kind, source, target):
            return self.topology.link(kind, source, target)

        engine = self.topology.engines[0]
        inbound, receipts = {}, {}
        for sequencer in self.topology.sequencers:
            spec = open_link(LinkKind.SUBMIT, gateway, sequencer)
            inbound[sequencer.id] = transport.inbound(spec)
            spec = open_link(LinkKind.RECEIPT, sequencer, gateway)
            receipts[sequencer.id] = transport.outbound(spec, queue_limit_bytes=1 << 20)
        spec = open_link(LinkKind.RELEASE, engine, gateway)
        release = transport.outbound(spec, queue_limit_bytes=32 << 20)
        receipt_due_ns = 0
        try:
            while not self._stop.is_set():
                work = self._poll(inbound)
                now_ns = time.monotonic_ns()
                due = now_ns >= receipt_due_ns
                if due or work:
                    receipt_due_ns = now_ns + RECEIPT_NS
                    if self.leader:
                        receipts[self.leader].send(encode(self._receipt()))
                    self._release(release, idle=due)
                release.flush()
                if not work:
                    time.sleep(0.0001)
        finally:
            transport.close()

    def _poll(self, inbound: dict[int, Any]) -> int:
        work = 0
        while not self._calls.empty():
            self._calls.get()()
            work += 1
        if self.hold_submits:
            return work
        for sequencer, link in inbound.items():
            work += link.poll(lambda raw, sequencer=sequencer: self._on_submit(sequencer, decode(raw, Submit)), 64)
        return work

    def _on_submit(self, sequencer: int, submit: Submit) -> None:
        if sequencer != self.leader or submit.reign != self.reign:
            return
        if self.lose_submits > 0:
            self.lose_submits -= 1
            return
        self._incarnation = submit.incarnation
        expected = self._next_link.get((submit.sender, submit.incarnation), 1)
        if submit.first_link_no > expected:
            self._rewind = True
            return
        if submit.first_link_no < expected:
            return
        self._rewind = False
        self._next_link[submit.sender, submit.incarnation] = expected + submit.count
        self.submits.append(submit)
        self._stamp(submit.records)

    _rewind = False

    def _stamp(self, commands: np.ndarray) -> None:
        with self.lock:
            first = self.engine.last_seq + 1
            stamped = stamp_batch(commands, epoch=self.epoch, first_seq=first, timestamp_ns=0)
            self.journal.append(stamped)
            self._events.append(self.engine.apply(commands, first_seq=first, timestamp_ns=time.time_ns()))

    def _receipt(self) -> Receipt:
        gateway = self.topology.gateways[0].id
        return Receipt(
            sender=self.leader,
            epoch=self.epoch,
            reign=self.reign,
            next_link_no=self._next_link.get((gateway, self._incarnation), 1),
            credit=self.credit,
            committed_seq=0,
            incarnation=self._incarnation,
            opens=True,
            rewinds=self._rewind,
        )

    def _release(self, link: Any, *, idle: bool) -> None:
        events = self.history()
        last = self.engine.last_seq
        events = events[events["seq"] > self._released]
        if not len(events) and not idle:
            return
        sent = Release(1, self.epoch, 0, self._released + 1, last, last, events)
        self._released = last
        self._events = [self.history()]
        if len(events) and self.lose_releases > 0:
            self.lose_releases -= 1
            return
        link.send(encode(sent))


class GatewayUnderTest:
    """A gateway in a thread of its own, and the stubs to talk with it."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.member = topology.gateways[0]
        self.stop_request = StopRequest()
        self.outcome: Any = None
        self._thread = threading.Thread(target=self._run, name="gateway")
        self.channel = grpc.insecure_channel(self.member.grpc_address)
        shown = topology.clients[0].token if topology.clients else ""
        self._metadata = (("authorization", f"Bearer {shown}"),) if shown else ()
        self.orders = orders_pb2_grpc.OrderEntryStub(self.channel)
        self.accounts = accounts_pb2_grpc.AccountsStub(self.channel)
        self.market = market_data_pb2_grpc.MarketDataStub(self.channel)
        self.cluster = cluster_pb2_grpc.ClusterStub(self.channel)

    def _run(self) -> None:
        try:
            self.outcome = uvloop.run(serve(self.topology, self.member, self.stop_request))
        except BaseException as failure:
            self.outcome = failure
            raise

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.stop_request.request("test ends")
        self._thread.join(10)
        self.channel.close()

    def status(self) -> cluster_pb2.GetStatusReply:
        request = cluster_pb2.GetStatusRequest()
        return self.cluster.GetStatus(request, metadata=self._metadata, timeout=30, wait_for_ready=True)

    def wait_until(
        self, condition: Callable[[cluster_pb2.GetStatusReply], object], limit_s: float = LIMIT_S
    ) -> cluster_pb2.GetStatusReply:
        give_up_s = time.monotonic() + limit_s
        while True:
            status = self.status()
            if condition(status):
                return status
            assert time.monotonic() < give_up_s, f"never came true: {status}"
            time.sleep(0.005)

    def wait_serving(self) -> None:
        self.wait_until(lambda status: status.role == cluster_pb2.ROLE_SERVING)

    def session(self, session_id: int, **hello: Any) -> SessionClient:
        return SessionClient(self, session_id, **hello)


class SessionClient:
    """A client's side of a session stream, by the public messages."""

    def __init__(self, gateway: GatewayUnderTest, session_id: int, *, token: str = "", **hello: Any) -> None:
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self.responses: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.call = gateway.orders.Session(iter(self._requests.get, None), metadata=metadata)
        self._thread = threading.Thread(target=self._read)
        self.error: grpc.RpcError | None = None
        self._rows: list[Any] = []
        self.send(hello=orders_pb2.Hello(session_id=session_id, next_no=hello.pop("next_no", 1), **hello))
        self._thread.start()

    def _read(self) -> None:
        try:
            for response in self.call:
                self.responses.put(response)
        except grpc.RpcError as error:
            self.error = error
        self.responses.put(None)

    def send(self, **message: Any) -> None:
        self._requests.put(orders_pb2.SessionRequest(**message))

    def next(self, limit_s: float = LIMIT_S) -> Any:
        response = self.responses.get(timeout=limit_s)
        assert response is not None, f"the stream ended: {self.error}"
        return response

    def expect(self, kind: str, limit_s: float = LIMIT_S) -> Any:
        response = self.next(limit_s)
        assert response.WhichOneof("message") == kind, response
        return getattr(response, kind)

    def rows(self, count: int, limit_s: float = LIMIT_S) -> list[Any]:
        """The next `count` report rows, from plain or columnar messages."""
        while len(self._rows) < count:
            response = self.next(limit_s)
            if response.WhichOneof("message") == "reports":
                self._rows += response.reports.reports
            else:
                assert response.WhichOneof("message") == "report_batch", response
                self._rows += _as_rows(response.report_batch)
        rows, self._rows = self._rows[:count], self._rows[count:]
        return rows

    def ended(self, limit_s: float = LIMIT_S) -> grpc.StatusCode:
        """Reads to the end; its status."""
        while self.error is None and self.responses.get(timeout=limit_s) is not None:
            pass
        return self.call.code()

    def close(self) -> None:
        self.call.cancel()
        self._requests.put(None)
        self._thread.join(5)


def _as_rows(batch: orders_pb2.ReportBatch) -> list[common_pb2.ExecutionReport]:
    rows = []
    for row in range(batch.count):
        fields = {
            field.name: getattr(batch, field.name)[row]
            for field in batch.DESCRIPTOR.fields
            if field.name not in ("stamp", "count", "seq", "index") and len(getattr(batch, field.name))
        }
        event_id = common_pb2.EventId(seq=batch.seq[row], index=batch.index[row] if len(batch.index) else 0)
        rows.append(common_pb2.ExecutionReport(event_id=event_id, epoch=batch.stamp.epoch, **fields))
    return rows


@pytest.fixture(scope="module")
def make_topology(aeron_dir: Path) -> Callable[[Path], Topology]:
    def make(directory: Path) -> Topology:
        def member(kind: ProcessKind, id: int) -> Member:
            return Member(kind, id, "127.0.0.1", free_port(), free_port(), data_dir=directory / f"{kind.name}-{id}")

        return Topology(
            name="test",
            etcd_endpoints=(),
            aeron_dir=aeron_dir,
            sequencers=(member(ProcessKind.SEQUENCER, 1), member(ProcessKind.SEQUENCER, 2)),
            engines=(member(ProcessKind.ENGINE, 1),),
            # A number of its own for every test: the driver keeps a link for a while, with what nobody has read.
            gateways=(member(ProcessKind.GATEWAY, next(_gateway_ids)),),
            timing=Timing(resend_ms=100),
        )

    return make


@pytest.fixture
def topology(make_topology: Callable[[Path], Topology], tmp_path: Path) -> Topology:
    return make_topology(tmp_path)


@pytest.fixture
def cluster(topology: Topology) -> Iterator[StubCluster]:
    stub = StubCluster(topology)
    stub.start()
    try:
        stub.take_office(1)
        stub.define()
        yield stub
    finally:
        stub.stop()


@pytest.fixture
def gateway(topology: Topology, cluster: StubCluster) -> Iterator[GatewayUnderTest]:
    started = GatewayUnderTest(topology)
    started.start()
    try:
        started.wait_serving()
        yield started
    finally:
        started.stop()
        assert started.outcome is None, started.outcome


def new_order(number: int, **fields: Any) -> orders_pb2.Command:
    defaults: dict[str, Any] = {
        "account": ALICE,
        "instrument": ACME,
        "side": 1,
        "order_type": 1,
        "tif": 2,
        "price_ticks": 100,
        "quantity_lots": 10,
        "client_order_id": number,
    }
    return orders_pb2.Command(session_no=number, new_order=orders_pb2.NewOrder(**{**defaults, **fields}))


@pytest.fixture
def order() -> Callable[..., orders_pb2.Command]:
    """`order(number, **fields)`: a new order as a numbered command; a buy of 10 at 100 for ALICE unless said else."""
    return new_order


@pytest.fixture(scope="session")
def gateway_type() -> type[GatewayUnderTest]:
    return GatewayUnderTest


@pytest.fixture(scope="session")
def stub_type() -> type[StubCluster]:
    return StubCluster
