"""Odd SUBMIT and ACK frames at a leading sequencer: none stops it, and afterwards it stamps and commits."""

from random import Random

import numpy as np
import pytest

from lockstep.sequencer import events as ev
from lockstep.sequencer.states import State
from lockstep.stream.arrival import decode_from
from lockstep.stream.batch import LayoutError
from lockstep.stream.messages import ACK_ENTRY, Ack, Submit, encode
from lockstep.stream.records import COMMAND, CommandKind
from lockstep.trials.odd_frames import make_odd
from tests.odd_frames import COUNT
from tests.sequencer.conftest import digest_at


def honest(play, dice):
    """What a gateway or an engine might send now, the link's sender, and the event that its arrival is."""
    if dice.random() < 0.5:
        records = np.zeros(3, dtype=COMMAND)
        records["kind"], records["gateway"] = CommandKind.NEW_ORDER, 2
        made = Submit(
            sender=2, view_epoch=play.epoch, reign=play.reign_id, first_link_no=1, incarnation=5, administrative=False,
            records=records,
        )  # fmt: skip
        return made, 2, ev.SubmitReceived
    entries = np.zeros(2, dtype=ACK_ENTRY)
    entries["last_seq"] = [max(play.tip - 1, 1), play.tip]
    entries["digest"] = np.frombuffer(digest_at(max(play.tip - 1, 1)) + digest_at(play.tip), dtype="V16")
    acked = Ack(1, play.epoch, play.tip, 0, 0, unjoined=False, rewinds=False, entries=entries)
    return acked, 1, ev.AckReceived


@pytest.mark.parametrize("seed", [1, 2])
def test_a_leader_still_leads_and_commits_after_odd_frames(stage, seed):
    dice, play, dropped = Random(seed), stage(), 0
    play.lead()
    play.tell(ev.GatewaySaid(1, 5), ev.GatewaySaid(2, 5))
    number = 1
    for turn in range(COUNT // 2):
        made, sender, event = honest(play, dice)
        odd = make_odd(made, dice)
        try:
            received = decode_from(encode(odd), type(made), sender)
        except LayoutError:
            dropped += 1
            continue
        play.machine.step(event(received), play.now_ns)
        # Between two odd frames an engine repeats what it has to say.
        play.ack_all(1, 2)
        if turn % 50 == 0:
            play.submit(number, 1)
            number += 1
            play.ack_all(1, 2)
            play.log.clear()
    assert dropped > COUNT // 8
    play.after(5)
    before = play.tip
    play.submit(number, 3)
    play.ack_all(1, 2)
    assert (play.machine.state, play.machine.reign.agreement.diverged) == (State.LEADER, "")
    assert play.tip >= before + 3
    assert play.committed == play.tip
