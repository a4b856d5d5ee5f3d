"""Which engine should be in, out, or primary next: one change of the config at a time, derived from what is.

Level-triggered: `plan` looks at what is, not at what happened, so an answer that never came or a failed swap needs no
special case. Order matters: what restores progress (removing a lost engine) goes before what adds comfort (a switch, a
learner). Shrink goes to etcd first and then into the stream; grow into the stream first and then to etcd.
"""

from lockstep.sequencer.agreement import Agreement
from lockstep.sequencer.config_record import ConfigRecord, PlanRefused, plan_evict, plan_grow, plan_settled, plan_shrink
from lockstep.sequencer.config_store import Purpose
from lockstep.sequencer.events import EpochCause, MemberFenceRequested, OperatorRequest, SwitchPrimaryRequested
from lockstep.sequencer.operator_requests import Proposal, concrete, plan_request
from lockstep.sequencer.peers import Peers
from lockstep.sequencer.settings import MS, Settings
from lockstep.stream.values import frozen

GROW_LAG = 4096
"""Commands that a learner may be behind when it is announced."""
# An engine whose heartbeats come but whose acks do not is slow before it is lost (a disk that stalls, a starved host).
_STALL_PATIENCE = 5
_GROW_PATIENCE_NS = 2_000 * MS
_GROW_PAUSE_NS = 500 * MS


@frozen
class Growth:
    """A learner that the stream has announced and etcd does not list yet."""

    member: int
    seq: int
    """Seq of the GROW record: from here on its ack is needed."""
    since_ns: int


