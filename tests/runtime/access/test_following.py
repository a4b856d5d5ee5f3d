"""What a process makes of the principals' documents that it is given, now and in an earlier life."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from lockstep.runtime import tokens
from lockstep.runtime.access.following import PrincipalsFollower
from lockstep.runtime.access.jwt_login import JwtKeys
from lockstep.runtime.access.kept import KeptDocument
from lockstep.runtime.access.registry import Registry, changed, encode, restore, revoke
from lockstep.runtime.access.trail import Trail
from lockstep.runtime.etcd import StoreRefused
from lockstep.runtime.faults import EnvironmentFault
from lockstep.runtime.process_log import open_log
from lockstep.runtime.tokens import Entitlements, PrincipalsUnknown, Unauthenticated
from lockstep.runtime.topology import Access, Principal
from tests.everybody import NO_TRAIL
from tests.runtime.access.test_tokens import DESK, ISSUER, KEY, KEY_ID, TOKEN, identify, known, signed

__all__ = ["known"]


class _Topology:
    etcd_endpoints = ()
    name = "c"
    access = Access()


def following(known: Entitlements, kept: Path | None = None, trail: Trail = NO_TRAIL) -> PrincipalsFollower:
    document = None if kept is None else KeptDocument(kept, "test")
    return PrincipalsFollower(_Topology(), known, trail, open_log("test"), None, document)  # type: ignore[arg-type]  # three fields


def nobody() -> Entitlements:
    return Entitlements((), anonymous=False, key=KEY, cluster="c")


REVOKED = changed(DESK, revoke("desk", KEY_ID), by="a", what="", now_ns=1)


# ---- beside the clients of the configuration -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("client", "why"),
    [
        (Principal("x", "t", 7), "client number 7"),
        (Principal("desk", "t", 8), "the name"),
        (Principal("x", "t", 8, soup_user="DESK", soup_password="p"), "user 'DESK'"),
    ],
)
def test_a_client_of_the_configuration_comes_before_a_stored_principal_with_something_of_its_own(
    tmp_path: Path, client: Principal, why: str
):
    found = Entitlements((client,), key=KEY, cluster="c", issuers=JwtKeys([("issuer-1", ISSUER.public_key())]))
    follower = following(found, None, Trail(tmp_path, "test"))
    assert follower.take(encode(DESK, KEY, "c"))
    for token in (TOKEN, signed(), signed(ISSUER, "issuer-1", "ES256")):
        with pytest.raises(Unauthenticated):
            identify(found, token)
    assert identify(found, "t") == client
    assert not found.stores_user("DESK")
    line = json.loads((tmp_path / "test.jsonl").read_text().splitlines()[-1])
    assert (line["event"], line["who"]) == ("principal_clashes", "desk")
    assert why in line["why"]


def test_a_client_with_the_number_of_a_revoked_principal_is_let_in_and_said(tmp_path: Path):
    found = Entitlements((Principal("x", "t", 7),), key=KEY, cluster="c")
    following(found, None, Trail(tmp_path, "test")).take(
        encode(changed(DESK, revoke("desk"), by="a", what="", now_ns=1), KEY, "c")
    )
    assert identify(found, "t").number == 7
    assert "client_has_a_revoked_number" in (tmp_path / "test.jsonl").read_text()


def test_what_a_principal_has_open_ends_when_a_client_has_its_number(known: Entitlements):
    principal, ended = identify(known, TOKEN), []
    known.watch(principal, lambda: ended.append(1))
    known.replace(replace(DESK, version=9, entries=(replace(DESK.entries[0], number=1),)))
    assert ended
    with pytest.raises(Unauthenticated):
        identify(known, TOKEN)


def test_a_forged_or_older_document_changes_nothing(known: Entitlements):
    follower = following(known)
    known.replace(Registry())
    assert follower.take(encode(REVOKED, KEY, "c"))
    forged = (encode(replace(DESK, version=99), b"x" * 32, "c"), encode(replace(DESK, version=99), KEY, "other"), b"{}")
    for raw in (encode(DESK, KEY, "c"), *forged, None):
        assert not follower.take(raw)
        with pytest.raises(Unauthenticated):
            identify(known, TOKEN)


def heard(known: Entitlements, kept: Path, raw: bytes | None) -> PrincipalsFollower:
    """A process that has started, and is told of a document."""
    follower = following(known, kept, Trail(kept, "test"))
    follower.begin()
    if follower.take(raw):
        follower._keep(raw)
    return follower


def test_a_process_that_has_started_anew_knows_that_a_document_is_older(tmp_path: Path):
    heard(nobody(), tmp_path, encode(REVOKED, KEY, "c"))
    for raw in (encode(DESK, KEY, "c"), None):
        restarted = nobody()
        heard(restarted, tmp_path, raw)
        assert restarted.stores_user("DESK"), "the last good one is in force"
        with pytest.raises(Unauthenticated):
            identify(restarted, TOKEN)
    assert (tmp_path / "test.jsonl").read_text().count("principals_refused") == 2
    assert (tmp_path / "test.principals").stat().st_mode & 0o077 == 0
    restored = changed(DESK, restore(1), by="a", what="", now_ns=1)
    restarted = nobody()
    heard(restarted, tmp_path, encode(restored, KEY, "c"))
    assert identify(restarted, TOKEN).name == "desk", "on purpose"


def test_who_was_known_before_a_restart_is_let_in_though_etcd_does_not_answer(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(tokens, "_HEAR_S", 0.05)
    heard(nobody(), tmp_path, encode(DESK, KEY, "c"))
    restarted = nobody()
    following(restarted, tmp_path).begin()
    assert identify(restarted, TOKEN).name == "desk"
    assert restarted._heard.is_set(), "nobody else waits"


def test_who_was_revoked_while_a_process_was_down_is_not_let_in_for_what_it_kept(tmp_path: Path):
    heard(nobody(), tmp_path, encode(DESK, KEY, "c"))
    restarted = nobody()
    follower = following(restarted, tmp_path)
    follower.begin()

    async def come() -> None:
        asyncio.get_running_loop().call_later(0.05, follower.take, encode(REVOKED, KEY, "c"))
        with pytest.raises(Unauthenticated):
            await restarted.identify(f"Bearer {TOKEN}")

    asyncio.run(come())


@pytest.mark.parametrize("refused", [True, False])
def test_a_key_is_no_wrong_one_while_no_document_is_believed(monkeypatch: pytest.MonkeyPatch, refused: bool):
    """A document that is refused, as after a change of the cluster's key, is not waited for at all; one that does not
    come is waited for once."""
    monkeypatch.setattr(tokens, "_HEAR_S", 60 if refused else 0.05)
    known = nobody()
    follower = following(known)
    if refused:
        assert not follower.take(encode(DESK, b"x" * 32, "c"))
    for _ in range(2):
        with pytest.raises(PrincipalsUnknown, match="can't verify stored principals now"):
            identify(known, TOKEN)
        monkeypatch.setattr(tokens, "_HEAR_S", 60)
    with pytest.raises(Unauthenticated) as found:
        identify(known, "nonsense")
    assert type(found.value) is Unauthenticated
    with pytest.raises(PrincipalsUnknown):
        known.authenticate_slowly(f"Bearer {TOKEN}")
    assert follower.take(encode(DESK, KEY, "c"))
    assert identify(known, TOKEN).name == "desk"


def test_what_was_known_is_in_force_at_once_where_a_document_is_refused(tmp_path: Path, monkeypatch):
    heard(nobody(), tmp_path, encode(DESK, KEY, "c"))
    monkeypatch.setattr(tokens, "_HEAR_S", 60)
    restarted = nobody()
    heard(restarted, tmp_path, encode(DESK, b"x" * 32, "c"))
    assert identify(restarted, TOKEN).name == "desk"


@pytest.mark.parametrize("spoilt", [b"", b"{}", encode(DESK, b"x" * 32, "c"), encode(DESK, KEY, "other")])
def test_what_was_kept_with_another_key_or_is_damaged_is_said_and_left_aside(tmp_path: Path, spoilt: bytes):
    KeptDocument(tmp_path, "test").store(spoilt)
    restarted = nobody()
    heard(restarted, tmp_path, encode(DESK, KEY, "c"))
    assert identify(restarted, TOKEN).name == "desk"
    assert "kept_principals_unusable" in (tmp_path / "test.jsonl").read_text()


def test_a_disk_that_keeps_nothing_stops_nobody(tmp_path: Path):
    (tmp_path / "test.principals").mkdir()
    known = nobody()
    heard(known, tmp_path, encode(DESK, KEY, "c"))
    assert identify(known, TOKEN).name == "desk"
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".jsonl"] == ["test.principals"], "no draft"


def test_the_follower_goes_on_whatever_goes_wrong(known: Entitlements, monkeypatch: pytest.MonkeyPatch):
    """A certificate that can't be read, an end of something open that fails, a fault of its own: it is tried again."""
    monkeypatch.setattr("lockstep.runtime.access.following._RETRY_S", 0.01)
    monkeypatch.setattr("lockstep.runtime.access.following._LOOK_S", 0.01)
    faults = [EnvironmentFault("no certificate"), OSError("disk"), StoreRefused("no"), RuntimeError("a bug")]
    ended: list[int] = []

    async def run() -> None:
        follower, done = following(known), asyncio.Event()

        async def follow() -> None:
            if faults:
                raise faults.pop()
            done.set()

        def fail() -> None:
            ended.append(1)
            raise RuntimeError("a bug")

        monkeypatch.setattr(follower, "_follow", follow)
        principal = await known.identify(f"Bearer {TOKEN}")
        known.watch(principal, fail)
        known.watch(principal, lambda: ended.append(2))
        monkeypatch.setattr(known, "_by_credential", {})
        running = asyncio.ensure_future(follower.run())
        async with asyncio.timeout(20):
            await done.wait()
            while ended != [1, 2]:  # noqa: ASYNC110 - nothing says so
                await asyncio.sleep(0.01)
        assert not running.done()
        running.cancel()

    asyncio.run(run())
