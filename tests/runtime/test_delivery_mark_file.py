"""The note of how far a gateway delivered: what was written last is read, whatever happens to what is written after."""

from pathlib import Path

import pytest

from lockstep.runtime.delivery_mark_file import DeliveryMarkFile, delivery_mark_path, read_delivery_mark
from lockstep.stream.delivery_mark import DeliveryMark


def test_nothing_is_known_of_a_new_directory(tmp_path: Path) -> None:
    assert read_delivery_mark(tmp_path) == ("", DeliveryMark())


def test_what_was_told_last_is_read_by_others_and_by_the_next_life(tmp_path: Path) -> None:
    mark = DeliveryMarkFile(tmp_path)
    mark.begin("u-1", DeliveryMark(3, 10))
    for seq in range(11, 20):
        mark.advance(DeliveryMark(3, seq))
    assert read_delivery_mark(tmp_path) == ("u-1", DeliveryMark(3, 19))  # without closing, as after a kill
    again = DeliveryMarkFile(tmp_path)
    assert (again.uuid, again.delivered) == ("u-1", DeliveryMark(3, 19))
    again.advance(DeliveryMark(3, 5))  # never back
    assert again.delivered == DeliveryMark(3, 19)


@pytest.mark.parametrize("at", range(0, 128, 9))
def test_a_damaged_slot_leaves_the_one_before(tmp_path: Path, at: int) -> None:
    mark = DeliveryMarkFile(tmp_path)
    mark.begin("u-1", DeliveryMark(3, 10))
    mark.advance(DeliveryMark(3, 11))
    raw = bytearray(delivery_mark_path(tmp_path).read_bytes().ljust(128, b"\0"))
    raw[at] ^= 4
    delivery_mark_path(tmp_path).write_bytes(raw)
    assert read_delivery_mark(tmp_path)[1] in (DeliveryMark(3, 10), DeliveryMark(3, 11))
