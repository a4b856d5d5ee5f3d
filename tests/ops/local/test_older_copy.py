"""Data directories of engines are put back whole from an earlier copy: nothing delivered since is lost in silence."""

import asyncio
import shutil
import time
from pathlib import Path

import pytest

from lockstep.admin import DefineAccount
from lockstep.aio import AsyncClient
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from tests.calm import CALM


def define(cluster: LocalCluster, first: int, count: int) -> None:
    async def go() -> None:
        async with AsyncClient(cluster.gateway_addresses) as client:
            session = await client.session(timeout_s=60.0)
            for number in range(first, first + count):
                await (await session.submit(DefineAccount(number, f"A{number}")))
            await session.close()

    asyncio.run(go())


def accounts(cluster: LocalCluster) -> set[int]:
    async def ask() -> set[int]:
        async with AsyncClient(cluster.gateway_addresses) as client:
            return {account.account for account in await client.accounts()}

    return asyncio.run(ask())


def leads(cluster: LocalCluster) -> bool:
    return cluster.status().leader() is not None


def reasons(cluster: LocalCluster) -> str:
    return " ".join(member.reply.why for member in cluster.status().members if member.reply is not None)


@pytest.mark.slow
def test_older_copy_under_a_living_gateway_opens_nothing(tmp_path: Path, until, run_cli) -> None:
    with LocalCluster(ClusterPlan(data_dir=tmp_path / "data", engines=1, restart=False, timing=CALM)) as cluster:
        engine, config = cluster.data_dir / "engine-1", ("--config", cluster.config_path)
        define(cluster, 1, 20)
        copy, newest = tmp_path / "copy", tmp_path / "newest"
        everything = ("sequencer-1", "sequencer-2", "engine-1", "snapshotter-1")

        def put(source: Path, keep: Path | None = None) -> None:
            for name in everything:
                cluster.kill(name)
            if keep is not None:
                shutil.copytree(engine, keep)
            shutil.rmtree(engine)
            shutil.copytree(source, engine)
            for name in everything:
                cluster.restart(name)

        shutil.copytree(engine, copy)
        define(cluster, 101, 40)
        put(copy, keep=newest)
        until(lambda: "clients have reports of commands up to seq" in reasons(cluster), "it says why it waits")
        assert not leads(cluster)
        assert "--accept-data-loss" in run_cli("cluster", "doctor", *config).stdout
        # The right directory: nothing is lost.
        put(newest)
        until(lambda: leads(cluster), "it goes on")
        assert accounts(cluster) == {*range(1, 21), *range(101, 141)}
        # Once more, and the operator accepts it.
        put(copy)
        until(lambda: "clients have reports of commands up to seq" in reasons(cluster), "it says why it waits")
        forced = ("--candidate", "engine-1", "--force", "--accept-data-loss", *config)
        until(lambda: run_cli("cluster", "failover", *forced).returncode == 0, "an operator accepts the loss")
        until(lambda: accounts(cluster) == set(range(1, 21)), "it goes on without")
        define(cluster, 201, 5)
        assert "data loss" in run_cli("cluster", "history", *config).stdout


@pytest.mark.slow
def test_older_copies_of_all_engines_are_noticed_by_the_next_up(tmp_path: Path) -> None:
    plan = ClusterPlan(data_dir=tmp_path / "data", engines=2, restart=False, timing=CALM)
    with LocalCluster(plan) as cluster:
        define(cluster, 1, 20)
        data_dir = cluster.data_dir
    for engine in ("engine-1", "engine-2"):
        shutil.copytree(data_dir / engine, tmp_path / engine)
    with LocalCluster(plan) as cluster:
        define(cluster, 101, 40)
        for name in list(cluster._parts.children):
            cluster.kill(name)
    for engine in ("engine-1", "engine-2"):
        shutil.rmtree(data_dir / engine)
        shutil.copytree(tmp_path / engine, data_dir / engine)
    said: list[str] = []
    deadline = time.monotonic() + 60
    cluster = LocalCluster(plan)
    try:
        # It waits for as long as a person needs.
        cluster.start(
            timeout_s=15,
            should_stop=lambda: "was committed" in " ".join(said) or time.monotonic() > deadline,
            on_wait=said.append,
        )
        assert "was committed" in said[-1]
        assert "--accept-data-loss" in said[-1]
        assert not leads(cluster)
    finally:
        cluster.stop()
