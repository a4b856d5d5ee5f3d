"""Principals that are made while the cluster runs."""

import json

import pytest

from lockstep.runtime.access.registry import (
    MAX_CREDENTIALS,
    Credential,
    Registry,
    RegistryForged,
    RegistryRefused,
    changed,
    create,
    decode,
    encode,
    grant,
    revoke,
)
from lockstep.runtime.access.roles import Role

KEY, NONE = b"k" * 32, Registry()


def after(*edits, registry: Registry = NONE, now_ns: int = 1) -> Registry:
    for edit in edits:
        registry = changed(registry, edit, by="ada", what="something", now_ns=now_ns)
    return registry


def key(name: str, made_ns: int = 1, until_ns: int = 0) -> Credential:
    return Credential(name, "key", "hash", made_ns, until_ns)


DESK = create("desk", ["trader"], [1, 2])


def test_a_principal_has_the_lowest_number_that_is_free_of_all():
    made = after(create("a", ["trader"], [], 0, [1, 3]), create("b", ["auditor"], [], 0, [1, 3]))
    assert [(entry.name, entry.number) for entry in made.entries] == [("a", 2), ("b", 4)]
    assert made.version == 2


def test_the_number_of_a_revoked_principal_and_so_its_sessions_go_to_nobody():
    made = after(DESK, revoke("desk"), create("next", ["trader"], []))
    assert [entry.number for entry in made.entries] == [2]
    with pytest.raises(RegistryRefused, match="was a revoked one's"):
        after(create("other", ["trader"], [], 1), registry=made)
    assert decode(encode(made, KEY), KEY) == made


def test_what_it_is_known_as_names_the_credential():
    made = after(DESK, grant("desk", key("k1")))
    principal = made.entry("desk").principal(made.entry("desk").credentials[0])
    assert (principal.name, principal.accounts, principal.rights) == ("desk", (1, 2), frozenset((Role.TRADER,)))
    assert principal.credential == "k1"


@pytest.mark.parametrize(
    ("edits", "why"),
    [
        ([create("", ["trader"], [])], "the name"),
        ([create("a b", ["trader"], [])], "the name"),
        ([create("a.b", ["trader"], [])], "the name"),
        ([create("x" * 65, ["trader"], [])], "the name"),
        ([create("a", [], [])], "no role"),
        ([create("a", ["member"], [])], "member"),
        ([create("a", ["sequencer"], [])], "sequencer"),
        ([create("a", ["root"], [])], "root"),
        ([create("a", ["trader"], [], 0x7FFE0000)], "client number"),
        ([create("a", ["trader"], [], 7, [7])], "client number 7"),
        ([DESK, DESK], "'desk' is there already"),
        ([DESK, create("other", ["trader"], [], 1)], "client number 1"),
        ([revoke("nobody")], "no principal"),
        ([DESK, revoke("desk", "k9")], "no credential"),
        ([DESK, *(grant("desk", key(f"k{n}")) for n in range(MAX_CREDENTIALS + 1))], "revoke one first"),
        ([DESK, grant("desk", key("k")), grant("desk", key("k"))], "'k' is there already"),
    ],
)
def test_what_can_not_be_is_refused_whole(edits, why: str):
    with pytest.raises(RegistryRefused, match=why):
        after(*edits)


def test_a_rotation_lets_the_keys_before_it_end_and_drops_those_that_are_over():
    before = after(DESK, grant("desk", key("old", 1)), grant("desk", key("over", 1, 5)))
    rotated = after(grant("desk", key("new", 10, 100), end_others_ns=50), registry=before)
    assert [(one.id, one.until_ns) for one in rotated.entry("desk").credentials] == [("old", 50), ("new", 100)]


def test_a_revoked_credential_is_gone_and_the_others_stay():
    left = after(DESK, grant("desk", key("a")), grant("desk", key("b")), revoke("desk", "a"))
    assert [one.id for one in left.entry("desk").credentials] == ["b"]
    assert not after(revoke("desk"), registry=left).entries


def test_who_changed_what_is_kept():
    assert [(line.by, line.what) for line in after(DESK, revoke("desk")).changes] == [("ada", "something")] * 2


def test_the_document_comes_back_as_it_was():
    made = after(DESK, grant("desk", key("a")))
    assert decode(encode(made, KEY), KEY) == made
    assert decode(None, KEY) == Registry()


def tampered(raw: bytes) -> bytes:
    outer = json.loads(raw)
    outer["registry"] = outer["registry"].replace("trader", "operator")
    return json.dumps(outer).encode()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"[]",
        b'{"v":1,"mac":"","registry":"{}"}',
        b"\xff",
        tampered(encode(after(DESK), KEY)),
        b"[" * 100_000,
        b" " * 2**21,
    ],
)
def test_whoever_writes_to_etcd_without_the_key_makes_no_principal(raw: bytes):
    with pytest.raises(RegistryForged):
        decode(raw, KEY)
    with pytest.raises(RegistryForged):
        decode(encode(after(DESK), b"x" * 32), KEY)
