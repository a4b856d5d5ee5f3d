"""Batches that are applied and not committed yet, and how far the commit may go."""

from collections import deque

from lockstep.replica.effects import AppliedBatch
from lockstep.replica.replica_state import ReplicaState


class Committing:
    """Moves `ReplicaState.committed_seq` on; by whole batches only, so that a release never ends inside one."""

    __slots__ = ("_batches", "_leader_seq", "_replica_state", "_restored_seq")

    def __init__(self, replica_state: ReplicaState, restored_seq: int) -> None:
        """`restored_seq`: what the journal remembers to be committed."""
        self._replica_state = replica_state
        self._restored_seq = restored_seq
        self._batches: deque[AppliedBatch] = deque()
        self._leader_seq = 0

    def add(self, batch: AppliedBatch) -> None:
        """It was applied."""
        self._batches.append(batch)

    def on_replayed(self, batch: AppliedBatch) -> None:
        """It was applied again at the start: what was committed then is committed now."""
        replica_state = self._replica_state
        replica_state.committed_seq = max(replica_state.committed_seq, min(self._restored_seq, batch.last_seq))
        self._take()

    def hear(self, committed_seq: int) -> None:
        """The leader of the log's own epoch says how far it is."""
        self._leader_seq = max(self._leader_seq, committed_seq)

    def advance(self, peer_seq: int) -> list[AppliedBatch]:
        """What is committed now and was not before. `peer_seq`: as a peer with an equal log says."""
        replica_state = self._replica_state
        if replica_state.diverged:
            return []
        reached = max(replica_state.committed_seq, min(peer_seq, replica_state.applied_seq))
        if replica_state.live:
            reached = replica_state.gate.committed(replica_state.applied_seq, reached, self._leader_seq)
        done = self._take(reached)
        if done:
            replica_state.committed_seq = done[-1].last_seq
        return done

    def _take(self, reached: int | None = None) -> list[AppliedBatch]:
        bound = self._replica_state.committed_seq if reached is None else reached
        done: list[AppliedBatch] = []
        while self._batches and self._batches[0].last_seq <= bound:
            done.append(self._batches.popleft())
        return done
