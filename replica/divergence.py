"""Where two journals have diverged, found from their epoch tables alone.

An epoch is opened once, by one sequencer, at one seq, so `(epoch, seq)` names one record for ever. If two logs have the
same epoch at one seq they are therefore equal up to that seq, and the table "epoch -> first seq" is all that has to be
compared. Where they part, the record of the higher epoch is right: its sequencer fenced the in-sync engines first and
so knew every committed command; what the other log has there was never committed.
"""

from collections.abc import Sequence
from enum import Enum

from lockstep.stream.values import frozen


@frozen
class EpochEntry:
    """The first seq that was stamped in an epoch."""

    epoch: int
    first_seq: int


EpochTable = tuple[EpochEntry, ...]


class PlanKind(Enum):
    """What a replica does about a peer's log."""

    APPEND = "append"
    """The own log is a prefix of the peer's (or equal): go on after the own tip."""
    TRUNCATE = "truncate"
    """The own tail is divergent: discard it after `Plan.common_seq`."""
    WAIT = "wait"
    """The peer's log is shorter or the one that is wrong: nothing can be learnt from it now."""


@frozen
class Plan:
    """`common_seq`: the last seq up to which both logs are equal, 0 if none."""

    kind: PlanKind
    common_seq: int


def epoch_at(table: EpochTable | list[EpochEntry], seq: int) -> int:
    """Epoch in which the record at `seq` was stamped, 0 if the log begins later."""
    for entry in reversed(table):
        if entry.first_seq <= seq:
            return entry.epoch
    return 0


def diverged_at(table: Sequence[EpochEntry], delivered_epoch: int, delivered_seq: int) -> int:
    """First seq of this history that is not what was delivered up to `delivered_seq` under epochs up to
    `delivered_epoch`; 0: none.

    What is delivered is committed, and every later epoch begins behind all that was committed before it, unless an
    operator accepted the loss of some.
    """
    for entry in table:
        if entry.epoch > delivered_epoch:
            return entry.first_seq if entry.first_seq <= delivered_seq else 0
    return 0


def common_seq(own: EpochTable, own_tip: int, peer: EpochTable, peer_tip: int) -> int:
    """The last seq up to which both logs are equal."""
    equal = 0
    while equal < min(len(own), len(peer)) and own[equal] == peer[equal]:
        equal += 1
    if equal == 0:
        return 0
    own_end = own[equal].first_seq - 1 if equal < len(own) else own_tip
    peer_end = peer[equal].first_seq - 1 if equal < len(peer) else peer_tip
    return min(own_end, peer_end)


def plan_catch_up(own: EpochTable, own_tip: int, peer: EpochTable, peer_tip: int, promised: int = 0) -> Plan:
    """What to do, given both logs' epoch tables and tips, and the epoch that the own engine has promised.

    A peer whose log has not reached that epoch may be out of sync without knowing it, with a divergent tail of its own.
    """
    if epoch_at(peer, peer_tip) < promised:
        return Plan(PlanKind.WAIT, common_seq(own, own_tip, peer, peer_tip))
    common = common_seq(own, own_tip, peer, peer_tip)
    if common == own_tip:
        return Plan(PlanKind.APPEND, common)
    if common < peer_tip and epoch_at(peer, common + 1) > epoch_at(own, common + 1):
        return Plan(PlanKind.TRUNCATE, common)
    return Plan(PlanKind.WAIT, common)
