"""Events once each, in order, without gaps, and of one history."""

import numpy as np

from lockstep.runtime.downlink import Downlink, Fetch, LeftBehind
from lockstep.stream.messages import Release
from lockstep.stream.records import CONTROL_EVENT, EVENT, EventKind

MS = 1_000_000


def events(*seqs):
    made = np.zeros(len(seqs), dtype=EVENT)
    made["seq"] = seqs
    return made


def release(first, last, *seqs, epoch=1, sender=1, parent=0, begins=()):
    """`begins`: (seq, epoch) of the EPOCH_STARTED among the events."""
    records = events(*seqs)
    for seq, started in begins:
        row = records[seqs.index(seq) : seqs.index(seq) + 1].view(CONTROL_EVENT)
        row["kind"], row["epoch"] = EventKind.EPOCH_STARTED, started
    return Release(sender, epoch, parent, first, last, 0, records)


def doubts(delivery):
    """Whether the engines are asked if what was delivered is history, and for nothing else."""
    return delivery.fetch is not None and delivery.fetch.to_seq == delivery.fetch.after_seq


def seqs(delivery):
    return [seq for part in delivery.events for seq in part["seq"].tolist()]


def test_consecutive_releases_are_delivered():
    downlink = Downlink(10)
    assert seqs(downlink.on_release(release(11, 12, 11, 11, 12))) == [11, 11, 12]
    assert seqs(downlink.on_release(release(13, 13, 13))) == [13]
    assert downlink.delivered_seq == 13


def test_repeats_of_a_new_primary_are_dropped():
    downlink = Downlink(10)
    downlink.on_release(release(11, 13, 11, 12, 13))
    assert seqs(downlink.on_release(release(11, 13, 11, 12, 13, epoch=2, sender=2))) == []
    assert seqs(downlink.on_release(release(12, 15, 12, 13, 14, 15, epoch=2, sender=2))) == [14, 15]
    assert (downlink.primary, downlink.repeats) == (2, 1)


def test_release_of_a_lower_epoch_is_dropped():
    downlink = Downlink(10)
    downlink.on_release(release(11, 11, 11, epoch=5))
    assert seqs(downlink.on_release(release(12, 12, 12, epoch=4))) == []
    assert (downlink.delivered_seq, downlink.stale) == (11, 1)


def test_gap_is_fetched_and_what_came_meanwhile_follows_it():
    downlink = Downlink(10)
    assert downlink.on_release(release(13, 13, 13)).fetch == Fetch(10, 12, engine=1, epoch=1, delivered_epoch=0)
    assert downlink.on_release(release(14, 14, 14)).fetch is None
    assert seqs(downlink.on_fetched(events(11, 12), 12)) == [11, 12, 13, 14]
    assert downlink.delivered_seq == 14


def test_empty_release_shows_that_something_is_missing():
    downlink = Downlink(10)
    assert downlink.on_release(release(13, 12)).fetch == Fetch(10, 12, engine=1, epoch=1, delivered_epoch=0)
    assert seqs(downlink.on_fetched(events(11, 12), 12)) == [11, 12]


def test_second_gap_behind_the_first_is_fetched_next():
    downlink = Downlink(10)
    downlink.on_release(release(12, 12, 12))
    downlink.on_release(release(15, 15, 15))
    delivery = downlink.on_fetched(events(11), 11)
    assert seqs(delivery) == [11, 12]
    assert delivery.fetch == Fetch(12, 14, engine=1, epoch=1, delivered_epoch=1)
    assert seqs(downlink.on_fetched(events(13, 14), 14)) == [13, 14, 15]


def test_gap_that_a_new_primary_shows_is_fetched_from_it():
    downlink = Downlink(10)
    downlink.on_release(release(11, 11, 11))
    assert downlink.on_release(release(14, 14, 14, epoch=2, sender=2)).fetch == Fetch(
        11, 13, engine=2, epoch=2, delivered_epoch=1
    )


def test_fetch_that_failed_is_asked_again_by_the_next_release_after_a_pause():
    downlink = Downlink(10)
    downlink.on_release(release(12, 12, 12))
    downlink.on_fetch_failed(5 * MS)
    downlink.on_time(104 * MS)
    assert downlink.on_release(release(13, 12)).fetch is None
    downlink.on_time(105 * MS)
    assert downlink.on_release(release(13, 12)).fetch == Fetch(10, 12, engine=1, epoch=1, delivered_epoch=0)


