"""The scrub finds every bit of commands, events and digests that differs, and nothing where none does."""

import time

import pytest
from rocksdict import WriteBatch

from lockstep.engine.reference import ReferenceEngine
from lockstep.replica.divergence import EpochEntry
from lockstep.replica.effects import JournalWrite
from lockstep.replica.journal import Journal
from lockstep.replica.replayer import Replayer
from lockstep.replica.scrub import Scrubber, scrub

_KEY = 8


@pytest.fixture
def journal(tmp_path, sequencer):
    opened = Journal(tmp_path, 1)
    replayer = Replayer(ReferenceEngine)
    stamped = (sequencer.epoch_start(1, primary=1), *(sequencer.commands(4) for _ in range(40)))
    frames = [made.batch for made in stamped]
    for made in frames:
        epochs = (EpochEntry(1, 1),) if made.first_seq == 1 else ()
        opened.write(JournalWrite((made,), epochs, (1, 1) if epochs else None), sync=False)
        opened.derived.keep((replayer.run(made),))
    opened.derived.write_pending()
    yield opened
    opened.close()


def put(database, handles, family: str, key: int, value: bytes | None) -> None:
    batch = WriteBatch(raw_mode=True)
    if value is None:
        batch.delete(key.to_bytes(_KEY, "big"), handles[family])
    else:
        batch.put(key.to_bytes(_KEY, "big"), value, handles[family])
    database.write(batch)


def test_sound_journal_passes_and_every_batch_was_looked_at(journal):
    pauses = []

    def pause() -> bool:
        pauses.append(1)
        return True

    assert scrub(journal, 161, pause) is None
    assert len(pauses) == 41 // 8


@pytest.mark.parametrize(("family", "key"), [("events", 42), ("digests", 45)])
@pytest.mark.parametrize("bit", [0, 77])
def test_flipped_bit_in_a_stored_result_is_found(journal, family, key, bit):
    derived = journal.derived
    value = bytearray(dict(derived.events_from(1))[42] if family == "events" else derived.digest(45))
    value[bit // 8] ^= 1 << bit % 8
    put(derived._db, derived._handles, family, key, bytes(value))
    damage = scrub(journal, 161)
    assert damage is not None
    assert damage.derived
    assert "at seq 42" in damage.why


@pytest.mark.parametrize(("family", "key"), [("events", 42), ("digests", 45)])
def test_missing_result_is_found(journal, family, key):
    put(journal.derived._db, journal.derived._handles, family, key, None)
    damage = scrub(journal, 161)
    assert damage is not None
    assert damage.derived
    assert "no results are stored of the batch at seq 42" in damage.why


def test_missing_batch_is_damage_of_the_journal(journal):
    put(journal._db, journal._handles, "commands", 42, None)
    damage = scrub(journal, 161)
    assert damage is not None
    assert not damage.derived
    assert "the batch at seq 46 follows seq 41" in damage.why


def test_batch_that_is_not_of_the_epoch_that_the_table_says_is_found(journal):
    batch = WriteBatch(raw_mode=True)
    batch.put(b"epoch/" + (9).to_bytes(8, "big"), (42).to_bytes(8, "big"), journal._handles["meta"])
    journal._db.write(batch)
    damage = scrub(journal, 161)
    assert damage is not None
    assert not damage.derived
    assert "at seq 42 is of epoch 1, its epoch table says 9" in damage.why


def test_what_is_not_committed_is_left_alone(journal):
    put(journal._db, journal._handles, "commands", 158, None)
    assert scrub(journal, 150) is None


def test_journal_that_was_cut_meanwhile_is_no_damage(journal):
    cut: list[int] = []

    def pause() -> bool:
        if not cut:
            cut.append(journal.drop_through(81))
        return True

    assert scrub(journal, 161, pause) is None
    assert scrub(journal, 161) is None


def test_thread_goes_round_and_stops_at_what_it_finds(journal):
    scrubber = Scrubber(journal, lambda: 161, first_s=0.0)
    deadline = time.monotonic() + 20
    while not scrubber.rounds and time.monotonic() < deadline:
        time.sleep(0.01)
    scrubber.close()
    assert (scrubber.found, scrubber.batches) == (None, 40)
    put(journal.derived._db, journal.derived._handles, "events", 42, b"")
    scrubber = Scrubber(journal, lambda: 161, first_s=0.0)
    while scrubber.found is None and time.monotonic() < deadline:
        time.sleep(0.01)
    scrubber.close()
    assert scrubber.found is not None
    assert scrubber.found.derived
