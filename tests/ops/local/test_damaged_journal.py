"""One bit flips in an engine's journal while it is down: nothing that was acknowledged is lost in silence."""

import asyncio
import json
import shutil
import time
from pathlib import Path

import pytest

from lockstep.admin import DefineAccount
from lockstep.aio import AsyncClient
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.runtime.process import EXIT_DAMAGED
from lockstep.runtime.topology import Timing


def flip_log(data_dir: Path, percent: int = 80) -> None:
    """Flip one bit in the newest log of a journal, as far as that is written."""
    log = max((data_dir / "journal").glob("*.log"))
    raw = bytearray(log.read_bytes())
    raw[len(bytes(raw).rstrip(b"\0")) * percent // 100] ^= 1
    log.write_bytes(raw)


def define(addresses: tuple[str, ...], first: int, count: int = 40) -> None:
    async def go() -> None:
        async with AsyncClient(addresses) as client:
            session = await client.session(timeout_s=60.0)
            for number in range(first, first + count):
                await (await session.submit(DefineAccount(number, f"A{number}")))
            await session.close()

    asyncio.run(go())


def accounts(addresses: tuple[str, ...]) -> list[int]:
    async def ask() -> list[int]:
        async with AsyncClient(addresses) as client:
            return sorted(account.account for account in await client.accounts())

    return asyncio.run(ask())


def said(cluster: LocalCluster, name: str, event: str) -> list[dict[str, object]]:
    """Lines of a process's log with this event."""
    lines = cluster._parts.children[name].log_path.read_text().splitlines()
    found = [json.loads(line) for line in lines if line.startswith("{")]
    return [line for line in found if line.get("event") == event]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory):
    data_dir = tmp_path_factory.mktemp("damaged") / "data"
    with LocalCluster(ClusterPlan(data_dir=data_dir, engines=2, restart=False, timing=Timing(hang_ms=400))) as started:
        yield started


@pytest.mark.slow
def test_engine_with_a_flipped_bit_takes_everything_from_its_peer_and_says_so(cluster: LocalCluster, until) -> None:
    define(cluster.gateway_addresses, 1)
    name = cluster.find("standby")
    data_dir = cluster.data_dir / name
    cluster.kill(name)
    flip_log(data_dir)
    cluster.restart(name)
    until(lambda: said(cluster, name, "journal_given_up"), "it gave the journal up")
    assert "which may have been acknowledged" in str(said(cluster, name, "journal_damaged")[0]["text"])
    assert (data_dir / "archive" / "damaged-1" / "journal").is_dir()
    until(lambda: cluster.status().in_sync() == (1, 2), "it is in sync again")
    assert accounts(cluster.gateway_addresses) == list(range(1, 41))


@pytest.mark.slow
def test_last_in_sync_engine_with_a_flipped_bit_stops_and_says_what_to_do(
    cluster: LocalCluster, until, run_cli
) -> None:
    before = accounts(cluster.gateway_addresses)
    define(cluster.gateway_addresses, 101)
    last, other = cluster.find("primary"), cluster.find("standby")
    cluster.kill(other)
    until(lambda: len(cluster.status().in_sync()) == 1, "one engine goes on alone")
    define(cluster.gateway_addresses, 201)
    whole = cluster.data_dir / "whole"
    for sequencer in ("sequencer-1", "sequencer-2"):
        cluster.kill(sequencer)
    cluster.kill(last)
    shutil.copytree(cluster.data_dir / last, whole)
    flip_log(cluster.data_dir / last)
    for name in ("sequencer-1", "sequencer-2", other, last):
        cluster.restart(name)

    child = cluster._parts.children[last]
    assert until(lambda: child.exit_code(), "it stops") == EXIT_DAMAGED
    text = str(said(cluster, last, "journal_damaged")[-1]["text"])
    assert f"{other} ends at" in text
    assert f"do not delete {cluster.data_dir / last}" in text
    assert "journal salvage" in text
    # Nobody trades on with what the other engine has.
    time.sleep(1)
    assert not any(each.role == "leader" for each in cluster.status().members if each.name.startswith("sequencer"))

    # An operator puts the right directory back: nothing is lost.
    kept = cluster.data_dir / "kept"
    (cluster.data_dir / last).rename(kept)
    shutil.copytree(whole, cluster.data_dir / last)
    cluster.restart(last)
    until(lambda: cluster.status().in_sync() == (1, 2), "both are in sync")
    assert accounts(cluster.gateway_addresses) == [*before, *range(101, 141), *range(201, 241)]


@pytest.mark.slow
def test_salvaged_journal_counts_only_after_a_forced_failover(cluster: LocalCluster, until, run_cli) -> None:
    last, other = cluster.find("primary"), cluster.find("standby")
    cluster.kill(other)
    until(lambda: len(cluster.status().in_sync()) == 1, "one engine goes on alone")
    define(cluster.gateway_addresses, 301)
    for sequencer in ("sequencer-1", "sequencer-2"):
        cluster.kill(sequencer)
    cluster.kill(last)
    flip_log(cluster.data_dir / last, 50)
    done = run_cli("cluster", "journal", "salvage", cluster.data_dir / last)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "--force --accept-data-loss" in done.stdout
    for name in ("sequencer-1", "sequencer-2", last):
        cluster.restart(name)
    until(lambda: cluster._parts.children[last].running and cluster.status() is not None, "it runs")
    time.sleep(1)
    assert not any(each.role == "leader" for each in cluster.status().members if each.name.startswith("sequencer"))
    forced = ("--candidate", last, "--force", "--accept-data-loss", "--config", cluster.config_path)
    until(lambda: run_cli("cluster", "failover", *forced).returncode == 0, "it goes on with what could be read")
    left = until(lambda: accounts(cluster.gateway_addresses), "queries are answered")
    assert set(range(1, 41)) <= set(left)
    assert len(left) < 160
