"""Engines that hang, die one after the other, or lose their disk, as real processes under load."""

import asyncio
import re
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest

from lockstep import SessionEnded
from lockstep.admin import DefineAccount
from lockstep.aio import AsyncClient
from lockstep.ops.cli.cluster.tables import status_json
from lockstep.ops.local.child import Child
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.ops.operator.stored_config import read_config
from lockstep.ops.operator.view import view_of
from lockstep.replica.journal import Journal
from lockstep.runtime import config
from lockstep.runtime.topology import Limits, Snapshots, Timing
from lockstep.session import AsyncSession
from lockstep.v1 import cluster_pb2, cluster_pb2_grpc

ENGINES = (1, 2, 3)


class Watched:
    """A cluster of three engines, and what its processes say one by one."""

    def __init__(self, cluster: LocalCluster) -> None:
        self.cluster = cluster
        topology = cluster.topology
        self._stubs = {
            member.name: cluster_pb2_grpc.ClusterStub(grpc.insecure_channel(member.grpc_address))
            for member in (*topology.engines, *topology.sequencers)
        }

    def status(self, name: str) -> cluster_pb2.GetStatusReply:
        return self._stubs[name].GetStatus(cluster_pb2.GetStatusRequest(), timeout=30, wait_for_ready=True)

    def take_snapshot(self, name: str) -> cluster_pb2.Snapshot:
        return self._stubs[name].TakeSnapshot(cluster_pb2.TakeSnapshotRequest(), timeout=60).snapshot

    def in_sync(self) -> tuple[int, ...]:
        return self.cluster.status().in_sync()

    def row(self, name: str) -> dict[str, object]:
        """The engine's row of `lockstep status --json`."""
        status = self.cluster.status()
        members: Any = status_json(status, view_of(status, self.cluster.topology))["members"]
        return next(row for row in members if row["name"] == name)

    def account_names(self) -> int:
        async def ask() -> int:
            async with AsyncClient(self.cluster.gateway_addresses) as client:
                return len(await client.accounts())

        return asyncio.run(ask())

    def at_one_seq(self) -> bool:
        replies = [self.status(f"engine-{member}") for member in ENGINES]
        return len({(reply.seq, reply.committed_seq, reply.digest) for reply in replies}) == 1


@pytest.fixture
def watched(tmp_path: Path):
    # Three processes of one cluster on a starved machine may all be silent for a while.
    plan = ClusterPlan(data_dir=tmp_path / "data", engines=3, restart=False, timing=Timing(hang_ms=400))
    with LocalCluster(plan) as cluster:
        yield Watched(cluster)


def journals(data_dir: Path) -> list[list[bytes]]:
    """All frames of each stopped engine."""
    found = []
    for member in ENGINES:
        journal = Journal(data_dir / f"engine-{member}", member)
        found.append(list(journal.raw_batches(1)))
        journal.close()
    return found


@pytest.mark.slow
@pytest.mark.parametrize("role", ["standby", "primary"])
def test_engine_that_hangs_is_evicted_and_comes_back_in_sync_by_itself(watched, role, start_load, until) -> None:
    cluster = watched.cluster
    load = start_load(cluster.gateway_addresses)
    until(lambda: load.acknowledged > 50, "orders go through")
    name = cluster.find(role)
    member = int(name.removeprefix("engine-"))
    others = tuple(each for each in ENGINES if each != member)

    cluster.signal(name, signal.SIGSTOP)
    until(lambda: watched.in_sync() == others, "the engine that hangs is out of sync")
    before = load.acknowledged
    until(lambda: load.acknowledged > before + 50, "trading goes on without it")
    assert not watched.row(name)["in_sync_member"]
    cluster.signal(name, signal.SIGCONT)
    until(lambda: watched.in_sync() == ENGINES, "it is in sync again")

    acknowledged = load.end()
    until(watched.at_one_seq, "all engines at one seq with one digest")
    assert cluster.starts(name) == 1
    assert watched.account_names() == acknowledged
    cluster.stop()
    first, *rest = journals(cluster.data_dir)
    assert rest == [first, first]


