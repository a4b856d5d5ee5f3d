"""Effects under construction: what the handlers of one step put together before it is frozen."""

from dataclasses import dataclass, field

from lockstep.replica.divergence import EpochEntry
from lockstep.replica.effects import (
    AppliedBatch,
    AskDigest,
    FenceAnswer,
    FetchLog,
    FetchSnapshot,
    Install,
    Notice,
    Rewind,
)
from lockstep.stream.frames import Frame


@dataclass(slots=True)
class Outbox:
    """See `Effects` for the meaning of the parts."""

    now_ns: int = 0
    """Of the step."""
    frames: list[Frame] = field(default_factory=list)
    epochs: list[EpochEntry] = field(default_factory=list)
    applied: list[AppliedBatch] = field(default_factory=list)
    releases: list[Frame] = field(default_factory=list)
    fences: list[FenceAnswer] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    promise: bool = False
    """The promise was raised and has to be stored."""
    adopt_uuid: bool = False
    """The cluster's uuid was learnt and has to be stored."""
    synced: bool = False
    """One of `frames` is under the policy SYNCED."""
    truncate_after: int | None = None
    install: Install | None = None
    fetch: FetchLog | None = None
    ask: AskDigest | None = None
    fetch_snapshot: FetchSnapshot | None = None
    rewind: Rewind | None = None
