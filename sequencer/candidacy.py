"""When a candidate claims the cluster: on evidence of the leader's death, in turn, not against an operator's word.

Nothing here is about safety. Two that claim at once cost a failed swap; one that claims too soon costs a pause.
"""

from dataclasses import dataclass

from lockstep.sequencer.config_record import ConfigRecord
from lockstep.sequencer.events import EpochCause
from lockstep.sequencer.peers import Peers
from lockstep.sequencer.settings import MS, Settings

_BOOTSTRAP_STAGGER_NS = 500 * MS
_RANK_STAGGER_NS = 10 * MS


@dataclass(frozen=True, slots=True)
class Claim:
    """A reason to claim now."""

    cause: EpochCause
    since_ns: int
    """Since when it is known."""


class Candidacy:
    """What a candidate waits for. `why` says it in one sentence."""

    __slots__ = ("_absent_since_ns", "_peers", "_settings", "_started_ns", "why")

    def __init__(self, settings: Settings, peers: Peers, now_ns: int) -> None:
        self._settings = settings
        self._peers = peers
        self._started_ns = now_ns
        self._absent_since_ns: int | None = None
        self.why = ""

    def reason(self, config: ConfigRecord | None, now_ns: int, *, resume: bool) -> Claim | None:
        """Why to claim now, if at all. `resume`: an operator has switched automatic failover on again."""
        me = self._settings.member
        if config is None:
            if self._absent_since_ns is None:
                self._absent_since_ns = now_ns
            # All candidates start at about the same time: the first in the list normally leads.
            wait_ns = self._settings.sequencers.index(me) * _BOOTSTRAP_STAGGER_NS
            self.why = "the cluster has no config yet"
            due = now_ns >= self._absent_since_ns + wait_ns
            return Claim(EpochCause.BOOTSTRAP, now_ns) if due else None
        self._absent_since_ns = None
        if config.sequencer == me:
            return Claim(EpochCause.SEQUENCER_RESTARTED, now_ns)
        self.why = f"sequencer {config.sequencer} leads"
        due_ns = self._leader_lost_ns(config.sequencer)
        if due_ns is None or now_ns < due_ns:
            return None
        if config.paused and not resume:
            self.why = (
                f"sequencer {config.sequencer}, which leads, is lost, and automatic failover is off: "
                "restart it, or switch automatic failover on"
            )
            return None
        return Claim(EpochCause.SEQUENCER_LOST, self.lost_since_ns(config.sequencer))

    def lost_since_ns(self, sequencer: int) -> int:
        """Since when another sequencer is gone, as far as this one can know."""
        leader = self._peers.sequencers.get(sequencer)
        return self._started_ns if leader is None else leader.since_ns

    def _leader_lost_ns(self, sequencer: int) -> int | None:
        """When the leader may be taken for lost; None: not now."""
        leader = self._peers.sequencers.get(sequencer)
        rank_ns = self._peers.live_sequencers_before(self._settings.member, sequencer) * _RANK_STAGGER_NS
        patience_ns = self._settings.timing.hang_ms * MS
        if leader is None:
            return self._started_ns + patience_ns + rank_ns
        if leader.up:
            return None
        if leader.lost:
            return leader.since_ns + rank_ns
        if leader.present is not False:
            # Merely not reached yet: etcd says that it lives, or has not said anything.
            return None
        return leader.since_ns + patience_ns + rank_ns
