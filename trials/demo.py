"""The demonstration: a real cluster trades, loses its primary and its sequencer to `kill -9`, and nothing else.

The proof at the end compares accounts that know nothing of each other: what the clients saw, the events and journals
of each engine, and the balances that trades and deposits must have led to.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from lockstep.admin import AdjustCash, AdjustPosition, AdminCommand, DefineAccount, DefineInstrument
from lockstep.aio import AsyncClient
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.reconciler.proof import (
    Balances,
    Gap,
    SessionFindings,
    book_trades,
    compare_session,
    longest_silence,
    repeated_fills,
    totals,
)
from lockstep.runtime.process import EnvironmentFault
from lockstep.stream.records import CommandKind, EventKind
from lockstep.trials.demo_trader import Tape, Trader, trading
from lockstep.trials.evidence import EngineEvidence, collect

INSTRUMENTS: Final = ((1, "ACME"), (2, "GLOBEX"))
_TICK_MICROS: Final = 10_000
CASH_MICROS: Final = 1_000_000_000 * 1_000_000
LOTS: Final = 1_000_000
_ROWS: Final = 6
_DRAIN_S: Final = 20.0
_RECOVERY_S: Final = 20.0
_KEEP: Final = "; keep the logs with --data-dir"


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """How much of everything."""

    implementations: tuple[str, ...] = ("native", "reference")
    """Matching engines, in turn."""
    traders: int = 4
    rate: int = 3000
    """Orders a second, of all traders together."""
    calm_s: float = 3.0
    """Flow before each kill and after the last one."""
    seed: int = 1
    data_dir: Path | None = None


@dataclass(frozen=True, slots=True)
class Failover:
    """One kill and what the clients noticed of it."""

    kind: str
    process: str
    gap: Gap


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must be true."""

    claim: str
    holds: bool
    detail: str


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What happened, and the proof."""

    acknowledged: int
    fills: int
    lost: int
    duplicated: int
    digests_equal: bool
    failovers: tuple[Failover, ...]
    checks: tuple[Check, ...]
    seconds: float

    @property
    def proven(self) -> bool:
        """Whether every check holds."""
        return all(check.holds for check in self.checks)

    def to_json(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "acknowledged": self.acknowledged,
            "fills": self.fills,
            "lost": self.lost,
            "duplicated": self.duplicated,
            "digests_equal": self.digests_equal,
            "failovers": [
                {
                    "kind": failover.kind,
                    "gap_ms": _ms(failover.gap.around_ns),
                    "usual_gap_p50_ms": _ms(failover.gap.usual_p50_ns),
                    "usual_gap_p99_ms": _ms(failover.gap.usual_p99_ns),
                }
                for failover in self.failovers
            ],
            "checks": [{"claim": c.claim, "holds": c.holds, "detail": c.detail} for c in self.checks],
            "seconds": round(self.seconds, 1),
        }


def _ms(nanoseconds: int) -> float:
    return round(nanoseconds / 1e6, 2)


@dataclass(frozen=True, slots=True)
class _Kill:
    kind: str
    process: str
    at_ns: int


def run_demo(plan: DemoPlan, say: Callable[[str], None]) -> DemoResult:
    """Start a cluster, trade, kill, prove; `say` is called with what happens.

    Raises:
        EnvironmentFault: the cluster does not start, or does not recover in time.
    """
    started = time.monotonic()
    say("starting a cluster: etcd, media driver, 2 sequencers, 2 engines, 1 gateway")
    with LocalCluster(ClusterPlan(implementations=plan.implementations, data_dir=plan.data_dir)) as cluster:
        say(f"it serves at {cluster.gateway_addresses[0]} after {time.monotonic() - started:.1f} s")
        traders, tape, kills = asyncio.run(_trade(plan, cluster, say))
        say("reading events, journals and balances from each engine")
        evidence = collect(cluster.topology)
    failovers = tuple(
        Failover(
            kill.kind,
            kill.process,
            longest_silence(tape.arrivals_ns, kill.at_ns, others_ns=[k.at_ns for k in kills if k is not kill]),
        )
        for kill in kills
    )
    return _judge(traders, evidence, failovers, time.monotonic() - started)


async def _trade(
    plan: DemoPlan, cluster: LocalCluster, say: Callable[[str], None]
) -> tuple[list[Trader], Tape, list[_Kill]]:
    tape = Tape()
    instruments = tuple(number for number, _ in INSTRUMENTS)
    traders = [
        Trader(account=i + 1, instruments=instruments, seed=plan.seed * 1000 + i, tape=tape)
        for i in range(plan.traders)
    ]
    async with AsyncClient(cluster.gateway_addresses) as client:
        await fund(client, plan.traders)
        for trader in traders:
            await trader.open(client)
        say(f"trading: {plan.traders} sessions, {plan.rate} orders a second")
        async with trading(traders, rate=plan.rate, rows=_ROWS):
            kills = await _kill_both(plan, cluster, say)
        say("flow stopped; waiting for the last answers")
        await asyncio.gather(*(trader.drain(_DRAIN_S) for trader in traders))
        await asyncio.gather(*(trader.hear_out(_DRAIN_S) for trader in traders))
        for trader in traders:
            await trader.close()
    return traders, tape, kills


async def fund(client: AsyncClient, accounts: int) -> int:
    """Define the instruments, and accounts 1 to `accounts` with cash and shares; id of the session that did it."""
    session = await client.session(timeout_s=10.0)
    commands: list[AdminCommand] = [DefineInstrument(number, symbol, _TICK_MICROS) for number, symbol in INSTRUMENTS]
    for account in range(1, accounts + 1):
        commands += [DefineAccount(account, f"TRADER-{account}"), AdjustCash(account, CASH_MICROS)]
        commands += [AdjustPosition(account, number, LOTS) for number, _ in INSTRUMENTS]
    handles = [await session.submit(command) for command in commands]
    for handle in handles:
        await handle
    await session.close()
    return session.session_id


def opening_balances(accounts: Sequence[int]) -> Balances:
    """What `fund` gave them."""
    return Balances(
        dict.fromkeys(accounts, CASH_MICROS),
        {(account, number): LOTS for account in accounts for number, _ in INSTRUMENTS},
    )


async def _kill_both(plan: DemoPlan, cluster: LocalCluster, say: Callable[[str], None]) -> list[_Kill]:
    kills = []
    for kind in ("primary", "sequencer"):
        await asyncio.sleep(plan.calm_s)
        # With no standby in sync a killed primary could only be waited for.
        await wait_whole(cluster, f"before the kill of the {kind}", remedy=_KEEP)
        process = await asyncio.to_thread(cluster.find, kind)
        at_ns = time.monotonic_ns()
        pid = await asyncio.to_thread(cluster.kill, process)
        kills.append(_Kill(kind, process, at_ns))
        role = "the primary engine" if kind == "primary" else "the leading sequencer"
        say(f"kill -9 {pid}: {process}, {role}")
        # Our own questions about recovery must not disturb what is measured.
        await asyncio.sleep(0.5)
        await wait_whole(cluster, f"after the kill of {process}", remedy=_KEEP)
        took = (time.monotonic_ns() - at_ns) / 1e9
        say(f"{process} was started again and everything is in sync {took:.1f} s after the kill; trading never stopped")
    await asyncio.sleep(plan.calm_s)
    return kills


async def wait_whole(cluster: LocalCluster, when: str, patience_s: float = _RECOVERY_S, remedy: str = "") -> None:
    """Wait until everything is in sync and serves. `remedy`: what to do if it does not come.

    Raises:
        EnvironmentFault: that did not come; the text begins with `when`.
    """
    if not await asyncio.to_thread(cluster.wait_until_whole, patience_s):
        lacks = "; ".join(cluster.status().lacks(cluster.topology))
        raise EnvironmentFault(f"{when} the cluster is not whole within {patience_s:g} s: {lacks}{remedy}")


def _judge(
    traders: Sequence[Trader], evidence: Sequence[EngineEvidence], failovers: tuple[Failover, ...], seconds: float
) -> DemoResult:
    first = evidence[0]
    findings = [
        compare_session(trader.session_id, sent=trader.sent, seen=trader.seen(), history=engine.events)
        for engine in evidence
        for trader in traders
    ]
    of_first = findings[: len(traders)]
    doubled_fills = max(repeated_fills(engine.events) for engine in evidence)
    digests_equal = all((engine.seq, engine.digest) == (first.seq, first.digest) for engine in evidence)
    lost = sum(f.unanswered + f.lost_commands + f.missing_reports for f in of_first)
    duplicated = sum(f.doubled_commands + f.repeated_reports for f in of_first) + doubled_fills
    return DemoResult(
        acknowledged=sum(f.acknowledged for f in of_first),
        fills=int((first.events["kind"] == EventKind.TRADE).sum()),
        lost=lost,
        duplicated=duplicated,
        digests_equal=digests_equal,
        failovers=failovers,
        checks=(
            *_client_checks(findings, doubled_fills),
            *_engine_checks(evidence, digests_equal),
            *_journal_checks(traders, evidence),
            *_money_checks(traders, evidence),
        ),
        seconds=seconds,
    )


def _client_checks(findings: Sequence[SessionFindings], doubled_fills: int) -> tuple[Check, ...]:
    def total(name: str) -> int:
        return sum(int(getattr(found, name)) for found in findings)

    return (
        _none("every command sent was answered", total("unanswered"), "unanswered"),
        _none("every acknowledged command is in the history of each engine", total("lost_commands"), "lost"),
        _none("every command was executed once", total("doubled_commands"), "executed again"),
        _none("every report reached its client", total("missing_reports"), "missing"),
        _none("every report reached its client once", total("repeated_reports"), "repeated"),
        _none("no client saw what did not happen", total("invented_reports"), "invented"),
        _none("every fill is unique", doubled_fills, "repeated"),
    )


def _engine_checks(evidence: Sequence[EngineEvidence], digests_equal: bool) -> tuple[Check, ...]:
    first = evidence[0]
    names = ", ".join(engine.engine for engine in evidence)
    same_events = all(np.array_equal(engine.events, first.events) for engine in evidence)
    return (
        Check(
            "the digests of all engines are equal", digests_equal, f"seq {first.seq}: {first.digest.hex()} ({names})"
        ),
        Check("all engines hold the same events", same_events, f"{len(first.events)} events"),
    )


def _journal_checks(traders: Sequence[Trader], evidence: Sequence[EngineEvidence]) -> tuple[Check, ...]:
    first = evidence[0]
    same = all(engine.journal == first.journal for engine in evidence)
    commands = first.commands()
    orders = commands[commands["kind"] < CommandKind.EPOCH_START]
    absent = 0
    for trader in traders:
        numbers = np.unique(orders["session_no"][orders["session_id"] == trader.session_id])
        absent += len(np.setdiff1d(np.arange(1, trader.sent + 1, dtype=np.uint64), numbers))
    return (
        Check("all journals are equal byte by byte", same, f"{len(commands)} commands in {len(first.journal)} batches"),
        _none("every command sent is in the journals", absent, "absent"),
    )


def _money_checks(traders: Sequence[Trader], evidence: Sequence[EngineEvidence]) -> tuple[Check, ...]:
    opening = opening_balances([trader.account for trader in traders])
    first = evidence[0]
    booked = book_trades(opening, first.events, value_micros=first.value_micros)
    same = all(engine.balances == booked for engine in evidence)
    conserved = all(totals(engine.balances) == totals(opening) for engine in evidence)
    cash, shares = totals(first.balances)
    return (
        Check("balances are what deposits and fills lead to", same, f"{len(traders)} accounts, booked again"),
        Check(
            "cash and shares are conserved",
            conserved,
            f"{cash // 1_000_000} currency units, {', '.join(str(lots) for lots in shares.values())} shares",
        ),
    )


def _none(claim: str, count: int, word: str) -> Check:
    return Check(claim, count == 0, f"{count} {word}")
