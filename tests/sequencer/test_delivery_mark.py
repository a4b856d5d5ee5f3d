"""What gateways have delivered is evidence: no reign is opened below it, but on an operator's word."""

from collections.abc import Callable
from typing import Any

import pytest

from lockstep.sequencer import events as ev
from lockstep.sequencer.states import State
from lockstep.stream.delivery_mark import DeliveryMark

Build = Callable[..., Any]


@pytest.fixture
def alone(stage: Build, make_config: Build) -> Any:
    """Engine 2 alone is in sync in epoch 4, and this sequencer has just claimed epoch 5."""
    play = stage(member=1)
    play.raise_curtain()
    play.sees(make_config(in_sync=(2,), primary=2, learners=(1,)))
    play.wins()
    return play


def test_log_that_ends_before_what_a_gateway_told_opens_nothing(alone: Any) -> None:
    alone.tell(ev.GatewaySaid(1, 5, DeliveryMark(4, 40)))
    alone.promise(2, 30, tip_epoch=4)
    alone.pass_time(5000)
    assert alone.machine.reign is None
    assert "its log ends at seq 30, while clients have reports of commands up to seq 40 of epoch 4" in alone.machine.why
    assert "--accept-data-loss" in alone.machine.why
    # The right directory is put back.
    alone.promise(2, 40, tip_epoch=4)
    assert alone.machine.reign is not None


def test_gateway_that_speaks_after_the_answer_counts_too(stage: Build, make_config: Build) -> None:
    play = stage(member=1)
    play.raise_curtain()
    play.sees(make_config())
    play.wins()
    play.promise(1, 30, tip_epoch=4)
    assert play.machine.state is State.FENCING
    play.tell(ev.GatewaySaid(1, 5, DeliveryMark(4, 40)))
    play.pass_time(5000)
    assert play.machine.reign is None
    # The other one has it, and goes on without it.
    play.promise(2, 40, tip_epoch=4)
    assert play.pending_cas.record.in_sync == (2,)


@pytest.mark.parametrize(
    "delivered",
    [DeliveryMark(4, 30), DeliveryMark(3, 31), DeliveryMark(5, 99), DeliveryMark(2**47, 99)],
    ids=["all of it is there", "a higher epoch is behind it", "the epoch is just being claimed", "that never was"],
)
def test_what_contradicts_nothing_holds_nothing_up(alone: Any, delivered: DeliveryMark) -> None:
    alone.tell(ev.GatewaySaid(1, 5, delivered))
    alone.promise(2, 30, tip_epoch=4)
    assert alone.machine.reign is not None


def test_operator_who_accepts_the_loss_goes_on_and_is_not_asked_again(alone: Any) -> None:
    alone.tell(ev.GatewaySaid(1, 5, DeliveryMark(4, 40)))
    alone.promise(2, 30, tip_epoch=4)
    alone.tell(ev.ForceFailoverRequested(2, 2))
    alone.wins()
    alone.promise(2, 30, tip_epoch=4)
    assert alone.machine.reign is not None
    assert alone.machine.config_store.config.accepted_epoch == alone.machine.epoch
    alone.ack_all(2)
    alone.pass_time(50)
    alone.wins()  # the stream has reported the loss
    # The gateway still says so, as it may until it has begun anew.
    alone.tell(ev.GatewaySaid(1, 6, DeliveryMark(4, 40)))
    alone.pass_time(100)
    assert (alone.machine.state, alone.machine.reign.why) == (State.LEADER, "")


def test_gateway_that_is_heard_only_after_the_opening_ends_the_reign_for_good(alone: Any) -> None:
    alone.promise(2, 39, tip_epoch=4)
    assert alone.machine.reign is not None
    alone.ack_all(2)
    assert alone.tip >= 40  # by number alone nothing would be missed
    alone.tell(ev.GatewaySaid(1, 5, DeliveryMark(4, 40)))
    before = alone.tip
    alone.submit(1, 3)
    assert alone.tip == before  # nothing is stamped any more
    record = alone.pending_cas.record
    assert (record.lost_epoch, record.lost_seq) == (4, 40)
    alone.wins()
    assert alone.machine.state is State.CANDIDATE
    alone.pass_time(1000)
    alone.wins()
    alone.promise(2, before, tip_epoch=5)
    alone.pass_time(5000)
    assert alone.machine.reign is None
    assert "clients have reports of commands up to seq 40 of epoch 4, which it lacks" in alone.machine.why
    # The disk that has them comes back: the config forgets the loss.
    alone.promise(2, 44, tip_epoch=4)
    assert alone.machine.reign is not None
    alone.pass_time(50)
    assert alone.pending_cas.record.lost_seq == 0
    alone.wins()
    assert alone.machine.state is State.LEADER


def test_first_reign_of_a_new_cluster_owes_nothing_to_what_another_one_told(stage: Build) -> None:
    play = stage(engines=(1, 2))
    play.tell(ev.GatewaySaid(1, 5, DeliveryMark(9, 1_000)))
    play.lead()
    assert play.machine.reign is not None
    assert play.machine.reign.why == ""
