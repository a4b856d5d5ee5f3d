"""Odd RECEIPT and RELEASE frames at a gateway: none stops it, and afterwards it admits commands and sends them."""

from random import Random

import numpy as np
import pytest

from lockstep.gateway.events import Came, Flushed, NotFetched, Said, Started, Submitted, Ticked
from lockstep.gateway.machine import GatewayMachine, Settings
from lockstep.stream.arrival import MAX_LINK, decode_from
from lockstep.stream.batch import LayoutError
from lockstep.stream.messages import Receipt, Release, encode
from lockstep.stream.records import COMMAND, EVENT
from lockstep.trials.odd_frames import make_odd
from tests.odd_frames import COUNT

MS = 1_000_000


def receipt(expected: int):
    return Receipt(
        sender=1, epoch=7, reign=7, next_link_no=expected, credit=10_000, committed_seq=0, incarnation=9, opens=True,
        rewinds=False,
    )  # fmt: skip


def release(first: int):
    events = np.zeros(2, dtype=EVENT)
    events["seq"], events["kind"], events["session_id"] = [first, first + 1], 1, 77
    return Release(1, 7, 0, first, first + 1, 0, events)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_gateway_still_serves_after_odd_frames(seed):
    dice, now_ns, dropped = Random(seed), 0, 0
    machine = GatewayMachine(Settings(gateway=1, incarnation=9))
    machine.step(Started(0, 7), 0)
    machine.sessions.open(10, "", 1, 1)
    for sequencer in (1, 2):
        machine.step(Said(sequencer, 7), 0)
    machine.step(Came([receipt(1)]), now_ns)
    for _ in range(COUNT // 2):
        now_ns += MS
        base = receipt(1) if dice.random() < 0.5 else release(machine.delivered_seq + 1)
        try:
            received = decode_from(encode(make_odd(base, dice)), type(base), 1)
        except LayoutError:
            dropped += 1
            continue
        effects = machine.step(Came([received]), now_ns)
        if effects.fetch is not None:
            machine.step(NotFetched(), now_ns)
        machine.step(Ticked(), now_ns)
    assert dropped > COUNT // 8
    for _ in range(100):
        now_ns += 5 * MS
        machine.step(Ticked(), now_ns)
        machine.step(Came([receipt(1)]), now_ns)
    assert machine.why_closed(now_ns) is None
    # No odd frame has moved what counts as delivered beyond what there is: the next release is still the next.
    assert machine.delivered_seq < 10**6
    now_seq = machine.delivered_seq
    delivered = machine.step(Came([release(now_seq + 1)]), now_ns).events
    assert delivered is not None
    assert delivered["seq"].tolist() == [now_seq + 1, now_seq + 2]
    assert machine.uplink.leader is not None
    assert (machine.uplink.leader.reign, machine.epoch) == (7, 7)
    records = np.zeros(2, dtype=COMMAND)
    records["kind"], records["session_id"], records["session_no"] = 1, 10, [1, 2]
    session = machine.sessions.get(10)
    assert session is not None
    admission = machine.step(Submitted(session, records), now_ns).admission
    assert admission is not None
    assert admission.taken == 2
    (sent,) = machine.step(Flushed(), now_ns).sends
    assert (sent.reign, sent.first_link_no, sent.count) == (7, 1, 2)
    # One odd number changes nothing; one that is said for a while does, and the sequencer's own put it right.
    for odd in (MAX_LINK, 900):
        for number in (odd, 1, odd, 1):
            assert not machine.step(Came([receipt(number)]), now_ns).sends
        for number, ms in ((odd, 20), (1, 200)):
            machine.step(Came([receipt(number)]), now_ns)
            now_ns += ms * MS
            (again,) = machine.step(Came([receipt(number)]), now_ns).sends
            assert (again.first_link_no, again.count) == (number, 2)
    assert not machine.step(Came([receipt(3)]), now_ns).sends
