"""The gateway's decisions as a whole, without any I/O."""

from dataclasses import replace

import numpy as np
import pytest

from lockstep.gateway.events import Came, Flushed, Resumed, Said, Started, Submitted, Ticked
from lockstep.gateway.machine import GatewayMachine, Settings
from lockstep.gateway.reports import route
from lockstep.runtime.downlink import Downlink
from lockstep.stream.codes import Code
from lockstep.stream.messages import Receipt, Release
from lockstep.stream.records import COMMAND, CONTROL_EVENT, EVENT, EventKind, no_events

A, B = 10, 11


def receipt(expected=1, reign=1, sender=1, credit=10_000):
    return Receipt(
        sender=sender, epoch=reign, reign=reign, next_link_no=expected, credit=credit, committed_seq=0, incarnation=9,
        opens=True, rewinds=False,
    )  # fmt: skip


def commands(session_id, first_no, count):
    records = np.zeros(count, dtype=COMMAND)
    records["session_id"], records["session_no"] = session_id, np.arange(first_no, first_no + count)
    return records


def accepted(first_seq, session_id, *numbers):
    events = np.zeros(len(numbers), dtype=EVENT)
    events["seq"] = np.arange(first_seq, first_seq + len(numbers))
    events["kind"], events["session_id"], events["session_no"] = 1, session_id, numbers
    last = first_seq + len(numbers) - 1
    return Release(1, 1, 0, first_seq, last, 0, events)


@pytest.fixture
def machine():
    made = GatewayMachine(Settings(gateway=1, incarnation=9))
    made.step(Started(0, 1), 0)
    for session_id in (A, B):
        made.sessions.open(session_id, "", session_id, 1)
    made.step(Came([receipt()]), 0)
    return made


def submit(machine, session_id, first_no, count):
    return machine.step(Submitted(machine.sessions.get(session_id), commands(session_id, first_no, count)), 0).admission


def test_commands_of_all_sessions_leave_in_one_frame_and_one_log_entry(machine):
    submit(machine, A, 1, 2)
    submit(machine, B, 1, 3)
    effects = machine.step(Flushed(), 0)
    assert [(key, len(records)) for key, records in effects.store] == [(1, 5)]
    assert [(out.first_link_no, out.records["session_id"].tolist()) for out in effects.sends] == [(1, [A, A, B, B, B])]
    assert effects.sequencer == 1
    assert machine.step(Flushed(), 0).sends == ()


def test_what_is_under_way_is_not_sent_twice_but_another_command_of_its_number_is(machine):
    submit(machine, A, 1, 3)
    machine.step(Flushed(), 0)
    submit(machine, A, 4, 2)
    assert submit(machine, A, 1, 5).dropped == 5, "on its way, or waiting for it"
    (out,) = machine.step(Flushed(), 0).sends
    assert out.records["session_no"].tolist() == [4, 5]
    altered = commands(A, 1, 5)
    altered["kind"][[1, 4]] = 2
    machine.step(Submitted(machine.sessions.get(A), altered), 0)
    (out,) = machine.step(Flushed(), 0).sends
    assert out.records["session_no"].tolist() == [2, 5]


def test_frame_holds_at_most_1024_commands(machine):
    submit(machine, A, 1, 1500)
    submit(machine, B, 1, 1000)
    effects = machine.step(Flushed(), 0)
    assert [(out.first_link_no, out.count) for out in effects.sends] == [(1, 1024), (1025, 1024), (2049, 452)]
    numbers = np.concatenate([records for _key, records in effects.store])
    assert numbers["session_no"][numbers["session_id"] == A].tolist() == list(range(1, 1501))


def test_answered_and_confirmed_entries_leave_the_log(machine):
    submit(machine, A, 1, 2)
    machine.step(Flushed(), 0)
    assert machine.step(Came([accepted(1, A, 1, 2)]), 0).forget_through == 0, "the receipt is still out"
    assert machine.step(Came([receipt(expected=3)]), 0).forget_through == 1
    assert machine.uplink.unanswered_commands == 0


def test_new_reign_resends_before_anything_new(machine):
    submit(machine, A, 1, 2)
    machine.step(Flushed(), 0)
    effects = machine.step(Came([receipt(reign=2, sender=2)]), 0)
    assert effects.new_reign
    assert (effects.sequencer, [out.first_link_no for out in effects.sends]) == (2, [1])
    submit(machine, A, 3, 1)
    assert [out.first_link_no for out in machine.step(Flushed(), 0).sends] == [3]


def test_nothing_is_taken_in_or_sent_before_the_start():
    machine = GatewayMachine(Settings(gateway=1, incarnation=9))
    machine.restore([(4, commands(A, 7, 2))])
    machine.sessions.open(A, "", 1, 7)
    assert machine.step(Came([receipt()]), 0).sends == ()
    assert machine.why_closed(0) is Code.UNAVAILABLE
    machine.step(Started(50, 1), 0)
    assert [out.first_link_no for out in machine.step(Ticked(), 0).sends] == [1]


def test_room_counts_what_was_taken_in_since_the_last_flush(machine):
    machine.step(Came([receipt(credit=5)]), 0)
    assert submit(machine, A, 1, 3).taken == 3
    admission = submit(machine, B, 1, 3)
    assert admission.taken == 2
    assert admission.refused is not None
    assert admission.refused.code is Code.BUSY


