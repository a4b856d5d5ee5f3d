"""Whom a gateway asks, whom next and when, and whose answer counts: steps of pure machines, without a network."""

import numpy as np
import pytest

from lockstep.runtime.inquiry import (
    ASK_NEXT_AFTER_NS,
    BEGAN,
    BUSY_PAUSE_NS,
    DUE,
    FETCH_TIMEOUT_NS,
    LAST_INDEX,
    Answered,
    EventSearch,
    Failed,
    Fault,
    LookUp,
    Newest,
    NoAnswer,
    OnePage,
    in_order,
    joined,
)
from lockstep.stream.records import EVENT
from lockstep.v1 import common_pb2, replication_pb2

REQUEST = replication_pb2.QueryRequest(account=1)


def reply(epoch: int, seq: int) -> replication_pb2.QueryReply:
    return replication_pb2.QueryReply(stamp=common_pb2.Stamp(epoch=epoch, seq=seq))


def asked(todo):
    return [call.engine for call in todo.calls]


def failed(engine, fault=Fault.UNAVAILABLE, **more):
    return Failed(engine, fault, f"engine {engine}: no", **more)


def test_those_that_are_named_come_first_and_last():
    assert in_order((1, 2, 3), first=2) == [2, 1, 3]
    assert in_order((1, 2, 3), last=1) == [2, 3, 1]
    assert in_order((1, 2, 3)) == [1, 2, 3]


# ---- looking something up --------------------------------------------------------------------------------------------


def test_the_next_engine_is_asked_beside_one_that_is_silent_and_the_first_answer_counts():
    look_up = LookUp([2, 1, 3], REQUEST)
    begun = look_up.step(BEGAN, 1_000)
    assert (asked(begun), begun.deadline_ns) == ([2], 1_000 + ASK_NEXT_AFTER_NS)
    beside = look_up.step(DUE, begun.deadline_ns)
    assert asked(beside) == [1]
    assert look_up.step(Answered(1, reply(3, 7)), beside.deadline_ns - 1).end == reply(3, 7)


def test_the_next_engine_is_asked_at_once_where_one_fails_and_all_that_was_said_is_told():
    look_up = LookUp([2, 1], REQUEST, min_epoch=3, min_seq=100)
    look_up.step(BEGAN, 0)
    last = look_up.step(failed(2), 5)
    assert (asked(last), last.deadline_ns) == ([1], 0)
    end = look_up.step(Answered(1, reply(2, 200)), 9).end
    assert end == NoAnswer(Fault.UNAVAILABLE, "engine 2: no; engine 1: answers of epoch 2, 3 was seen")


@pytest.mark.parametrize(("epoch", "seq"), [(2, 500), (3, 99)])
def test_an_answer_older_than_what_was_delivered_does_not_count(epoch, seq):
    look_up = LookUp([1, 2], REQUEST, min_epoch=3, min_seq=100)
    look_up.step(BEGAN, 0)
    assert asked(look_up.step(Answered(1, reply(epoch, seq)), 5)) == [2]
    assert look_up.step(Answered(2, reply(3, 100)), 9).end == reply(3, 100)


def test_who_was_asked_beside_is_waited_for_when_the_other_has_failed():
    look_up = LookUp([1, 2], REQUEST)
    look_up.step(BEGAN, 0)
    look_up.step(DUE, ASK_NEXT_AFTER_NS)
    assert not look_up.step(failed(2), ASK_NEXT_AFTER_NS + 1).over
    assert look_up.step(Answered(1, reply(1, 1)), ASK_NEXT_AFTER_NS + 2).end == reply(1, 1)


def test_a_cluster_without_engines_answers_nothing():
    nobody = NoAnswer(Fault.UNAVAILABLE, "the topology lists no engine")
    for inquiry in (LookUp([], REQUEST), OnePage([], REQUEST), Newest([], REQUEST)):
        assert inquiry.step(BEGAN, 0).end == nobody
    assert EventSearch([], after=(0, 0), to_seq=9).step(BEGAN, 0).end == nobody


# ---- a page, and the newest ------------------------------------------------------------------------------------------


def test_a_page_that_is_slow_is_asked_of_nobody_else():
    page = OnePage([1, 2], REQUEST, timeout_ns=5)
    begun = page.step(BEGAN, 0)
    assert (asked(begun), begun.calls[0].timeout_ns, begun.deadline_ns) == ([1], 5, 0)
    assert page.step(failed(1, Fault.BUSY), 9).end == NoAnswer(Fault.BUSY, "engine 1: no")


def test_a_page_comes_from_the_next_engine_where_the_first_fails_or_is_behind():
    page = OnePage([1, 2, 3], REQUEST, min_seq=10)
    page.step(BEGAN, 0)
    assert asked(page.step(failed(1), 1)) == [2]
    assert asked(page.step(Answered(2, reply(4, 9)), 2)) == [3]
    assert page.step(Answered(3, reply(4, 10)), 3).end == reply(4, 10)


