"""The gateway as a process: waiting for the cluster, clients' tokens, its intake log, and its faults."""

import dataclasses
import pickle
import subprocess
import sys
import time
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from lockstep.gateway.intake import IntakeLog
from lockstep.runtime.faults import EnvironmentFault
from lockstep.runtime.topology import Client
from lockstep.stream.codes import Code
from lockstep.stream.records import EventKind
from lockstep.v1 import cluster_pb2, common_pb2, orders_pb2

S1, S2, ACME = (1 << 32) | 5, (2 << 32) | 6, 7


@pytest.fixture
def make_gateway(gateway_type):
    started = []

    def make(topology):
        gateway = gateway_type(topology)
        gateway.start()
        started.append(gateway)
        return gateway

    yield make
    for gateway in started:
        gateway.stop()


def health(gateway):
    stub = health_pb2_grpc.HealthStub(gateway.channel)
    return stub.Check(health_pb2.HealthCheckRequest(), timeout=30, wait_for_ready=True).status


def test_gateway_that_came_first_waits_and_then_serves(topology, stub_type, make_gateway):
    gateway = make_gateway(topology)
    gateway.wait_until(lambda status: status.role == cluster_pb2.ROLE_WAITING and "no engine" in status.why)
    assert health(gateway) == health_pb2.HealthCheckResponse.NOT_SERVING
    cluster = stub_type(topology)
    cluster.start()
    try:
        cluster.take_office(2)
        gateway.wait_serving()
        time.sleep(0.05)
        assert health(gateway) == health_pb2.HealthCheckResponse.SERVING
    finally:
        cluster.stop()


def test_what_the_intake_log_holds_is_sent_after_a_restart(topology, cluster, make_gateway, order):
    first = make_gateway(topology)
    first.wait_serving()
    client = first.session(S1)
    client.expect("welcome")
    client.send(command=order(1))
    client.rows(1)
    cluster.hold_submits = True
    client.send(command=order(2))
    client.send(command=order(3))
    first.wait_until(lambda status: status.counters["unanswered"] == 2)
    client.close()
    first.stop()
    cluster.hold_submits = False
    time.sleep(0.05)
    cluster.take_office(1)
    before = len(cluster.submits)
    second = make_gateway(topology)
    second.wait_serving()
    second.wait_until(lambda status: status.counters["unanswered"] == 0)
    sent = [no for submit in cluster.submits[before:] for no in submit.records["session_no"].tolist()]
    assert sent == [2, 3]
    resumed = second.session(S1, next_no=2)
    resumed.expect("welcome")
    assert [row.session_no for row in resumed.rows(3) if row.kind == EventKind.ACCEPTED] == [1, 2, 3]
    resumed.close()


def test_gateway_left_behind_by_every_journal_starts_anew_and_tells_clients_from_where_to_reconcile(
    topology, cluster, make_gateway, order
):
    gateway = make_gateway(topology)
    gateway.wait_serving()
    client = gateway.session(S1)
    client.expect("welcome")
    client.send(command=order(1))
    (accepted, *_) = client.rows(1)
    before = gateway.status()
    cluster.lose_releases = 1
    cluster.cut_after = before.seq + 1
    client.send(command=order(2))
    # The client is sent away, not left in the dark, and the gateway comes back in another life.
    assert client.ended(30) == grpc.StatusCode.UNAVAILABLE
    gateway.wait_until(lambda status: status.incarnation > before.incarnation, 30)
    gateway.wait_serving()
    assert gateway.status().seq > before.seq
    resumed = gateway.session(S1, next_no=2, last_seen={"seq": accepted.event_id.seq, "index": accepted.event_id.index})
    resumed.expect("welcome")
    refusal = resumed.expect("refusal", 30)
    assert (refusal.code, refusal.retryable) == (Code.REPORTS_GONE, False)
    assert f"before seq {cluster.cut_after + 1}" in refusal.text
    assert resumed.ended() == grpc.StatusCode.OUT_OF_RANGE
    other = gateway.session(S2)
    other.expect("welcome")
    other.send(command=order(1, client_order_id=9))
    assert other.rows(1)[0].session_no == 1
    for each in (client, resumed, other):
        each.close()


def test_client_is_held_to_its_token_sessions_and_accounts(topology, cluster, make_gateway, order):
    clients = (Client("alice", "secret", 1, (1,)), Client("bob", "other", 2, (2,)))
    gateway = make_gateway(dataclasses.replace(topology, clients=clients))
    gateway.wait_serving()
    assert gateway.session(S1).ended() == grpc.StatusCode.UNAUTHENTICATED
    assert gateway.session(S1, token="wrong").ended() == grpc.StatusCode.UNAUTHENTICATED
    assert gateway.session(S1, token="other").ended() == grpc.StatusCode.PERMISSION_DENIED
    client = gateway.session(S1, token="secret")
    client.expect("welcome")
    client.send(command=order(1, account=2))
    client.send(command=order(2, account=1))
    adjust = orders_pb2.AdjustCash(account=1, amount_micros=5)
    client.send(command=orders_pb2.Command(session_no=3, adjust_cash=adjust))
    assert [(row.kind, row.code) for row in client.rows(3)] == [(2, 1006), (1, 0), (2, 1006)]
    refused: tuple[dict[str, Any], ...] = (
        {"mass_cancel": orders_pb2.MassCancelOrders(account=0, instrument=ACME)},
        {"mass_cancel": orders_pb2.MassCancelOrders(account=1, block=True)},
        {"mass_cancel": orders_pb2.MassCancelOrders(account=2)},
        {"set_phase": orders_pb2.SetPhase(phase=common_pb2.PHASE_HALT)},
        {"set_account_status": orders_pb2.SetAccountStatus(account=1)},
    )
    for number, fields in enumerate(refused, 4):
        client.send(command=orders_pb2.Command(session_no=number, **fields))
    client.send(
        batch=orders_pb2.CommandBatch(
            first_no=9, count=1, kind=[common_pb2.COMMAND_KIND_MASS_CANCEL], instrument=[ACME]
        )
    )
    assert [(row.kind, row.code) for row in client.rows(6)] == [(2, 1006)] * 6
    client.send(command=orders_pb2.Command(session_no=10, mass_cancel=orders_pb2.MassCancelOrders(account=1)))
    assert [row.kind for row in client.rows(2)] == [EventKind.CANCELED, EventKind.MASS_CANCELED]
    client.close()


