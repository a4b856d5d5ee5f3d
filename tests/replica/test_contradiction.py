"""Engines with different digests: two stop both, of three the minority stops and the others go on without it."""

from dataclasses import replace

import numpy as np
import pytest

from lockstep.replica.contradiction import Contradictions
from lockstep.replica.effects import Role
from lockstep.stream.records import members_to_bits


def wrong(ack):
    """The same ack with another digest."""
    entries = ack.entries.copy()
    entries["digest"] = [b"x" * 16] * len(entries)
    return replace(ack, entries=entries)


@pytest.fixture
def trio(sequencer, new_node):
    """Engines 1 (primary), 2 and 3 in sync in epoch 1; seq 1 is committed everywhere."""
    nodes = [new_node(member, (1, 2, 3)) for member in (1, 2, 3)]
    first = sequencer.epoch_start(1, 2, 3, primary=1)
    acks = [node.stream(first).ack for node in nodes]
    for node in nodes:
        node.acks(*(ack for ack in acks if ack.sender != node.member))
    assert [node.machine.replica_state.committed_seq for node in nodes] == [1, 1, 1]
    return nodes


def test_one_that_a_minority_contradicts_goes_on_without_a_release(trio, sequencer):
    one, two, three = trio
    batch = sequencer.commands()
    one.stream(batch)
    effects = one.acks_that_stand(wrong(three.stream(batch).ack))
    assert effects.notices[0].event == "contradicted"
    one.acks(two.stream(batch).ack)
    assert one.machine.replica_state.role is Role.PRIMARY
    assert one.machine.replica_state.committed_seq == 1
    assert one.stream(sequencer.commands()).ack is not None


def test_the_others_go_on_once_the_odd_one_is_out(trio, sequencer):
    one, two, three = trio
    batch = sequencer.commands()
    one.stream(batch)
    one.acks(two.stream(batch).ack, wrong(three.stream(batch).ack))
    start = sequencer.epoch_start(1, 2, primary=1, epoch=2)
    one.stream(start)
    released = one.acks(two.stream(start).ack).releases
    assert released
    assert one.machine.replica_state.committed_seq == one.machine.replica_state.applied_seq


def test_odd_one_stops(trio, sequencer):
    one, two, three = trio
    batch = sequencer.commands()
    three.stream(batch)
    three.acks_that_stand(wrong(one.stream(batch).ack))
    roles = [three.machine.replica_state.role]
    three.acks_that_stand(wrong(two.stream(batch).ack))
    assert [*roles, three.machine.replica_state.role] == [Role.STANDBY, Role.DIVERGED]


def test_two_that_are_left_and_contradict_each_other_stop(trio, sequencer):
    one, _, three = trio
    batch = sequencer.commands()
    one.stream(batch)
    one.acks_that_stand(wrong(three.stream(batch).ack))
    one.stream(sequencer.epoch_start(1, 3, primary=1, epoch=2))
    assert one.machine.replica_state.role is Role.DIVERGED


@pytest.mark.parametrize(
    ("in_sync", "contradicting", "stops"),
    [((1, 2), (2,), True), ((1, 2, 3), (2,), False), ((1, 2, 3), (2, 3), True), ((1, 2, 3, 4), (2, 3), True)],
)
def test_half_of_the_in_sync_set_is_enough_to_stop(in_sync, contradicting, stops):
    contradictions = Contradictions()
    for member in contradicting:
        assert contradictions.note(member, f"engine {member} differs")
    assert bool(contradictions.verdict(members_to_bits(in_sync))) is stops


def test_engine_that_has_left_the_in_sync_set_contradicts_nobody():
    contradictions = Contradictions()
    contradictions.note(3, "engine 3 differs")
    assert contradictions.verdict(members_to_bits((1, 2, 3))) == ""
    assert contradictions.verdict(members_to_bits((1, 2))) == ""
    assert contradictions.verdict(members_to_bits((1, 3))) == "", "its next life was blamed for the former"


def test_wrong_digests_in_an_engines_name_stop_nobody_while_the_engine_itself_agrees(pair, sequencer):
    primary, standby = pair
    for _ in range(100):
        commands = sequencer.commands(1)
        primary.stream(commands)
        said = standby.stream(commands).ack
        primary.acks(wrong(said), times=5)
        primary.wait(10)
        primary.acks(said)
    assert primary.machine.replica_state.role is Role.PRIMARY
    assert primary.machine.replica_state.committed_seq == primary.machine.replica_state.applied_seq


def test_what_is_said_in_the_name_of_an_engine_that_hangs_stops_nobody(pair, sequencer):
    primary, standby = pair
    batch = sequencer.commands()
    primary.stream(batch)
    said = standby.stream(batch).ack
    for _ in range(20):
        primary.acks_that_stand(wrong(said), delivered=bytes(said.entries["digest"][-1]))
        primary.wait(100)
    assert (primary.machine.replica_state.role, primary.machine.replica_state.diverged) == (Role.PRIMARY, "")
    primary.acks(said)
    assert primary.machine.replica_state.committed_seq == primary.machine.replica_state.applied_seq


def test_one_ack_with_a_wrong_digest_stops_nobody(pair, sequencer):
    primary, standby = pair
    start = sequencer.epoch_start(1, 2, primary=1)
    primary.stream(start)
    said = standby.stream(start).ack
    for _ in range(3):
        forged = said.entries.copy()
        forged["digest"] = np.void(b"x" * 16)
        primary.acks(replace(said, entries=forged), times=1)
        assert primary.machine.replica_state.role is Role.PRIMARY
        primary.acks(said, times=1)
        assert primary.machine.replica_state.committed_seq == primary.machine.replica_state.applied_seq
        commands = sequencer.commands(3)
        primary.stream(commands)
        said = standby.stream(commands).ack
