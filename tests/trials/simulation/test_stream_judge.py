"""The judge of session streams sees each breach of `orders.proto` on the wire, whatever a client would make of it."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lockstep.stream.records import EVENT, EventKind
from lockstep.trials.simulation.judge import Judge
from lockstep.trials.simulation.losses import Loss
from lockstep.trials.simulation.stream_judge import StreamJudge
from lockstep.trials.simulation.world import Violation
from lockstep.v1 import common_pb2, orders_pb2

S, OTHER = (1 << 32) | 7, (2 << 32) | 7


class Pipe:
    """As far as the judge looks at one."""

    gateway = SimpleNamespace(name="gateway-1")


class Wire:
    """One stream of session S at a gateway, from its Hello on. Seqs 1 to 9 are released: trades of S with itself."""

    def __init__(self, *, seen=(0, 0), last_epoch=0, asks=False, loss=False):
        events = np.zeros(2, dtype=EVENT)
        events["kind"], events["index"] = EventKind.TRADE, [0, 1]
        events["session_id"] = events["maker_session_id"] = S
        world: Any = SimpleNamespace()
        judge = Judge(world)
        judge.committed_seq, judge.released = 9, {seq: events.tobytes() for seq in range(1, 10)}
        # What was delivered of seqs 6 to 12 under epochs before 5 was discarded.
        judge.losses = [Loss(6, 12, 5, (), (), dict.fromkeys(range(1, 13), events.tobytes()))] if loss else []
        self.judge = StreamJudge(judge)
        self.released = judge.released
        self.pipe = Pipe()
        last_seen = {"seq": seen[0], "index": seen[1]}
        hello = orders_pb2.Hello(session_id=S, last_seen=last_seen, last_epoch=last_epoch, asks_next_no=asks)
        self.judge.on_message(self.pipe, orders_pb2.SessionRequest(hello=hello).SerializeToString(), True)

    def say(self, **message):
        raw = orders_pb2.SessionResponse(**message).SerializeToString()
        self.judge.on_message(self.pipe, raw, False)

    def welcome(self, epoch=3, seq=5):
        self.say(welcome=orders_pb2.Welcome(stamp=stamp(epoch, seq)))

    def rows(self, *rows, epoch=3, seq=9, kind=EventKind.TRADE):
        columns = {"seq": [row[0] for row in rows], "index": [row[1] for row in rows], "leg": [row[2] for row in rows]}
        batch = orders_pb2.ReportBatch(stamp=stamp(epoch, seq), count=len(rows), kind=[kind] * len(rows), **columns)
        self.say(report_batch=batch)


def stamp(epoch, seq):
    return common_pb2.Stamp(epoch=epoch, seq=seq)


def welcomed(**hello):
    wire = Wire(**hello)
    wire.welcome()
    return wire


def test_rows_in_order_are_right_and_kept_for_the_audit():
    wire = welcomed(seen=(1, 1))
    wire.rows((2, 0, 0), (2, 0, 1), (2, 1, 0))
    wire.rows((3, 0, 0), epoch=4)
    (delivered,) = wire.judge.streams
    assert delivered.rows == [(2, 0, 0), (2, 0, 1), (2, 1, 0), (3, 0, 0)]


@pytest.mark.parametrize("wrong", [(2, 1, 1), (2, 1, 0), (2, 0, 1), (1, 9, 1)])
def test_row_again_or_of_a_lower_id_is_seen(wrong):
    wire = welcomed()
    wire.rows((2, 0, 0), (2, 1, 1))
    with pytest.raises(Violation, match="after row"):
        wire.rows(wrong)


@pytest.mark.parametrize("wrong", [(4, 1, 0), (4, 1, 1), (3, 0, 0)])
def test_row_that_the_hello_says_was_seen_is_seen(wrong):
    with pytest.raises(Violation, match="after row"):
        welcomed(seen=(4, 1)).rows(wrong)


def test_row_of_another_session_is_seen():
    wire = welcomed()
    events = np.frombuffer(wire.released[4], dtype=EVENT).copy()
    events["maker_session_id"] = OTHER
    wire.released[4] = events.tobytes()
    wire.rows((4, 0, 0))
    with pytest.raises(Violation, match="another session"):
        wire.rows((4, 1, 1))


def test_event_that_does_not_exist_or_is_altered_is_seen():
    with pytest.raises(Violation, match="and is not"):
        welcomed().rows((4, 2, 0))
    with pytest.raises(Violation, match="and is not"):
        welcomed().rows((4, 0, 0), kind=EventKind.CANCELED)


def test_anything_before_the_welcome_or_a_second_one_is_seen():
    with pytest.raises(Violation, match="as the first"):
        Wire().rows((2, 0, 0))
    with pytest.raises(Violation, match="second"):
        welcomed().welcome()


def test_anything_after_the_end_is_seen():
    wire = welcomed()
    wire.judge.on_message(wire.pipe, b"", False)
    with pytest.raises(Violation, match="after the end"):
        wire.rows((2, 0, 0))


def test_anything_after_a_refusal_that_ends_the_stream_is_seen():
    wire = welcomed()
    wire.say(refusal=orders_pb2.Refusal(stamp=stamp(3, 5), from_no=4, code=common_pb2.CODE_MALFORMED_BATCH))
    wire.say(refusal=orders_pb2.Refusal(stamp=stamp(3, 5), code=common_pb2.CODE_SESSION_TAKEN_OVER, text="gone"))
    with pytest.raises(Violation, match="gone"):
        wire.rows((2, 0, 0))


def test_next_number_that_nobody_asked_for_or_that_was_executed_is_seen():
    delivered = orders_pb2.NextNumber(stamp=stamp(3, 5), next_no=4, executed_no=3)
    asked = welcomed(asks=True)
    asked.say(next_number=delivered)
    for wire in (asked, welcomed()):
        with pytest.raises(Violation, match="not asked for, or comes again"):
            wire.say(next_number=delivered)
    delivered.executed_no = 4
    with pytest.raises(Violation, match="number 4 was executed"):
        welcomed(asks=True).say(next_number=delivered)


def test_epoch_and_stamped_seq_that_fall_are_seen():
    wire = welcomed()
    wire.rows((2, 0, 0), epoch=4)
    with pytest.raises(Violation, match="epoch 3 after epoch 4"):
        wire.rows((3, 0, 0), epoch=3)
    with pytest.raises(Violation, match="seq 4 after seq 5"):
        welcomed().rows((2, 0, 0), seq=4)
    with pytest.raises(Violation, match="epoch 3 after epoch 5"):
        welcomed(last_epoch=5)


def test_row_ahead_of_its_stamp_and_stamp_ahead_of_what_is_committed_are_seen():
    with pytest.raises(Violation, match="in a message of seq 6"):
        welcomed().rows((7, 0, 0), seq=6)
    with pytest.raises(Violation, match="committed is 9"):
        welcomed().rows((7, 0, 0), seq=10)


def test_stream_that_goes_on_behind_what_was_given_up_is_seen():
    wire = welcomed(loss=True)
    wire.rows((2, 0, 0), (8, 0, 0), epoch=4)
    with pytest.raises(Violation, match="discarded with all from seq 6 on"):
        wire.rows((9, 0, 0), epoch=5)
    wire = Wire(seen=(7, 0), last_epoch=4, loss=True)
    wire.welcome(epoch=5)
    with pytest.raises(Violation, match="discarded with all from seq 6 on"):
        wire.rows((8, 0, 0), epoch=5)
    wire = welcomed(loss=True)
    wire.rows((2, 0, 0), epoch=4)
    wire.rows((6, 0, 0), epoch=5)
    with pytest.raises(Violation, match="committed is 9"):
        wire.rows((7, 0, 0), epoch=5, seq=12)


def test_reports_gone_for_who_was_told_nothing_of_it_or_from_another_seq_on_is_seen():
    def turned_away(**hello):
        wire = Wire(**hello)
        wire.welcome(epoch=5)
        return wire

    def gone(wire, first_seq):
        text = f"what was delivered from seq {first_seq} on is void"
        wire.say(refusal=orders_pb2.Refusal(stamp=stamp(5, 5), code=common_pb2.CODE_REPORTS_GONE, text=text))

    for delivered in ({"seen": (5, 0), "last_epoch": 4, "loss": True}, {"seen": (7, 0), "last_epoch": 4}):
        with pytest.raises(Violation, match="is refused: what was delivered"):
            gone(turned_away(**delivered), 6)
    gone(turned_away(seen=(7, 0), last_epoch=4, loss=True), 6)
    with pytest.raises(Violation, match="from seq 6 on things were discarded"):
        gone(turned_away(seen=(7, 0), last_epoch=4, loss=True), 8)


def test_report_of_another_epoch_than_its_message_is_seen():
    report = common_pb2.ExecutionReport(event_id={"seq": 2}, epoch=2, kind=common_pb2.EVENT_KIND_TRADE)
    with pytest.raises(Violation, match="epoch 2"):
        welcomed().say(reports=orders_pb2.Reports(stamp=stamp(3, 9), reports=[report]))
