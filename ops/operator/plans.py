"""What an operator's command would do to a cluster as seen, or why it must not be done. Pure.

Every `plan_*` function gives one of three: a plan, `NoChange` (it is so already) or a `Refusal`. A refusal says why for
each engine that was in question, and what to do instead: a tool that only says "no" sends its user to the logs.

The cluster has the last word. Between the look and the call it may change, and the leading sequencer checks each
request against the config record; a plan only keeps a command from being sent that can't succeed, or whose
consequence nobody has accepted.
"""

from dataclasses import dataclass

from lockstep.ops.operator.view import ACK_POLICIES, ClusterView, EngineSeen

CAUGHT_UP_COMMANDS = 4096
"""An in-sync engine further behind than this is waited for: a primary releases only what it has applied."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one engine is, or is not, what was looked for."""

    member: int
    eligible: bool
    text: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """It must not be done now. Nothing was changed."""

    why: str
    remedy: str
    reasons: tuple[Reason, ...] = ()
    """Of each engine that was considered."""
    passing: bool = False
    """It may be possible in a moment without anybody doing anything (an engine that is catching up)."""


@dataclass(frozen=True, slots=True)
class NoChange:
    """It is as asked for already."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchoverPlan:
    """Hand the primary role to an engine that holds everything. No command is refused or lost."""

    candidate: int
    primary: int
    """Who has the role now."""
    leader_address: str
    reasons: tuple[Reason, ...] = ()
    steps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FailoverPlan:
    """Bring an unhealthy cluster back to work."""

    candidate: int
    fence: tuple[int, ...] = ()
    """Lost engines to take out of the in-sync set first; nothing is lost then."""
    data_loss: bool = False
    """The candidate may lack committed commands: ForceFailover."""
    lost_commands: int = 0
    """How many committed commands it lacks at least, as far as anybody who answers knows."""
    address: str = ""
    """Sequencer to ask."""
    consequence: str = ""
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePlan:
    """A change that one call makes: pause, resume, fence, ack policy, reinit."""

    address: str
    consequence: str
    member: int = 0


def objections(engine: EngineSeen) -> str:
    """Why an engine can't become primary without loss; empty if it can."""
    if not engine.up:
        return f"does not answer ({engine.error})"
    if engine.fenced:
        return f"is fenced by an operator; `lockstep cluster fence {engine.member} --lift` lets it in again"
    if not engine.digest_equal:
        return "has computed something else than another engine at the same seq: it must be kept for examination"
    if engine.blank:
        return "has a new journal that the cluster has not admitted: what it held is not there any more"
    if not engine.in_sync:
        return f"is not in sync, so it may lack committed commands ({_behind(engine)})"
    if engine.leader_objects:
        return f"is not eligible, says the leading sequencer: {engine.leader_objects}"
    if engine.lag > CAUGHT_UP_COMMANDS:
        return f"is {_commands(engine.lag)} behind and still catching up"
    return ""


def eligibility(view: ClusterView) -> tuple[Reason, ...]:
    """For every engine, whether it can take the primary role now, and why or why not."""
    found = []
    for engine in view.engines:
        if engine.member == view.primary and engine.up:
            found.append(Reason(engine.member, False, "is the primary already"))
            continue
        no = objections(engine)
        found.append(Reason(engine.member, not no, no or f"in sync, answers, digest equal, {_behind(engine)}"))
    return tuple(found)


def plan_switchover(view: ClusterView, candidate: int = 0) -> SwitchoverPlan | Refusal:
    """A planned hand-over to `candidate` (0: the eligible engine that is least behind)."""
    reasons = eligibility(view)
    refusal = _unknown(view, candidate) or _no_leader(view)
    if refusal is not None:
        return refusal
    if view.why:
        return Refusal(
            f"the leading sequencer says: {view.why}",
            "a planned switch needs a healthy cluster; see `lockstep cluster status` and `lockstep cluster doctor`",
            reasons,
        )
    able = [reason.member for reason in reasons if reason.eligible]
    if candidate and candidate not in able:
        text = next(reason.text for reason in reasons if reason.member == candidate)
        others = f"; eligible now: {_names(tuple(able))}" if able else ""
        return Refusal(
            f"engine-{candidate} {text}",
            f"choose another --candidate, or wait for this one{others}",
            reasons,
            passing=_catching_up(view, candidate),
        )
    if not able:
        waiting = any(_catching_up(view, member) for member in view.candidates)
        return Refusal("no other engine can take the primary role now", _how_to_rejoin(view), reasons, passing=waiting)
    chosen = candidate or min(able, key=lambda member: (_lag(view, member), member))
    return SwitchoverPlan(
        candidate=chosen,
        primary=view.primary,
        leader_address=view.leader_address,
        reasons=reasons,
        steps=(
            f"sequencer-{view.leader} writes the config in etcd: epoch {view.epoch + 1}, primary engine-{chosen}",
            f"it stamps EPOCH_START behind every command taken so far, so engine-{view.primary} releases all of them",
            f"engine-{chosen} releases from that command on; gateways keep and resend what has no answer yet",
        ),
    )


