"""Which engine should be in, out, or primary next: one change of the config at a time, derived from what is.

Level-triggered: `plan` looks at what is, not at what happened, so an answer that never came or a failed swap needs no
special case. Order matters: what restores progress (removing a lost engine) goes before what adds comfort (a switch, a
learner). Shrink goes to etcd first and then into the stream; grow into the stream first and then to etcd.
"""

from dataclasses import dataclass

from lockstep.sequencer.agreement import Agreement
from lockstep.sequencer.config_record import ConfigRecord, PlanRefused, plan_grow, plan_promote, plan_shrink
from lockstep.sequencer.events import SwitchAnswer, SwitchPrimaryRequested
from lockstep.sequencer.hold import Purpose
from lockstep.sequencer.peers import Peers
from lockstep.sequencer.settings import MS, Settings

GROW_LAG = 4096
"""Commands that a learner may be behind when it is announced."""
# An engine whose heartbeats come but whose acks do not is slow before it is lost (a disk that stalls, a starved host).
_STALL_PATIENCE = 5
_GROW_PATIENCE_NS = 2_000 * MS
_GROW_PAUSE_NS = 500 * MS


@dataclass(frozen=True, slots=True)
class Growth:
    """A learner that the stream has announced and etcd does not list yet."""

    member: int
    seq: int
    """Seq of the GROW record: from here on its ack is needed."""
    since_ns: int


@dataclass(frozen=True, slots=True)
class Proposal:
    """The next config to write."""

    record: ConfigRecord
    purpose: Purpose


class Membership:
    """Changes of one reign. At most one growth and one requested switch are open."""

    __slots__ = ("_grow_not_before_ns", "_patience_ns", "growth", "stalled_on", "switch")

    def __init__(self, settings: Settings) -> None:
        self._patience_ns = _STALL_PATIENCE * settings.timing.hang_ms * MS
        self._grow_not_before_ns = 0
        self.growth: Growth | None = None
        self.switch: SwitchPrimaryRequested | None = None
        self.stalled_on: tuple[int, ...] = ()
        """Lost in-sync engines that can't be removed, because no other is left."""

    def required(self, config: ConfigRecord) -> tuple[int, ...]:
        """Engines whose ack a new command needs."""
        return config.in_sync if self.growth is None else (*config.in_sync, self.growth.member)

    def request(self, event: SwitchPrimaryRequested, config: ConfigRecord, peers: Peers) -> SwitchAnswer | None:
        """Take a switch request in; returns its refusal, if it can't be done."""
        if self.switch is not None:
            return SwitchAnswer(event.request, "another switch of the primary is under way: try again later")
        to = event.to
        if to == 0:
            live = [member for member in config.in_sync if member != config.primary and peers.engines[member].up]
            if not live:
                return SwitchAnswer(
                    event.request, f"no other in-sync engine is up (in sync: {config.in_sync}): wait for one to rejoin"
                )
            to = live[0]
        try:
            plan_promote(config, primary=to, attempt="probe")
        except PlanRefused as error:
            return SwitchAnswer(event.request, str(error))
        if not peers.engines[to].up:
            return SwitchAnswer(event.request, f"engine {to} does not answer: it can't become primary now")
        self.switch = SwitchPrimaryRequested(event.request, to)
        return None

    def plan(
        self, config: ConfigRecord, peers: Peers, agreement: Agreement, attempt: str, now_ns: int
    ) -> Proposal | None:
        """The change to write next, if any."""
        lost = self._lost(config, peers, agreement, now_ns)
        if lost:
            left = tuple(member for member in config.in_sync if member not in lost)
            if left:
                self.stalled_on = ()
                return Proposal(plan_shrink(config, lost=lost, prefer=left, attempt=attempt), Purpose.SHRINK)
        self.stalled_on = lost
        if self.switch is not None:
            return Proposal(plan_promote(config, primary=self.switch.to, attempt=attempt), Purpose.SWITCH)
        growth = self.growth
        if growth is not None and agreement.confirmed.get(growth.member, 0) >= growth.seq and not agreement.diverged:
            return Proposal(plan_grow(config, member=growth.member, attempt=attempt), Purpose.GROW)
        return None

    def growth_failed(self, peers: Peers, agreement: Agreement, now_ns: int) -> bool:
        """Whether the announced learner is down, or has not acknowledged its announcement in time."""
        growth = self.growth
        if growth is None:
            return False
        if peers.engines[growth.member].lost:
            return True
        unanswered = agreement.confirmed.get(growth.member, 0) < growth.seq
        return unanswered and now_ns - growth.since_ns > _GROW_PATIENCE_NS

    def candidate(self, config: ConfigRecord, peers: Peers, agreement: Agreement, tip: int, now_ns: int) -> int:
        """A learner that may be announced now; 0: none."""
        if self.growth is not None or now_ns < self._grow_not_before_ns or agreement.diverged or self.stalled_on:
            return 0
        for engine, peer in peers.engines.items():
            if engine in config.in_sync or not peer.up:
                continue
            agreed_at = agreement.learner_at(engine)
            if agreed_at and tip - agreed_at <= GROW_LAG:
                return engine
        return 0

    def begin_growth(self, member: int, seq: int, now_ns: int) -> None:
        """The stream has announced it."""
        self.growth = Growth(member, seq, now_ns)

    def end_growth(self, now_ns: int) -> None:
        """It is in, or was withdrawn."""
        self.growth = None
        self._grow_not_before_ns = now_ns + _GROW_PAUSE_NS

    def _lost(self, config: ConfigRecord, peers: Peers, agreement: Agreement, now_ns: int) -> tuple[int, ...]:
        alive = tuple(member for member in config.in_sync if not peers.engines[member].lost)
        stalled = agreement.stalled(alive, now_ns, self._patience_ns)
        return tuple(member for member in config.in_sync if member not in alive or member in stalled)
