"""Events once each, in order, without gaps."""

import numpy as np

from lockstep.gateway.downlink import Downlink, Fetch
from lockstep.stream.frames import FrameType, frame
from lockstep.stream.records import EVENT


def events(*seqs):
    made = np.zeros(len(seqs), dtype=EVENT)
    made["seq"] = seqs
    return made


def release(first, last, *seqs, epoch=1, sender=1):
    return frame(FrameType.RELEASE, sender=sender, epoch=epoch, first_seq=first, records=events(*seqs), aux=last)


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
    assert downlink.on_release(release(13, 13, 13)).fetch == Fetch(10, 12, engine=1)
    assert downlink.on_release(release(14, 14, 14)).fetch is None
    assert seqs(downlink.on_fetched(events(11, 12), 12)) == [11, 12, 13, 14]
    assert downlink.delivered_seq == 14


def test_empty_release_shows_that_something_is_missing():
    downlink = Downlink(10)
    assert downlink.on_release(release(13, 12)).fetch == Fetch(10, 12, engine=1)
    assert seqs(downlink.on_fetched(events(11, 12), 12)) == [11, 12]


def test_second_gap_behind_the_first_is_fetched_next():
    downlink = Downlink(10)
    downlink.on_release(release(12, 12, 12))
    downlink.on_release(release(15, 15, 15))
    delivery = downlink.on_fetched(events(11), 11)
    assert seqs(delivery) == [11, 12]
    assert delivery.fetch == Fetch(12, 14, engine=1)
    assert seqs(downlink.on_fetched(events(13, 14), 14)) == [13, 14, 15]


def test_gap_that_a_new_primary_shows_is_fetched_from_it():
    downlink = Downlink(10)
    downlink.on_release(release(11, 11, 11))
    assert downlink.on_release(release(14, 14, 14, epoch=2, sender=2)).fetch == Fetch(11, 13, engine=2)


def test_fetch_that_failed_is_asked_again_by_the_next_release():
    downlink = Downlink(10)
    downlink.on_release(release(12, 12, 12))
    downlink.on_fetch_failed()
    assert downlink.on_release(release(13, 12)).fetch == Fetch(10, 12, engine=1)


def test_live_release_that_closes_the_gap_makes_the_fetched_events_repeats():
    downlink = Downlink(10)
    downlink.on_release(release(12, 12, 12))
    assert seqs(downlink.on_release(release(11, 12, 11, 12, epoch=2))) == [11, 12]
    assert seqs(downlink.on_fetched(events(11), 11)) == []
    assert downlink.delivered_seq == 12


def test_long_gap_is_fetched_in_steps():
    downlink = Downlink(0)
    assert downlink.on_release(release(1_000_000, 999_999)).fetch == Fetch(0, 65_536, engine=1)
