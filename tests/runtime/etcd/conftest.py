"""Real etcd servers for the tests of the client."""

import asyncio
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lockstep.ops.local.etcd_server import LocalEtcd, LocalEtcdCluster
from lockstep.runtime.etcd import EtcdOptions, EtcdStore, MemberStatus
from tests.frozen import freeze


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEtcd]:
    """One server for all tests that do it no harm."""
    with LocalEtcd.start(tmp_path_factory.mktemp("shared")) as server:
        yield server


@pytest.fixture
def options(shared_server: LocalEtcd) -> EtcdOptions:
    # Nothing is done to this server: on a busy machine it may be slow, and is no less there.
    return EtcdOptions(endpoints=(shared_server.endpoint,), call_timeout_s=30, keepalive_time_s=30)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LocalEtcd]:
    """A server to be frozen or killed."""
    with LocalEtcd.start(tmp_path / "server") as started:
        yield started


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalEtcdCluster]:
    """Three members to be killed."""
    with LocalEtcdCluster.start(tmp_path / "cluster") as started:
        yield started


@pytest.fixture
def key(request: pytest.FixtureRequest) -> bytes:
    """A key of this test's own on the shared server."""
    return b"/test/" + request.node.name.encode()


@pytest.fixture(scope="module")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEtcdCluster]:
    """Three members that tests may freeze if they thaw them."""
    with LocalEtcdCluster.start(tmp_path_factory.mktemp("cluster")) as started:
        yield started


@dataclass(frozen=True, slots=True)
class FollowerFirst:
    """The shared cluster for a client whose first member is a follower: freezing it costs no election."""

    follower: LocalEtcd
    options: EtcdOptions

    def freeze(self) -> None:
        freeze(self.follower.pid)


@pytest.fixture
def follower_first(shared_cluster: LocalEtcdCluster) -> Iterator[FollowerFirst]:
    async def leader_index() -> int:
        async with EtcdStore(EtcdOptions(endpoints=shared_cluster.endpoints)) as store:
            statuses = await store.status()
            return [each.is_leader for each in statuses if isinstance(each, MemberStatus)].index(True)

    follower = shared_cluster.members[(asyncio.run(leader_index()) + 1) % 3]
    others = (each for each in shared_cluster.endpoints if each != follower.endpoint)
    try:
        yield FollowerFirst(follower, EtcdOptions(endpoints=(follower.endpoint, *others)))
    finally:
        os.kill(follower.pid, signal.SIGCONT)
