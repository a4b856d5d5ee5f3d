"""Tokens by the cluster's key."""

import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lockstep.runtime.access.cluster_key import (
    LIFETIME_S,
    ClusterKeys,
    Holder,
    KeyFiles,
    NotByThisKey,
    by_any,
    former_of,
    load_key,
    load_keys,
    make_key,
    mint,
    next_of,
    use_next,
    verify,
)
from lockstep.runtime.access.dialing import Identity
from lockstep.runtime.access.roles import Role
from lockstep.runtime.faults import EnvironmentFault
from lockstep.runtime.tokens import OPERATOR_NUMBERS, Entitlements, Unauthenticated, number_of_holder
from lockstep.runtime.topology import Principal
from lockstep.stream.arrival import GATEWAY_CLIENT_BASE

KEY, NOW = b"k" * 32, 1_800_000_000
ENGINE = Holder("engine-2", Role.MEMBER)
TOKEN = mint(KEY, "c", ENGINE, NOW)


def test_a_token_says_who_made_it():
    assert verify(KEY, "c", TOKEN, NOW) == ENGINE
    assert ENGINE.roles == (Role.MEMBER,)
    assert Holder("sequencer-1", Role.MEMBER).roles == (Role.MEMBER, Role.SEQUENCER)
    assert Holder("sequencer-1", Role.OPERATOR).roles == (Role.OPERATOR,), "a person of that name fences nobody"


@pytest.mark.parametrize(
    ("key", "cluster", "token", "now_s"),
    [
        (b"x" * 32, "c", TOKEN, NOW),
        (KEY, "another", TOKEN, NOW),
        (KEY, "c", TOKEN, NOW + LIFETIME_S),
        (KEY, "c", TOKEN, NOW - 2 * LIFETIME_S),
        (KEY, "c", TOKEN.replace("engine-2", "engine-1"), NOW),
        (KEY, "c", TOKEN.replace("member", "operator"), NOW),
        (KEY, "c", TOKEN[:-1] + ("0" if TOKEN[-1] != "0" else "1"), NOW),
        (KEY, "c", TOKEN[:-1], NOW),
        (KEY, "c", TOKEN + "0", NOW),
        (KEY, "c", "lsk1.", NOW),
        (KEY, "c", "lsk1." + "a" * 5000, NOW),
        (KEY, "c", TOKEN.replace(str(NOW + LIFETIME_S), str(NOW + LIFETIME_S + 1)), NOW),
    ],
)
def test_a_token_of_another_key_cluster_name_role_or_time_is_none(key, cluster, token, now_s):
    with pytest.raises(NotByThisKey):
        verify(key, cluster, token, now_s)


def test_any_single_changed_letter_is_noticed():
    for place in range(len(TOKEN)):
        wrong = TOKEN[:place] + ("A" if TOKEN[place] != "A" else "B") + TOKEN[place + 1 :]
        with pytest.raises(NotByThisKey):
            verify(KEY, "c", wrong, NOW)


def test_the_key_gives_no_role_of_a_trader(monkeypatch: pytest.MonkeyPatch):
    forged = mint(KEY, "c", Holder("x", Role.TRADER), NOW)
    with pytest.raises(NotByThisKey, match="no role"):
        verify(KEY, "c", forged, NOW)


def test_processes_that_start_together_make_one_key(tmp_path: Path):
    path = tmp_path / "sub" / "cluster.key"
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: make_key(path), range(8)))
    assert len(keys) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["cluster.key"]


def test_a_key_that_others_can_read_is_closed_to_them(tmp_path: Path):
    path = tmp_path / "cluster.key"
    make_key(path)
    path.chmod(0o644)
    load_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "zz", "00" * 31, "00" * 33])
def test_a_file_that_holds_no_key_is_an_error_with_its_remedy(tmp_path: Path, text: str):
    path = tmp_path / "cluster.key"
    path.write_text(text)
    with pytest.raises(EnvironmentFault, match="copy the file of another host"):
        load_key(path)


def test_there_is_no_key_where_there_is_no_file(tmp_path: Path):
    assert load_key(tmp_path / "cluster.key") is None


def test_a_member_is_a_principal_and_its_number_no_clients():
    known = Entitlements([Principal("a", "t", 1)], key=KEY, cluster="c")
    token = Identity(KEY, "c", ENGINE).token
    found = known.authenticate(f"Bearer {token}")
    assert (found.name, found.roles) == ("engine-2", (Role.MEMBER,))
    assert OPERATOR_NUMBERS <= found.number == number_of_holder("engine-2") < GATEWAY_CLIENT_BASE
    assert known.authenticate(f"Bearer {token}") is found, "remembered"


