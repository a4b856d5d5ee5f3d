"""The thread that speaks with etcd, at a real one."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lockstep.ops import config
from lockstep.ops.local.etcd_server import LocalEtcd
from lockstep.sequencer import events as ev
from lockstep.sequencer.etcd import EtcdStore
from lockstep.sequencer.store_link import Inbox, StoreLink

EXAMPLE = Path(config.__file__).resolve().parent / "cluster.example.toml"


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[LocalEtcd]:
    with LocalEtcd.start(tmp_path) as server:
        yield server


def test_presence_is_taken_again_when_its_lease_ended_before_it_was_used(
    etcd: LocalEtcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the process stands still for longer than the lease lives, between granting and writing."""
    real, granted = EtcdStore.keep_lease, []

    async def keep_lease(store: EtcdStore, ttl_s: int) -> Any:
        lease = await real(store, ttl_s)
        granted.append(lease)
        if len(granted) == 1:
            await lease.close()
        return lease

    monkeypatch.setattr(EtcdStore, "keep_lease", keep_lease)
    inbox = Inbox(lambda: None)
    link = StoreLink(replace(config.load(EXAMPLE), etcd_endpoints=(etcd.endpoint,)), 1, "sequencer-1-x", inbox)
    link.start()
    deadline = time.monotonic() + 20
    while not link.reachable and time.monotonic() < deadline:
        time.sleep(0.02)
    assert link.reachable
    assert len(granted) == 2
    assert all(isinstance(item, (ev.ConfigSeen, ev.PresenceSeen)) for item in inbox.take())
    link.close()
