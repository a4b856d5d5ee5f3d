"""RELEASE frames cover every seq once, whatever the sizes."""

import numpy as np

from lockstep.replica.effects import AppliedBatch
from lockstep.replica.release import MAX_EVENTS, TARGET_EVENTS, release_frames
from lockstep.stream.digest import GENESIS
from lockstep.stream.records import EVENT


def batch(first_seq, counts):
    events = np.zeros(sum(counts), dtype=EVENT)
    events["seq"] = np.repeat(np.arange(first_seq, first_seq + len(counts)), counts)
    return AppliedBatch(1, first_seq, first_seq + len(counts) - 1, events, GENESIS)


def ranges(batches):
    frames = release_frames(batches, [], sender=1, epoch=1, committed_seq=batches[-1].last_seq)
    for made in frames:
        assert made.count <= MAX_EVENTS
        assert set(made.events["seq"].tolist()) == set(range(made.first_seq, made.last_seq + 1))
    return [(made.first_seq, made.last_seq) for made in frames]


def test_small_batches_are_joined():
    assert ranges([batch(1, [1, 2]), batch(3, [5]), batch(4, [1] * 6)]) == [(1, 9)]


def test_frames_stay_near_the_target():
    assert ranges([batch(1, [3000]), batch(2, [3000]), batch(3, [100])]) == [(1, 1), (2, 3)]


def test_large_batch_is_cut_between_seqs():
    assert ranges([batch(1, [10]), batch(2, [TARGET_EVENTS // 2] * 5), batch(7, [1])]) == [
        (1, 1),
        (2, 3),
        (4, 5),
        (6, 6),
        (7, 7),
    ]


def test_command_with_more_events_than_a_frame_holds_is_left_to_the_gap_fetch():
    assert ranges([batch(1, [2, MAX_EVENTS + 1, 3])]) == [(1, 1), (3, 3)]


def test_without_batches_an_empty_frame_says_where_the_primary_stands():
    (empty,) = release_frames([], [], sender=1, epoch=2, committed_seq=7)
    assert (empty.count, empty.first_seq, empty.last_seq) == (0, 8, 7)
