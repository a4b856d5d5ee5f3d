"""Link numbers, reigns and sending again."""

import numpy as np
import pytest

from lockstep.gateway.sessions import SessionTable
from lockstep.gateway.uplink import Uplink
from lockstep.stream.codes import Code
from lockstep.stream.messages import Receipt
from lockstep.stream.records import COMMAND

MS = 1_000_000
S = 5


def receipt(
    *, sender=1, reign=1, epoch=None, expected=1, credit=1000, rewind=False, is_open=True, incarnation=9, committed=0
):
    return Receipt(
        sender=sender,
        epoch=epoch or reign,
        reign=reign,
        next_link_no=expected,
        credit=credit,
        committed_seq=committed,
        incarnation=incarnation,
        opens=is_open,
        rewinds=rewind,
    )


class Rig:
    def __init__(self):
        self.sessions = SessionTable(credit=1000)
        self.sessions.open(S, "", 1, 1)
        session = self.sessions.get(S)
        assert session is not None
        self.session = session
        self.uplink = Uplink(3, 9, max_commands=100, resend_ns=250 * MS, rewind_ns=20 * MS)
        self.number = 0

    def put(self, count):
        records = np.zeros(count, dtype=COMMAND)
        records["session_id"] = S
        records["session_no"] = np.arange(self.number + 1, self.number + 1 + count)
        self.number += count
        self.session.expected = self.number + 1
        self.uplink.enqueue(records, ((self.session, self.number),))

    def sent(self):
        return [(out.first_link_no, out.count) for out in self.uplink.plan_sends()]


@pytest.fixture
def rig():
    return Rig()


def test_a_reign_that_nobody_holds_ends_when_its_sequencer_says_itself_that_it_does_not_lead(rig):
    rig.uplink.on_said(1, 7, True)
    rig.uplink.on_said(2, 7, False)
    rig.uplink.on_receipt(receipt(reign=1, epoch=7), 0)
    rig.uplink.on_receipt(receipt(sender=2, reign=7), 1 * MS)
    assert rig.uplink.leader.sequencer == 2
    for ms in range(10, 400, 10):
        rig.uplink.on_tick(ms * MS)
        rig.uplink.on_receipt(receipt(reign=1, epoch=7), ms * MS)
    assert (rig.uplink.leader.sequencer, rig.uplink.leader.reign) == (1, 1)


def test_a_later_reign_in_the_leaders_own_name_ends_when_only_its_real_one_is_heard(rig):
    rig.uplink.on_said(1, 7, True)
    rig.uplink.on_receipt(receipt(reign=1, epoch=7), 0)
    rig.put(3)
    assert rig.sent() == [(1, 3)]
    rig.uplink.on_receipt(receipt(reign=6, epoch=7), 1 * MS)
    assert rig.sent() == [(1, 3)]
    for ms in range(10, 400, 10):
        rig.uplink.on_receipt(receipt(reign=1, epoch=7, expected=4), ms * MS)
    assert rig.uplink.leader.reign == 1
    # The link goes on where the sequencer is, not at 1.
    assert rig.sent() == [(4, 3)]


def test_what_was_passed_over_is_sent_again_although_it_was_confirmed(rig):
    rig.uplink.on_receipt(receipt(), 0)
    for _ in range(3):
        rig.put(2)
    assert rig.sent() == [(1, 2), (3, 2), (5, 2)]
    rig.uplink.on_receipt(receipt(expected=7), 1 * MS)
    for ms in range(0, 1900, 10):
        rig.uplink.on_receipt(receipt(expected=7), ms * MS)
        rig.uplink.on_tick(ms * MS)
    assert rig.sent() == []
    for ms in range(1900, 2300, 10):
        rig.uplink.on_receipt(receipt(expected=7, committed=0), ms * MS)
        rig.uplink.on_tick(ms * MS)
    assert rig.sent() == [], "a cluster that commits nothing has passed nothing over"
    for ms in range(2300, 2500, 10):
        rig.uplink.on_receipt(receipt(expected=7, committed=ms), ms * MS)
        rig.uplink.on_tick(ms * MS)
    assert rig.sent() == [(7, 2), (9, 2), (11, 2)]


