"""Odd STREAM and ACK frames at an engine: none stops it, and afterwards it applies, acks and releases."""

from dataclasses import replace
from random import Random

import pytest

from lockstep.replica.effects import AckFrames, Role, StreamFrames
from lockstep.stream.arrival import decode_from
from lockstep.stream.batch import LayoutError, stamp_batch
from lockstep.stream.messages import Ack, Stream, encode
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
        sender = 2 if isinstance(base, Ack) else sequencer.id
        try:
            received = decode_from(encode(odd), type(base), sender)
        except LayoutError:
            dropped += 1
            continue
        if isinstance(received, Stream) and received.leader_epoch != base.leader_epoch:
            # One of the few epochs that may be promised unasked costs a takeover, not a restart: see the machines.
            near = base.leader_epoch < received.leader_epoch <= base.leader_epoch + 4
            if near:
                continue
        event = AckFrames if isinstance(received, Ack) else StreamFrames
        primary.step(event((received,)))
        primary.acks(ack)
        if turn % 50 == 0:
            commands = sequencer.commands(2)
            primary.stream(commands)
            ack = standby.stream(commands).ack
            primary.acks(ack)
            primary.effects.clear()
            standby.effects.clear()
            before = primary.machine.replica_state.committed_seq
    assert dropped > COUNT // 8
    commands = sequencer.commands(2)
    primary.stream(commands)
    primary.acks(standby.stream(commands).ack)
    assert (primary.machine.replica_state.role, primary.machine.replica_state.diverged) == (Role.PRIMARY, "")
    assert primary.machine.replica_state.committed_seq == primary.machine.replica_state.applied_seq > before


def test_no_record_that_is_stamped_stops_an_engine(new_node, sequencer):
    dice = Random(3)
    node = new_node(1)
    node.stream(sequencer.epoch_start(1, primary=1))
    for _ in range(COUNT // 8):
        honest = sequencer.commands(4)
        batch = honest.batch
        records = odd_records(batch.records, dice)
        # Control records are the sequencer's own: `arrival` lets none of them in.
        records = records[records["kind"] < 192]
        if not len(records):
            sequencer.next_seq -= batch.count
            continue
        sequencer.next_seq -= batch.count - len(records)
        odd = stamp_batch(records, epoch=batch.epoch, first_seq=batch.first_seq, timestamp_ns=batch.timestamp_ns)
        node.stream(replace(honest, batch=odd))
        assert node.machine.replica_state.applied_seq == sequencer.next_seq - 1
        node.effects.clear()
