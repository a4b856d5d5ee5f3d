"""A resuming stream's machine: what it asks, what it waits for, and when live reports may go out."""

import pytest

from lockstep.gateway import resumption as r
from lockstep.gateway.resumption import (
    LAST_INDEX,
    LOOK_AGAIN_NS,
    PATIENCE_NS,
    RETRY_PAUSE_NS,
    AskEvents,
    AskLastNumber,
    AskWhetherLost,
    Began,
    Compared,
    Counted,
    Failed,
    Fetched,
    FetchedAll,
    Resumption,
    Ticked,
)
from lockstep.gateway.states import Resuming as State
from lockstep.stream.codes import Code


class Rig:
    """A resumption at a gateway that stands at some epoch and seq."""

    def __init__(self, boundary, *, epoch=5, **hello):
        self.resumption = Resumption(boundary, **hello)
        self.epoch, self.delivered_seq, self.now_ns = epoch, boundary, 1_000

    def step(self, event):
        return self.resumption.step(event, self.now_ns, epoch=self.epoch, delivered_seq=self.delivered_seq)


def test_everything_up_to_the_boundary_is_fetched_however_much_was_delivered_since():
    rig = Rig(100, seen=(40, 2))
    rig.delivered_seq = 170
    began = rig.step(Began())
    assert began.ask == AskEvents((40, 2), to_seq=100, min_epoch=5)
    assert (began.take_commands, began.release) == (True, False)
    rig.delivered_seq = 230
    rig.step(Fetched((70, 0)))
    rig.step(Failed("an engine died"))
    assert rig.step(Ticked()).ask == AskEvents((70, 0), to_seq=100, min_epoch=5)
    assert rig.step(FetchedAll()).release
    assert rig.resumption.state is State.LIVE


def test_client_that_knows_everything_goes_on_at_once():
    effects = Rig(100, seen=(100, LAST_INDEX)).step(Began())
    assert (effects.ask, effects.take_commands, effects.release) == (None, True, True)


def test_rest_of_the_seq_that_was_seen_last_is_fetched():
    assert Rig(100, seen=(100, 1)).step(Began()).ask == AskEvents((100, 1), to_seq=100, min_epoch=5)


def test_gateway_that_has_delivered_nothing_has_nothing_to_fetch():
    assert Rig(0).step(Began()).release


def test_session_without_a_past_goes_live_without_a_search():
    rig = Rig(100)
    began = rig.step(Began())
    assert (began.ask, began.take_commands, began.release) == (AskLastNumber(5), False, False)
    effects = rig.step(Counted(last_no=0, seq=100))
    assert (effects.take_commands, effects.release) == (True, True)


@pytest.mark.parametrize("answer", [Counted(last_no=1, seq=100), Counted(last_no=0, seq=99)])
def test_session_with_a_past_or_an_engine_that_is_behind_means_a_search(answer):
    rig = Rig(100)
    rig.step(Began())
    effects = rig.step(answer)
    assert effects.ask == AskEvents((0, 0), to_seq=100, min_epoch=5)
    assert effects.take_commands


def test_new_session_is_not_kept_waiting_by_engines_that_are_away():
    rig = Rig(100)
    rig.step(Began())
    failed = rig.step(Failed("away"))
    assert (failed.take_commands, failed.deadline_ns) == (True, 1_000 + RETRY_PAUSE_NS)
    assert isinstance(rig.step(Ticked()).ask, AskEvents), "commands may be under way now: it has a past"


def test_client_of_a_lower_epoch_gives_no_command_before_its_history_is_compared():
    rig = Rig(100, seen=(40, 0), delivered_epoch=3)
    began = rig.step(Began())
    assert (began.ask, began.take_commands) == (AskWhetherLost(3, 40, 5), False)
    assert rig.step(Failed("away")).take_commands is False
    assert rig.step(Ticked()).ask == AskWhetherLost(3, 40, 5)
    compared = rig.step(Compared(0))
    assert (compared.take_commands, compared.ask) == (True, AskEvents((40, 0), 100, 5))