def plan_failover(view: ClusterView, candidate: int = 0, *, accept_data_loss: bool = False) -> FailoverPlan | Refusal:
    """Bring a cluster back that can't go on by itself; without loss where that is possible."""
    refusal = _unknown(view, candidate)
    if refusal is not None:
        return refusal
    survivors = tuple(e.member for e in view.engines if e.holds and e.digest_equal)
    # An engine with an earlier disk looks like one that is whole; whoever takes over knows better.
    if survivors and not view.waits:
        return _failover_without_loss(view, candidate, survivors)
    return _failover_with_loss(view, candidate, accept_data_loss)


def plan_pause(view: ClusterView, *, paused: bool) -> ChangePlan | NoChange | Refusal:
    """Switch automatic failover off (`paused`) or on."""
    if not view.leader and not paused and _any_sequencer(view):
        # While it is paused nobody takes over, so that there may be no leader to ask.
        return ChangePlan(address=_any_sequencer(view), consequence=_RESUMED)
    refusal = _no_leader(view)
    if refusal is not None:
        return refusal
    if view.paused is paused:
        return NoChange(f"automatic failover is {'off' if paused else 'on'} already")
    return ChangePlan(address=view.leader_address, consequence=_PAUSED if paused else _RESUMED)


_PAUSED = (
    "while it is off, a lost engine or sequencer stalls the cluster until it returns or an operator acts "
    "(`lockstep cluster failover`, `resume`)"
)
_RESUMED = "a lost engine or sequencer is replaced by itself again"


def plan_fence(view: ClusterView, member: int, *, fenced: bool) -> ChangePlan | NoChange | Refusal:
    """Keep an engine out of the in-sync set, or let it in again."""
    refusal = _unknown(view, member) or _no_leader(view)
    if refusal is not None:
        return refusal
    if (member in view.fenced) is fenced:
        return NoChange(f"engine-{member} is {'fenced' if fenced else 'not fenced'} already")
    if not fenced:
        return ChangePlan(
            address=view.leader_address, member=member, consequence=f"engine-{member} joins again once it has caught up"
        )
    stay = tuple(e.member for e in view.engines if e.holds and e.digest_equal and e.member != member)
    if member in view.in_sync and not stay:
        return Refusal(
            f"engine-{member} is the last in-sync engine that answers; without it nothing could be committed",
            _how_to_rejoin(view),
            eligibility(view),
        )
    moved = f"; the primary role goes to {_names(stay[:1])}" if member == view.primary else ""
    left = tuple(one for one in view.in_sync if one != member)
    return ChangePlan(
        address=view.leader_address,
        member=member,
        consequence=f"engine-{member} leaves the in-sync set and stays out until --lift{moved}; in sync then: "
        f"{_names(left) or 'nobody'}",
    )


def plan_reinit(view: ClusterView, member: int) -> ChangePlan | Refusal:
    """Have an engine archive its journal and come back by snapshot and catch-up."""
    refusal = _unknown(view, member)
    if refusal is not None:
        return refusal
    engine = view.engine(member)
    assert engine is not None
    if engine.in_sync:
        return Refusal(
            f"engine-{member} is in sync: what it holds counts for commits",
            f"take it out first: `lockstep cluster fence {member}`",
        )
    sources = tuple(e.member for e in view.engines if e.holds)
    if not sources:
        return Refusal(
            f"no in-sync engine answers from which engine-{member} could fetch", _how_to_rejoin(view), eligibility(view)
        )
    if not engine.up:
        return Refusal(
            f"engine-{member} does not answer ({engine.error})",
            f"start it: it comes back by itself. Only while {_names(sources)} answers and is in sync, its data_dir may "
            "be moved (not deleted) by hand instead: it then fetches everything from there",
        )
    return ChangePlan(
        address=engine.address,
        member=member,
        consequence=f"engine-{member} archives its journal (seq {engine.seq}, nothing is deleted), fetches a snapshot "
        f"and the commands after it from {_names(sources)}, and joins when it has caught up"
        + ("; it stays out while it is fenced" if engine.fenced else ""),
    )


