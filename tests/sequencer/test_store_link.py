"""The thread that speaks with etcd, at a real one."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lockstep.ops.cli.cluster.repair import _repair
from lockstep.ops.cli.cluster.steps import Refused
from lockstep.ops.local.etcd_server import LocalEtcd
from lockstep.runtime import config
from lockstep.runtime.etcd import EtcdOptions, EtcdStore
from lockstep.sequencer import events as ev
from lockstep.sequencer.config_record import config_key, encode_config, plan_bootstrap
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


GARBAGE = [
    b"", b"\xff\xfe", b"null", b"[]", b"{}", b"[" * 100_000, b'{"epoch": 1}',
    b'{"epoch": ' + b"9" * 5000 + b"}",
]  # fmt: skip


def wait_for(inbox: Inbox, kind: type[Any], seconds: float = 10.0) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for item in inbox.take():
            assert not isinstance(item, Exception), item
            if isinstance(item, kind):
                return item
        time.sleep(0.01)
    raise AssertionError(f"no {kind.__name__} came")


def test_what_is_no_config_record_ends_no_sequencer_and_is_told_with_the_last_good_one(etcd: LocalEtcd) -> None:
    topology = replace(config.load(EXAMPLE), etcd_endpoints=(etcd.endpoint,))
    key = config_key(topology.name)
    good = plan_bootstrap(
        uuid="c1a5e000-0000-4000-8000-000000000001", engines=(1, 2), sequencer=1, highest_promised=6, attempt="a"
    )
    inbox = Inbox(lambda: None)
    link = StoreLink(topology, 1, "sequencer-1-x", inbox)

    async def put(*values: bytes) -> int:
        async with EtcdStore(EtcdOptions(endpoints=topology.etcd_endpoints)) as store:
            for value in values:
                revision = await store.put(key, value)
            return revision

    asyncio.run(put(encode_config(good)))
    link.start()
    try:
        assert wait_for(inbox, ev.ConfigSeen).record == good
        odd = [*GARBAGE, encode_config(good).replace(b'"sequencer": 1', b'"sequencer": 77')]
        odd += [encode_config(good).replace(b"[1, 2]", b"[1, 61]"), encode_config(good).replace(b": 7", b": -7")]
        odd.append(encode_config(good).replace(b": 7", b": " + str(2**63 - 1).encode()))
        # Whole, and of an epoch behind which no sequencer could take over.
        odd += [encode_config(replace(good, epoch=epoch)) for epoch in (2**47, 2**48 - 1, 2**48)]
        for value in odd:
            revision = asyncio.run(put(value))
            delivered = wait_for(inbox, ev.ConfigUnreadable)
            assert (delivered.mod_revision, delivered.last_good) == (revision, good), value[:80]
        # A swap that meets it is not applied, and says so.
        link.swap(ev.Cas(replace(good, attempt="b"), 1))
        assert wait_for(inbox, ev.StoreDown).attempt == "b"
        repaired = asyncio.run(_repair(topology, 40, "", dry_run=False))
        assert (repaired.epoch, repaired.in_sync, repaired.uuid) == (41, good.in_sync, good.uuid)
        assert wait_for(inbox, ev.ConfigSeen).record == repaired
        for known in ("", good.uuid):
            with pytest.raises(Refused, match="nothing to repair"):
                asyncio.run(_repair(topology, 40, known, dry_run=False))
        foreign = replace(good, uuid="f0e1a000-0000-4000-8000-000000000002", epoch=99)
        asyncio.run(put(encode_config(foreign)))
        again = asyncio.run(_repair(topology, 41, good.uuid, dry_run=False))
        assert (again.uuid, again.epoch, again.in_sync) == (good.uuid, 42, good.in_sync)
    finally:
        link.close()