@pytest.mark.slow
def test_cluster_waits_for_its_last_in_sync_engine_and_resumes_with_all_it_acknowledged(
    watched, start_load, until
) -> None:
    cluster = watched.cluster
    load = start_load(cluster.gateway_addresses)
    until(lambda: load.acknowledged > 50, "orders go through")
    last = cluster.find("primary")
    outsiders = [f"engine-{member}" for member in ENGINES if f"engine-{member}" != last]
    for number, name in enumerate(outsiders, start=1):
        cluster.kill(name)
        until(lambda left=3 - number: len(watched.in_sync()) == left, f"{name} is out of sync")
    before = load.acknowledged
    until(lambda: load.acknowledged > before + 50, "the last engine goes on alone")
    assert watched.in_sync() == (int(last.removeprefix("engine-")),)
    cluster.kill(last)

    # Now only engines are there that lack what was acknowledged, and the leader that knew it is gone as well.
    leader = cluster.find("sequencer")
    rival = next(each.name for each in cluster.topology.sequencers if each.name != leader)
    cluster.kill(leader)
    for name in outsiders:
        cluster.restart(name)
    # What the dead leader left in their links may tell them of epochs in which they were standbys: so they may say.
    following = (cluster_pb2.ROLE_LEARNER, cluster_pb2.ROLE_STANDBY)
    for name in outsiders:
        until(lambda name=name: watched.status(name).role in following, f"{name} is up")
    stood_at = load.acknowledged
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        assert all(watched.status(name).role in following for name in outsiders)
        assert watched.status(rival).role != cluster_pb2.ROLE_LEADER
        held = read_config(cluster.topology).record
        # On a starved host etcd may not answer just now.
        assert held is None or held.in_sync == (int(last.removeprefix("engine-")),)
        time.sleep(0.1)
    until(lambda: read_config(cluster.topology).record is not None, "etcd answers")
    assert load.acknowledged == stood_at

    cluster.restart(last)
    until(lambda: load.acknowledged > stood_at, "trading goes on")
    cluster.restart(leader)
    assert cluster.wait_until_whole(60)
    acknowledged = load.end()
    until(watched.at_one_seq, "all engines at one seq with one digest")
    assert watched.account_names() == acknowledged


class SlowLink:
    """Passes TCP connections on to a port of this machine, so many bytes a second back to the caller."""

    def __init__(self, port: int, bytes_per_s: int) -> None:
        self.bytes_per_s = bytes_per_s
        self._target = port
        self._ends: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                caller, _ = self._listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._target))
                except OSError:
                    caller.close()
                    continue
                self._ends += (caller, server)
                threading.Thread(target=self._pass_on, args=(caller, server, False), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(server, caller, True), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, slow: bool) -> None:
        with suppress(OSError):
            while received := source.recv(1 << 14):
                if slow and self.bytes_per_s:
                    time.sleep(len(received) / self.bytes_per_s)
                target.sendall(received)
        self._cut(source, target)

    def cut(self) -> None:
        """End all connections, and what is under way in them."""
        self._cut(*self._ends)

    def _cut(self, *ends: socket.socket) -> None:
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()
        self.cut()


def fill(addresses: tuple[str, ...], first: int, count: int) -> None:
    """So many accounts that a snapshot is some megabytes."""

    async def go() -> None:
        async with AsyncClient(addresses) as client:
            session = await client.session(timeout_s=60.0)
            for number in range(first, first + count - 1):
                await session.submit(DefineAccount(number, f"A{number}"), track=False)
            await (await session.submit(DefineAccount(first + count - 1, "last")))
            await session.close()

    asyncio.run(go())


@pytest.fixture
def engine_behind_slow_links(tmp_path: Path):
    """Start an engine of a running cluster that reaches its peers over slow links only; gives (process, links)."""
    started: list[Callable[[], None]] = []

    def start(cluster: LocalCluster, member: int, bytes_per_s: int) -> tuple[Child, dict[str, SlowLink]]:
        text = cluster.config_path.read_text()
        links = {}
        for engine in cluster.topology.engines:
            if engine.id == member:
                continue
            link = links[engine.name] = SlowLink(engine.grpc_port, bytes_per_s)
            started.append(link.close)
            text, count = re.subn(rf"\b{engine.grpc_port}\b", str(link.port), text)
            assert count == 1
        path = tmp_path / "slow.toml"
        path.write_text(text)
        config.load(path)
        child = Child(f"engine-{member}", ("engine", "--config", str(path), "--id", str(member)), tmp_path / "slow.log")
        child.start()
        started.append(child.release)
        started.append(child.kill)
        return child, links

    yield start
    while started:
        started.pop()()