def plan_ack_policy(view: ClusterView, policy: str) -> ChangePlan | NoChange | Refusal:
    """Change when an acknowledgement counts as durable."""
    assert policy in ACK_POLICIES
    refusal = _no_leader(view)
    if refusal is not None:
        return refusal
    if view.ack_policy == policy:
        return NoChange(f"the ack policy is {policy} already")
    if policy == ACK_POLICIES[0]:
        text = "each command is synced to the disk of every in-sync engine before its fill leaves"
    elif len(view.in_sync) > 1:
        text = (
            f"a fill leaves once {len(view.in_sync)} engines hold its command in memory; if all their hosts lose power "
            "in the same few milliseconds, it is lost"
        )
    else:
        text = (
            f"ONLY ONE ENGINE IS IN SYNC ({_names(view.in_sync)}): until another joins, a loss of power on its host "
            "loses the fills of the last few milliseconds"
        )
    return ChangePlan(address=view.leader_address, consequence=text)


def _failover_without_loss(view: ClusterView, candidate: int, survivors: tuple[int, ...]) -> FailoverPlan | Refusal:
    reasons = eligibility(view)
    lost = tuple(member for member in view.in_sync if member not in survivors)
    if not view.leader:
        if not _any_sequencer(view):
            return Refusal(
                f"no sequencer answers, but {_names(survivors)} in sync: nothing is lost",
                "start a sequencer (`lockstep sequencer --config FILE --id N`): it takes over by itself",
                reasons,
            )
        remedy = (
            "automatic failover is paused: `lockstep cluster resume` lets a sequencer take over"
            if view.paused
            else "a takeover needs etcd: see `lockstep cluster doctor`"
        )
        return Refusal(f"no sequencer leads, but {_names(survivors)} in sync: nothing is lost", remedy, reasons)
    if not lost:
        return Refusal(
            f"the cluster is healthy: sequencer-{view.leader} leads and every in-sync engine answers"
            + (f"; but the leader says: {view.why}" if view.why else ""),
            "hand the role over in order: `lockstep cluster switchover`",
            reasons,
        )
    if not view.paused:
        return Refusal(
            f"automatic failover is on and {_names(survivors)} in sync: the cluster goes on by itself",
            "look again with `lockstep cluster status`",
            reasons,
            passing=True,
        )
    chosen = candidate or (view.primary if view.primary in survivors else survivors[0])
    if chosen not in survivors:
        return Refusal(
            f"engine-{chosen} {next(r.text for r in reasons if r.member == chosen)}",
            f"choose one that holds everything: {_names(survivors)}",
            reasons,
        )
    return FailoverPlan(
        candidate=chosen,
        fence=lost,
        address=view.leader_address,
        reasons=reasons,
        consequence=f"no longer in sync, until `lockstep cluster fence ID --lift`: {_names(lost)}; "
        f"primary: engine-{chosen}; no committed command is lost",
    )


