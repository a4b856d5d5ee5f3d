"""The local cluster's supervisor: starts, kills, restarts, stops, and continues a data directory."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lockstep.admin import DefineAccount, DefineInstrument
from lockstep.aio import AsyncClient
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.runtime.process import EnvironmentFault


def define(addresses: tuple[str, ...], number: int) -> None:
    async def go() -> None:
        async with AsyncClient(addresses) as client:
            session = await client.session(timeout_s=10.0)
            await (await session.submit(DefineInstrument(number, f"I{number}", 10_000)))
            await (await session.submit(DefineAccount(number, f"A{number}")))
            await session.close()

    asyncio.run(go())


def accounts(addresses: tuple[str, ...]) -> list[str]:
    async def go() -> list[str]:
        async with AsyncClient(addresses) as client:
            return [account.name for account in await client.accounts()]

    return asyncio.run(go())


@pytest.mark.slow
def test_cluster_survives_kills_and_its_data_directory_is_continued(tmp_path: Path) -> None:
    plan = ClusterPlan(data_dir=tmp_path / "data")
    with LocalCluster(plan) as cluster:
        define(cluster.gateway_addresses, 1)
        with pytest.raises(EnvironmentFault, match=rf"in use by another `lockstep up` \(process {os.getpid()}\)"):
            LocalCluster(plan).start()
        assert cluster.wait_until_whole(30)
        before = cluster.status().primary()
        assert before is not None
        cluster.kill(before.name)
        assert cluster.wait_until_whole(30)
        after = cluster.status().primary()
        assert after is not None
        assert after.reply is not None
        assert before.reply is not None
        # The other engine, or this one again, if that was starved when it was primary.
        assert after.reply.epoch > before.reply.epoch
        assert cluster.starts(before.name) == 2
        define(cluster.gateway_addresses, 2)
        pids = cluster.pids()
    assert all(not Path(f"/proc/{pid}").exists() for pid in pids.values())
    assert not cluster.topology.aeron_dir.exists()
    with LocalCluster(plan) as cluster:
        assert accounts(cluster.gateway_addresses) == ["A1", "A2"]


def test_children_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    arguments = ["up", "--data-dir", str(tmp_path / "data"), "--port", "14700"]
    up = subprocess.Popen(
        [sys.executable, "-m", "lockstep.ops.cli.main", *arguments], stdout=subprocess.PIPE, text=True
    )
    assert up.stdout is not None
    try:
        for line in up.stdout:
            if line.startswith("Ctrl-C"):
                break
        else:
            pytest.fail("`lockstep up` ended before it served")
        children = Path(f"/proc/{up.pid}/task/{up.pid}/children").read_text().split()
        assert len(children) >= 7
    finally:
        up.send_signal(signal.SIGKILL)
        up.wait()
        up.stdout.close()
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() and _runs(pid) for pid in children):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _runs(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
