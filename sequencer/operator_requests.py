"""What operators ask a leading sequencer for: whether it can be done now, and the config change that does it.

Every request ends as one swap of the config; those that the engines have to know of begin an epoch. Pure functions: the
membership keeps the one request that is open.
"""

from lockstep.sequencer.config_record import (
    ConfigRecord,
    PlanRefused,
    plan_evict,
    plan_fenced,
    plan_paused,
    plan_policy,
    plan_promote,
)
from lockstep.sequencer.config_store import Purpose
from lockstep.sequencer.events import (
    AckPolicyRequested,
    EpochCause,
    FailoverModeRequested,
    ForceFailoverRequested,
    MemberFenceRequested,
    OperatorRequest,
    SwitchPrimaryRequested,
)
from lockstep.sequencer.peers import Peers
from lockstep.stream.values import frozen


@frozen
class Proposal:
    """The next config to write."""

    record: ConfigRecord
    purpose: Purpose
    cause: EpochCause | None = None
    """Of the epoch that begins with it; None: the stream does not name it."""
    since_ns: int = 0
    """When the loss that it answers was first seen; 0: nothing was lost."""


def concrete(asked: OperatorRequest, config: ConfigRecord, peers: Peers, now_ns: int) -> OperatorRequest:
    """The request with every choice made that it leaves open.

    Raises:
        PlanRefused: it can't be done now; the text says why.
    """
    match asked:
        case SwitchPrimaryRequested(request, 0):
            live = tuple(member for member in config.in_sync if member != config.primary and peers.engines[member].up)
            if not live:
                raise PlanRefused(f"no other in-sync engine is up (in sync: {config.in_sync}): wait for one to rejoin")
            asked = SwitchPrimaryRequested(request, peers.patience.steadiest_first(live, now_ns)[0])
        case SwitchPrimaryRequested(_, to):
            plan_promote(config, primary=to, attempt="probe")
            if not peers.engines[to].up:
                raise PlanRefused(f"engine {to} does not answer: it can't become primary now")
        case MemberFenceRequested(_, member, fenced):
            _check_fence(config, peers, member, fenced=fenced)
        case ForceFailoverRequested(_, to):
            if to in config.in_sync and peers.engines[to].up and not config.paused:
                raise PlanRefused(f"engine {to} is in sync: nothing needs to be lost; ask for a switchover")
    return asked


def _check_fence(config: ConfigRecord, peers: Peers, member: int, *, fenced: bool) -> None:
    if member not in peers.engines:
        raise PlanRefused(f"this cluster has no engine {member}; it has: {', '.join(map(str, peers.engines))}")
    if fenced and member in config.in_sync:
        others = [other for other in config.in_sync if other != member]
        if not others:
            raise PlanRefused(f"engine {member} is the last one in sync: it is never removed")
        if not any(peers.engines[other].up for other in others):
            raise PlanRefused(f"no other in-sync engine is up: without engine {member} trading would stop")


def is_fulfilled(asked: OperatorRequest, config: ConfigRecord) -> bool:
    """Whether the config is as requested already."""
    match asked:
        case SwitchPrimaryRequested(_, to):
            return config.primary == to != 0
        case FailoverModeRequested(_, automatic):
            return config.paused is not automatic
        case AckPolicyRequested(_, policy):
            return config.ack_policy is policy
        case MemberFenceRequested(_, member, fenced):
            return (member in config.fenced) is fenced
    return False


def plan_request(asked: OperatorRequest, config: ConfigRecord, attempt: str) -> Proposal:
    """The change that fulfils it.

    Raises:
        PlanRefused: things have changed since it was asked for.
    """
    match asked:
        case SwitchPrimaryRequested(_, to):
            record = plan_promote(config, primary=to, attempt=attempt)
            return Proposal(record, Purpose.SWITCH, EpochCause.SWITCHOVER)
        case FailoverModeRequested(_, automatic):
            return Proposal(plan_paused(config, paused=not automatic, attempt=attempt), Purpose.SETTING)
        case AckPolicyRequested(_, policy):
            record = plan_policy(config, policy=policy, attempt=attempt)
            return Proposal(record, Purpose.SETTING, EpochCause.ACK_POLICY_CHANGED)
        case MemberFenceRequested(_, member, True) if member in config.in_sync:
            record = plan_evict(config, members=(member,), attempt=attempt)
            return Proposal(record, Purpose.EVICT, EpochCause.MEMBER_FENCED)
        case MemberFenceRequested(_, member, fenced):
            record = plan_fenced(config, member=member, fenced=fenced, attempt=attempt)
            return Proposal(record, Purpose.SETTING)
    raise PlanRefused("a forced failover is no change of a reign")


def why_not_eligible(config: ConfigRecord, peers: Peers, member: int, *, behind: int | None) -> str:
    """In one sentence, why an engine can't become primary now; empty if it can. `behind`: None: its log is unproven."""
    if member == config.primary:
        return "it is the primary"
    if member in config.fenced:
        return "it is fenced: an operator has to let it in again"
    if member not in config.in_sync:
        if not peers.engines[member].up:
            return "it is not in sync and does not answer"
        if behind is None:
            return "it is not in sync: it is catching up, or its state differs from the others'"
        return f"it is not in sync: {behind} commands behind"
    return "" if peers.engines[member].up else "it does not answer"