def _failover_with_loss(view: ClusterView, candidate: int, accepted: bool) -> FailoverPlan | Refusal:
    # What an operator has fenced goes on only if an operator names it.
    usable = [e for e in view.engines if e.up and e.digest_equal and (not e.fenced or e.member == candidate)]
    reasons = tuple(_loss_reason(view, engine) for engine in view.engines)
    gone = _names(view.in_sync) if view.in_sync else "the in-sync engines"
    start = f"start {gone} again{' with the right data directory' if view.waits else ''}: then nothing is lost"
    if not usable:
        return Refusal("no engine answers that could go on", start, reasons)
    chosen = candidate or max(usable, key=lambda e: (e.epoch, e.seq, -e.member)).member
    engine = view.engine(chosen)
    assert engine is not None
    if engine not in usable:
        text = next(reason.text for reason in reasons if reason.member == chosen)
        return Refusal(
            f"engine-{chosen} {text}", f"choose one that answers: {_names(tuple(e.member for e in usable))}", reasons
        )
    lacking = max(0, view.committed_seq - engine.seq)
    loss = (
        f"AT LEAST {lacking} COMMITTED COMMANDS ARE LOST (seq {engine.seq + 1} to {view.committed_seq})"
        if lacking
        else "COMMITTED COMMANDS MAY BE LOST (nobody who answers knows of one, but the lost engines may)"
    )
    consequence = (
        f"engine-{chosen} goes on alone from seq {engine.seq}. {loss}: clients have reports of fills that then never "
        f"happened. What {gone} still holds beyond that is archived when it returns, not used"
    )
    if not accepted:
        return Refusal(
            view.waits or f"no in-sync engine answers (in sync: {_names(view.in_sync) or 'unknown'})",
            f"{start}; or repeat with --accept-data-loss. Then: {consequence}",
            reasons,
        )
    address = view.leader_address or _any_sequencer(view)
    if not address:
        return Refusal("no sequencer answers that could carry it out", "start one, then repeat this", reasons)
    return FailoverPlan(
        candidate=chosen,
        data_loss=True,
        lost_commands=lacking,
        address=address,
        consequence=consequence,
        reasons=reasons,
    )


def _loss_reason(view: ClusterView, engine: EngineSeen) -> Reason:
    if not engine.up:
        return Reason(engine.member, False, f"does not answer ({engine.error})")
    if not engine.digest_equal:
        return Reason(engine.member, False, objections(engine))
    if engine.fenced:
        return Reason(engine.member, False, f"is fenced; --candidate {engine.member} takes it all the same")
    lacking = max(0, view.committed_seq - engine.seq)
    known = (
        f"lacks {_commands(lacking)} known to be committed"
        if lacking
        else "lacks nothing that is known to be committed"
    )
    return Reason(engine.member, True, f"answers, stands at epoch {engine.epoch} seq {engine.seq}: {known}")


def _commands(count: int) -> str:
    return f"{count} command{'s' if count != 1 else ''}"


def _unknown(view: ClusterView, member: int) -> Refusal | None:
    if not member or view.engine(member) is not None:
        return None
    return Refusal(
        f"cluster {view.name} has no engine {member}", f"use one of: {_names(tuple(e.member for e in view.engines))}"
    )


def _no_leader(view: ClusterView) -> Refusal | None:
    if view.leader:
        return None
    up = [f"sequencer-{member}" for member, _, answers in view.sequencers if answers]
    if not up:
        return Refusal(
            "no sequencer answers", "start one: `lockstep sequencer --config FILE --id N`", eligibility(view)
        )
    if view.paused:
        remedy = "automatic failover is paused: `lockstep cluster resume` lets one of them take over"
    else:
        remedy = "a takeover takes well under a second: repeat this, or see `lockstep cluster doctor`"
    return Refusal(
        f"no sequencer leads the cluster ({', '.join(up)} up)", remedy, eligibility(view), passing=not view.paused
    )


def _any_sequencer(view: ClusterView) -> str:
    return next((address for _, address, answers in view.sequencers if answers), "")


def _catching_up(view: ClusterView, member: int) -> bool:
    engine = view.engine(member)
    return engine is not None and member != view.primary and engine.up and not engine.fenced and engine.digest_equal


def _how_to_rejoin(view: ClusterView) -> str:
    down = tuple(engine.member for engine in view.engines if not engine.up)
    fenced = tuple(engine.member for engine in view.engines if engine.up and engine.fenced)
    if down:
        return f"start {_names(down)}: an engine joins by itself once it has caught up"
    if fenced:
        return f"let {_names(fenced)} in again: `lockstep cluster fence ID --lift`"
    return "wait for a learner to catch up (`lockstep cluster status --watch`)"


def _behind(engine: EngineSeen) -> str:
    return f"{_commands(engine.lag)} behind" if engine.lag else "nothing behind"


def _lag(view: ClusterView, member: int) -> int:
    engine = view.engine(member)
    return engine.lag if engine is not None else 0


def _names(members: tuple[int, ...]) -> str:
    return ", ".join(f"engine-{member}" for member in members)
