"""The plain parts of the store's interface."""

import pytest

from lockstep.runtime.etcd.store import prefix_end


@pytest.mark.parametrize(
    ("prefix", "end"),
    [(b"/a/", b"/a0"), (b"a\xff", b"b"), (b"\xff\xff", b"\0"), (b"\0", b"\x01")],
)
def test_prefix_end_is_the_first_key_after_all_with_the_prefix(prefix: bytes, end: bytes) -> None:
    assert prefix_end(prefix) == end


def test_empty_prefix_is_refused() -> None:
    with pytest.raises(ValueError, match="empty prefix"):
        prefix_end(b"")