@pytest.mark.slow
def test_snapshot_transfer_is_seen_and_survives_the_death_of_the_peer_that_serves_it(
    tmp_path: Path, engine_behind_slow_links, start_load, until
) -> None:
    plan = ClusterPlan(
        data_dir=tmp_path / "data",
        engines=3,
        restart=False,
        snapshots=Snapshots(every_commands=1_000_000, every_s=0, keep=2, journal_keep_commands=50),
        limits=Limits(retransmit_commands=500),  # what a new disk lacks has left the leader's window
        timing=Timing(hang_ms=400),
    )
    with LocalCluster(plan) as cluster:
        watched = Watched(cluster)
        fill(cluster.gateway_addresses, 100_000, 8_000)
        load = start_load(cluster.gateway_addresses)
        engines = {engine.id: engine for engine in cluster.topology.engines}
        for engine in engines.values():
            assert watched.take_snapshot(engine.name).seq > 8_000
        until(
            lambda: all(watched.status(engine.name).journal.first_seq > 5_000 for engine in engines.values()),
            "all journals are cut",
        )
        lost = cluster.find("standby")
        member = int(lost.removeprefix("engine-"))
        peers = [engine for engine in engines.values() if engine.id != member]
        cluster.kill(lost)
        until(lambda: member not in watched.in_sync(), "the engine is out of sync")
        shutil.rmtree(engines[member].data_dir)

        child, links = engine_behind_slow_links(cluster, member, 400_000)
        seen = until(
            lambda: (row := watched.row(lost)).get("restore_bytes") and row, "the transfer is seen in the status"
        )
        assert 0 < seen["restore_bytes"] < seen["restore_total_bytes"]
        assert re.search(r"a peer's snapshot: \d+\.\d of \d+\.\d MB", str(seen["why"]))
        # A learner asks its peers in the order of their numbers.
        served, other = peers[0].name, peers[1].name
        before = load.acknowledged
        cluster.kill(served)
        links[served].cut()
        until(lambda: watched.in_sync() == (peers[1].id,), "the peer that died is out of sync")
        until(lambda: load.acknowledged > before + 50, "trading goes on")
        for link in links.values():
            link.bytes_per_s = 0
        until(lambda: watched.in_sync() == tuple(sorted((peers[1].id, member))), f"it came back by means of {other}")
        assert f"a snapshot of engine {peers[1].id} at seq" in child.log_path.read_text()
        assert watched.status(lost).journal.first_seq > 5_000
        assert watched.row(lost)["restore_total_bytes"] == 0
        cluster.restart(served)
        assert cluster.wait_until_whole(60)
        acknowledged = load.end()
        until(watched.at_one_seq, "all engines at one seq with one digest")
        assert watched.account_names() == acknowledged + 8_000


@pytest.mark.slow
def test_commands_that_an_operator_gave_up_are_told_to_be_void_to_those_who_were_told_of_them(
    tmp_path: Path, run_cli, until
) -> None:
    plan = ClusterPlan(data_dir=tmp_path / "data", engines=2, restart=False, timing=Timing(hang_ms=400))
    with LocalCluster(plan) as cluster:

        async def define(session: AsyncSession, first: int, count: int = 20) -> None:
            for number in range(first, first + count):
                await asyncio.wait_for(await session.submit(DefineAccount(number, f"A{number}")), 30)

        async def accounts(client: AsyncClient) -> list[int]:
            return [account.account for account in await client.accounts()]

        async def go() -> None:
            async with AsyncClient(cluster.gateway_addresses) as client:
                knows, knows_not = await client.session(timeout_s=30.0), await client.session(timeout_s=30.0)
                await define(knows, 1)
                await define(knows_not, 101)
                left_out, last = cluster.find("standby"), cluster.find("primary")
                cluster.kill(left_out)
                await asyncio.to_thread(until, lambda: len(cluster.status().in_sync()) == 1, "one engine goes on alone")
                await define(knows, 21)

                # The only engine that has them dies, and the leader that could still bring them to the other.
                leader = cluster.find("sequencer")
                cluster.kill(last)
                cluster.kill(leader)
                cluster.restart(left_out)
                forced = ("--candidate", left_out, "--force", "--accept-data-loss", "--config", cluster.config_path)
                failover = partial(run_cli, "cluster", "failover", *forced)
                await asyncio.to_thread(until, lambda: failover().returncode == 0, "the other goes on without them")

                with pytest.raises(SessionEnded, match=r"REPORTS_GONE.*what was delivered from seq \d+ on is void"):
                    await define(knows, 41)
                assert await accounts(client) == [*range(1, 21), *range(101, 121)]
                # Nothing that this one received is gone: it goes on, with its numbers and all.
                await define(knows_not, 121)
                anew = await client.session(timeout_s=30.0)
                await define(anew, 21)
                assert await accounts(client) == [*range(1, 41), *range(101, 141)]

        asyncio.run(go())
        log = (cluster.data_dir / "logs" / "gateway-1.log").read_text()
        assert log.count("goes on without commands that were delivered here") == 1
