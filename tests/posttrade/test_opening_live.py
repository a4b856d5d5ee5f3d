"""A real cluster whose engines have cut their journals: a ledger and an audit trail that come too late; the remedy."""

import asyncio
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from lockstep.aio import AsyncClient
from lockstep.ops.cli.main import run
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.posttrade.audit.verify import verify
from lockstep.posttrade.ledger.digest import table_digests
from lockstep.posttrade.ledger.place import SqlitePlace
from lockstep.posttrade.ledger.queries import Opened, Portfolio, view_of
from lockstep.posttrade.ledger.statement import statement_of
from lockstep.runtime.topology import Snapshots
from tests.calm import CALM
from tests.posttrade.patience import wait_for
from tests.posttrade.test_ledger_live import fund, trade

PATIENCE_S = 120
SMALL = Snapshots(every_commands=100, every_s=0, keep=2, journal_keep_commands=50)


def has_cut(cluster: LocalCluster) -> bool:
    replies = [one.reply for one in cluster.status().members if one.name.startswith("engine")]
    return all(reply is not None and reply.journal.first_seq > 100 for reply in replies)


async def live(cluster: LocalCluster) -> dict[int, tuple[int, int]]:
    """Trade until all journals are cut; what accounts have then: cash and lots."""
    async with AsyncClient(cluster.gateway_addresses, timeout_s=60.0) as client:
        await fund(client)
        give_up_s = time.monotonic() + PATIENCE_S
        while not await asyncio.to_thread(has_cut, cluster):
            assert time.monotonic() < give_up_s, "the journals were not cut"
            await trade(client, 4)
            await asyncio.sleep(0.3)
        accounts = [await client.account(number) for number in (1, 2)]
    return {one.account: (one.cash_micros, one.positions[0].quantity_lots) for one in accounts}


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    """The cluster, which runs and is traded no more, and what its accounts have."""
    plan = ClusterPlan(timing=CALM, data_dir=tmp_path_factory.mktemp("cut") / "cluster", snapshots=SMALL)
    cluster = LocalCluster(plan)
    try:
        cluster.start()
        yield cluster, asyncio.run(live(cluster))
    finally:
        cluster.stop()


def command(cluster: LocalCluster, *words: str) -> list[str]:
    return [sys.executable, "-m", "lockstep.ops.cli.main", *words, "--config", str(cluster.config_path)]


def ended(cluster: LocalCluster, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(cluster, *words), capture_output=True, text=True, timeout=PATIENCE_S, check=False)


def look(place: SqlitePlace) -> tuple[Opened, dict[int, Portfolio]]:
    """What it begins with, and portfolios; statements add up, or there is none."""
    reader = place.reader(place.current())
    with view_of(reader) as view:
        opened = view.opening()
        assert opened is not None
        for account in (1, 2):
            statement_of(view, account, 0, 0)
        found = {account: view.portfolio(account) for account in (1, 2)}
    reader.dispose()
    return opened, found


@pytest.mark.slow
def test_a_ledger_that_comes_too_late_says_what_to_do_and_that_is_right(cut, tmp_path):
    cluster, owned = cut
    words = ("--data-dir", str(tmp_path / "ledger"))
    refused = ended(cluster, "ledger", "run", *words)
    assert refused.returncode == 1, refused.stderr
    assert "was cut from every journal before the ledger came there" in refused.stderr
    assert "`lockstep ledger rebuild --from-snapshot`" in refused.stderr
    done = ended(cluster, "ledger", "rebuild", "--from-snapshot", *words)
    assert done.returncode == 0, done.stderr
    opened, portfolios = look(SqlitePlace(tmp_path / "ledger"))
    assert opened.seq > 100
    for account, made in portfolios.items():
        assert (made.cash, made.holdings[0].lots) == owned[account]
        assert made.opened == opened


@pytest.mark.slow
def test_an_audit_trail_that_comes_too_late_begins_behind_the_snapshot(cut, tmp_path):
    cluster, _ = cut
    directory = tmp_path / "trail"
    words = ("audit", "run", "--data-dir", str(directory), "--segment-commands", "5")
    refused = ended(cluster, *words)
    assert refused.returncode == 1, refused.stderr
    assert "`lockstep audit run --from-snapshot --data-dir NEW`" in refused.stderr
    process = subprocess.Popen(command(cluster, *words, "--from-snapshot"), stderr=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: process.poll() is not None or any(directory.glob("manifest-*.json")), "a sealed segment")
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, said
    verdict = verify(directory)
    assert verdict.findings == ()
    assert verdict.begins_behind > 100
    assert Path(f"{directory}.key.pem").exists()


@pytest.mark.slow
def test_a_cut_journal_at_rest_is_begun_with_its_oldest_snapshot(cut, tmp_path):
    cluster, owned = cut
    cluster.stop()
    digests = []
    for engine in ("engine-1", "engine-2"):
        words = ("--journal", str(cluster.data_dir / engine), "--data-dir", str(tmp_path / engine))
        refused = ended(cluster, "ledger", "rebuild", *words)
        assert refused.returncode == 1, refused.stderr
        assert "add --from-snapshot" in refused.stderr
        assert run(["ledger", "rebuild", "--from-snapshot", "--config", str(cluster.config_path), *words]) == 0
        place = SqlitePlace(tmp_path / engine)
        opened, portfolios = look(place)
        with closing(place.open(place.current(), write=False)) as store:
            digests.append((opened.seq, store.position().seq, table_digests(store)["openings"]))
        for account, made in portfolios.items():
            assert (made.cash, made.holdings[0].lots) == owned[account]
    # Where both have the same oldest snapshot, its digests are the same.
    assert digests[0][0] != digests[1][0] or digests[0][2] == digests[1][2]
