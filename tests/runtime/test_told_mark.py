"""The note of how far clients were told: what was written last is read, whatever happens to the page written after."""

from pathlib import Path

import pytest

from lockstep.runtime.told_mark import ToldMark, read_told, told_path
from lockstep.stream.told import Told


def test_nothing_is_known_of_a_new_directory(tmp_path: Path) -> None:
    assert read_told(tmp_path) == ("", Told())


def test_what_was_told_last_is_read_by_others_and_by_the_next_life(tmp_path: Path) -> None:
    mark = ToldMark(tmp_path)
    mark.begin("u-1", Told(3, 10))
    for seq in range(11, 20):
        mark.advance(Told(3, seq))
    assert read_told(tmp_path) == ("u-1", Told(3, 19))  # without closing, as after a kill
    again = ToldMark(tmp_path)
    assert (again.uuid, again.told) == ("u-1", Told(3, 19))
    again.advance(Told(3, 5))  # never back
    assert again.told == Told(3, 19)


@pytest.mark.parametrize("at", range(0, 128, 9))
def test_a_damaged_slot_leaves_the_one_before(tmp_path: Path, at: int) -> None:
    mark = ToldMark(tmp_path)
    mark.begin("u-1", Told(3, 10))
    mark.advance(Told(3, 11))
    raw = bytearray(told_path(tmp_path).read_bytes().ljust(128, b"\0"))
    raw[at] ^= 4
    told_path(tmp_path).write_bytes(raw)
    assert read_told(tmp_path)[1] in (Told(3, 10), Told(3, 11))
