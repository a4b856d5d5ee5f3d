"""The end of a chaos run that a reconciler has watched: it catches up, the cluster stops, and there is a certificate.

The checker of a run knows what its clients did; the reconciler knows nothing of the run and joins what any deployment
has. What it signs is borne out by the journals alone, long after the run: `lockstep reconcile verify`.
"""

import json
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from lockstep.ops.local.cluster import LocalCluster
from lockstep.reconciler.case_file import BreakState, CaseFile
from lockstep.runtime.output import put_whole
from lockstep.runtime.process import EnvironmentFault

ONE_CERTIFICATE_S: Final = 1_000_000
"""Between two certificates: so long that a run has one, at its end."""
_CATCH_UP_S: Final = 120.0
_SETTLE_S: Final = 20.0
"""Breaks that end by themselves (what was on its way for long) have so long for it."""
_STEP_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What the reconciler of a run came to."""

    verified_seq: int
    resolved: int
    """Breaks that were there for a while, and ended by themselves."""
    breaks: tuple[str, ...]
    """Those that are open at the end, in words."""
    certificate: str
    """Its file; empty: there is none."""
    from_seq: int
    to_seq: int
    fingerprint: str
    """Of the key that signed it."""
    why_none: str
    """Why there is no certificate; empty: there is one."""

    @property
    def clean(self) -> bool:
        """Nothing is open, and that is certified."""
        return not self.breaks and bool(self.certificate)

    def to_json(self) -> dict[str, object]:
        """For `--json`."""
        return asdict(self)


def finish(cluster: LocalCluster) -> Reconciliation:
    """Let the reconciler catch up, stop the cluster, and read what it wrote down. The cluster has to be idle.

    Raises:
        EnvironmentFault: there are no records of a reconciler.
    """
    own = cluster.topology.reconciler.data_dir
    primary = cluster.status().primary()
    target = primary.reply.committed_seq if primary is not None and primary.reply is not None else 0
    with closing(CaseFile(own)) as case:
        _wait(lambda: case.facts().get("verified_seq", 0) >= target, _CATCH_UP_S)
        _wait(lambda: not any(case.counts(BreakState.OPEN).values()), _SETTLE_S)
    cluster.stop()
    with closing(CaseFile(own)) as case:
        rows = case.breaks()
        certificates = case.certificates()
        facts = case.facts()
    found = Reconciliation(
        verified_seq=facts.get("verified_seq", 0),
        resolved=sum(row.state == BreakState.RESOLVED for row in rows),
        breaks=tuple(f"{row.rule} {row.subject}: {row.detail}" for row in rows if row.state == BreakState.OPEN),
        certificate="",
        from_seq=0,
        to_seq=0,
        fingerprint="",
        why_none=facts.get("no_certificate") or "it did not come to its end; see logs/reconciler.log",
    )
    if not certificates:
        return found
    from_seq, to_seq, text = certificates[-1]
    return Reconciliation(
        verified_seq=found.verified_seq,
        resolved=found.resolved,
        breaks=found.breaks,
        certificate=str(_keep(own, from_seq, to_seq, text)),
        from_seq=from_seq,
        to_seq=to_seq,
        fingerprint=json.loads(text)["fingerprint"],
        why_none="",
    )


def _keep(own: Path, from_seq: int, to_seq: int, text: str) -> Path:
    path = own.parent / "certificate.json"
    try:
        put_whole(path, text)
    except OSError as error:
        raise EnvironmentFault(
            f"the certificate of seq {from_seq} to {to_seq} can't be written to {path}: {error.strerror}; "
            f"`lockstep reconcile certificate --data-dir {own}` shows it"
        ) from error
    return path


def _wait(condition: Callable[[], bool], most_s: float) -> None:
    """What did not come shows in the records afterwards."""
    deadline = time.monotonic() + most_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(_STEP_S)