def test_admin_may_stop_everybody(topology, cluster, make_gateway, order):
    clients = (Client("alice", "secret", 1, (1,)), Client("root", "other", 2, (3,), admin=True))
    gateway = make_gateway(dataclasses.replace(topology, clients=clients))
    gateway.wait_serving()
    alice, root = gateway.session(S1, token="secret"), gateway.session(S2, token="other")
    alice.expect("welcome")
    root.expect("welcome")
    alice.send(command=order(1, account=1))
    alice.rows(1)
    everybody = orders_pb2.MassCancelOrders(instrument=ACME)
    root.send(command=orders_pb2.Command(session_no=1, mass_cancel=everybody))
    assert [row.kind for row in root.rows(2)] == [EventKind.CANCELED, EventKind.MASS_CANCELED]
    (canceled,) = alice.rows(1)
    assert (canceled.kind, canceled.code, canceled.leg, canceled.session_no) == (
        EventKind.CANCELED, Code.MASS_CANCEL, 1, 0,
    )  # fmt: skip
    root.send(command=orders_pb2.Command(session_no=2, mass_cancel=orders_pb2.MassCancelOrders(account=1, block=True)))
    assert root.rows(1)[0].kind == EventKind.MASS_CANCELED
    alice.send(command=order(2, account=1))
    assert alice.rows(1)[0].code == Code.ACCOUNT_KILLED
    root.send(command=order(3, account=1))
    assert root.rows(1)[0].code == Code.NOT_ENTITLED
    alice.close()
    root.close()


def run_to_its_end(topology, member, tmp_path):
    """`run` in a process of its own: (exit code, standard error)."""
    (tmp_path / "arguments").write_bytes(pickle.dumps((topology, member)))
    code = "import pickle, sys; from lockstep.gateway.process import run; sys.exit(run(*pickle.load(sys.stdin.buffer)))"
    with (tmp_path / "arguments").open("rb") as arguments:
        ended = subprocess.run(
            [sys.executable, "-c", code], stdin=arguments, capture_output=True, text=True, timeout=30, check=False
        )
    return ended.returncode, ended.stderr


def test_busy_port_ends_with_one_message_and_exit_code_1(topology, gateway, tmp_path):
    other = dataclasses.replace(topology.gateways[0], data_dir=tmp_path / "other", watch_port=0, id=63)
    code, message = run_to_its_end(topology, other, tmp_path)
    assert code == 1
    assert f"cannot listen on {other.grpc_address}" in message
    assert "Traceback" not in message


def test_data_directory_of_another_gateway_is_refused(topology, tmp_path):
    member = topology.gateways[0]
    IntakeLog(member.data_dir, cluster="elsewhere", gateway=3, now_s=1).close()
    code, message = run_to_its_end(topology, member, tmp_path)
    assert code == 1
    assert "belongs to elsewhere/gateway-3" in message


class FullDisk:
    """A database whose disk has become full."""

    def __init__(self, db):
        self._db = db

    def write(self, *_):
        raise Exception("IO error: No space left on device: While appending to file")

    def close(self):
        self._db.close()


def test_gateway_with_a_full_disk_says_so_once_and_serves_nobody_any_more(
    topology, cluster, make_gateway, order, monkeypatch, capfd
):
    logs = []
    real = IntakeLog.__init__

    def remembered(self, *args, **kwargs):
        real(self, *args, **kwargs)
        logs.append(self)

    monkeypatch.setattr(IntakeLog, "__init__", remembered)
    gateway = make_gateway(topology)
    gateway.wait_serving()
    client, idle = gateway.session(S1), gateway.session(S2)
    client.expect("welcome")
    idle.expect("welcome")
    client.send(command=order(1))
    client.rows(1)
    before = len(cluster.submits)
    logs[0]._db = FullDisk(logs[0]._db)
    client.send(command=order(2))
    began = time.monotonic()
    for session in (client, idle):
        assert session.ended(2) is grpc.StatusCode.UNAVAILABLE
    assert time.monotonic() - began < 1.5
    gateway._thread.join(5)
    assert isinstance(gateway.outcome, EnvironmentFault)
    assert str(topology.gateways[0].data_dir) in str(gateway.outcome)
    assert "free room" in str(gateway.outcome)
    assert len(cluster.submits) == before
    said = capfd.readouterr().err
    assert said.count("serves_nobody") == 1
    assert "Traceback" not in said