class Membership:
    """Changes of one reign. At most one growth and one operator's request are open."""

    __slots__ = (
        "_grow_not_before_ns", "_patience_ns", "_removed_slow", "doubted", "growth", "open_request", "stalled_on",
    )  # fmt: skip

    def __init__(self, settings: Settings, grow_not_before_ns: int) -> None:
        self._patience_ns = _STALL_PATIENCE * settings.timing.hang_ms * MS
        self._grow_not_before_ns = grow_not_before_ns
        self.growth: Growth | None = None
        self.open_request: OperatorRequest | None = None
        """What an operator has asked for and has not been answered."""
        self.stalled_on: tuple[int, ...] = ()
        """Lost in-sync engines that can't be removed: no other is left, or automatic failover is off."""
        self.doubted: tuple[int, ...] = ()
        """In-sync engines that are silent and get time to come back (`patience`)."""
        self._removed_slow: set[int] = set()  # they answered, and did not get on

    def required(self, config: ConfigRecord) -> tuple[int, ...]:
        """Engines whose ack a new command needs."""
        return config.in_sync if self.growth is None else (*config.in_sync, self.growth.member)

    def request(self, asked: OperatorRequest, config: ConfigRecord, peers: Peers, now_ns: int) -> None:
        """Take an operator's request in.

        Raises:
            PlanRefused: it can't be done; the text says why.
        """
        if self.open_request is not None:
            raise PlanRefused("another operator's command is under way: try again later")
        self.open_request = concrete(asked, config, peers, now_ns)

    def plan(
        self, config: ConfigRecord, peers: Peers, agreement: Agreement, attempt: str, now_ns: int
    ) -> Proposal | None:
        """The change to write next, if any.

        Raises:
            PlanRefused: the open request can't be fulfilled any more.
        """
        if agreement.diverged and not config.paused:
            odd = tuple(member for member in agreement.odd(self.required(config)) if member in config.in_sync)
            if odd and agreement.stands(now_ns):
                record = plan_evict(config, members=odd, attempt=attempt)
                return Proposal(record, Purpose.EVICT, EpochCause.REPLICA_DIVERGED, agreement.diverged_ns)
        lost = self._lost(config, peers, agreement, now_ns)
        left = tuple(member for member in config.in_sync if member not in lost)
        # Where engines contradict each other, a lost one may be the one that decides who is right.
        removable = lost and left and not config.paused and not agreement.diverged
        self.doubted = tuple(
            member
            for member in lost
            if agreement.is_hardly_unjoined(member, now_ns)
            or (peers.engines[member].in_doubt(now_ns) and member not in agreement.unjoined)
        )
        self.stalled_on = () if removable else lost
        given_up = tuple(member for member in lost if member not in self.doubted)
        if removable and given_up:
            prefer = (*peers.patience.steadiest_first(left, now_ns), *self.doubted)
            return self._plan_shrink(config, peers, agreement, given_up, prefer, attempt)
        if self.open_request is not None:
            _check_left(self.open_request, config, lost)
            return plan_request(self.open_request, config, attempt)
        growth = self.growth
        if growth is not None and agreement.confirmed.get(growth.member, 0) >= growth.seq and not agreement.diverged:
            return Proposal(plan_grow(config, member=growth.member, attempt=attempt), Purpose.GROW)
        if config.data_loss:
            return Proposal(plan_settled(config, attempt=attempt), Purpose.SETTING)
        return None

    def _plan_shrink(
        self, config: ConfigRecord, peers: Peers, agreement: Agreement, lost: tuple[int, ...], prefer: tuple[int, ...],
        attempt: str,
    ) -> Proposal:  # fmt: skip
        record = plan_shrink(config, lost=lost, prefer=prefer, attempt=attempt)
        cause = EpochCause.PRIMARY_LOST if config.primary in lost else EpochCause.STANDBY_LOST
        since = [
            peers.engines[member].since_ns if peers.engines[member].lost else agreement.progress_ns.get(member, 0)
            for member in lost
        ]
        return Proposal(record, Purpose.SHRINK, cause, min(since))

    def growth_failed(self, config: ConfigRecord, peers: Peers, agreement: Agreement, now_ns: int) -> bool:
        """Whether the announced learner is down, fenced, perhaps wrong, or did not acknowledge its announcement."""
        growth = self.growth
        if growth is None:
            return False
        if growth.member in config.fenced or agreement.diverged:
            return True
        if peers.engines[growth.member].lost:
            return True
        unanswered = agreement.confirmed.get(growth.member, 0) < growth.seq
        return unanswered and now_ns - growth.since_ns > _GROW_PATIENCE_NS

    def candidate(self, config: ConfigRecord, peers: Peers, agreement: Agreement, tip: int, now_ns: int) -> int:
        """A learner that may be announced now; 0: none."""
        for engine in tuple(self._removed_slow):
            if tip - agreement.learner_at(engine) <= GROW_LAG:
                self._removed_slow.discard(engine)
                peers.patience.on_back(("pace", engine), now_ns)
        if self.growth is not None or now_ns < self._grow_not_before_ns or agreement.diverged or self.stalled_on:
            return 0
        for engine, peer in peers.engines.items():
            if engine in config.in_sync or engine in config.fenced or not peer.up:
                continue
            agreed_at = agreement.learner_at(engine)
            if agreed_at and tip - agreed_at <= GROW_LAG:
                return engine
        return 0

    def on_removed(self, members: tuple[int, ...], peers: Peers, now_ns: int) -> None:
        """They are out. Where that was without effect lately, they are not admitted again at once either."""
        self._grow_not_before_ns = max(self._grow_not_before_ns, grow_not_before_ns(peers, now_ns))
        for engine in members:
            if peers.engines[engine].up:
                self._removed_slow.add(engine)
                peers.patience.on_silent(("pace", engine), now_ns)

    def begin_growth(self, member: int, seq: int, now_ns: int) -> None:
        """The stream has announced it."""
        self.growth = Growth(member, seq, now_ns)

    def end_growth(self, now_ns: int) -> None:
        """It is in, or was withdrawn."""
        self.growth = None
        self._grow_not_before_ns = now_ns + _GROW_PAUSE_NS

    def _lost(self, config: ConfigRecord, peers: Peers, agreement: Agreement, now_ns: int) -> tuple[int, ...]:
        # An engine that was listed with one journal and speaks with a new one has lost its disk; one that is back and
        # has not spoken yet may have.
        doubtful = agreement.returning.union(agreement.unjoined)
        alive = tuple(member for member in config.in_sync if not peers.engines[member].lost and member not in doubtful)
        stalled = agreement.stalled(alive, now_ns, self._patience_ns + peers.patience.extra_ns(now_ns))
        return tuple(member for member in config.in_sync if member not in alive or member in stalled)


def grow_not_before_ns(peers: Peers, now_ns: int) -> int:
    """When an engine that was removed now may be admitted: at once, unless removals were without effect lately."""
    return now_ns + 2 * peers.patience.extra_ns(now_ns)


def _check_left(asked: OperatorRequest, config: ConfigRecord, lost: tuple[int, ...]) -> None:
    """The engine that is to carry the cluster on after a request must not be lost.

    Raises:
        PlanRefused: nobody that is left, or the one that is to lead, has been heard.
    """
    match asked:
        case MemberFenceRequested(_, member, True) if member in config.in_sync:
            if all(other in lost for other in config.in_sync if other != member):
                raise PlanRefused(f"no other in-sync engine acknowledges: without engine {member} trading would stop")
        case SwitchPrimaryRequested(_, to) if to in lost:
            raise PlanRefused(f"engine {to} does not acknowledge: it can't become primary now")
