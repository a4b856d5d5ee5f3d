"""Runs of the simulation: one seed is one cluster, one workload, one schedule of faults; then peace, and the audit."""

import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lockstep.trials.simulation import accepted_loss, aimed, last_act
from lockstep.trials.simulation.audit import Said, audit
from lockstep.trials.simulation.client_host import ClientHost
from lockstep.trials.simulation.cluster import Cluster
from lockstep.trials.simulation.faults import Faults
from lockstep.trials.simulation.kernel import MS, SECOND, START_NS, Kernel
from lockstep.trials.simulation.workload import give_orders, set_up
from lockstep.trials.simulation.world import Violation

_PEACE_NS: Final = 40 * SECOND
"""Time to converge after everything is healed, at the most."""
_SETTLE_NS: Final = 300 * MS
_CLOSE_NS: Final = 2 * SECOND
"""Time beyond its own in which the orders of a client that left are canceled, in peace."""
_ENCODED_EVERY: Final = 8
"""In one seed of so many, frames travel as bytes."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one seed."""

    seed: int
    steps: int
    commands: int
    trades: int
    virtual_ms: int
    faults: dict[str, int]
    fingerprint: str
    violation: str = ""
    """Empty: nothing was wrong."""
    history: tuple[str, ...] = field(default=(), repr=False)

    @property
    def repeat(self) -> str:
        """The command line that does the same again."""
        return f"lockstep sim --seeds 1 --start {self.seed}"


def simulate(seed: int, *, keep_history: bool = False) -> Outcome:
    """Run one seed to its end."""
    kernel = Kernel(seed, keep_history=keep_history)
    cluster = Cluster(kernel, encode=seed % _ENCODED_EVERY == 0)
    faults = Faults(cluster)
    violation, trades = "", 0
    try:
        trades = _run(kernel, cluster, faults)
    except Violation as broken:
        violation = str(broken)
    except Exception as error:  # noqa: BLE001 - whatever a machine raises is what we are looking for
        place = traceback.extract_tb(error.__traceback__)[-1]
        violation = f"{type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno} in {place.name})"
    if violation:
        kernel.note(f"VIOLATION: {violation}")
    commands = sum(client.machine.next_no - 1 for client in cluster.clients if client.life)
    return Outcome(
        seed,
        kernel.steps,
        commands,
        trades,
        (kernel.now_ns - START_NS) // MS,
        faults.counts,
        kernel.fingerprint(),
        violation,
        tuple(kernel.history or ()),
    )


def _run(kernel: Kernel, cluster: Cluster, faults: Faults) -> int:
    length_ns = kernel.between(1_200, 2_500) * MS
    deposits = set_up(cluster.clients, kernel.now_ns)
    for client in cluster.clients:
        give_orders(kernel, client, kernel.between(20, 90), kernel.now_ns + 250 * MS, length_ns)
    cluster.start()
    # One run in twelve has no fault at all: the plain flow has to work, too.
    if not kernel.chance(1, 12):
        early = kernel.chance(1, 4)
        faults.schedule(kernel.between(2, 12), 0 if early else 150 * MS, length_ns)
    kernel.run(START_NS + length_ns + 250 * MS, lambda: False)
    kernel.note("peace")
    faults.heal_all()
    cluster.network.calm = True
    _converge(kernel, cluster)
    if kernel.seed % last_act.EVERY == 5:
        last_act.play(kernel, cluster, kernel.seed)
        _converge(kernel, cluster)
    if aimed.is_due(kernel.seed):
        aimed.play(kernel, cluster)
        _converge(kernel, cluster)
    if accepted_loss.is_due(kernel.seed):
        accepted_loss.play(kernel, cluster)
        _converge(kernel, cluster)
    kernel.run(kernel.now_ns + _SETTLE_NS, lambda: False)
    leaver = cluster.clients[0]
    if not leaver.grace_ms:
        return _audit(cluster, deposits)
    if not kernel.seed % 2:
        last_act.say_late(kernel, cluster, leaver)
        _converge(kernel, cluster)
    leaver.crash()
    if kernel.seed % 2:
        # Nor must the gateways have forgotten it when they come back.
        for gateway in cluster.gateways:
            gateway.crash()
            kernel.after(_SETTLE_NS, gateway.start)
    kernel.run(kernel.now_ns + leaver.grace_ms * MS + _CLOSE_NS, lambda: False)
    return _audit(cluster, deposits, leaver)


def _audit(cluster: Cluster, deposits: dict[tuple[int, int], int], left: ClientHost | None = None) -> int:
    said = Said(cluster.stream_judge.streams, cluster.enquiries.answers, cluster.callers.replies, cluster.cut_seq)
    return audit(cluster.judge, cluster.clients, said, deposits=deposits, left=left)


def _converge(kernel: Kernel, cluster: Cluster) -> None:
    kernel.run(kernel.now_ns + _PEACE_NS, lambda: not cluster.why_not_converged())
    why = cluster.why_not_converged()
    if why:
        raise Violation(f"not converged {_PEACE_NS // SECOND} s after the last fault: {why}")
