"""Principals that are made while the cluster runs."""

import json

import pytest

from lockstep.runtime.access.registry import (
    KEPT_CHANGES,
    MAX_CREDENTIALS,
    Credential,
    Registry,
    RegistryForged,
    RegistryRefused,
    Since,
    alter,
    changed,
    create,
    decode,
    encode,
    grant,
    regroup,
    restore,
    revoke,
    since,
    why_not_after,
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
    assert decode(encode(made, KEY, "c"), KEY, "c") == made


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
    assert decode(encode(made, KEY, "c"), KEY, "c") == made
    assert decode(None, KEY, "c") == Registry()


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
        b'{"v":2,"mac":"","registry":"{}"}',
        b"\xff",
        tampered(encode(after(DESK), KEY, "c")),
        b"[" * 100_000,
        b" " * 2**21,
    ],
)
def test_whoever_writes_to_etcd_without_the_key_makes_no_principal(raw: bytes):
    with pytest.raises(RegistryForged):
        decode(raw, KEY, "c")


@pytest.mark.parametrize(("key", "cluster"), [(b"x" * 32, "c"), (KEY, "other"), (KEY, "c\n"), (KEY, "")])
def test_a_document_of_another_key_or_cluster_is_nobodys(key: bytes, cluster: str):
    with pytest.raises(RegistryForged):
        decode(encode(after(DESK), key, cluster), KEY, "c")


def test_what_came_later_is_taken_and_what_was_put_back_is_not():
    first = after(DESK)
    second = after(revoke("desk"), registry=first)
    third = after(create("next", ["auditor"], []), registry=second)
    for known, found in ((NONE, first), (first, second), (first, third), (second, second), (NONE, NONE)):
        assert not why_not_after(known, found)
    for known, found in ((second, first), (third, second), (first, NONE)):
        assert "put it back" in why_not_after(known, found)


def test_a_history_that_goes_on_from_an_older_document_is_noticed_however_long_it_grows():
    """Somebody puts an older one back, and administrators, who see nothing wrong, change it until it is the newest."""
    old = after(DESK)
    known = after(revoke("desk"), registry=old)
    grown = old
    for number in range(KEPT_CHANGES):
        grown = after(create(f"p{number}", ["auditor"], []), registry=grown)
        assert why_not_after(known, grown)
    assert "does not go on" in why_not_after(known, grown)


def test_what_is_restored_on_purpose_comes_after_all_that_is_known_and_no_number_is_given_again():
    old = after(DESK)
    known = after(create("b", ["auditor"], []), revoke("desk"), create("c", ["auditor"], []), registry=old)
    restored = after(restore(10, [known], revoked_too=True), registry=old)
    assert [entry.name for entry in restored.entries] == ["desk"]
    assert set(restored.retired) == {2, 3}
    assert not why_not_after(known, restored)
    assert not why_not_after(restored, after(create("d", ["auditor"], []), registry=restored))
    assert why_not_after(restored, after(create("d", ["auditor"], []), registry=known)), "what it replaced is over"
    again = after(restore(5, [restored]), registry=old)
    assert not why_not_after(restored, again), "also by a clock that is behind"
    assert decode(encode(again, KEY, "c"), KEY, "c") == again


def test_a_group_limits_whoever_has_it_to_what_it_holds_now():
    made = after(
        regroup("tech", [3, 1]),
        create("desk", ["trader"], [], instruments=[7], groups=["tech"]),
        create("idle", ["trader"], [], groups=["tech"]),
        create("free", ["trader"], []),
    )

    def instruments(registry: Registry) -> list[tuple[int, ...] | None]:
        return [entry.principal("x").instruments for entry in registry.resolved().entries]

    assert instruments(made) == [(1, 3, 7), (1, 3), None]
    emptied = after(regroup("tech", []), registry=made)
    assert instruments(emptied) == [(7,), (), None], "of an empty group nobody has anything, which is not all"
    assert decode(encode(emptied, KEY, "c"), KEY, "c") == emptied
    with pytest.raises(RegistryRefused, match="has the group 'tech', which there is not"):
        after(regroup("tech", None), registry=made)
    freed = after(alter("desk", groups=(), instruments=None), alter("idle", groups=()), registry=made)
    assert after(regroup("tech", None), registry=freed).groups == ()
    with pytest.raises(RegistryRefused, match="there is no group 'none'"):
        after(regroup("none", None), registry=freed)


def test_a_change_of_rights_is_one_change_and_nothing_else_moves():
    made = after(DESK, grant("desk", key("k1")))
    altered = after(alter("desk", roles=("auditor",), accounts=(9,), budget_per_s=5), registry=made)
    entry, before = altered.entry("desk"), made.entry("desk")
    assert (entry.number, entry.credentials) == (before.number, before.credentials)
    principal = entry.principal(entry.credentials[0])
    assert (principal.accounts, principal.rights, principal.budget_per_s) == ((9,), frozenset((Role.AUDITOR,)), 5)
    with pytest.raises(RegistryRefused, match="has all that already"):
        after(alter("desk", accounts=(9,)), registry=altered)
    with pytest.raises(RegistryRefused, match="no role"):
        after(alter("desk", roles=()), registry=altered)


def test_a_document_that_limits_nobody_reads_as_before_and_software_that_would_not_look_refuses_one_that_does():
    free, limited = after(DESK), after(create("desk", ["trader"], [], instruments=[1]))
    outer = json.loads(encode(free, KEY, "c"))
    assert outer["v"] == 2
    assert set(json.loads(outer["registry"])["entries"][0]) == {"name", "roles", "number", "accounts", "credentials"}
    assert json.loads(encode(limited, KEY, "c"))["v"] == 3


def test_who_was_revoked_since_stays_revoked_when_an_older_document_is_restored():
    older = after(DESK, grant("desk", key("k1")), grant("desk", key("k2")), create("gone", ["trader"], []))
    newer = after(revoke("gone"), revoke("desk", "k1"), alter("desk", accounts=(1,)), registry=older)
    assert since(older, [newer]) == Since(("gone",), (("desk", "k1"),), ("desk",))
    assert since(newer, [older]) == Since()
    kept = after(restore(10, [newer]), registry=older)
    assert [(entry.name, [one.id for one in entry.credentials]) for entry in kept.entries] == [("desk", ["k2"])]
    assert older.entry("gone").number in kept.retired
    assert why_not_after(newer, kept) == ""
    back = after(restore(10, [newer], revoked_too=True), registry=older)
    assert {entry.name for entry in back.entries} == {"desk", "gone"}


def test_a_message_repeats_no_more_of_what_was_said_than_a_name_may_be():
    long = "x" * 3_000
    edits = (
        create(long, ("trader",), ()),
        regroup(long, (1,)),
        regroup(long, None),
        revoke(long),
        revoke("desk", long),
        alter("desk", groups=(long,)),
    )
    for edit in edits:
        with pytest.raises(RegistryRefused) as refused:
            after(DESK, edit)
        assert len(str(refused.value)) < 250
        assert "(3000 letters)" in str(refused.value)
    crowd = after(*(create(f"p{number}", ("trader",), ()) for number in range(30)))
    with pytest.raises(RegistryRefused, match="p19 and 10 others"):
        crowd.entry("nobody")
