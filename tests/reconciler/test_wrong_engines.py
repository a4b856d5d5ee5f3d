"""Engines with planted errors, running in a real cluster: the reconciler finds which of them is wrong, and where."""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest

from lockstep.admin import AdjustCash, AdjustPosition, AdminCommand, DefineAccount, DefineInstrument, SetFees
from lockstep.aio import AsyncClient
from lockstep.errors import LockstepError
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.reconciler.auditor import Auditor
from lockstep.reconciler.case_file import BreakRecord, CaseFile
from lockstep.reconciler.process import setup_of
from tests.calm import CALM

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 90


def until(condition: Callable[[], object], what: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.2)


async def open_market(client: AsyncClient) -> None:
    session = await client.session(timeout_s=20.0)
    commands: list[AdminCommand] = [DefineInstrument(1, "ACME", 10_000), SetFees(1, maker_fee_ppm=0, taker_fee_ppm=555)]
    for account in (1, 2):
        commands += [DefineAccount(account, f"DESK-{account}"), AdjustCash(account, 10**15)]
        commands += [AdjustPosition(account, 1, 10**6)]
    for command in commands:
        await (await session.submit(command))
    await session.close()


async def cross(client: AsyncClient, lots: int, price_ticks: int) -> None:
    session = await client.session(timeout_s=20.0)
    for account, side in ((1, "sell"), (2, "buy")):
        await (
            await session.place(account=account, instrument=1, side=side, quantity_lots=lots, price_ticks=price_ticks)
        )
    await session.close()


def trade(cluster: LocalCluster, *flow: Callable[[AsyncClient], Awaitable[object]]) -> None:
    async def run() -> None:
        async with AsyncClient(cluster.gateway_addresses, timeout_s=30.0) as client:
            for step in flow:
                await step(client)

    asyncio.run(run())


def replace_engine(cluster: LocalCluster, member: int, *program: object) -> "subprocess.Popen[bytes]":
    """Another program in the place of an engine, when all are in sync again."""
    cluster.kill(f"engine-{member}")
    command = [sys.executable, *program, "engine", "--config", cluster.config_path, "--id", member]
    process = subprocess.Popen(list(map(str, command)))
    assert cluster.wait_until_whole(PATIENCE_S), cluster.status().lacks(cluster.topology)
    return process


def end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    process.wait(PATIENCE_S)


@pytest.mark.slow
def test_wrong_answer_about_a_balance_is_found_by_r8_in_the_replica_that_gave_it(tmp_path, running) -> None:
    with running(ClusterPlan(restart=False, data_dir=tmp_path / "cluster", timing=CALM)) as cluster:
        trade(cluster, open_market, lambda client: cross(client, 2, 100))
        wrong = replace_engine(cluster, 2, Path(__file__).with_name("wrong_answers.py"))
        try:
            own = cluster.topology.reconciler.data_dir
            with closing(CaseFile(own, create=True)) as case:
                with closing(Auditor(setup_of(cluster.topology), case)) as auditor:
                    result = auditor.run_pass(everything=True)
                    assert not auditor.certify(result)
                (row,) = case.breaks()
        finally:
            end(wrong)
    assert (row.rule, row.subject) == ("R8", "engine-2 account 1 cash")
    assert row.detail.endswith("(+1)")


@pytest.fixture(scope="module")
def wrong_core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The native core, built with an error in its fees."""
    output = tmp_path_factory.mktemp("core") / "_core.so"
    build = [ROOT / "engine/native/build-core", sys.executable, output, "-O1", "-DLOCKSTEP_PLANTED_BUG"]
    subprocess.run(list(map(str, build)), check=True, timeout=600)
    return output


@pytest.mark.slow
@pytest.mark.parametrize("engines", [2, 3])
def test_engine_that_computes_wrong_fees_is_found_by_r11_at_its_first_wrong_fill(
    tmp_path, running, wrong_core, engines
) -> None:
    """Of two, both stop; of three, two go on. The reconciler runs beside and says who is wrong in both cases."""
    names = ("native", "reference", "reference")[:engines]
    plan = ClusterPlan(
        engines, implementations=names, restart=False, data_dir=tmp_path / "cluster", reconcile=True, timing=CALM
    )
    with running(plan) as cluster:
        own = cluster.topology.reconciler.data_dir

        def breaks() -> list[BreakRecord]:
            with closing(CaseFile(own)) as case:
                return case.breaks()

        def shown() -> object:
            with closing(CaseFile(own)) as case:
                return case.facts(), case.breaks(), [(m.name, m.role) for m in cluster.status().members]

        trade(cluster, open_market, lambda client: cross(client, 2, 100))
        wrong = replace_engine(cluster, 1, ROOT / "tests/native_core.py", wrong_core)
        try:
            # 3 lots at 101 ticks: a fee of 1 681.65 micros, which is rounded down, and by the wrong engine up.
            with contextlib.suppress(*(() if engines == 3 else (TimeoutError, LockstepError))):
                trade(
                    cluster, lambda client: asyncio.wait_for(cross(client, 3, 101), PATIENCE_S if engines == 3 else 5)
                )
            until(lambda: "diverged" in {member.role for member in cluster.status().members}, shown)
            until(breaks, shown)
            found = breaks()
        finally:
            end(wrong)
    assert {row.rule for row in found} == {"R11"}, found
    assert {row.subject.split(" ")[0] for row in found} == {"engine-1"}, found
