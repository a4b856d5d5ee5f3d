"""Stamping and the frames kept to be sent again."""

import numpy as np

from lockstep.sequencer.window import Window
from lockstep.stream.records import COMMAND


def window(limit: int = 1000, tip: int = 0, time_ns: int = 0) -> Window:
    """A window of epoch 3."""
    return Window(sender=1, epoch=3, tip=tip, time_ns=time_ns, limit=limit)


def commands(count: int) -> np.ndarray:
    """Empty commands."""
    return np.zeros(count, COMMAND)


def test_seqs_are_contiguous_and_time_stands_still_while_the_clock_is_behind() -> None:
    stamps = window(tip=7, time_ns=500)
    frames = [stamps.stamp(commands(count), now, 0) for count, now in ((2, 400), (3, 600), (1, 550))]
    assert [(one.batch.first_seq, one.batch.timestamp_ns) for one in frames] == [(8, 500), (10, 600), (13, 600)]
    assert stamps.tip == 13


def test_frames_after_a_seq_begin_with_the_batch_that_holds_the_next() -> None:
    stamps = window()
    for _ in range(5):
        stamps.stamp(commands(10), 1, 0)
    found = stamps.after(20, 9, 15)
    assert found is not None
    assert [one.batch.first_seq for one in found] == [21, 31]
    assert {one.committed_seq for one in found} == {9}
    inside = stamps.after(24, 0, 1)
    assert inside is not None
    assert inside[0].batch.first_seq == 21
    assert stamps.after(50, 0, 100) == ()


def test_kept_frames_are_bounded_and_older_ones_are_gone() -> None:
    stamps = window(limit=100)
    for _ in range(5_000):
        stamps.needed_after = stamps.tip
        stamps.stamp(commands(10), 1, 0)
    assert stamps.after(50_000 - 100, 0, 10**6) is not None
    assert stamps.after(50_000 - 200, 0, 10**6) is None
    assert len(stamps._batches) < 3_000


def test_single_commands_are_bounded_by_frames_too() -> None:
    stamps = window(limit=800)
    for _ in range(900):
        stamps.needed_after = stamps.tip
        stamps.stamp(commands(1), 1, 0)
    assert stamps.after(799, 0, 10**6) is None
    found = stamps.after(800, 0, 10**6)
    assert found is not None
    assert len(found) == 100


def test_frames_that_are_needed_are_kept_beyond_the_bounds() -> None:
    stamps = window(limit=100)
    stamps.needed_after = 40
    for _ in range(50):
        stamps.stamp(commands(10), 1, 0)
    assert stamps.after(40, 0, 10**6) is not None
    assert stamps.after(39, 0, 10**6) is None


def test_heartbeat_names_the_next_seq() -> None:
    beat = window(tip=41).heartbeat(40)
    assert (beat.batch.first_seq, beat.batch.count, beat.committed_seq, beat.leader_epoch) == (42, 0, 40, 3)


def test_what_is_sent_again_is_the_bytes_that_were_stamped() -> None:
    stamps = window()
    first = stamps.stamp(commands(3), 1, 0)
    stamps.epoch = 4
    (again,) = stamps.after(0, 3, 100) or ()
    assert again.batch.raw is first.batch.raw
    assert (again.leader_epoch, again.committed_seq, again.batch.epoch) == (4, 3, 3)


def test_what_was_recovered_is_sent_as_a_former_leader_stamped_it() -> None:
    former = window()
    old = former.stamp(commands(2), 5, 0).batch
    stamps = Window(sender=2, epoch=9, tip=2, time_ns=5, limit=1000)
    stamps.recover((old,))
    (sent,) = stamps.after(0, 0, 100) or ()
    assert sent.batch.raw is old.raw
    assert (sent.sender, sent.leader_epoch) == (2, 9)
