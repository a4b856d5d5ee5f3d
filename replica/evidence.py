"""Is this journal all that was acknowledged from it? Decided from what was written down apart from it.

RocksDB ends its log at the first record that it cannot read, and says nothing: a flipped bit in the middle, a log file
that was cut, removed or replaced by an older one all look like the torn end that a crash leaves behind. So after each
sync of the journal a *mark* of what it holds is written, and synced, to a file of its own (`witness.py`), before
anything is acknowledged. At a start the two are compared here:

* A journal that ends before its mark, holds another record there, or has forgotten a promise, is DAMAGED. It is never
  opened for writing, so nothing of it is lost further, and counts for nothing in the cluster.
* What is missing behind the last *synced* mark after the machine itself went down is a torn tail: it was reported to
  nobody. Under the policy REPLICATED it may have been: the journal is UNSYNCED, and no in-sync log any more.

Pure: no clock, no I/O.
"""

from dataclasses import dataclass
from enum import Enum, auto

from lockstep.replica.divergence import EpochTable, epoch_at
from lockstep.stream.digest import Digest
from lockstep.stream.values import frozen


@dataclass(frozen=True, slots=True, order=True)
class Tip:
    """The last record of a log. A record of a higher epoch is behind all that was committed before that epoch."""

    epoch: int = 0
    seq: int = 0

    def __str__(self) -> str:
        return f"seq {self.seq} of epoch {self.epoch}" if self.seq else "nothing"


@frozen
class Mark:
    """What a journal was known to hold at a moment."""

    journal: int
    """Its identity; never 0."""
    cluster_uuid: str
    """Empty if it did not know its cluster."""
    written: Tip
    """Handed to the operating system: there unless the machine went down since."""
    synced: Tip
    """On the disk. At or before `written`."""
    promised: int
    """Epoch of the promise, always synced."""
    joined: bool
    """The cluster had admitted the journal."""
    unsynced: bool
    """Something behind `synced` may have been acknowledged: the policy REPLICATED was in force."""
    applied_seq: int = 0
    """Up to here it was executed, when this was written down."""
    digest: bytes = b""
    """Chain digest at `applied_seq`; empty if that is 0."""


@frozen
class Found:
    """What a journal that can be read says of itself."""

    journal: int
    tip: Tip
    promised: int
    joined: bool
    epochs: EpochTable
    witnessed: bool
    """It has had marks before, so there has to be one."""


class Wholeness(Enum):
    """What a journal is worth."""

    NEW = auto()
    """There is neither a journal nor a mark of one."""
    WHOLE = auto()
    UNMARKED = auto()
    """A journal of a program that wrote no marks: it is believed, and marked from now on."""
    UNSYNCED = auto()
    """Whole as far as it goes, but what was acknowledged from memory may be behind its end."""
    DAMAGED = auto()


@frozen
class Verdict:
    """`why` says in words what is missing; `needed` is the last record that it must have held."""

    wholeness: Wholeness
    why: str = ""
    needed: Tip = Tip()


def judge(found: Found | None, mark: Mark | None, *, same_boot: bool) -> Verdict:
    """What a journal is worth.

    Args:
        found: what it says of itself; None if there is none.
        mark: the newest one that can be read; None if there is none.
        same_boot: the machine has not gone down since the mark was written: what was written is there, synced or not.
    """
    if mark is None:
        return _without_mark(found)
    needed = mark.written if same_boot else mark.synced
    if found is None:
        if not mark.joined:
            return Verdict(Wholeness.NEW)
        return Verdict(Wholeness.DAMAGED, f"it is gone; it held {needed}", needed)
    if not (found.witnessed or found.joined or mark.joined):
        return Verdict(Wholeness.UNMARKED)  # its first mark was never written; the one that is there is of another
    why = _missing(found, mark, needed)
    if why:
        return Verdict(Wholeness.DAMAGED, why, needed)
    if mark.unsynced and not same_boot:
        return Verdict(
            Wholeness.UNSYNCED,
            f"the machine went down under the policy REPLICATED: what was acknowledged after {mark.synced}, before it "
            f"was on the disk, may be missing; the journal ends at {found.tip}",
            needed,
        )
    return Verdict(Wholeness.WHOLE, needed=needed)


def _without_mark(found: Found | None) -> Verdict:
    if found is None:
        return Verdict(Wholeness.NEW)
    if found.witnessed:
        return Verdict(
            Wholeness.DAMAGED,
            f"the witness beside it is gone: nothing shows that it is whole up to {found.tip}",
            found.tip,
        )
    return Verdict(Wholeness.UNMARKED)


def _missing(found: Found, mark: Mark, needed: Tip) -> str:
    if found.journal != mark.journal:
        return (
            f"it is journal {found.journal:x} and ends at {found.tip}; the witness beside it is of journal "
            f"{mark.journal:x}, which held {needed}"
        )
    if found.tip.seq < needed.seq:
        return f"it ends at {found.tip}; it held {needed}, which may have been acknowledged"
    if needed.seq and epoch_at(found.epochs, needed.seq) != needed.epoch:
        return f"at seq {needed.seq} it has a record of epoch {epoch_at(found.epochs, needed.seq)}; it held {needed}"
    if epoch_at(found.epochs, found.tip.seq) != found.tip.epoch:
        return f"its epoch table says {epoch_at(found.epochs, found.tip.seq)} for its last record, {found.tip}"
    if found.promised < mark.promised:
        return f"it knows of a promise of epoch {found.promised}; epoch {mark.promised} was promised"
    if mark.joined and not found.joined:
        return "it has forgotten that the cluster admitted it"
    return ""


def digest_differs(mark: Mark | None, seq: int, digest: Digest) -> bool:
    """Whether executing the journal up to `seq` came to another digest than the one that was acknowledged."""
    return mark is not None and bool(mark.digest) and mark.applied_seq == seq and mark.digest != digest
