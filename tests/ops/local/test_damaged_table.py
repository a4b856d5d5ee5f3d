"""A page of an old journal table goes bad under the only engine: it trades on and says so, and a restart mends it."""

import asyncio
import json
from pathlib import Path

import pytest

from lockstep.admin import DefineAccount
from lockstep.aio import AsyncClient
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.replica.snapshots import SnapshotStore
from lockstep.runtime.topology import Snapshots

SNAPSHOTS = Snapshots(every_commands=300, every_s=0)


def define(cluster: LocalCluster, first: int, count: int) -> None:
    async def go() -> None:
        async with AsyncClient(cluster.gateway_addresses) as client:
            session = await client.session(timeout_s=60.0)
            acks = [await session.submit(DefineAccount(number, f"A{number}")) for number in range(first, first + count)]
            await asyncio.gather(*acks)
            await session.close()

    asyncio.run(go())


def accounts(cluster: LocalCluster) -> set[int]:
    async def ask() -> set[int]:
        async with AsyncClient(cluster.gateway_addresses) as client:
            return {account.account for account in await client.accounts()}

    return asyncio.run(ask())


def said(cluster: LocalCluster, event: str) -> list[dict[str, object]]:
    lines = cluster._parts.children["engine-1"].log_path.read_text().splitlines()
    found = [json.loads(line) for line in lines if line.startswith("{")]
    return [line for line in found if line.get("event") == event]


def running(data_dir: Path) -> LocalCluster:
    return LocalCluster(ClusterPlan(data_dir=data_dir, engines=1, restart=False, snapshots=SNAPSHOTS))


@pytest.mark.slow
def test_damage_below_a_snapshot_is_told_and_mended_at_the_next_start(tmp_path: Path, until, run_cli) -> None:
    data_dir = tmp_path / "data"
    engine = data_dir / "engine-1"
    store = SnapshotStore(engine)
    with running(data_dir) as cluster:
        define(cluster, 1, 4_000)
        until(store.verified_seqs, "a verified snapshot")
    with running(data_dir) as cluster:
        define(cluster, 10_001, 400)
        until(lambda: len(store.verified_seqs()) > 1, "another one")
    # What the second start made a table of holds the first 4 000.
    table = max((engine / "journal").glob("*.sst"), key=lambda path: path.stat().st_size)
    raw = bytearray(table.read_bytes())
    raw[8192:12288] = bytes(4096)
    table.write_bytes(raw)
    with running(data_dir) as cluster:
        assert accounts(cluster) == {*range(1, 4_001), *range(10_001, 10_401)}
        until(lambda: said(cluster, "scrub_found"), "the scrub meets it")
        config = ("--config", cluster.config_path)
        assert "the stored journal is damaged" in until(
            lambda: run_cli("cluster", "status", *config).stdout, "status answers"
        )
        assert "the stored journal is damaged" in run_cli("cluster", "doctor", *config).stdout
        define(cluster, 20_001, 10)
    with running(data_dir) as cluster:
        assert "only older history is not" in str(said(cluster, "journal_mended")[0]["text"])
        assert accounts(cluster) == {*range(1, 4_001), *range(10_001, 10_401), *range(20_001, 20_011)}
        define(cluster, 30_001, 10)
        assert "damaged" not in run_cli("cluster", "status", "--config", cluster.config_path).stdout
    assert not (engine / "damage").exists()
    assert (engine / "archive" / "mended-1" / "journal").is_dir()