def test_epoch_that_begins_while_history_is_compared_is_compared_too():
    rig = Rig(100, seen=(40, 0), delivered_epoch=3)
    rig.step(Began())
    rig.epoch = 6
    assert rig.step(Compared(0)).take_commands
    behind = Rig(30, seen=(40, 0), delivered_epoch=5)
    behind.step(Began())
    behind.epoch, behind.delivered_seq = 6, 50
    assert behind.step(Ticked()).ask == AskWhetherLost(5, 40, 6)


def test_history_that_an_operator_gave_up_ends_the_stream_for_good():
    rig = Rig(100, seen=(40, 0), delivered_epoch=3)
    rig.step(Began())
    end = rig.step(Compared(37)).end
    assert end.code == Code.REPORTS_GONE
    assert "from seq 37 on is void" in end.text
    assert rig.resumption.state is State.ENDED


@pytest.mark.parametrize(("seen", "delivered_epoch"), [((140, 0), 5), ((140, 0), 0), ((40, 0), 6)])
def test_gateway_that_is_behind_its_client_waits_until_it_is_not(seen, delivered_epoch):
    rig = Rig(100, seen=seen, delivered_epoch=delivered_epoch)
    began = rig.step(Began())
    assert (began.ask, began.release, began.take_commands) == (None, False, False)
    assert began.deadline_ns == rig.now_ns + LOOK_AGAIN_NS
    rig.now_ns += LOOK_AGAIN_NS
    rig.delivered_seq, rig.epoch = 150, max(5, delivered_epoch)
    effects = rig.step(Ticked())
    assert effects.take_commands
    assert effects.release is (seen > (100, LAST_INDEX))


def test_gateway_that_stays_behind_sends_its_client_elsewhere():
    rig = Rig(100, seen=(140, 0), delivered_epoch=5)
    rig.step(Began())
    rig.now_ns += PATIENCE_NS
    end = rig.step(Ticked()).end
    assert end.code == Code.UNAVAILABLE
    assert "seq 100 of epoch 5" in end.text
    assert "seq 140" in end.text


@pytest.mark.parametrize(
    ("failed", "code"),
    [
        (Failed("engine 1: away"), Code.UNAVAILABLE),
        (Failed("cut", gone=True, first_seq=77), Code.REPORTS_GONE),
    ],
)
def test_engines_that_cannot_answer_are_asked_again_for_some_seconds(failed, code):
    rig = Rig(100, seen=(40, 0))
    rig.step(Began())
    waits = rig.step(failed)
    assert (waits.end, waits.ask, waits.deadline_ns) == (None, None, rig.now_ns + RETRY_PAUSE_NS)
    rig.now_ns += PATIENCE_NS
    end = rig.step(failed).end
    assert end.code == code
    assert failed.text in end.text or f"before seq {failed.first_seq}" in end.text


def test_patience_begins_anew_with_whatever_came():
    rig = Rig(100, seen=(40, 0))
    rig.step(Began())
    rig.now_ns += PATIENCE_NS
    rig.step(Fetched((60, 0)))
    assert rig.step(Failed("away")).end is None
    rig.now_ns += PATIENCE_NS
    assert rig.step(Failed("away")).end is not None


@pytest.mark.parametrize(("delivered_epoch", "last"), [(0, FetchedAll()), (3, Compared(3))])
def test_nothing_is_asked_or_said_after_the_end(delivered_epoch, last):
    rig = Rig(100, seen=(40, 0), delivered_epoch=delivered_epoch)
    rig.step(Began())
    rig.step(last)
    assert rig.resumption.over
    for event in (Began(), Ticked(), Failed("x"), FetchedAll(), Compared(9), Counted(0, 100)):
        assert rig.step(event) == r.NOTHING