def test_an_epoch_that_no_sequencer_says_yet_is_not_disowned_because_the_gateway_stood_still():
    downlink = Downlink(10, epoch=1)
    downlink.said = 1
    downlink.on_time(1_000 * MS)
    downlink.on_release(release(11, 11, 11, epoch=2, begins=((11, 2),)))
    downlink.on_time(1_600 * MS)
    assert downlink.epoch == 2
    downlink.on_time(1_840 * MS)
    assert downlink.epoch == 2
    downlink.on_time(1_851 * MS)
    assert downlink.epoch == 1, "nobody has said it for a quarter of a second of looking"


def disowned(downlink: Downlink) -> Downlink:
    """No sequencer has said for long that it is above epoch 1."""
    downlink.said = 1
    downlink.on_time(1_000 * MS)
    downlink.on_time(1_300 * MS)
    assert downlink.epoch == 1
    return downlink


def test_clients_never_hear_a_seq_under_a_lower_epoch_than_the_one_in_which_it_began():
    downlink = Downlink(10, epoch=1)
    downlink.on_release(release(11, 11, 11, epoch=3, begins=((11, 3),)))
    disowned(downlink)
    assert downlink.shown_epoch == 3, "the stream itself says that seq 11 is of epoch 3"
    assert str(downlink.delivered) == "seq 11 of epoch 3"
    downlink.on_release(release(12, 12, 12, epoch=1))
    assert str(downlink.delivered) == "seq 12 of epoch 3"
    fetch = downlink.on_release(release(15, 15, 15, epoch=1)).fetch
    assert fetch is not None
    assert fetch.delivered_epoch == 3, "else engines would take what was delivered for void"


def test_an_epoch_far_above_all_others_that_one_frame_says_to_begin_is_taken_back():
    downlink = Downlink(10, epoch=1)
    downlink.said = 1
    downlink.on_release(release(11, 11, 11, epoch=2**40, begins=((11, 2**40),)))
    assert disowned(downlink).shown_epoch == 1
    assert str(downlink.delivered) == f"seq 11 of epoch {2**40}", "clients may have seen it so"


def test_epochs_that_follow_each_other_are_believed_however_many():
    downlink = Downlink(10, epoch=1)
    downlink.said = 1
    downlink.on_release(
        release(11, 30, *range(11, 31), epoch=20, begins=tuple((seq, seq - 10) for seq in range(12, 31)))
    )
    assert disowned(downlink).shown_epoch == 20


def test_an_epoch_of_which_nothing_was_delivered_is_taken_back():
    downlink = Downlink(10, epoch=1)
    downlink.on_release(release(11, 11, 11, epoch=1))
    downlink.epoch = 4
    assert disowned(downlink).shown_epoch == 1


def test_a_gateway_that_starts_shows_no_lower_epoch_than_the_engine_that_it_began_with():
    assert disowned(Downlink(10, epoch=2)).shown_epoch == 2


def failed(downlink: Downlink, now_ms: int, **why) -> bool:
    """Whether it is left behind once a fetch of the gap has failed."""
    downlink.on_time(now_ms * MS)
    assert downlink.on_release(release(12, 12, 12)).fetch is not None
    downlink.on_fetch_failed(now_ms * MS, **why)
    return downlink.left_behind is not None


def test_events_cut_from_every_journal_leave_it_behind_after_a_while_for_an_engine_may_come_back():
    downlink = Downlink(10)
    assert not failed(downlink, 1_000, gone=True, first_seq=40)
    assert not failed(downlink, 3_999, gone=True, first_seq=40)
    assert failed(downlink, 4_100, gone=True, first_seq=40)
    assert downlink.left_behind == LeftBehind(10, diverged=False, epoch=1, delivered_epoch=0, first_seq=40)


def test_one_that_had_them_after_all_starts_that_while_anew():
    downlink = Downlink(10)
    assert not failed(downlink, 1_000, gone=True)
    downlink.on_time(2_000 * MS)
    downlink.on_release(release(12, 12, 12))
    downlink.on_fetched(events(11, 12), 12)
    downlink.on_release(release(14, 14, 14))
    downlink.on_fetch_failed(9_000 * MS, gone=True)
    assert downlink.left_behind is None


def test_what_was_told_and_is_no_longer_history_leaves_it_behind_at_once():
    downlink = Downlink(10)
    assert failed(downlink, 1_000, diverged=True)
    assert downlink.left_behind is not None
    assert downlink.left_behind.diverged


def test_live_release_that_closes_the_gap_makes_the_fetched_events_repeats():
    downlink = Downlink(10)
    downlink.on_release(release(12, 12, 12))
    assert seqs(downlink.on_release(release(11, 12, 11, 12, epoch=2))) == [11, 12]
    assert seqs(downlink.on_fetched(events(11), 11)) == []
    assert downlink.delivered_seq == 12