def test_an_identity_keeps_its_token_for_hours(monkeypatch: pytest.MonkeyPatch):
    identity = Identity(KEY, "c", ENGINE)
    first = identity.metadata
    assert identity.metadata is first
    monkeypatch.setattr("time.time", lambda: NOW)
    assert identity.token != str(first[0][1]).removeprefix("Bearer ")


def test_where_there_is_no_key_a_member_is_not_believed():
    with pytest.raises(Unauthenticated, match="key_file"):
        Entitlements([Principal("a", "t", 1)]).authenticate(f"Bearer {TOKEN}")


def test_who_lists_no_client_and_lets_nobody_in_anonymously_lets_nobody_in():
    closed = Entitlements((), anonymous=False, key=KEY, cluster="c")
    assert not closed.open
    with pytest.raises(Unauthenticated):
        closed.authenticate(None)
    with pytest.raises(Unauthenticated):
        closed.authenticate("Bearer ")


# ---- a change of the key ---------------------------------------------------------------------------------------------


def test_while_the_key_is_changed_both_are_believed_at_each_moment(tmp_path: Path):
    path = tmp_path / "cluster.key"
    assert load_keys(path) is None
    first, files = make_key(path), KeyFiles(path)
    assert load_keys(path) == ClusterKeys(first) == files.refresh(), "the first look reads, whatever was read before"
    assert files.refresh() is None
    second = make_key(next_of(path))
    assert load_keys(path) == ClusterKeys(first, (second,)) == files.refresh()
    former_of(path).hardlink_to(path)
    assert load_keys(path) == ClusterKeys(first, (second,)), "a switch that was broken off"
    use_next(path)
    assert load_keys(path) == ClusterKeys(second, (first,)) == files.refresh()
    assert set(tmp_path.iterdir()) == {path, former_of(path)}, "a key lies under these names alone"
    assert {one.stat().st_mode & 0o777 for one in tmp_path.iterdir()} == {0o600}
    with pytest.raises(EnvironmentFault, match="nothing was changed"):
        use_next(path)
    former_of(path).unlink()
    assert files.refresh() == ClusterKeys(second)
    assert files.refresh() is None


def test_a_key_file_that_is_being_written_is_said_once_and_read_when_it_is_whole(tmp_path: Path):
    path = tmp_path / "cluster.key"
    make_key(path)
    files = KeyFiles(path)
    next_of(path).write_text("ab")
    with pytest.raises(EnvironmentFault, match="holds no key"):
        files.refresh()
    assert files.refresh() is None
    next_of(path).write_text("ab" * 32)
    found = files.refresh()
    assert found is not None
    assert found.others == (b"\xab" * 32,)


def test_what_was_written_with_one_of_several_keys_says_with_which():
    tokens = {key: mint(key, "c", ENGINE, 1_000) for key in (KEY, b"x" * 32)}
    for key, token in tokens.items():
        read = lambda one, token=token: verify(one, "c", token, 1_000)  # noqa: E731 - as its callers have it
        assert by_any((KEY, b"x" * 32), read, NotByThisKey)[1] == key
        with pytest.raises(NotByThisKey):
            by_any((b"y" * 32,), read, NotByThisKey)


def test_an_identity_uses_the_key_that_is_there_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("lockstep.runtime.access.dialing._LOOK_AT_KEY_S", 0.0)
    path = tmp_path / "cluster.key"
    first = make_key(path)
    identity = Identity(first, "c", ENGINE, KeyFiles(path))
    assert verify(first, "c", identity.token, int(time.time())) == ENGINE
    second = make_key(next_of(path))
    assert verify(first, "c", identity.token, int(time.time())) == ENGINE, "not before it is switched"
    use_next(path)
    assert verify(second, "c", identity.token, int(time.time())) == ENGINE


def test_members_come_by_both_keys_while_the_key_is_changed_and_by_one_afterwards():
    found = Entitlements((), anonymous=False, key=KEY, cluster="c")
    other = b"x" * 32
    tokens = [mint(key, "c", ENGINE, int(time.time())) for key in (KEY, other)]
    assert comes(found, tokens) == [True, False]
    found.rekey(ClusterKeys(other, (KEY,)))
    assert comes(found, tokens) == [True, True]
    found.rekey(ClusterKeys(other))
    assert comes(found, tokens) == [False, True], "also who was remembered"


def comes(found: Entitlements, tokens: list[str]) -> list[bool]:
    def one(token: str) -> bool:
        try:
            return bool(found.authenticate(f"Bearer {token}"))
        except Unauthenticated:
            return False

    return [one(token) for token in tokens]