def test_the_newest_is_by_epoch_and_then_by_seq_once_all_have_spoken():
    newest = Newest([1, 2, 3], REQUEST)
    assert asked(newest.step(BEGAN, 0)) == [1, 2, 3]
    assert not newest.step(Answered(1, reply(2, 900)), 1).over
    assert not newest.step(failed(2), 2).over
    assert newest.step(Answered(3, reply(3, 100)), 3).end == reply(3, 100)


# ---- events ----------------------------------------------------------------------------------------------------------


def page(first, last, *, epoch=5, paused=False, through=None):
    events = np.zeros(last - first + 1, dtype=EVENT)
    events["seq"] = np.arange(first, last + 1)
    return replication_pb2.FetchEventsReply(
        epoch=epoch, events=events.tobytes(), through_seq=last if through is None else through, paused=paused
    )


def search(*engines, after=10, to_seq=30, min_epoch=5, delivered_epoch=3):
    made = EventSearch(
        engines, after=(after, LAST_INDEX), to_seq=to_seq, min_epoch=min_epoch, delivered_epoch=delivered_epoch
    )
    return made, made.step(BEGAN, 0)


def test_pages_follow_each_other_and_only_the_first_is_asked_for_under_the_epoch_that_was_told():
    """An epoch may begin within a page: what comes behind it was never delivered under the one before."""
    fetch, begun = search(1, 2)
    assert begun.calls[0].request.delivered_epoch == 3
    more = fetch.step(Answered(1, [page(11, 20, paused=True)]), 5)
    assert [part.events["seq"].tolist() for part in more.pages] == [list(range(11, 21))]
    request = more.calls[0].request
    assert (request.after.seq, request.after.index, request.delivered_epoch) == (20, LAST_INDEX, 5)
    end = fetch.step(Answered(1, [page(21, 30)]), 9)
    assert (end.done, end.end, joined(end.pages)["seq"].tolist()) == (True, None, list(range(21, 31)))


def test_nothing_more_is_asked_under_an_epoch_where_none_was_named():
    fetch, begun = search(1, delivered_epoch=0)
    assert begun.calls[0].request.delivered_epoch == 0
    assert fetch.step(Answered(1, [page(11, 20, paused=True)]), 5).calls[0].request.delivered_epoch == 0


def test_an_engine_that_has_others_before_this_is_asked_again_and_another_one_only_after_long():
    fetch, _ = search(1, 2)
    pause = fetch.step(failed(1, Fault.BUSY), 5)
    assert (asked(pause), pause.deadline_ns) == ([], 5 + BUSY_PAUSE_NS)
    assert asked(fetch.step(DUE, 5 + BUSY_PAUSE_NS)) == [1]
    assert asked(fetch.step(failed(1, Fault.BUSY), FETCH_TIMEOUT_NS)) == [2]


def test_the_next_engine_goes_on_where_one_has_no_more():
    fetch, _ = search(1, 2)
    next_one = fetch.step(Answered(1, [page(11, 15)]), 5)
    assert (asked(next_one), next_one.calls[0].request.after.seq) == ([2], 15)
    end = fetch.step(Answered(2, [page(16, 20)]), 6)
    said = [f"engine {engine}: has committed events of epoch 5 up to {seq} only" for engine, seq in ((1, 15), (2, 20))]
    assert end.end == NoAnswer(Fault.UNAVAILABLE, "; ".join(said))


@pytest.mark.parametrize("to_seq", [30, 10])
def test_an_engine_that_has_not_heard_of_the_epoch_is_not_believed(to_seq):
    """Also where nothing but its word on what was delivered is wanted (`to_seq` 10)."""
    fetch, _ = search(1, 2, to_seq=to_seq)
    assert asked(fetch.step(Answered(1, [page(11, 30, epoch=4)]), 5)) == [2]
    assert fetch.step(failed(2, Fault.DIVERGED), 6).end == NoAnswer(Fault.DIVERGED, "engine 2: no")


def test_what_was_cut_from_journals_is_gone_only_if_no_engine_has_it():
    fetch, _ = search(1, 2, 3)
    assert asked(fetch.step(failed(1, Fault.GONE, first_seq=50), 1)) == [2]
    assert asked(fetch.step(failed(2, Fault.GONE, first_seq=40), 2)) == [3]
    end = fetch.step(failed(3), 3).end
    assert (end.fault, end.first_seq, end.everywhere) == (Fault.GONE, 40, False)
    fetch, _ = search(1, 2)
    fetch.step(failed(1, Fault.GONE, first_seq=50), 1)
    assert fetch.step(failed(2, Fault.GONE, first_seq=40), 2).end.everywhere
