"""Which fault happens when: a pure function of seed and duration.

Faults are drawn bag by bag, each bag holding every kind once, so that a long run meets all of them and a short one
meets no kind twice before the others. Most wait long enough for the cluster to heal; every fourth or so falls into
what the one before has broken. Whom a fault hits is a role ("the primary"), found out when its time comes.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What can go wrong. `kill_*` is SIGKILL, `pause_*` SIGSTOP and later SIGCONT, `restart_*` SIGTERM."""

    KILL_PRIMARY = "kill_primary"
    KILL_STANDBY = "kill_standby"
    KILL_SEQUENCER = "kill_sequencer"
    KILL_STANDBY_SEQUENCER = "kill_standby_sequencer"
    KILL_GATEWAY = "kill_gateway"
    KILL_DRIVER = "kill_driver"
    PAUSE_PRIMARY = "pause_primary"
    PAUSE_STANDBY = "pause_standby"
    PAUSE_SEQUENCER = "pause_sequencer"
    PAUSE_STANDBY_SEQUENCER = "pause_standby_sequencer"
    PAUSE_GATEWAY = "pause_gateway"
    PAUSE_DRIVER = "pause_driver"
    RESTART_PRIMARY = "restart_primary"
    RESTART_STANDBY = "restart_standby"
    RESTART_SEQUENCER = "restart_sequencer"
    RESTART_GATEWAY = "restart_gateway"
    SWITCHOVER = "switchover"
    KILL_ETCD_MEMBER = "kill_etcd_member"
    PAUSE_ETCD_MEMBER = "pause_etcd_member"
    ETCD_WITHOUT_QUORUM = "etcd_without_quorum"
    FULL_DISK = "full_disk"
    READ_ONLY_JOURNAL = "read_only_journal"
    WIPED_DISK = "wiped_disk"
    PARTITION_HOST = "partition_host"
    PARTITION_MESH = "partition_mesh"
    LATENCY = "latency"
    PACKET_LOSS = "packet_loss"
    PACKET_REORDERING = "packet_reordering"
    CLOCK_SKEW = "clock_skew"


_FIRST_MS: Final = 1500
_QUIET_END_MS: Final = 4000
"""Nothing new happens in the last seconds, so that the run shows the cluster after its last fault too."""
_OVERLAP_PERCENT: Final = 25
_OVERLAP_MS: Final = (40, 400)
_PAUSE_MS: Final = (50, 2000)
_HOLD_MS: Final[Mapping[Kind, tuple[int, int]]] = {
    Kind.KILL_ETCD_MEMBER: (300, 2000),
    Kind.ETCD_WITHOUT_QUORUM: (500, 2000),
    Kind.FULL_DISK: (500, 1500),
    Kind.READ_ONLY_JOURNAL: (500, 1500),
    Kind.PARTITION_HOST: (300, 2000),
    Kind.PARTITION_MESH: (300, 2000),
    Kind.LATENCY: (500, 2000),
    Kind.PACKET_LOSS: (500, 2000),
    Kind.PACKET_REORDERING: (500, 2000),
    Kind.CLOCK_SKEW: (1000, 5000),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a schedule. Times are milliseconds from the start of the load."""

    number: int
    """From 1."""
    kind: Kind
    at_ms: int
    hold_ms: int
    """How long it lasts, where it does not end by itself."""
    pick: int
    """Chooses among several that have the role."""
    overlaps: bool = False
    """Whether it is meant to fall into what the one before has broken."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Everything that is to go wrong."""

    faults: tuple[Fault, ...]
    not_run: Mapping[Kind, str]
    """Kinds that can't happen here, and why."""


def plan_faults(
    seed: int,
    *,
    duration_ms: int,
    not_run: Mapping[Kind, str],
    only: tuple[Kind, ...] = (),
    interval_ms: int = 2000,
) -> Schedule:
    """The schedule of a seed.

    `only`: the kinds to draw from; empty: all. `interval_ms`: mean time between faults that are meant to heal before
    the next.
    """
    chance = random.Random(seed)  # noqa: S311 - a repeatable schedule, not a secret
    possible = [kind for kind in Kind if kind not in not_run and (not only or kind in only)]
    faults: list[Fault] = []
    bag: list[Kind] = []
    at_ms = _FIRST_MS
    overlaps = False
    while at_ms <= duration_ms - _QUIET_END_MS and possible:
        if not bag:
            bag = chance.sample(possible, len(possible))
        kind = bag.pop()
        hold_ms = chance.randint(*_HOLD_MS.get(kind, _PAUSE_MS))
        faults.append(Fault(len(faults) + 1, kind, at_ms, hold_ms, chance.randrange(1 << 16), overlaps))
        overlaps = chance.randrange(100) < _OVERLAP_PERCENT
        if overlaps:
            at_ms += chance.randint(*_OVERLAP_MS)
        else:
            at_ms += chance.randint(interval_ms * 7 // 10, interval_ms * 13 // 10)
    return Schedule(tuple(faults), dict(not_run))
