"""The marks of a journal in their file."""

from dataclasses import replace

import pytest

from lockstep.replica import witness
from lockstep.replica.evidence import Mark, Tip
from lockstep.replica.witness import PAGE_BYTES, PAGES, Witness, read_witness, witness_path

MARK = Mark(
    2**63 + 5, "0b5e2c1a-7a3f-4f0e-9a63-5a1f0d3c2b11", Tip(3, 100), Tip(3, 90), 4, joined=True, unsynced=True,
    applied_seq=80, digest=b"d" * 16,
)  # fmt: skip


@pytest.fixture
def path(tmp_path):
    return witness_path(tmp_path)


def put(path, *marks: Mark) -> None:
    written = Witness(path, read_witness(path).count)
    for mark in marks:
        written.put(mark, sync=True)
    written.close()


def seq(number: int) -> Mark:
    return replace(MARK, written=Tip(3, number))


def test_mark_is_read_as_it_was_written(path):
    put(path, MARK)
    said = read_witness(path)
    assert (said.mark, said.damaged, said.same_boot) == (MARK, 0, True)


def test_no_file_says_nothing(path):
    assert read_witness(path).mark is None


def test_newest_of_many_marks_counts_also_over_restarts_and_the_file_does_not_grow(path):
    put(path, *map(seq, range(1, 100)))
    put(path, seq(100), seq(101))
    said = read_witness(path)
    assert said.mark is not None
    assert (said.mark.written.seq, said.count) == (101, 101)
    assert path.stat().st_size == PAGES * PAGE_BYTES


def test_flipped_bit_costs_one_mark_and_is_told(path):
    put(path, *map(seq, range(1, 10)))
    raw = bytearray(path.read_bytes())
    raw[9 * PAGE_BYTES + 100] ^= 1
    path.write_bytes(raw)
    said = read_witness(path)
    assert said.mark is not None
    assert (said.mark.written.seq, said.damaged) == (8, 1)


@pytest.mark.parametrize("length", [1, PAGE_BYTES - 1, 10 * PAGE_BYTES + 17])
def test_file_that_was_cut_is_told(path, length):
    put(path, *map(seq, range(1, 10)))
    path.write_bytes(path.read_bytes()[:length])
    assert read_witness(path).damaged


def test_mark_of_an_earlier_boot_is_known_as_such(path, monkeypatch):
    put(path, MARK)
    monkeypatch.setattr(witness, "boot_id", lambda: b"another boot....")
    assert not read_witness(path).same_boot


def test_machine_that_does_not_tell_its_boot_is_never_the_same(path, monkeypatch):
    monkeypatch.setattr(witness, "boot_id", lambda: bytes(16))
    put(path, MARK)
    assert not read_witness(path).same_boot
