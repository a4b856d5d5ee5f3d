"""All checks of a run, in one call."""

from collections.abc import Sequence
from dataclasses import dataclass

from lockstep.reconciler.proof import Balances
from lockstep.stream.records import EventKind
from lockstep.trials.checker.history import SessionHistory
from lockstep.trials.checker.model import replay
from lockstep.trials.checker.promises import DIVERGED, DUPLICATED, LOST, REORDERED, Promise, Violation
from lockstep.trials.checker.realtime import check_real_time
from lockstep.trials.checker.replicas import (
    check_fills,
    check_histories,
    check_money,
    check_streams,
    check_two_sides,
    longest,
)
from lockstep.trials.checker.sessions import acknowledged, check_executions, check_session, check_strangers
from lockstep.trials.evidence import EngineEvidence


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run came to."""

    commands: int
    acknowledged: int
    fills: int
    violations: tuple[Violation, ...]

    @property
    def lost(self) -> int:
        """Commands and reports that are not where they must be."""
        return self._count(LOST)

    @property
    def duplicated(self) -> int:
        """Commands, reports and fills that are there twice."""
        return self._count(DUPLICATED)

    @property
    def reordered(self) -> int:
        """Commands and reports in the wrong order."""
        return self._count(REORDERED)

    @property
    def divergences(self) -> int:
        """Differences between replicas, or to the specification."""
        return self._count(DIVERGED)

    def kept(self) -> dict[str, bool]:
        """Each promise by name, and whether it was kept."""
        broken = {violation.promise for violation in self.violations}
        return {promise.value: promise not in broken for promise in Promise}

    def _count(self, promises: frozenset[Promise]) -> int:
        return sum(violation.count for violation in self.violations if violation.promise in promises)


def check_run(
    histories: Sequence[SessionHistory],
    replicas: Sequence[EngineEvidence],
    *,
    opening: Balances,
    others: frozenset[int] = frozenset(),
) -> Verdict:
    """Check a finished run.

    Args:
        histories: of every client but those that made the deposits.
        replicas: what each engine kept; at least one.
        opening: what the accounts were given.
        others: sessions that made the deposits.
    """
    model, violations = replay(longest(replicas).journal)
    violations += check_streams(replicas)
    violations += check_histories(replicas, model)
    for history in histories:
        violations += check_session(history, model)
    violations += check_strangers(histories, model, others)
    violations += check_real_time(histories, model)
    if histories:
        violations += check_two_sides(histories)
    for replica in replicas:
        violations += check_executions(replica.events, replica.engine)
        violations += check_fills(replica.events, replica.engine)
    violations += check_money(replicas, model, opening)
    return Verdict(
        commands=sum(len(history.sent) for history in histories),
        acknowledged=sum(len(acknowledged(history)) for history in histories),
        fills=int((model.events["kind"] == EventKind.TRADE).sum()),
        violations=tuple(violations),
    )
