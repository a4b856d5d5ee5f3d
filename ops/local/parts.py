"""The parts of a running local cluster."""

from dataclasses import dataclass, field
from typing import Final

from lockstep.ops.local.child import Child
from lockstep.ops.local.etcd_keeper import EtcdKeeper
from lockstep.ops.local.etcd_server import LocalEtcd

FIRST_RESTART_S: Final = 0.2


@dataclass(slots=True)
class Restart:
    """When a dead child is started again."""

    due: float = 0.0
    delay: float = FIRST_RESTART_S


@dataclass(slots=True)
class Parts:
    """What runs, in the order in which it was started."""

    etcd: LocalEtcd | None = None
    keeper: EtcdKeeper | None = None
    children: dict[str, Child] = field(default_factory=dict)
    restarts: dict[str, Restart] = field(default_factory=dict)
    given_up: set[str] = field(default_factory=set)
    """Ended with a broken invariant."""
    held: set[str] = field(default_factory=set)
    """Stay down until somebody starts them."""
