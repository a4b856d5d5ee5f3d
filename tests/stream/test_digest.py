"""The digest chain covers stamps, commands, events and history."""

from typing import TypedDict

import pytest

from lockstep.stream.digest import DIGEST_SIZE, GENESIS, Digest, next_digest


class _Batch(TypedDict):
    epoch: int
    first_seq: int
    count: int
    timestamp_ns: int
    commands: bytes
    events: bytes


BATCH: _Batch = {"epoch": 1, "first_seq": 1, "count": 2, "timestamp_ns": 99, "commands": b"cc", "events": b"ee"}


def test_equal_batches_after_equal_histories_have_equal_digests() -> None:
    assert next_digest(GENESIS, **BATCH) == next_digest(GENESIS, **BATCH)
    assert len(next_digest(GENESIS, **BATCH)) == DIGEST_SIZE


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": 2}, {"first_seq": 2}, {"count": 3}, {"timestamp_ns": 98}, {"commands": b"cd"}, {"events": b"ef"},
    ],
)  # fmt: skip
def test_every_part_of_a_batch_counts(change: _Batch) -> None:
    changed: _Batch = {**BATCH, **change}
    assert next_digest(GENESIS, **changed) != next_digest(GENESIS, **BATCH)


def test_a_different_past_gives_a_different_digest_for_ever() -> None:
    first = next_digest(GENESIS, **BATCH)
    other = next_digest(Digest(bytes(15) + b"\x01"), **BATCH)
    for _ in range(3):
        first, other = next_digest(first, **BATCH), next_digest(other, **BATCH)
        assert first != other


def test_the_chain_does_not_change_unnoticed() -> None:
    """Journals and certificates hold these values."""
    assert next_digest(GENESIS, **BATCH).hex() == "7831f7a8e1036029f04b90b6e1731f3a"