def test_what_is_unanswered_before_something_answered_is_sent_again(rig):
    rig.uplink.on_receipt(receipt(), 0)
    other = 6
    rig.sessions.open(other, "", 1, 1)
    rig.put(2)
    rig.session = rig.sessions.get(other)
    rig.put(1)
    assert rig.sent() == [(1, 2), (3, 1)]
    rig.session.answered = rig.number
    for ms in range(0, 500, 10):
        rig.uplink.on_receipt(receipt(expected=4), ms * MS)
        rig.uplink.on_tick(ms * MS)
    assert rig.sent()[0] == (4, 2)


def test_commands_wait_without_a_leader(rig):
    rig.put(3)
    assert rig.sent() == []
    assert rig.uplink.closed(0) is Code.UNAVAILABLE
    rig.uplink.on_receipt(receipt(), 0)
    assert rig.sent() == [(1, 3)]
    assert rig.uplink.closed(0) is None


def test_frames_carry_gateway_incarnation_reign_and_epoch(rig):
    rig.uplink.on_receipt(receipt(reign=4, epoch=6), 0)
    rig.put(2)
    (out,) = rig.uplink.plan_sends()
    assert (out.sender, out.incarnation, out.reign, out.view_epoch, out.first_link_no) == (3, 9, 4, 6, 1)


def test_new_reign_sends_all_unanswered_again_from_link_number_1_before_anything_new(rig):
    rig.uplink.on_receipt(receipt(), 0)
    for count in (3, 2):
        rig.put(count)
    assert rig.sent() == [(1, 3), (4, 2)]
    rig.session.answered = 3
    rig.put(4)
    assert rig.uplink.on_receipt(receipt(sender=2, reign=2), 0)
    resent = rig.uplink.plan_sends()
    assert [(out.first_link_no, out.records["session_no"].tolist()) for out in resent] == [
        (1, [4, 5]),
        (3, [6, 7, 8, 9]),
    ]
    assert rig.uplink.leader.sequencer == 2


def test_same_reign_with_a_new_epoch_keeps_the_link_numbers(rig):
    rig.uplink.on_receipt(receipt(), 0)
    rig.put(3)
    rig.sent()
    assert not rig.uplink.on_receipt(receipt(epoch=2, expected=4), 0)
    rig.put(1)
    assert rig.sent() == [(4, 1)]


def test_receipt_of_an_older_reign_is_ignored(rig):
    rig.uplink.on_receipt(receipt(sender=2, reign=3), 0)
    rig.uplink.on_receipt(receipt(sender=1, reign=2, credit=0), 0)
    assert rig.uplink.leader.sequencer == 2
    assert rig.uplink.stale_receipts == 1


def test_rewind_sends_again_under_the_same_numbers(rig):
    rig.uplink.on_receipt(receipt(), 0)
    for count in (3, 2, 4):
        rig.put(count)
    assert rig.sent() == [(1, 3), (4, 2), (6, 4)]
    rig.uplink.on_receipt(receipt(expected=4, rewind=True), MS)
    assert rig.sent() == [(4, 2), (6, 4)]
    rig.uplink.on_receipt(receipt(expected=4, rewind=True), 2 * MS)
    assert rig.sent() == [], "asked for the same again within the least time"
    rig.uplink.on_receipt(receipt(expected=4, rewind=True), 30 * MS)
    assert rig.sent() == [(4, 2), (6, 4)]


def test_receipt_about_a_former_life_confirms_nothing(rig):
    rig.uplink.on_receipt(receipt(), 0)
    rig.put(3)
    rig.sent()
    rig.session.answered = 3
    rig.uplink.on_receipt(receipt(expected=4, incarnation=8), 0)
    assert rig.uplink.forget_answered() == 0
    rig.uplink.on_receipt(receipt(expected=4), 0)
    assert rig.uplink.forget_answered() == 1


def test_credit_holds_frames_back(rig):
    rig.uplink.on_receipt(receipt(credit=5), 0)
    for count in (3, 2, 4):
        rig.put(count)
    assert rig.sent() == [(1, 3), (4, 2)]
    assert rig.uplink.room() == 0
    rig.uplink.on_receipt(receipt(expected=6, credit=5), 0)
    assert rig.sent() == [(6, 4)]
    assert rig.uplink.room() == 1


