"""Between winning the config and opening: collect the fence's answers, decide who is in, and whose log wins.

One in-sync engine's answer is enough to know every committed command, because each of them had to acknowledge it. So
the longest log among those that answered wins, whoever else is silent; the silent ones are removed in etcd before
anything is opened. Logs of in-sync engines are prefixes of each other; where they are not, the cluster has diverged,
and a human looks, unless most of the in-sync engines agree: then the minority is removed like silent engines.

An engine with a blank journal was wiped: what it acknowledged is gone, so its answer says nothing. Only before the
first reign of all is a blank journal complete. The same goes for one whose log ends before what the config record knows
to be committed, or before what a gateway says that it has delivered to its clients.
"""

from collections.abc import Iterable

from lockstep.sequencer.agreement import odd_ones
from lockstep.sequencer.config_record import ConfigRecord
from lockstep.sequencer.events import EpochCause, FenceAnswered, FenceFailed, FenceOrder, Outbox
from lockstep.sequencer.peers import Peers
from lockstep.sequencer.settings import MS, Settings
from lockstep.stream.batch import Batch
from lockstep.stream.delivery_mark import DeliveryMark
from lockstep.stream.values import frozen

_RETRY_NS = 20 * MS
# After a restart of everything the engines come one by one: those never reached yet get this long from our own start.
_RESTART_GRACE_NS = 2_000 * MS
_BLANK_RETRY_NS = 500 * MS
_FETCH_TRIES = 3


@frozen
class Recovery:
    """Whose log wins, and which part of it the others lack."""

    source: int
    lowest_seq: int
    """Every in-sync engine has the stream up to here."""
    tip_seq: int
    tip_epoch: int
    time_ns: int
    """The last stamped time."""
    committed_seq: int


class Diverged(Exception):
    """In-sync engines hold different histories: a broken invariant."""


@frozen
class Contradiction:
    """In-sync engines have different digests at one seq."""

    why: str
    odd: tuple[int, ...]
    """Those that most of the others contradict; empty: it is not known who is right."""
    undecided: bool
    """Nobody is odd, and an engine that ends elsewhere may decide when it has the same log."""


