"""Odd STREAM and ACK frames at an engine: none stops it, and afterwards it applies, acks and releases."""

from dataclasses import replace
from random import Random

import pytest

from lockstep.replica.effects import AckFrames, Role, StreamFrames
from lockstep.stream.arrival import decode_from
from lockstep.stream.frames import FrameError, FrameType, encode_frame
from lockstep.trials.odd_frames import make_odd, odd_records
from tests.odd_frames import COUNT


@pytest.mark.parametrize("seed", [1, 2])
def test_a_primary_still_releases_after_odd_frames(pair, sequencer, seed):
    dice = Random(seed)
    primary, standby = pair
    start = sequencer.epoch_start(1, 2, primary=1)
    primary.stream(start)
    ack = standby.stream(start).ack
    before, dropped = 0, 0
    for turn in range(COUNT // 2):
        base = ack if dice.random() < 0.5 else sequencer.heartbeat()
        odd = make_odd(base, dice)
        sender = 2 if base.type is FrameType.ACK else sequencer.id
        try:
            received = decode_from(encode_frame(odd), base.type, sender)
        except FrameError:
            dropped += 1
            continue
        if received.type is FrameType.STREAM and received.aux != base.aux:
            # One of the few epochs that may be promised unasked costs a takeover, not a restart: see the machines.
            near = base.aux < received.aux <= base.aux + 4
            if near:
                continue
        event = AckFrames if received.type is FrameType.ACK else StreamFrames
        primary.step(event((received,)))
        primary.acks(ack)
        if turn % 50 == 0:
            commands = sequencer.commands(2)
            primary.stream(commands)
            ack = standby.stream(commands).ack
            primary.acks(ack)
            primary.effects.clear()
            standby.effects.clear()
            before = primary.machine.standing.committed_seq
    assert dropped > COUNT // 8
    commands = sequencer.commands(2)
    primary.stream(commands)
    primary.acks(standby.stream(commands).ack)
    assert (primary.machine.standing.role, primary.machine.standing.diverged) == (Role.PRIMARY, "")
    assert primary.machine.standing.committed_seq == primary.machine.standing.applied_seq > before


def test_no_record_that_is_stamped_stops_an_engine(new_node, sequencer):
    dice = Random(3)
    node = new_node(1)
    node.stream(sequencer.epoch_start(1, primary=1))
    for _ in range(COUNT // 8):
        honest = sequencer.commands(4)
        records = odd_records(honest, dice)
        # Control records are the sequencer's own: `arrival` lets none of them in.
        records = records[records["kind"] < 192]
        if not len(records):
            sequencer.next_seq -= honest.count
            continue
        sequencer.next_seq -= honest.count - len(records)
        node.stream(replace(honest, records=records))
        assert node.machine.standing.applied_seq == sequencer.next_seq - 1
        node.effects.clear()