def test_frame_larger_than_all_credit_goes_when_nothing_is_under_way(rig):
    rig.uplink.on_receipt(receipt(credit=2), 0)
    rig.put(4)
    assert rig.sent() == [(1, 4)]


def test_number_of_unanswered_commands_is_bounded(rig):
    rig.uplink.on_receipt(receipt(), 0)
    rig.put(90)
    rig.sent()
    rig.uplink.on_receipt(receipt(expected=91), 0)
    assert rig.uplink.room() == 10


def test_unconfirmed_frames_go_again_after_silence(rig):
    rig.uplink.on_receipt(receipt(), 0)
    rig.put(3)
    rig.sent()
    rig.uplink.on_tick(100 * MS)
    assert rig.sent() == []
    rig.uplink.on_tick(251 * MS)
    assert rig.sent() == [(1, 3)]


def test_frame_that_the_link_dropped_goes_again_soon(rig):
    rig.uplink.on_receipt(receipt(), 0)
    rig.put(3)
    rig.sent()
    rig.uplink.on_send_failed(10 * MS)
    rig.uplink.on_tick(16 * MS)
    assert rig.sent() == [(1, 3)]


@pytest.mark.parametrize("dropped", [False, True], ids=["lost on the way", "dropped by the link"])
def test_what_a_mute_leader_does_not_confirm_goes_again_ever_more_seldom_until_it_is_heard(rig, dropped):
    rig.uplink.on_receipt(receipt(), 0)
    for _ in range(3):
        rig.put(1)
    rig.sent()
    for now_ns in range(0, 10_000 * MS, 5 * MS):
        rig.uplink.on_tick(now_ns)
        if rig.sent() and dropped:
            rig.uplink.on_send_failed(now_ns)
    resent = rig.uplink.entries_resent
    assert 15 <= resent <= 24, "three entries, five to eight times in ten seconds"
    rig.uplink.on_receipt(receipt(), 10_000 * MS)
    rig.uplink.on_tick(10_250 * MS)
    assert rig.uplink.entries_resent == resent + 3


def test_leader_that_closed_or_fell_silent_takes_nothing_new(rig):
    rig.uplink.on_receipt(receipt(), 0)
    assert rig.uplink.closed(999 * MS) is None
    assert rig.uplink.closed(1001 * MS) is Code.UNAVAILABLE
    rig.uplink.on_receipt(receipt(is_open=False), MS)
    assert rig.uplink.closed(MS) is Code.UNAVAILABLE


def test_frames_under_way_are_those_that_are_not_answered(rig):
    rig.uplink.on_receipt(receipt(credit=5), 0)
    for _ in range(3):
        rig.put(2)
    assert rig.sent() == [(1, 2), (3, 2)], "the third waits for credit"
    assert rig.uplink.frames_under_way == 3
    rig.session.answered = 2
    assert rig.uplink.frames_under_way == 2


def test_entries_are_forgotten_in_order_once_answered_and_confirmed(rig):
    rig.uplink.on_receipt(receipt(), 0)
    rig.put(3)
    rig.put(2)
    rig.sent()
    rig.uplink.on_receipt(receipt(expected=6), 0)
    assert rig.uplink.forget_answered() == 0
    rig.session.answered = 4
    assert rig.uplink.forget_answered() == 1
    rig.session.answered = 5
    assert rig.uplink.forget_answered() == 2
    assert rig.uplink.unanswered_commands == 0


def test_restored_entries_are_sent_first_and_their_sessions_belong_to_whom_comes(rig):
    records = np.zeros(2, dtype=COMMAND)
    records["session_id"], records["session_no"] = 77, [4, 5]
    rig.uplink.restore([(12, records)], rig.sessions)
    rig.put(1)
    rig.uplink.on_receipt(receipt(), 0)
    assert rig.sent() == [(1, 2), (3, 1)]
    session = rig.sessions.get(77)
    assert (session.answered, session.expected) == (3, 6)
    rig.sessions.open(77, "alice", 2, 4)
    assert session.client == "alice"
