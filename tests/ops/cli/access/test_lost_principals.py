"""`lockstep access` where etcd holds none of the principals that processes know, or not the one that was named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lockstep.runtime.access.cluster_key import load_key
from lockstep.runtime.access.kept import KeptDocument
from lockstep.runtime.access.registry import Registry, changed, encode, revoke
from lockstep.runtime.etcd import EtcdStore, StoreUnavailable
from tests.ops.cli.access.test_key_and_trail import config, run
from tests.runtime.access.test_tokens import DESK, KEY_ID

__all__ = ["config"]
NEWER = changed(DESK, revoke("desk", KEY_ID), by="a", what="", now_ns=1)


@pytest.fixture
def newest(config: Path) -> Path:
    """Where the newest document is that a process has kept; another one has an older one."""
    run("key", "--config", config)
    key = load_key(config.parent / "cluster.key")
    assert key is not None
    for name, document in (("engine-1", DESK), ("gateway-1", NEWER)):
        KeptDocument(config.parent / "audit", name).store(encode(document, key, "c"))
    return config.parent / "audit" / "gateway-1.principals"


def in_etcd(monkeypatch: pytest.MonkeyPatch, found: Registry) -> None:
    for module in ("principals", "restore"):
        monkeypatch.setattr(f"lockstep.ops.cli.access.{module}.read", lambda _: found)


def test_a_wiped_etcd_is_not_what_is_put_in_force(config: Path, newest: Path, monkeypatch: pytest.MonkeyPatch):
    in_etcd(monkeypatch, Registry())
    code, output = run("restore", "--force", "--config", config)
    assert code == 2
    assert f"restore --file {newest}`" in output


@pytest.mark.parametrize(("found", "text"), [(Registry(), "etcd holds no principals"), (DESK, "put it back")])
def test_a_list_says_that_it_is_not_in_force(
    config: Path, newest: Path, monkeypatch: pytest.MonkeyPatch, found: Registry, text: str
):
    in_etcd(monkeypatch, found)
    code, output = run("list", "--config", config)
    assert code == 0
    assert output.startswith("not in force: ")
    assert text in output
    assert f"restore --file {newest}`" in output
    in_etcd(monkeypatch, NEWER)
    assert "not in force" not in run("list", "--config", config)[1]


@pytest.mark.parametrize("command", ["issue", "rotate"])
def test_a_wrong_name_is_one_line(config: Path, newest: Path, monkeypatch: pytest.MonkeyPatch, command: str):
    in_etcd(monkeypatch, NEWER)
    code, output = run(command, "deks", "--config", config)
    assert code == 2
    assert "there is no principal 'deks'; there are: desk" in output
    assert output.count("\n") == 1
    in_etcd(monkeypatch, Registry())
    code, output = run(command, "desk", "--config", config)
    assert code == 1
    assert f"restore --file {newest}`" in output


@pytest.mark.parametrize("content", [b'{"rank": [1, ""]}', b"", b"\xff", b"[]"])
def test_a_file_of_something_else_is_said_in_words(config: Path, newest: Path, content: bytes):
    other = newest.with_name("gateway-1.link-keys")
    other.write_bytes(content)
    code, output = run("restore", "--file", other, "--force", "--config", config)
    assert code == 2
    assert f"{other}: this is no document of principals; name a file that ends in .principals" in output
    other.write_bytes(encode(DESK, b"x" * 32, "c"))
    code, output = run("restore", "--file", other, "--force", "--config", config)
    assert code == 2
    assert "were not written with this cluster's key" in output
    assert "--former-key FILE" in output


def test_etcd_that_is_away_is_named_once(config: Path, newest: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("lockstep.runtime.access.store._TIMEOUT_S", 0.3)
    gave_up = StoreUnavailable("etcd at 127.0.0.1:2379: no answer within 5 s (refused); is it running?")
    for error in (gave_up, TimeoutError()):
        monkeypatch.setattr(EtcdStore, "get", failing(error))
        code, output = run("list", "--config", config)
        assert code == 1
        assert output.count("127.0.0.1:2379") == 1
        assert "look with `lockstep access list`" in output


def failing(error: Exception) -> Callable[..., Any]:
    async def get(_self: object, _key: bytes) -> None:
        raise error

    return get
