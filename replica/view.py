"""What the replica's other threads may know of it: one immutable value that the main loop replaces."""

from lockstep.replica.divergence import EpochTable, epoch_at
from lockstep.replica.effects import Role
from lockstep.replica.machine import ReplicaMachine
from lockstep.stream.digest import Digest
from lockstep.stream.values import frozen
from lockstep.v1 import replication_pb2


@frozen
class ReplicaView:
    """The replica at the end of one turn of its main loop."""

    role: Role
    """As it is reported: after a start a learner until it knows of the present reign."""
    live: bool
    in_sync: bool
    """Live and required by the stream."""
    promised: int
    epoch: int
    """Epoch of the last applied record."""
    applied_seq: int
    digest: Digest
    committed_seq: int
    primary: int
    in_sync_bits: int
    epochs: EpochTable
    cluster_uuid: str
    why: str
    counters: tuple[tuple[str, int], ...] = ()
    member: int = 0
    joined: bool = True
    """The cluster has admitted the journal."""
    policy: int = 0
    """Acknowledgement policy in force at `applied_seq`."""

    def tip(self) -> replication_pb2.Tip:
        """The applied tip as a message."""
        return replication_pb2.Tip(epoch=self.epoch, seq=self.applied_seq, digest=self.digest)


def view_of(machine: ReplicaMachine, counters: tuple[tuple[str, int], ...]) -> ReplicaView:
    """The machine as others may see it now."""
    epochs = tuple(machine.replica_state.head.epochs)
    bits = machine.replica_state.in_sync_bits
    return ReplicaView(
        machine.replica_state.reported_role,
        machine.replica_state.live,
        machine.replica_state.in_sync,
        machine.replica_state.promised,
        epoch_at(epochs, machine.replica_state.applied_seq),
        machine.replica_state.applied_seq,
        machine.replica_state.digest,
        machine.replica_state.committed_seq,
        machine.replica_state.primary,
        bits,
        epochs,
        machine.replica_state.cluster_uuid,
        machine.replica_state.why(),
        counters,
        machine.replica_state.options.member,
        machine.replica_state.joined,
        machine.replica_state.execution.policy,
    )
