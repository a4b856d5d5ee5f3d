"""Every row of the replica's table of states, by what really brings it about."""

import numpy as np
import pytest

from lockstep.replica.divergence import EpochEntry
from lockstep.replica.effects import FenceRequested, PeerDigest, PeerLog, PeerLogBehind, PeerSnapshot
from lockstep.replica.settings import Base, BrokenInvariant
from lockstep.replica.states import TRANSITIONS, Occasion, State
from lockstep.stream.digest import Digest
from lockstep.stream.messages import ACK_ENTRY, Ack

OTHER = b"another digest.."
FIRST_EPOCH = (EpochEntry(1, 1),)


class Scene:
    """Engine 2, a standby of epoch 1 whose log ends at seq 1, live or just started again; and its sequencer."""

    def __init__(self, pair, sequencer, new_sequencer, new_node, state):
        self.sequencer, self.new_sequencer, self.new_node = sequencer, new_sequencer, new_node
        self.primary, self.node = pair
        if state is State.COMPARING:
            self.node.restart()

    def peer_log(self, *, epochs=FIRST_EPOCH, tip=1, digest=b""):
        self.node.machine._rewinds = 10  # a live one asks when the leader can't help
        self.node.step(PeerLog(1, "", True, tip, epochs, (), digest))

    def alone(self):
        self.node.stream(self.sequencer.epoch_start(2, primary=2, epoch=2))
        self.node.restart()

    def contradict_a_learner(self):
        self.node.stream(self.sequencer.epoch_start(1, primary=1, epoch=2))
        seq = self.node.machine.replica_state.applied_seq
        entry = np.array([(seq, OTHER)], dtype=ACK_ENTRY)
        self.node.acks(Ack(1, 2, seq, 0, 0, False, False, entry))

    def cut_elsewhere(self):
        self.node.machine._rewinds = 10
        self.node.step(PeerLogBehind(1))

    def tail_diverges(self):
        self.node.committed_hint = 0
        self.node.machine.replica_state.committed_seq = 0
        # Somebody else's epoch begins at seq 1, and this one has promised it.
        self.node.machine.replica_state.promised = 5
        self.peer_log(epochs=(EpochEntry(5, 1),), tip=1)

    def committed_lost(self):
        self.node.machine.replica_state.committed_seq = 1
        self.node.machine.replica_state.promised = 5
        self.peer_log(epochs=(EpochEntry(5, 1),), tip=1)

    def outvoted(self):
        replica_state = self.node.machine.replica_state
        if replica_state.live:
            self.node.step(PeerDigest(1, replica_state.applied_seq, OTHER))
        else:
            self.peer_log(digest=OTHER)


BRING = {
    Occasion.ALONE: Scene.alone,
    Occasion.FENCED: lambda scene: scene.node.step(FenceRequested(1, "u", 1, 1, settled=True)),
    Occasion.STREAM_CONTINUES: lambda scene: scene.node.stream(scene.sequencer.commands()),
    Occasion.STREAM_ENDS_HERE: lambda scene: scene.node.stream(scene.sequencer.heartbeat()),
    Occasion.CAUGHT_UP: lambda scene: scene.peer_log(digest=scene.node.machine.replica_state.digest),
    Occasion.STREAM_CONFLICTS: lambda scene: scene.node.stream(scene.new_sequencer(2, 2, 1).epoch_start(2, primary=2)),
    Occasion.CUT_ELSEWHERE: Scene.cut_elsewhere,
    Occasion.CONTRADICTED: Scene.contradict_a_learner,
    Occasion.TAIL_DIVERGES: Scene.tail_diverges,
    Occasion.SNAPSHOT_CAME: lambda scene: scene.node.step(
        PeerSnapshot(1, "", Base(9, Digest(OTHER), 10**12, (EpochEntry(1, 1),), 6, 1, 0, 1))
    ),
    Occasion.OUTVOTED: Scene.outvoted,
    Occasion.COMMITTED_LOST: Scene.committed_lost,
}


@pytest.mark.parametrize(("state", "occasion"), TRANSITIONS, ids=lambda part: part.name)
def test_every_row_of_the_table_comes_about(state, occasion, pair, sequencer, new_sequencer, new_node, monkeypatch):
    taken = []

    class Noted(dict):
        def get(self, row, default=None):
            taken.append(row)
            return super().get(row, default)

    scene = Scene(pair, sequencer, new_sequencer, new_node, state)
    assert scene.node.machine.replica_state.state is state
    monkeypatch.setattr("lockstep.replica.replica_state.TRANSITIONS", Noted(TRANSITIONS))
    BRING[occasion](scene)
    assert (state, occasion) in taken


def test_every_state_is_reached():
    assert set(TRANSITIONS.values()) == set(State)
    assert {occasion for _, occasion in TRANSITIONS} == set(Occasion)


def test_what_stands_in_no_row_is_a_broken_invariant(new_node):
    replica_state = new_node(1).machine.replica_state
    replica_state.move(Occasion.FENCED)
    with pytest.raises(BrokenInvariant, match="a peer's snapshot came, in state live"):
        replica_state.move(Occasion.SNAPSHOT_CAME)
