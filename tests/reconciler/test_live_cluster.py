"""The reconciler beside a cluster that loses processes: it follows, acts on orphans, certifies; files bear it out."""

import asyncio
import json
import time
import urllib.request
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from lockstep.aio import AsyncClient
from lockstep.client_log import ClientLogReader
from lockstep.gateway.intake import IntakeLog
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.reconciler.auditor import Auditor
from lockstep.reconciler.case_file import CaseFile
from lockstep.reconciler.orphans import OrphanDesk
from lockstep.reconciler.process import setup_of
from lockstep.reconciler.setup import CANCEL, RESUBMIT
from lockstep.stream.records import COMMAND, CommandKind, OrderType, Side, TimeInForce
from tests.calm import CALM

PATIENCE_S = 60


def wait_for(condition, what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come within {PATIENCE_S} s"
        time.sleep(0.1)


async def chaos(cluster: LocalCluster, logs: Path, flow) -> None:
    """Trade; kill the primary, the leading sequencer and a gateway in the middle of it."""
    fund, trade, hear_out = flow
    async with AsyncClient(cluster.gateway_addresses, timeout_s=30.0) as client:
        await fund(client)
        seller = await client.session(log_dir=logs, timeout_s=20.0)
        buyer = await client.session(log_dir=logs, timeout_s=20.0)
        flows = asyncio.create_task(trade(seller, buyer, 150))
        for role in ("primary", "sequencer"):
            await asyncio.sleep(0.5)
            await asyncio.to_thread(lambda: cluster.kill(cluster.find(role)))  # noqa: B023 - called at once
            assert await asyncio.to_thread(cluster.wait_until_whole, PATIENCE_S)
        await asyncio.to_thread(cluster.kill, "gateway-1")
        await flows
        await hear_out(seller, buyer)
        await seller.close()
        await buyer.close()


@pytest.fixture(scope="module")
def after_chaos(tmp_path_factory, flow, running):
    """(data directory, metrics page) of a cluster that was reconciled through a chaos run and stopped."""
    root = tmp_path_factory.mktemp("chaos") / "cluster"
    plan = ClusterPlan(timing=CALM, gateways=2, implementations=("native", "reference"), data_dir=root, reconcile=True)
    with running(plan) as cluster:
        logs = cluster.topology.reconciler.client_logs
        asyncio.run(chaos(cluster, logs, flow))
        own = cluster.topology.reconciler.data_dir
        with closing(CaseFile(own)) as case:
            target = cluster.status().primary().reply.committed_seq
            wait_for(lambda: case.facts().get("verified_seq", 0) >= target, "the reconciler")
        port = cluster.topology.reconciler.metrics_port
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as page:
            metrics = page.read().decode()
    return root, metrics


@pytest.mark.slow
def test_chaos_leaves_no_break_and_the_stopping_reconciler_certifies_it(after_chaos) -> None:
    root, _metrics = after_chaos
    with closing(CaseFile(root / "reconciler")) as case:
        assert case.breaks() == []
        facts = case.facts()
        assert facts["compared"]["client_logs"] == 2
        assert facts["verified_seq"] == facts["committed_seq"] > 3000
        certificates = case.certificates()
    # One at the end, and one a minute before it on a machine that needs minutes.
    ends = [to_seq for _, to_seq, _ in certificates]
    assert [from_seq for from_seq, _, _ in certificates] == [1, *(to_seq + 1 for to_seq in ends[:-1])]
    assert ends[-1] == facts["verified_seq"]
    bodies = [json.loads(text)["body"] for _, _, text in certificates]
    # The last may be of the little that came behind the one before it.
    assert {name for body in bodies for name in body["compared"]["replicas"]} == {"engine-1", "engine-2"}
    assert len({str(epoch) for body in bodies for epoch in body["epochs"]}) >= 3


@pytest.mark.slow
def test_metrics_have_the_agreed_names(after_chaos) -> None:
    _root, metrics = after_chaos
    for line in (
        'lockstep_reconcile_breaks_open{rule="R1"} 0.0',
        'lockstep_reconcile_breaks_open{rule="R14"} 0.0',
        "lockstep_reconcile_verified_seq ",
        "lockstep_reconcile_certificates_total ",
        "lockstep_reconcile_last_pass_seconds ",
    ):
        assert f"\n{line}" in metrics


@pytest.mark.slow
def test_certificate_of_the_chaos_run_is_borne_out_by_the_journals_alone(after_chaos, run_cli, tmp_path) -> None:
    root, _metrics = after_chaos
    file = tmp_path / "certificate.json"
    assert run_cli("reconcile", "certificate", "--data-dir", root / "reconciler", "--out", file).returncode == 0
    done = run_cli("reconcile", "verify", file, "--journal", root / "engine-1", "--journal", root / "engine-2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("bears it out") == 2


async def one_order(cluster: LocalCluster, logs: Path, fund) -> int:
    async with AsyncClient(cluster.gateway_addresses[:1], timeout_s=20.0) as client:
        await fund(client)
        session = await client.session(log_dir=logs, timeout_s=20.0)
        order = await session.place(
            account=1, instrument=1, side="sell", quantity_lots=1, price_ticks=1000, client_order_id=1
        )
        await order
        await session.close()
        return session.session_id


def leave_orphan(directory: Path, session_id: int, number: int) -> None:
    """What a gateway that died in the middle leaves: a command in its log that never left."""
    command = np.zeros(1, COMMAND)
    for name, value in {
        "kind": CommandKind.NEW_ORDER,
        "side": Side.SELL,
        "order_type": OrderType.LIMIT,
        "tif": TimeInForce.GTC,
        "session_id": session_id,
        "session_no": number,
        "account": 1,
        "instrument": 1,
        "client_order_id": 100 + number,
        "price_ticks": 1000,
        "quantity_lots": 3,
        "received_ns": time.time_ns() - 60 * 10**9,
    }.items():
        command[name] = value
    intake = IntakeLog(directory, cluster="local", gateway=2, now_s=int(time.time()))
    intake.write([(10_000 + number, command)])
    intake.close()


def live_orders(cluster: LocalCluster) -> set[int]:
    async def ask() -> set[int]:
        async with AsyncClient(cluster.gateway_addresses[:1], timeout_s=20.0) as client:
            return {order.client_order_id for order in await client.open_orders(1)}

    return asyncio.run(ask())


def test_orphans_of_a_dead_gateway_are_flagged_resubmitted_or_canceled(tmp_path, flow, running) -> None:
    fund, _trade, _hear_out = flow
    with running(ClusterPlan(timing=CALM, gateways=2, restart=False, data_dir=tmp_path / "cluster")) as cluster:
        wanted = cluster.topology.reconciler
        session_id = asyncio.run(one_order(cluster, wanted.client_logs, fund))
        cluster.kill("gateway-2")
        leave_orphan(tmp_path / "cluster" / "gateway-2", session_id, 2)
        setup = setup_of(cluster.topology)
        with closing(CaseFile(wanted.data_dir, create=True)) as case:
            auditor = Auditor(setup, case)
            auditor.run_pass(everything=True)
            assert [row.rule for row in case.breaks()] == ["R1"]
            for policy, number, lives in ((RESUBMIT, 2, True), (CANCEL, 3, False)):
                if policy == CANCEL:
                    leave_orphan(tmp_path / "cluster" / "gateway-2", session_id, number)
                with closing(OrphanDesk(cluster.topology, policy)) as desk:
                    auditor._act = desk.act
                    auditor._intakes.close()
                    auditor.run_pass()
                    row = next(row for row in case.breaks() if row.subject.endswith(f"number {number}"))
                    assert f"{'resubmitted' if lives else 'canceled'} by policy" in row.detail
                    auditor.run_pass()
                assert case.breaks(all_states=False) == []
                assert (100 + number in live_orders(cluster)) is lives
            auditor.close()


def test_session_that_is_taken_up_again_goes_on_in_its_log(tmp_path, flow, running) -> None:
    fund, _trade, _hear_out = flow

    async def run(cluster: LocalCluster, logs: Path) -> int:
        async with AsyncClient(cluster.gateway_addresses, timeout_s=20.0) as client:
            await fund(client)
            session = await client.session(log_dir=logs, timeout_s=20.0)
            await (await session.place(account=1, instrument=1, side="sell", quantity_lots=5, price_ticks=1000))
            checkpoint = session.checkpoint()
            await (await session.place(account=1, instrument=1, side="sell", quantity_lots=5, price_ticks=1001))
            await session.close()
            again = await client.session(resume=checkpoint, log_dir=logs, timeout_s=20.0)
            await (await again.place(account=2, instrument=1, side="buy", quantity_lots=7, price_ticks=1001))
            await again.close()
            return again.session_id

    with running(ClusterPlan(timing=CALM, data_dir=tmp_path / "cluster")) as cluster:
        wanted = cluster.topology.reconciler
        session_id = asyncio.run(run(cluster, wanted.client_logs))
        (log,) = wanted.client_logs.iterdir()
        assert ClientLogReader(log).session_id == session_id
        with closing(CaseFile(wanted.data_dir, create=True)) as case:
            with closing(Auditor(setup_of(cluster.topology), case)) as auditor:
                auditor.run_pass(everything=True)
            assert case.breaks() == []
