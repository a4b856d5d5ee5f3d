"""What an operator can ask of a sequencer that does not lead, or that leads and can't go on.

Two things only: a forced failover, which any sequencer carries out by claiming the cluster for one engine alone; and
automatic failover switched on again while nobody can lead, which is the permission to claim. Both are claims under
another plan, so everything after the claim is the usual takeover. An order that could not be begun in time is dropped:
it must not come true when nobody expects it any more.
"""

from lockstep.sequencer.candidacy import Claim
from lockstep.sequencer.config_record import (
    ConfigRecord,
    PlanRefused,
    plan_bootstrap,
    plan_force,
    plan_paused,
    plan_takeover,
)
from lockstep.sequencer.events import (
    EpochCause,
    FailoverModeRequested,
    ForceFailoverRequested,
    OperatorAnswer,
    OperatorRequest,
    Outbox,
)
from lockstep.sequencer.operator_requests import concrete
from lockstep.sequencer.peers import Peers
from lockstep.sequencer.settings import MS, Settings

_PATIENCE_NS = 10_000 * MS


class Overrides:
    """At most one order of each kind is open."""

    __slots__ = ("_claimed", "_give_up_ns", "_member", "_settings", "force", "resume")

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._member = settings.member
        self._give_up_ns = 0
        self._claimed: OperatorRequest | None = None
        """The order whose claim was won; answered when the reign opens."""
        self.force: ForceFailoverRequested | None = None
        """To be claimed for."""
        self.resume: FailoverModeRequested | None = None

    def take(
        self,
        asked: OperatorRequest,
        config: ConfigRecord | None,
        peers: Peers,
        now_ns: int,
        *,
        reigning: bool,
        why: str,
    ) -> str:
        """Admit an order; returns its refusal. `reigning`: this sequencer leads, and nothing stalls it."""
        if config is None:
            return f"sequencer {self._member} does not lead ({why}): ask the one that does"
        if self.force is not None or self.resume is not None:
            return "another operator's command is under way: try again later"
        if isinstance(asked, ForceFailoverRequested):
            if asked.to not in peers.engines:
                return f"this cluster has no engine {asked.to}; it has: {', '.join(map(str, peers.engines))}"
            if not peers.engines[asked.to].up:
                return f"engine {asked.to} does not answer: start it first"
            if reigning:
                try:
                    concrete(asked, config, peers, now_ns)
                except PlanRefused as error:
                    return str(error)
            self.force = asked
        elif isinstance(asked, FailoverModeRequested) and asked.automatic and self._stuck(config, peers):
            self.resume = asked
        else:
            return f"sequencer {self._member} does not lead ({why}): ask the one that does"
        self._give_up_ns = now_ns + _PATIENCE_NS
        return ""

    def _stuck(self, config: ConfigRecord, peers: Peers) -> bool:
        """The leader is lost or mute, or is this sequencer, which waits for engines that it may not remove."""
        leader = config.sequencer
        return leader == self._member or not peers.sequencer_up(leader) or peers.sequencers[leader].mute

    def begin_anew(self, config: ConfigRecord | None) -> bool:
        """Whether a takeover of `config` (None: there is none) has to make way for the open order."""
        return self.force is not None or (self.resume is not None and config is not None and config.paused)

    def claim(self, now_ns: int) -> Claim | None:
        """The claim that a forced failover makes now."""
        return None if self.force is None else Claim(EpochCause.DATA_LOSS_ACCEPTED, now_ns)

    def plan_claim(self, config: ConfigRecord | None, promised: int, attempt: str) -> ConfigRecord:
        """The config that a claim writes, as the open order wants it, if there is one."""
        settings, me = self._settings, self._member
        if config is None:
            return plan_bootstrap(
                uuid=settings.fresh_uuid,
                engines=settings.engines,
                sequencer=me,
                highest_promised=promised,
                attempt=attempt,
                ack_policy=settings.ack_policy,
            )
        if self.force is not None:
            return plan_force(config, to=self.force.to, sequencer=me, highest_promised=promised, attempt=attempt)
        if self.resume is not None:
            config = plan_paused(config, paused=False, attempt=attempt)
        return plan_takeover(config, sequencer=me, highest_promised=promised, attempt=attempt)

    def claimed(self, record: ConfigRecord) -> None:
        """A claim was won: it was the open order's, if the record is as that wanted it."""
        if self.force is not None and record.data_loss and record.in_sync == (self.force.to,):
            self._claimed, self.force = self.force, None
        elif self.resume is not None and not record.paused:
            self._claimed, self.resume = self.resume, None

    def opened(self, config: ConfigRecord, seq: int, out: Outbox) -> None:
        """The reign is open: whoever ordered it gets an answer."""
        if self._claimed is not None:
            out.answer(OperatorAnswer(self._claimed.request, primary=config.primary, epoch=config.epoch, seq=seq))
            self._claimed = None

    def expire(self, now_ns: int, out: Outbox) -> None:
        """Drop what could not be begun in time."""
        if now_ns < self._give_up_ns:
            return
        for order in (self.force, self.resume):
            if order is not None:
                out.answer(OperatorAnswer(order.request, "it could not be begun in time: is etcd up?"))
        self.force = self.resume = None
