"""A real cluster that traded and was stopped: its journals, intake log and client logs, copied for each test."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from lockstep.admin import AdjustCash, AdjustPosition, AdminCommand, DefineAccount, DefineInstrument, SetFees
from lockstep.aio import AsyncClient
from lockstep.columns import CommandColumns
from lockstep.engine.native import NativeEngine
from lockstep.enums import CommandKind, OrderType, Side, TimeInForce
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.reconciler.auditor import Auditor, PassResult
from lockstep.reconciler.case_file import BreakRecord, CaseFile
from lockstep.reconciler.setup import AuditSetup
from lockstep.reconciler.sources import ColdJournal
from lockstep.replica.effects import AppliedBatch, JournalWrite
from lockstep.replica.journal import Journal
from lockstep.replica.stored_journal import StoredJournal
from lockstep.runtime.process import EnvironmentFault
from lockstep.session import AsyncSession
from lockstep.stream.batch import Batch
from lockstep.stream.digest import GENESIS, next_digest
from tests.calm import CALM
from tests.restamped import restamped

ROUNDS = 40


async def fund(client: AsyncClient) -> None:
    session = await client.session(timeout_s=20.0)
    commands: list[AdminCommand] = [
        DefineInstrument(1, "ACME", 10_000),
        SetFees(1, maker_fee_ppm=100, taker_fee_ppm=300),
    ]
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
    for last in (False, False, True):
        cluster = LocalCluster(plan)
        try:
            cluster.start(timeout_s=180)
            break
        except EnvironmentFault:
            if last:
                raise
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
    with run_cluster(ClusterPlan(implementations=("native", "reference"), data_dir=root, timing=CALM)) as cluster:
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


class Tamper:
    """Changes journals as no process of the cluster does."""

    @staticmethod
    def frames_of(data_dir: Path) -> list[Batch]:
        """All batches of a journal."""
        journal = StoredJournal(data_dir)
        frames = list(journal.batches(1))
        journal.close()
        return frames

    @staticmethod
    def an_order(frames: list[Batch]) -> tuple[Batch, int]:
        """A batch in the middle with an order in it, and the order's place there."""
        for frame in frames[len(frames) // 2 :]:
            places = np.flatnonzero(frame.records["kind"] == CommandKind.NEW_ORDER)
            if len(places):
                return frame, int(places[0])
        raise AssertionError("no order in the journal")

    @staticmethod
    def altered(frame: Batch, place: int) -> Batch:
        """The batch with another quantity in one order."""
        records = frame.records.copy()
        records["quantity_lots"][place] += 1
        return restamped(frame, records=records)

    def own_way(self, data_dir: Path, member: int) -> int:
        """Let a replica execute another order in the middle and go on, as if nothing were wrong; the order's seq."""
        frames = self.frames_of(data_dir)
        frame, place = self.an_order(frames)
        history = [self.altered(each, place) if each.first_seq == frame.first_seq else each for each in frames]
        self.execute(data_dir, member, history)
        return frame.first_seq + place

    def execute(self, data_dir: Path, member: int, history: list[Batch], *, wrong_from: int = 2**63) -> None:
        """Put batches into a journal with what they lead to; from a seq on, with digests of wrong events."""
        engine, digest, batches = NativeEngine(), GENESIS, []
        for each in history:
            events = engine.apply(each.records, first_seq=each.first_seq, timestamp_ns=each.timestamp_ns)
            if each.first_seq <= wrong_from <= each.last_seq:
                events = events.copy()
                events["quantity_lots"][-1] += 1
            digest = next_digest(digest, each.raw, events.tobytes())
            batches.append(AppliedBatch(each.epoch, each.first_seq, each.last_seq, events, digest))
        journal = Journal(data_dir, member)
        journal.write(JournalWrite(batches=tuple(history)), sync=True)
        journal.derived.truncate(0)
        journal.derived.keep(tuple(batches))
        journal.close()


@pytest.fixture
def tamper() -> Tamper:
    """See the class."""
    return Tamper()
