"""What a chaos run came to: values for people, JSON and the report."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lockstep.reconciler.proof import longest_silence
from lockstep.trials.chaos.inject import Done
from lockstep.trials.chaos.monitor import Sample, healthy_after_ms, was_whole
from lockstep.trials.chaos.reconciled import Reconciliation
from lockstep.trials.chaos.schedule import Kind
from lockstep.trials.checker.history import SessionHistory, heard_times
from lockstep.trials.checker.promises import Promise
from lockstep.trials.checker.verdict import Verdict

_AFTER_NS: Final = 500_000_000
"""A silence that begins so long after a fault's end still counts as caused by it."""
BUCKET_NS: Final = 100_000_000


@dataclass(frozen=True, slots=True)
class FaultFinding:
    """One fault that was done, and what was seen of it."""

    done: Done
    at_ms: int
    """From the start of the load."""
    lasted_ms: int
    gap_ms: float
    """Longest silence of reports of all clients together."""
    healthy_before: bool
    healthy_after_ms: int | None
    """From its end until all processes were there, in sync and serving; None: not before the end of the run."""

    def to_json(self) -> dict[str, object]:
        """A row of `timeline`."""
        fault = self.done.fault
        return {
            "number": fault.number,
            "fault": fault.kind.value,
            "target": self.done.target,
            "at_ms": self.at_ms,
            "lasted_ms": self.lasted_ms,
            "gap_ms": self.gap_ms,
            "healthy_before": self.healthy_before,
            "healthy_after_ms": self.healthy_after_ms,
        }


@dataclass(frozen=True, slots=True)
class ChaosResult:
    """Everything about a run."""

    seed: int
    replicas: int
    duration_s: float
    faults: tuple[FaultFinding, ...]
    left_out: tuple[Done, ...]
    not_run: Mapping[Kind, str]
    verdict: Verdict | None
    """None: the engines' histories could not be read."""
    problems: tuple[str, ...]
    """What else is wrong: it did not heal, a process broke, a client gave up."""
    health: Mapping[str, bool]
    """Validators beside the checker's promises."""
    per_bucket: tuple[int, ...] = field(repr=False)
    """Answers heard in each tenth of a second from the start of the load on."""
    reconciliation: Reconciliation | None = None
    """None: no reconciler ran beside."""

    @property
    def validators(self) -> dict[str, bool]:
        """Every validator by name. What could not be checked did not hold."""
        kept = self.verdict.kept() if self.verdict is not None else dict.fromkeys((p.value for p in Promise), False)
        return {**kept, **self.health}

    @property
    def held(self) -> bool:
        """Whether everything that was promised was kept."""
        return all(self.validators.values())

    def counts(self) -> dict[str, int]:
        """How often each kind of fault was done."""
        counted = Counter(finding.done.fault.kind.value for finding in self.faults)
        return {kind.value: counted[kind.value] for kind in Kind if counted[kind.value]}

    def gaps_ms(self) -> dict[str, float]:
        """The silences around faults: median, 99th percentile and longest."""
        gaps = [finding.gap_ms for finding in self.faults]
        if not gaps:
            return {"p50": 0.0, "p99": 0.0, "max": 0.0}
        p50, p99 = (float(np.percentile(gaps, share, method="higher")) for share in (50, 99))
        return {"p50": round(p50, 1), "p99": round(p99, 1), "max": round(max(gaps), 1)}

    def to_json(self) -> dict[str, object]:
        """For `--json`."""
        verdict = self.verdict
        violations = verdict.violations if verdict is not None else ()
        return {
            "faults": self.counts(),
            "commands": verdict.commands if verdict else 0,
            "acknowledged": verdict.acknowledged if verdict else 0,
            "lost": verdict.lost if verdict else None,
            "duplicated": verdict.duplicated if verdict else None,
            "reordered": verdict.reordered if verdict else None,
            "divergences": verdict.divergences if verdict else None,
            "gaps_ms": self.gaps_ms(),
            "validators": self.validators,
            "seed": self.seed,
            "replicas": self.replicas,
            "seconds": round(self.duration_s, 1),
            "fills": verdict.fills if verdict else 0,
            "not_run": {kind.value: reason for kind, reason in self.not_run.items()},
            "left_out": [{"fault": done.fault.kind.value, "why": done.left_out} for done in self.left_out],
            "violations": [{"promise": v.promise.value, "count": v.count, "text": v.text} for v in violations],
            "problems": list(self.problems),
            "reconciliation": self.reconciliation.to_json() if self.reconciliation is not None else None,
            "timeline": [finding.to_json() for finding in self.faults],
        }


def describe_faults(
    done: Sequence[Done], histories: Sequence[SessionHistory], samples: list[Sample], started_ns: int
) -> tuple[FaultFinding, ...]:
    """What was seen of each fault, in the order in which they began."""
    heard = heard_times(histories)
    findings = []
    for each in sorted(done, key=lambda one: one.began_ns):
        lasted_ns = each.ended_ns - each.began_ns
        gap = longest_silence(heard.tolist(), each.began_ns, window_ns=lasted_ns + _AFTER_NS)
        findings.append(
            FaultFinding(
                each,
                at_ms=(each.began_ns - started_ns) // 1_000_000,
                lasted_ms=lasted_ns // 1_000_000,
                gap_ms=round(gap.around_ns / 1e6, 1),
                healthy_before=was_whole(samples, each.began_ns),
                healthy_after_ms=healthy_after_ms(samples, each.ended_ns),
            )
        )
    return tuple(findings)


def count_answers(histories: Sequence[SessionHistory], started_ns: int) -> tuple[int, ...]:
    """Answers heard in each tenth of a second."""
    times = np.concatenate([np.empty(0, np.int64), *(_answers(history) for history in histories)])
    times = times[times >= started_ns]
    if not len(times):
        return ()
    return tuple(np.bincount((times - started_ns) // BUCKET_NS).tolist())


def _answers(history: SessionHistory) -> NDArray[np.int64]:
    rows = history.seen[(history.seen["leg"] == 0) & (history.seen["session_no"] > 0)]
    _, first = np.unique(rows["session_no"], return_index=True)
    heard: NDArray[np.int64] = rows["heard_ns"][first]
    return heard
