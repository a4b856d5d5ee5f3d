"""A real cluster that traded and was stopped: its journals, intake log and client logs, copied for each test."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from lockstep.admin import AdjustCash, AdjustPosition, DefineAccount, DefineInstrument, SetFees
from lockstep.aio import AsyncClient
from lockstep.columns import CommandColumns
from lockstep.enums import CommandKind, OrderType, Side, TimeInForce
from lockstep.ops.local.cluster import ClusterPlan, LocalCluster
from lockstep.ops.reconcile.auditor import Auditor, PassResult
from lockstep.ops.reconcile.case_file import BreakRecord, CaseFile
from lockstep.ops.reconcile.setup import AuditSetup
from lockstep.ops.reconcile.sources import ColdJournal
from lockstep.session import AsyncSession

ROUNDS = 40


async def fund(client: AsyncClient) -> None:
    session = await client.session(timeout_s=20.0)
    commands = [DefineInstrument(1, "ACME", 10_000), SetFees(1, maker_fee_ppm=100, taker_fee_ppm=300)]
    for account in (1, 2):
        commands += [DefineAccount(account, f"DESK-{account}"), AdjustCash(account, 10**15)]
        commands += [AdjustPosition(account, 1, 10**6)]
    for handle in [await session.submit(command) for command in commands]:
        await handle
    await session.close()


async def trade(seller: AsyncSession, buyer: AsyncSession, rounds: int) -> None:
    """Each round: ten sells and ten buys that meet, in part."""
    for place in range(rounds):
        for session, account, side in ((seller, 1, Side.SELL), (buyer, 2, Side.BUY)):
            ids = range(place * 10 + 1, place * 10 + 11)
            await session.submit_columns(
                CommandColumns(
                    count=10,
                    kind=CommandKind.NEW_ORDER,
                    account=account,
                    instrument=1,
                    side=side,
                    order_type=OrderType.LIMIT,
                    tif=TimeInForce.GTC,
                    client_order_id=list(ids),
                    price_ticks=[1000 + number % 3 for number in ids],
                    quantity_lots=[1 + number % 5 for number in ids],
                )
            )
            await session.drain()


async def hear_out(*sessions: AsyncSession) -> None:
    """Answers to one more command each come behind everything that others did."""
    for _ in range(2):
        for session in sessions:
            await session.submit_columns(
                CommandColumns(count=1, kind=CommandKind.CANCEL, account=1, client_order_id=2**63)
            )
            await session.drain()


@dataclass(frozen=True, slots=True)
class Files:
    """What a stopped cluster left, and a reconciler's directory beside."""

    root: Path

    @property
    def own(self) -> Path:
        return self.root / "own"

    @property
    def downstream(self) -> Path:
        return self.own / "downstream.db"

    @property
    def gateway(self) -> Path:
        return self.root / "gateway-1"

    def client_log(self, nth: int = 0) -> Path:
        return sorted((self.root / "client-logs").iterdir())[nth]

    def setup(self, *engines: str, engine: str = "native") -> AuditSetup:
        return AuditSetup(
            data_dir=self.own,
            cluster="test",
            replicas=tuple(ColdJournal(self.root / name) for name in engines or ("engine-1", "engine-2")),
            intakes=(("gateway-1", self.gateway),),
            client_logs=(self.root / "client-logs",),
            engine=engine,
        )

    def reconcile(self, *engines: str, engine: str = "native") -> tuple[PassResult, list[BreakRecord], str]:
        """One pass over everything: its result, all breaks that are not resolved, and the certificate."""
        with closing(CaseFile(self.own, create=True)) as case:
            with closing(Auditor(self.setup(*engines, engine=engine), case)) as auditor:
                result = auditor.run_pass(everything=True)
                certificate = auditor.certify(result)
            return result, case.breaks(all_states=False), certificate

    def broken_rules(self, *engines: str) -> set[str]:
        """Rules with a break after one more pass."""
        return {row.rule for row in self.reconcile(*engines)[1]}


async def _run(cluster: LocalCluster, logs: Path) -> None:
    async with AsyncClient(cluster.gateway_addresses) as client:
        await fund(client)
        seller = await client.session(log_dir=logs, timeout_s=20.0)
        buyer = await client.session(log_dir=logs, timeout_s=20.0)
        await trade(seller, buyer, ROUNDS)
        await hear_out(seller, buyer)
        await seller.close()
        await buyer.close()


@contextmanager
def run_cluster(plan: ClusterPlan) -> Iterator[LocalCluster]:
    """A cluster that may take its time to start: other tests may run on this host."""
    cluster = LocalCluster(plan)
    cluster.start(timeout_s=180)
    try:
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def running() -> Callable[[ClusterPlan], AbstractContextManager[LocalCluster]]:
    """See `run_cluster`."""
    return run_cluster


@pytest.fixture(scope="session")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of a cluster that traded and was stopped."""
    root = tmp_path_factory.mktemp("stopped") / "cluster"
    with run_cluster(ClusterPlan(implementations=("native", "reference"), data_dir=root)) as cluster:
        asyncio.run(_run(cluster, root / "client-logs"))
    return root


@pytest.fixture
def files(stopped: Path, tmp_path: Path) -> Files:
    """A copy of them for one test."""
    for name in ("engine-1", "engine-2", "gateway-1", "client-logs"):
        shutil.copytree(stopped / name, tmp_path / name)
    return Files(tmp_path)


@pytest.fixture
def clean(files: Files) -> Files:
    """Files that were reconciled once, and found clean."""
    result, breaks, certificate = files.reconcile()
    assert not breaks
    assert result.caught_up
    assert certificate
    return files


TradeFlow = Callable[[AsyncSession, AsyncSession, int], object]


@pytest.fixture(scope="session")
def flow() -> tuple[Callable[[AsyncClient], object], TradeFlow, Callable[..., object]]:
    """(fund, trade, hear out) for tests that run a cluster of their own."""
    return fund, trade, hear_out
