"""Whom a fault hits: roles as the cluster stands now. Pure."""

from collections.abc import Mapping
from typing import Final

from lockstep.runtime.cluster_view import ClusterStatus
from lockstep.runtime.topology import Topology
from lockstep.trials.chaos.schedule import Kind

ROLES: Final[Mapping[Kind, str]] = {
    Kind.KILL_PRIMARY: "primary",
    Kind.KILL_STANDBY: "standby",
    Kind.KILL_SEQUENCER: "sequencer",
    Kind.KILL_STANDBY_SEQUENCER: "standby sequencer",
    Kind.KILL_GATEWAY: "gateway",
    Kind.KILL_DRIVER: "driver",
    Kind.PAUSE_PRIMARY: "primary",
    Kind.PAUSE_STANDBY: "standby",
    Kind.PAUSE_SEQUENCER: "sequencer",
    Kind.PAUSE_STANDBY_SEQUENCER: "standby sequencer",
    Kind.PAUSE_GATEWAY: "gateway",
    Kind.PAUSE_DRIVER: "driver",
    Kind.RESTART_PRIMARY: "primary",
    Kind.RESTART_STANDBY: "standby",
    Kind.RESTART_SEQUENCER: "sequencer",
    Kind.RESTART_GATEWAY: "gateway",
    Kind.WIPED_DISK: "standby",
}
"""Role of the process that is hit, of those faults that hit one by its role. A driver is no member, and has none."""

TAKES_AN_ENGINE: Final = frozenset(
    {
        Kind.KILL_PRIMARY,
        Kind.KILL_STANDBY,
        Kind.RESTART_PRIMARY,
        Kind.RESTART_STANDBY,
        Kind.FULL_DISK,
        Kind.READ_ONLY_JOURNAL,
        Kind.WIPED_DISK,
    }
)
"""Faults that end an engine: another one has to be in sync and alive, or trading could only wait for its return."""


def find_target(role: str, status: ClusterStatus, topology: Topology, pick: int) -> str | None:
    """Name of a member that has a role now; None if there is none."""
    names = _candidates(role, status, topology)
    return names[pick % len(names)] if names else None


def _candidates(role: str, status: ClusterStatus, topology: Topology) -> list[str]:
    primary, leader = status.primary(), status.leader()
    match role:
        case "primary":
            return [primary.name] if primary else []
        case "sequencer":
            return [leader.name] if leader else []
        case "standby sequencer":
            return [member.name for member in topology.sequencers if leader is None or member.name != leader.name]
        case "gateway":
            return [member.name for member in topology.gateways]
        case "standby":
            return [name for name in living_engines(status, topology) if primary is None or name != primary.name]
    raise ValueError(f"there is no role {role!r}")


def living_engines(status: ClusterStatus, topology: Topology) -> tuple[str, ...]:
    """Engines that are in sync, as the leader says, and that answer."""
    answering = {member.name for member in status.members if member.reply is not None}
    in_sync = status.in_sync()
    return tuple(engine.name for engine in topology.engines if engine.id in in_sync and engine.name in answering)


def can_lose(status: ClusterStatus, topology: Topology, engine: str, *, without: frozenset[str] = frozenset()) -> bool:
    """Whether trading goes on without an engine, and `without` some more."""
    return any(name != engine and name not in without for name in living_engines(status, topology))