class Takeover:
    """One attempt to open a reign under `config`, which this sequencer has written."""

    __slots__ = (
        "_delivered",
        "_due_ns",
        "_first_answer_ns",
        "_outstanding",
        "_settings",
        "_started_ns",
        "answers",
        "blank",
        "cause",
        "config",
        "fence_done_ns",
        "fetch_due_ns",
        "fetch_failures",
        "fetching",
        "since_ns",
        "won_ns",
    )  # fmt: skip

    def __init__(
        self,
        settings: Settings,
        config: ConfigRecord,
        cause: EpochCause,
        *,
        started_ns: int,
        since_ns: int,
        now_ns: int,
    ) -> None:
        self._settings = settings
        self._started_ns = started_ns  # of this process
        self.config = config
        self.cause = cause
        self.since_ns = since_ns
        """When the evidence for this takeover came."""
        self.won_ns = now_ns
        self.fence_done_ns = now_ns
        self.answers: dict[int, FenceAnswered] = {}
        """Accepted answers of in-sync engines that have not gone down since."""
        self.blank: dict[int, FenceAnswered] = {}
        """Answers of engines that have lost their journal, or the end of it."""
        self._outstanding: dict[int, int] = {}  # engine -> when it was asked
        self._due_ns = dict.fromkeys(config.in_sync, now_ns)  # engine -> when to ask (again)
        self._first_answer_ns: int | None = None
        self._delivered: tuple[DeliveryMark, ...] = ()
        self.fetching = False
        self.fetch_due_ns = now_ns
        self.fetch_failures = 0

    def order_fences(self, now_ns: int, out: Outbox) -> None:
        """Ask every in-sync engine that has neither answered nor is being asked."""
        for engine in self.config.in_sync:
            if engine in self.answers or engine in self._outstanding or now_ns < self._due_ns.get(engine, 0):
                continue
            self._outstanding[engine] = now_ns
            out.fence(FenceOrder(engine, self.config.epoch, self.config.uuid, settled=not self.config.founding))

    def on_answer(self, answer: FenceAnswered, now_ns: int) -> None:
        """An engine of the in-sync set has promised."""
        self._outstanding.pop(answer.engine, None)
        if answer.engine not in self.config.in_sync:
            return
        # An operator who accepts the loss of data may go on with what a wiped engine has fetched since.
        blank = answer.blank and not (self.config.data_loss and answer.tip_seq)
        if blank or self._lacks(answer) is not None:
            self.blank[answer.engine] = answer
            self._due_ns[answer.engine] = now_ns + _BLANK_RETRY_NS
            return
        self.blank.pop(answer.engine, None)
        self.answers[answer.engine] = answer
        if self._first_answer_ns is None:
            self._first_answer_ns = now_ns

    def on_delivered(self, delivered: Iterable[DeliveryMark], now_ns: int) -> None:
        """Gateways have delivered so much: a log that ends before lacks some of it."""
        self._delivered = tuple(delivered)
        for engine, answer in list(self.answers.items()):
            if self._lacks(answer) is not None:
                self.blank[engine] = self.answers.pop(engine)
                self._due_ns[engine] = now_ns + _BLANK_RETRY_NS

    def _lacks(self, answer: FenceAnswered) -> str | None:
        """What is known to be committed and not in an engine's log; None: nothing.

        Its disk is an earlier one, put back, or a part of its log is gone: what else it forgot is not known.
        """
        config = self.config
        if answer.tip_seq < config.known_seq:
            return f"seq {config.known_seq} was committed"
        if config.founding or config.data_loss:
            return None
        lost = DeliveryMark(config.lost_epoch, config.lost_seq)
        if lost.seq and (answer.tip_epoch > lost.epoch or answer.tip_seq < lost.seq):
            return f"clients have reports of commands up to {lost}, which it lacks"
        # A gateway can't have delivered anything of an epoch that never was.
        claims = [delivered for delivered in self._delivered if config.accepted_epoch <= delivered.epoch < config.epoch]
        for delivered in claims:
            if delivered.misses(answer.tip_epoch, answer.tip_seq):
                return f"clients have reports of commands up to {delivered}"
        return None

    def on_failed(self, event: FenceFailed, now_ns: int) -> None:
        """Ask again a little later."""
        self._outstanding.pop(event.engine, None)
        self._due_ns[event.engine] = now_ns + _RETRY_NS

    def on_absurd(self, answer: FenceAnswered, now_ns: int) -> str:
        """An engine refuses for a promise that no sequencer can have asked for: like a silent one. Returns the text."""
        self._outstanding.pop(answer.engine, None)
        self._due_ns[answer.engine] = now_ns + _BLANK_RETRY_NS
        return (
            f"engine {answer.engine} holds a promise for epoch {answer.promised}, which no sequencer can have asked "
            "for: stop it, run `lockstep cluster repair-promise`, and start it again"
        )

    def on_engine_up(self, engine: int, now_ns: int) -> None:
        """It can be asked now."""
        self._due_ns[engine] = now_ns

    def withdraw(self, engine: int, now_ns: int) -> None:
        """An engine that had answered has gone: its answer no longer counts."""
        self.answers.pop(engine, None)
        self.blank.pop(engine, None)
        self._due_ns[engine] = now_ns + _RETRY_NS

    def decided(self, peers: Peers, now_ns: int) -> tuple[int, ...]:
        """The engines to go on with; empty while the fence is not over."""
        answered = tuple(engine for engine in self.config.in_sync if engine in self.answers)
        if not answered or self._first_answer_ns is None:
            return ()
        silent = tuple(engine for engine in self.config.in_sync if engine not in answered)
        timing = self._settings.timing
        if self.cause is EpochCause.BOOTSTRAP:
            deadline_ns = self.won_ns + timing.bootstrap_ms * MS
        else:
            silent = tuple(
                engine for engine in silent if not peers.engines[engine].crashed and engine not in self.blank
            )
            deadline_ns = self._first_answer_ns + timing.fence_ms * MS + peers.patience.extra_ns(now_ns)
            if any(not peers.engines[engine].seen for engine in silent):
                grace_ns = min(timing.bootstrap_ms * MS, _RESTART_GRACE_NS)
                deadline_ns = max(deadline_ns, self._started_ns + grace_ns)
        return answered if not silent or now_ns >= deadline_ns else ()

    def contradiction(self) -> Contradiction | None:
        """Whether answers that end at one seq have different digests."""
        ballots: dict[int, dict[bytes, int]] = {}
        for engine in self.config.in_sync:
            answer = self.answers.get(engine)
            if answer is not None:
                at = ballots.setdefault(answer.tip_seq, {})
                at[answer.tip_digest] = at.get(answer.tip_digest, 0) | 1 << engine
        for seq, digests in ballots.items():
            if len(digests) > 1:
                why = f"in-sync engines {self.config.in_sync} have different digests at seq {seq}"
                odd = odd_ones(digests, self.config.in_sync)
                return Contradiction(why, odd, undecided=not odd and len(ballots) > 1 and self._same_log(seq))
        return None

    def _same_log(self, seq: int) -> bool:
        """Whether those that end there have executed the same commands: their results differ, not their logs."""
        return len({answer.tip_epoch for answer in self.answers.values() if answer.tip_seq == seq}) == 1

    def why_waiting(self) -> str:
        """In one sentence, what keeps it from going on when nobody with a log has answered; empty: just the answers."""
        if self.answers or not self.blank:
            return ""
        for engine, answer in self.blank.items():
            if not answer.blank:
                return (
                    f"engine {engine} is listed as in sync and its log ends at seq {answer.tip_seq}, while "
                    f"{self._lacks(answer)}: its disk is not the one that it had; wait for another in-sync engine, put "
                    "the right data directory back, or force a failover and accept the loss (`lockstep cluster "
                    "failover --force --accept-data-loss`)"
                )
        names = ", ".join(str(engine) for engine in self.blank)
        return (
            f"engine {names} is listed as in sync and its journal is blank: its disk was lost, or what was on it "
            "damaged; wait for another in-sync engine, or force a failover and accept the loss"
        )

    def recovery(self) -> Recovery:
        """Whose log wins.

        Raises:
            Diverged: the answers contradict each other.
        """
        answers = [self.answers[engine] for engine in self.config.in_sync]
        longest = max(answers, key=lambda answer: (answer.tip_seq, -answer.engine))
        for answer in answers:
            if answer.tip_epoch > longest.tip_epoch:
                raise Diverged(
                    f"in-sync engine {answer.engine} ends in epoch {answer.tip_epoch} at seq {answer.tip_seq}, engine "
                    f"{longest.engine} is still in epoch {longest.tip_epoch} at the later seq {longest.tip_seq}"
                )
        return Recovery(
            source=longest.engine,
            lowest_seq=min(answer.tip_seq for answer in answers),
            tip_seq=longest.tip_seq,
            tip_epoch=longest.tip_epoch,
            time_ns=max(answer.timestamp_ns for answer in answers),
            committed_seq=max(answer.committed_seq for answer in answers),
        )

    def fetch_failed(self, now_ns: int) -> bool:
        """Try again a little later; true when the source should be abandoned."""
        self.fetching = False
        self.fetch_due_ns = now_ns + _RETRY_NS
        self.fetch_failures += 1
        return self.fetch_failures % _FETCH_TRIES == 0


def missing_part(batches: tuple[Batch, ...], recovery: Recovery) -> tuple[Batch, ...]:
    """The fetched batches that some in-sync engine lacks: contiguous from above the lowest tip to the winner's tip.

    Raises:
        Diverged: there is a gap, an overlap, or another end than the fence's answer said.
    """
    wanted: list[Batch] = []
    expected = recovery.lowest_seq + 1
    for one in batches:
        if one.last_seq <= recovery.lowest_seq or one.first_seq > recovery.tip_seq:
            continue
        if one.first_seq != expected:
            raise Diverged(
                f"engine {recovery.source}'s journal has a batch at seq {one.first_seq} where {expected} was expected"
            )
        expected = one.last_seq + 1
        wanted.append(one)
    if expected != recovery.tip_seq + 1:
        raise Diverged(
            f"engine {recovery.source}'s journal ends at seq {expected - 1}, not at {recovery.tip_seq} as it said"
        )
    return tuple(wanted)
