"""What one sequencer's state machine is configured with: its place in the cluster, bounds, deadlines and its luck."""

from dataclasses import dataclass

from lockstep.runtime.topology import Limits, ProcessKind, Timing, Topology
from lockstep.stream.records import AckPolicy

MS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Fixed for the life of the process. Randomness comes in here, drawn by the shell."""

    member: int
    identity: str
    """Unique to this process's life; attempts are named after it."""
    fresh_uuid: str
    """Cluster uuid to use if this sequencer creates the cluster."""
    sequencers: tuple[int, ...]
    """Ascending, this one included."""
    engines: tuple[int, ...]
    gateways: tuple[int, ...]
    limits: Limits
    timing: Timing
    ack_policy: AckPolicy = AckPolicy.SYNCED
    """Of a cluster that this sequencer creates; afterwards the config says it."""
    jitter_ns: tuple[int, ...] = (0,)
    """Random waits between repeated attempts, used in turn."""

    def __post_init__(self) -> None:
        if self.member not in self.sequencers:
            raise ValueError(f"sequencer {self.member} is not among the configured sequencers {self.sequencers}")
        if not self.engines or not self.jitter_ns:
            raise ValueError("settings need at least one engine and one jitter value")


def settings_of(
    topology: Topology, member: int, *, identity: str, fresh_uuid: str, jitter_ns: tuple[int, ...]
) -> Settings:
    """Settings of one sequencer of a topology."""

    def ids(kind: ProcessKind) -> tuple[int, ...]:
        return tuple(sorted(peer.id for peer in topology.members(kind)))

    return Settings(
        member=member,
        identity=identity,
        fresh_uuid=fresh_uuid,
        sequencers=ids(ProcessKind.SEQUENCER),
        engines=ids(ProcessKind.ENGINE),
        gateways=ids(ProcessKind.GATEWAY),
        limits=topology.limits,
        timing=topology.timing,
        ack_policy=AckPolicy[topology.ack_policy.upper()],
        jitter_ns=jitter_ns,
    )
