"""Tokens by the cluster's key."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lockstep.runtime.access.cluster_key import LIFETIME_S, Holder, NotByThisKey, load_key, make_key, mint, verify
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
