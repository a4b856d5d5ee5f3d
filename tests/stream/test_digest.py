"""The digest chain covers the batch's own bytes, events and history."""

from typing import Any

import numpy as np
import pytest
from blake3 import blake3

from lockstep.stream.batch import stamp_batch
from lockstep.stream.digest import DIGEST_SIZE, GENESIS, Digest, next_digest
from lockstep.stream.records import COMMAND

STAMP: dict[str, Any] = {"epoch": 1, "first_seq": 1, "timestamp_ns": 99}
BATCH = stamp_batch(np.zeros(2, COMMAND), **STAMP).raw
EVENTS = b"ee"


def test_equal_batches_after_equal_histories_have_equal_digests() -> None:
    assert next_digest(GENESIS, BATCH, EVENTS) == next_digest(GENESIS, BATCH, EVENTS)
    assert len(next_digest(GENESIS, BATCH, EVENTS)) == DIGEST_SIZE


def test_it_is_the_hash_of_what_its_module_says() -> None:
    before = Digest(bytes(range(16)))
    assert next_digest(before, BATCH, EVENTS) == blake3(before + BATCH + EVENTS).digest(length=16)


@pytest.mark.parametrize("change", [{"epoch": 2}, {"first_seq": 2}, {"timestamp_ns": 98}])
def test_every_part_of_a_stamp_counts(change: dict[str, int]) -> None:
    changed = stamp_batch(np.zeros(2, COMMAND), **(STAMP | change)).raw
    assert next_digest(GENESIS, changed, EVENTS) != next_digest(GENESIS, BATCH, EVENTS)


def test_every_byte_of_a_batch_and_its_events_counts() -> None:
    digests = {next_digest(GENESIS, BATCH, EVENTS), next_digest(GENESIS, BATCH, b"ef")}
    for position in range(len(BATCH)):
        changed = bytearray(BATCH)
        changed[position] ^= 1
        digests.add(next_digest(GENESIS, bytes(changed), EVENTS))
    assert len(digests) == len(BATCH) + 2


def test_a_different_past_gives_a_different_digest_for_ever() -> None:
    first = next_digest(GENESIS, BATCH, EVENTS)
    other = next_digest(Digest(bytes(15) + b"\x01"), BATCH, EVENTS)
    for _ in range(3):
        first, other = next_digest(first, BATCH, EVENTS), next_digest(other, BATCH, EVENTS)
        assert first != other


def test_the_chain_does_not_change_unnoticed() -> None:
    """Journals and certificates hold these values."""
    assert next_digest(GENESIS, BATCH, EVENTS).hex() == "1992a666728e0e6f2a0b3ef6cc0c73a3"
