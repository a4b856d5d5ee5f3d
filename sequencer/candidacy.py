"""When a candidate claims the cluster: on evidence of the leader's death, in turn, not against an operator's word, and
only if it could lead: it reaches an in-sync engine, and its media driver lives. One that could not would depose a
leader that works, again and again.

Nothing here is about safety. Two that claim at once cost a failed swap; one that claims too soon costs a pause.
"""

from lockstep.sequencer.config_record import ConfigRecord
from lockstep.sequencer.events import EpochCause
from lockstep.sequencer.peers import Peers
from lockstep.sequencer.settings import MS, Settings
from lockstep.stream.values import frozen

_BOOTSTRAP_STAGGER_NS = 500 * MS
_RANK_STAGGER_NS = 10 * MS
# Where all processes share one driver, the leader that was mute is back at about the same time: it goes on, not we.
_DRIVER_GRACE = 3
_LONGEST_BACKOFF = 5
"""Doublings of the pause between takeovers that come to nothing."""
_CROWD_NS = 1_000 * MS
_UNCROWDED = 2
"""Epochs that begin within so long after faults that are over."""


@frozen
class Claim:
    """A reason to claim now."""

    cause: EpochCause
    since_ns: int
    """Since when it is known."""


class Driver:
    """What is known of this host's media driver."""

    __slots__ = ("_hang_ns", "_since_ns", "up")

    def __init__(self, settings: Settings) -> None:
        self._hang_ns = settings.timing.hang_ms * MS
        self.up = True
        """A process starts only with a live driver."""
        self._since_ns: int | None = None  # when `up` last changed; None: it never did

    def on_change(self, up: bool, now_ns: int) -> None:
        """It was lost, or is back."""
        if up is not self.up:
            self.up, self._since_ns = up, now_ns

    def mute(self, now_ns: int) -> bool:
        """Lost for so long that others are to know."""
        return not self.up and self._since_ns is not None and now_ns >= self._since_ns + self._hang_ns

    def steady(self, now_ns: int) -> bool:
        """Live, and not just back."""
        return self.up and (self._since_ns is None or now_ns >= self._since_ns + _DRIVER_GRACE * self._hang_ns)


class Backoff:
    """How long to wait after stepping down, and after others' claims that follow close on each other: candidates that
    depose each other before any opens would go on for ever."""

    __slots__ = ("_epoch", "_fruitless", "_jitter_ns", "_seen_ns", "_turn")

    def __init__(self, jitter_ns: tuple[int, ...]) -> None:
        self._jitter_ns = jitter_ns
        self._turn = 0
        self._fruitless = 0  # takeovers in a row that did not get to open
        self._epoch = 0
        self._seen_ns: tuple[int, ...] = ()  # when the last epochs were heard of

    def on_epoch(self, epoch: int, now_ns: int) -> int:
        """The config has this epoch: how long this candidate lets who has claimed it try, ns."""
        if epoch <= self._epoch:
            return 0
        self._epoch = epoch
        self._seen_ns = (*(at_ns for at_ns in self._seen_ns if now_ns - at_ns < _CROWD_NS), now_ns)
        crowd = len(self._seen_ns) - _UNCROWDED
        return self._pause_ns(min(crowd, _LONGEST_BACKOFF)) if crowd > 0 else 0

    def pause_ns(self, *, opened: bool) -> int:
        """The next pause, ns. `opened`: what has ended now was a reign, not only an attempt at one."""
        doublings = 0 if opened else min(self._fruitless, _LONGEST_BACKOFF)
        self._fruitless = 0 if opened else self._fruitless + 1
        return self._pause_ns(doublings)

    def _pause_ns(self, doublings: int) -> int:
        jitter_ns = self._jitter_ns[self._turn % len(self._jitter_ns)]
        self._turn += 1
        return jitter_ns << doublings


class Candidacy:
    """What a candidate waits for. `why` says it in one sentence."""

    __slots__ = ("_absent_since_ns", "_driver", "_peers", "_settings", "_started_ns", "why")

    def __init__(self, settings: Settings, peers: Peers, driver: Driver, now_ns: int) -> None:
        self._settings = settings
        self._peers = peers
        self._driver = driver
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
            return Claim(_cause(config, EpochCause.SEQUENCER_RESTARTED), now_ns)
        self.why = f"sequencer {config.sequencer} leads"
        due_ns = self._leader_lost_ns(config.sequencer, now_ns)
        if due_ns is None or now_ns < due_ns:
            return None
        if config.paused and not resume:
            self.why = (
                f"sequencer {config.sequencer}, which leads, is lost, and automatic failover is off: "
                "restart it, or switch automatic failover on"
            )
            return None
        if not resume and not self.reaches_any(config.in_sync):
            self.why = (
                f"sequencer {config.sequencer}, which leads, is lost to this one, but so are all in-sync engines "
                f"{config.in_sync}: it may lead where they are"
            )
            return None
        return Claim(_cause(config, EpochCause.SEQUENCER_LOST), self.lost_since_ns(config.sequencer))

    def reaches_any(self, engines: tuple[int, ...]) -> bool:
        """Whether one of these engines, at least, would hear this sequencer's fence."""
        return any(self._peers.engines[engine].up for engine in engines if engine in self._peers.engines)

    def lost_since_ns(self, sequencer: int) -> int:
        """Since when another sequencer is gone, as far as this one can know."""
        leader = self._peers.sequencers.get(sequencer)
        return self._started_ns if leader is None else leader.since_ns

    def _leader_lost_ns(self, sequencer: int, now_ns: int) -> int | None:
        """When the leader may be taken for lost; None: not now."""
        leader = self._peers.sequencers.get(sequencer)
        rank_ns = self._peers.live_sequencers_before(self._settings.member, sequencer) * _RANK_STAGGER_NS
        patience_ns = self._settings.timing.hang_ms * MS
        if leader is None:
            return self._started_ns + patience_ns + rank_ns
        if leader.up:
            return leader.since_ns + rank_ns if leader.mute and self._driver.steady(now_ns) else None
        if leader.lost:
            return max(leader.since_ns, leader.doubt_until_ns) + rank_ns
        if leader.present is not False:
            # Merely not reached yet: etcd says that it lives, or has not said anything.
            return None
        return leader.since_ns + patience_ns + rank_ns


def _cause(config: ConfigRecord, cause: EpochCause) -> EpochCause:
    """The first epoch that is opened is the cluster's beginning, whoever's claim came to nothing before."""
    return EpochCause.BOOTSTRAP if config.founding else cause
