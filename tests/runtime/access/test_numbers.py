"""Whose client numbers are taken, by documents that nobody can verify any more."""

from pathlib import Path

import pytest

from lockstep.runtime.access.numbers import clashes_with_former, highest, numbers_named
from lockstep.runtime.access.registry import Registry, changed, create, encode, revoke
from lockstep.runtime.tokens import Unauthenticated
from lockstep.runtime.topology import OPERATOR_NUMBERS
from tests.runtime.access.test_following import heard, nobody
from tests.runtime.access.test_tokens import DESK, KEY, TOKEN, identify

STRANGE = b"x" * 32


def made(*names: str) -> Registry:
    found = Registry()
    for name in names:
        found = changed(found, create(name, ("trader",), ()), by="a", what="", now_ns=1)
    return found


def test_a_document_names_who_had_which_number_whoever_wrote_it():
    later = changed(made("root", "desk"), revoke("root"), by="a", what="", now_ns=1)
    assert numbers_named(encode(later, STRANGE, "c")) == {1: "", 2: "desk"}


@pytest.mark.parametrize(
    "raw",
    [None, b"", b"{}", b"[]", b"[" * 9999, bytes(2 << 20), b'{"registry": "{}"}', b'{"registry": 7}',
     b'{"registry": "{\\"retired\\": [\\"x\\", -1, 0, 2147483648], \\"entries\\": []}"}'],
)  # fmt: skip
def test_what_is_no_document_names_nobody(raw: bytes | None):
    assert numbers_named(raw) == {}


def test_numbers_are_given_above_the_highest_unless_none_would_be_left():
    assert highest([]) == 0
    assert highest([3, 7]) == 7
    assert highest([3, OPERATOR_NUMBERS - 1]) == 0
    found = changed(Registry(), create("a", ("trader",), (), above=7), by="a", what="", now_ns=1)
    assert found.entries[0].number == 8


def test_who_has_the_number_of_somebody_else_is_none():
    assert clashes_with_former(made("root"), {1: "root", 2: "desk"}) == {}
    for former in ("desk", ""):
        assert "client number 1 was" in clashes_with_former(made("root"), {1: former})["root"]


def test_a_process_lets_nobody_in_with_a_number_of_those_that_it_had_kept(tmp_path: Path):
    """Also once it has kept the newcomer's document, and was started again."""
    seven = made(*"abcdef", "root")
    assert (seven.entries[-1].number, DESK.entries[0].number) == (7, 7)
    heard(nobody(), tmp_path, encode(seven, KEY, "c"))
    (tmp_path / "test.principals").write_bytes(encode(seven, STRANGE, "c"))
    for _ in range(2):
        known = nobody()
        heard(known, tmp_path, encode(DESK, KEY, "c"))
        with pytest.raises(Unauthenticated):
            identify(known, TOKEN)
    assert "client number 7 was root's" in (tmp_path / "test.jsonl").read_text()