def test_long_gap_is_fetched_in_steps():
    downlink = Downlink(0)
    wanted = Fetch(0, 65_536, engine=1, epoch=1, delivered_epoch=0)
    assert downlink.on_release(release(1_000_000, 999_999)).fetch == wanted


def test_a_new_epoch_behind_what_was_delivered_is_the_same_history():
    downlink = Downlink(10, epoch=1)
    assert seqs(downlink.on_release(release(11, 12, 11, 12, parent=1))) == [11, 12]
    # The new primary repeats, then its epoch begins.
    delivery = downlink.on_release(release(12, 14, 12, 13, 14, epoch=2, sender=2, parent=1, begins=[(13, 2)]))
    assert (seqs(delivery), doubts(delivery)) == ([13, 14], False)
    assert not doubts(downlink.on_release(release(15, 14, epoch=2, sender=2, parent=2)))
    assert not doubts(downlink.on_release(release(12, 14, 12, 13, 14, epoch=2, sender=2, parent=1, begins=[(13, 2)])))
    assert seqs(downlink.on_release(release(15, 15, 15, epoch=2, sender=2, parent=2))) == [15]


def test_a_repeat_that_covers_the_beginning_of_a_life_and_of_an_epoch_is_the_same_history():
    downlink = Downlink(20, epoch=3)
    covering = release(15, 21, *range(15, 22), epoch=3, parent=2, begins=[(18, 3)])
    assert seqs(downlink.on_release(covering)) == [21]
    assert not doubts(downlink.on_release(release(15, 21, *range(15, 22), epoch=3, parent=2, begins=[(18, 3)])))
    assert not doubts(downlink.on_release(release(22, 21, epoch=3, parent=3)))


def test_a_primary_that_is_behind_at_the_beginning_of_a_life_says_nothing_of_what_it_lacks():
    downlink = Downlink(20, epoch=3)
    assert not doubts(downlink.on_release(release(12, 11, epoch=3, sender=2, parent=2)))
    assert not doubts(downlink.on_release(release(21, 20, epoch=3, parent=3)))
    assert not doubts(downlink.on_release(release(12, 11, epoch=3, sender=2, parent=2)))
    assert doubts(downlink.on_release(release(21, 20, epoch=4, parent=4)))


def delivered_to_14():
    """Seqs 11 and 12 were stamped in epoch 1, 13 and 14 in epoch 2."""
    downlink = Downlink(10, epoch=1)
    downlink.on_release(release(11, 14, 11, 12, 13, 14, epoch=2, parent=1, begins=[(13, 2)]))
    assert downlink.delivered_seq == 14
    return downlink


def test_a_shorter_history_shows_in_an_empty_release():
    assert doubts(delivered_to_14().on_release(release(13, 12, epoch=3, sender=2, parent=3)))
    assert doubts(delivered_to_14().on_release(release(15, 14, epoch=3, sender=2, parent=3)))


def test_a_shorter_history_shows_in_what_looks_like_a_repeat():
    repeat = release(12, 13, 12, 13, epoch=3, sender=2, parent=1, begins=[(13, 3)])
    assert doubts(delivered_to_14().on_release(repeat))
    # Its epoch begins where only commands of the one before were known: they are others now.
    early = release(11, 12, 11, 12, epoch=3, sender=2, parent=1, begins=[(12, 3)])
    assert doubts(delivered_to_14().on_release(early))


def test_another_history_that_has_grown_past_what_was_delivered_is_not_taken_for_its_continuation():
    downlink = delivered_to_14()
    delivery = downlink.on_release(release(15, 16, 15, 16, epoch=3, sender=2, parent=3))
    assert (seqs(delivery), doubts(delivery), downlink.delivered_seq) == ([], True, 14)


def test_a_gap_in_a_new_epoch_names_the_epoch_under_which_was_delivered_what_is_before_it():
    downlink = delivered_to_14()
    fetch = downlink.on_release(release(17, 17, 17, epoch=4, sender=2, parent=4)).fetch
    assert fetch == Fetch(14, 16, engine=2, epoch=4, delivered_epoch=2)
    began_in_between = release(15, 16, 15, 16, begins=[(15, 4)]).events
    assert seqs(downlink.on_fetched(began_in_between, 16)) == [15, 16, 17]
    assert downlink.on_release(release(20, 20, 20, epoch=4, sender=2, parent=4)).fetch.delivered_epoch == 4


def test_what_was_held_behind_a_gap_is_not_delivered_if_the_gap_was_of_another_history():
    downlink = delivered_to_14()
    downlink.on_release(release(17, 17, 17, epoch=4, sender=2, parent=4))
    assert doubts(downlink.on_fetched(events(15, 16), 16))