def test_same_inputs_give_the_same_effects():
    def play():
        machine = GatewayMachine(Settings(gateway=1, incarnation=9))
        machine.step(Started(0, 1), 0)
        machine.sessions.open(A, "", 1, 1)
        trace = [machine.step(Came([receipt()]), 0)]
        submit(machine, A, 1, 4)
        trace += [
            machine.step(Flushed(), 1),
            machine.step(Came([accepted(1, A, 1, 2)]), 2),
            machine.step(Ticked(), 300_000_000),
        ]
        return [(len(step.store), [out.first_link_no for out in step.sends], step.forget_through) for step in trace]

    assert play() == play()


def test_what_a_resuming_client_is_told_counts_as_answered(machine):
    machine.sessions.open(30, "", 5, 31)
    routed = route(accepted(1, 30, 31, 32, 33).events, 30)
    assert routed is not None
    machine.step(Resumed(routed), 0)
    assert submit(machine, 30, 34, 1).taken == 1


def test_administration_leaves_with_the_gateways_word_and_only_for_an_admin_principal(machine):
    records = commands(A, 1, 2)
    records["kind"] = [1, 65]
    refused = machine.step(Submitted(machine.sessions.get(A), records), 0).admission
    assert (refused.taken, refused.refused.code) == (0, Code.NOT_ENTITLED)
    assert machine.step(Submitted(machine.sessions.get(A), records, admin=True), 0).admission.taken == 2
    submit(machine, B, 1, 1)
    (sent,) = machine.step(Flushed(), 0).sends
    assert sent.administrative
    submit(machine, B, 2, 1)
    (plain,) = machine.step(Flushed(), 0).sends
    assert not plain.administrative


def test_administration_that_stood_in_the_intake_log_still_has_the_gateways_word():
    machine = GatewayMachine(Settings(gateway=1, incarnation=10))
    records = commands(A, 1, 1)
    records["kind"] = 65
    machine.restore([(1, records)])
    machine.step(Started(0, 1), 0)
    (sent,) = machine.step(Came([receipt()]), 0).sends
    assert sent.administrative


@pytest.mark.parametrize("ahead", [5, 500, 2**47])
def test_one_receipt_of_a_far_epoch_does_not_stop_the_gateway(machine, ahead):
    machine.step(Said(1, 1), 0)
    submit(machine, A, 1, 2)
    machine.step(Flushed(), 0)
    machine.step(Came([receipt(reign=1 + ahead)]), 0)
    machine.step(Came([receipt(expected=3)]), 0)
    assert machine.why_closed(0) is None
    assert machine.uplink.leader.reign == 1
    submit(machine, A, 3, 1)
    assert [out.first_link_no for out in machine.step(Flushed(), 0).sends] == [3]


@pytest.mark.parametrize("sender", [1, 2])
def test_a_reign_that_its_sequencer_does_not_stand_by_is_forgotten_and_the_numbers_go_on(machine, sender):
    machine.step(Said(1, 1), 0)
    machine.step(Said(2, 1), 0)
    submit(machine, A, 1, 2)
    machine.step(Flushed(), 0)
    machine.step(Came([receipt(reign=3, sender=sender)]), 0)
    assert machine.uplink.leader.reign == 3
    machine.step(Ticked(), 300_000_000)
    machine.step(Came([receipt(expected=3)]), 300_000_000)
    assert machine.uplink.leader.reign == 1
    submit(machine, B, 1, 1)
    frames = machine.step(Flushed(), 300_000_000).sends
    assert machine.why_closed(300_000_000) is None
    assert all(out.reign == 1 and out.first_link_no >= 3 for out in frames)


def test_a_far_reign_is_believed_once_its_sequencer_says_that_it_is_there(machine):
    machine.step(Said(2, 90), 0)
    machine.step(Came([receipt(reign=90, sender=2)]), 0)
    assert machine.uplink.leader.reign == 90


@pytest.mark.parametrize("epoch", [3, 6, 501, 2**47])
def test_one_release_of_an_epoch_that_nobody_is_in_does_not_mute_the_primary(machine, epoch):
    machine.step(Said(1, 1), 0)
    machine.step(Ticked(), 0)
    machine.step(Came([replace(accepted(1, A), epoch=epoch)]), 0)
    machine.step(Ticked(), 300_000_000)
    machine.step(Came([accepted(1, A, 1)]), 300_000_000)
    assert machine.delivered_seq == 1


def test_clients_are_not_told_an_epoch_that_one_release_made_up():
    machine = GatewayMachine(Settings(gateway=1, incarnation=9))
    machine.step(Said(1, 1), 0)
    machine.step(Started(10, 1), 0)
    made_up = Release(1, 3, 0, 11, 10, 0, no_events())
    machine.step(Came([made_up]), 0)
    assert machine.epoch == 1
    begins = np.zeros(1, dtype=EVENT)
    begins["seq"], begins["kind"] = 11, EventKind.EPOCH_STARTED
    begins.view(CONTROL_EVENT)["epoch"] = 2
    machine.step(Came([Release(1, 2, 0, 11, 11, 0, begins)]), 0)
    assert (machine.epoch, machine.delivered_seq) == (2, 11)
    machine.step(Said(1, 3), 0)
    machine.step(Came([Release(1, 3, 0, 12, 11, 0, no_events())]), 0)
    assert machine.epoch == 3


def test_what_was_delivered_is_never_taken_back(machine):
    machine.step(Came([accepted(1, A, 1, 2)]), 0)
    machine.downlink = Downlink(0, 1)
    with pytest.raises(AssertionError, match="delivered up to 2"):
        machine.step(Ticked(), 0)
