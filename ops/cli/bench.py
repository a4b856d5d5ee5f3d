"""`lockstep bench`: latency and throughput of a whole cluster, and of the matching engines alone."""

from dataclasses import asdict

import click
from rich.table import Table

from lockstep.bench import hops
from lockstep.bench.cluster import BenchPlan, BenchResult, Phase, run_bench
from lockstep.bench.failover import FAULTS, LEFT_OUT, FailoverPlan, FailoverResult, run_failover_bench
from lockstep.bench.matching import MatchingFigures, MatchingPlan, machine, run_matching_bench
from lockstep.bench.overload import FACTORS, OverloadPlan, OverloadResult, Point, run_overload_bench
from lockstep.bench.reconnect import LEFT_OUT as RECONNECT_LEFT_OUT
from lockstep.bench.reconnect import ReconnectPlan, run_reconnect_bench
from lockstep.bench.restart import RestartPlan, run_restart_bench
from lockstep.bench.soak import LEFT_OUT as SOAK_LEFT_OUT
from lockstep.bench.soak import SoakPlan, run_soak
from lockstep.ops.cli.bench_archive import archive
from lockstep.ops.cli.bench_compare import growth, peers
from lockstep.ops.cli.bench_connects import connects
from lockstep.ops.cli.bench_feed import feed, feed_crowd
from lockstep.ops.cli.bench_ledger import ledger
from lockstep.ops.cli.bench_reads import reads
from lockstep.ops.cli.options import (
    IMPLEMENTATIONS,
    Real,
    address_option,
    engine_option,
    expected_errors,
    json_option,
    make_console,
    realtime_option,
    write_json,
)
from lockstep.runtime.output import Output


@click.group("bench")
def command() -> None:
    """Measure the cluster, or the matching engines alone, on this machine."""


for measured in (peers, growth, feed, feed_crowd, ledger, connects, archive, reads):
    command.add_command(measured)


@command.command("cluster")
@json_option
@engine_option("native")
@click.option(
    "--rate", type=click.IntRange(10, 2_000_000), help="Orders offered a second; default 1000 single, 30000 batched."
)
@click.option(
    "--duration",
    "duration_s",
    type=Real(1, 3600),
    default=10.0,
    show_default=True,
    help="Seconds of each phase, after two seconds of warming up.",
)
@click.option(
    "--mode",
    type=click.Choice(["single", "batched", "both"]),
    default="both",
    show_default=True,
    help="single: one order a message; batched: orders linger into columnar batches.",
)
@click.option(
    "--sessions", type=click.IntRange(1, 64), default=4, show_default=True, help="Sessions that share the rate."
)
@click.option("--saturate", is_flag=True, help="Then raise the batched rate until the cluster does not follow.")
@click.option(
    "--door",
    type=click.Choice(["grpc", "ouch"]),
    default="grpc",
    show_default=True,
    help="grpc: the client's sessions; ouch: OUCH 4.2 over the binary door, of a cluster started for this.",
)
@click.option(
    "--security",
    type=click.Choice(["plain", "tls", "sealed"]),
    default="plain",
    show_default=True,
    help="Of the cluster that is started: tls: certificates; sealed: and seals on every link, in memory, too.",
)
@realtime_option
@address_option("Measure a running cluster instead of one started for this (repeatable).")
@expected_errors
def cluster(
    json_file: Output | None,
    engine: str,
    rate: int | None,
    duration_s: float,
    mode: str,
    sessions: int,
    saturate: bool,
    door: str,
    security: str,
    realtime: bool,
    addresses: tuple[str, ...],
) -> int:
    """Measure order-to-report latency and throughput of a whole cluster, open loop.

    Orders are sent when they are due, whether or not earlier ones were answered, and latency counts from the time an
    order was due. So a stall shows in every order that it held up (no coordinated omission).

    Exit code 1 if an order stayed unanswered.
    """
    if door == "ouch" and addresses:
        raise click.UsageError("--door ouch measures a cluster that is started for it: leave --address out")
    if realtime and addresses:
        raise click.UsageError("--realtime is of a cluster started for this: leave --address out")
    if security != "plain" and (addresses or door == "ouch"):
        raise click.UsageError("--security is of a cluster started for this, over gRPC: leave --address and --door out")
    console = make_console(json_file)
    plan = BenchPlan(
        IMPLEMENTATIONS[engine],
        rate=rate,
        duration_s=duration_s,
        modes=("single", "batched") if mode == "both" else (mode,),
        sessions=sessions,
        saturate=saturate,
        addresses=addresses,
        door=door,
        security=security,
        realtime=realtime,
    )
    result = run_bench(plan, lambda text: console.print(text, highlight=False))
    console.print(_table(result))
    console.print("usual p99: the median of the single seconds' p99", highlight=False)
    for phase in result.phases:
        console.print(f"{phase.name}: {_machine_text(phase)}", highlight=False)
        if phase.hops_us:
            console.print("\n".join(hops.in_lines(phase.hops_us)), highlight=False)
    console.print(f"mix: {result.mix}\nleft out: {result.left_out}", highlight=False)
    write_json(json_file, result.to_json())
    return 0 if all(not phase.unanswered for phase in result.phases) else 1


def _machine_text(phase: Phase) -> str:
    stalls = phase.machine_stalls
    if stalls is None:
        return "stalls of the machine itself could not be seen (no real-time priority)"
    return (
        f"the machine itself stood still {stalls.count} times for more than 5 ms meanwhile "
        f"(together {stalls.total_ms:.0f} ms, at the longest {stalls.longest_ms:.0f} ms)"
    )


def _table(result: BenchResult) -> Table:
    table = Table(title="order to report, microseconds", title_justify="left", pad_edge=False)
    figures = ("p50", "p90", "p99", "usual p99", "p99.9", "max", "CPU us/order")
    for name in ("phase", "offered/s", "sent/s", "answered/s", *figures):
        table.add_column(name, justify="left" if name == "phase" else "right")
    for phase in result.phases:
        cells = [f"{phase.latency_us.get(name, 0):.0f}" for name in ("p50", "p90", "p99", "p99.9", "max")]
        table.add_row(
            phase.name,
            str(phase.offered_per_s),
            str(phase.sent_per_s),
            str(phase.answered_per_s),
            *cells[:3],
            f"{phase.usual_p99_us:.0f}",
            *cells[3:],
            f"{phase.cpu_us_per_order.get('total', 0):.1f}",
        )
    return table


@command.command("failover")
@json_option
@engine_option("native")
@click.option(
    "--rounds", type=click.IntRange(1, 1000), default=5, show_default=True, help="Times that each fault happens."
)
@click.option(
    "--fault", "faults", type=click.Choice(tuple(FAULTS)), multiple=True, help="Only this one (repeatable); else all."
)
@click.option(
    "--rate", type=click.IntRange(100, 50_000), default=3000, show_default=True, help="Orders a second meanwhile."
)
@realtime_option
@expected_errors
def failover(
    json_file: Output | None, engine: str, rounds: int, faults: tuple[str, ...], rate: int, realtime: bool
) -> int:
    """Measure how long clients hear nothing when a process that leads is killed, hangs, or is relieved.

    Exit code 1 if an order stayed unanswered.
    """
    console = make_console(json_file)
    plan = FailoverPlan(IMPLEMENTATIONS[engine], rounds, faults or tuple(FAULTS), rate, realtime)
    result = run_failover_bench(plan, lambda text: console.print(text, highlight=False))
    console.print(_failover_table(result))
    console.print(
        f"{result.orders} orders, {result.unanswered} unanswered, {result.refused_by_gateways} refusals to be "
        f"sent again; usual silence between reports: 99 % under {result.usual_p99_ms} ms\nleft out: {LEFT_OUT}",
        highlight=False,
    )
    write_json(json_file, result.to_json())
    return 1 if result.unanswered else 0


def _failover_table(result: FailoverResult) -> Table:
    table = Table(title="silence of all clients, milliseconds", title_justify="left", pad_edge=False)
    for name in ("what", "times", "p50", "p99", "max", "budget p99", "within"):
        table.add_column(name, justify="left" if name == "what" else "right")
    for row in result.figures.values():
        cells = (len(row.silences_ms), row.p50_ms, row.p99_ms, row.max_ms, f"{row.budget_p99_ms:g}")
        table.add_row(row.what, *map(str, cells), "yes" if row.within_budget else "no")
    return table


@command.command("matching")
@json_option
@click.option(
    "--commands",
    type=click.IntRange(1_000, 20_000_000),
    default=500_000,
    show_default=True,
    help="Commands a run; the reference engine gets the first 100000 of them.",
)
@click.option("--books", type=click.IntRange(1, 10_000), default=1, show_default=True, help="Instruments.")
@click.option(
    "--resting",
    type=click.IntRange(0, 2_000_000),
    default=10_000,
    show_default=True,
    help="Orders in the books, all together, before the first measured command.",
)
@click.option(
    "--batch", type=click.IntRange(1, 65_536), default=256, show_default=True, help="Commands an apply, for throughput."
)
@click.option("--runs", type=click.IntRange(1, 100), default=5, show_default=True, help="Runs the median is taken of.")
@expected_errors
def matching(json_file: Output | None, commands: int, books: int, resting: int, batch: int, runs: int) -> int:
    """Measure the matching engines alone: throughput, and the time of a single command.

    The flow is new / cancel / replace / IOC in the shares 50 / 40 / 8 / 2, with funded accounts and all checks on. It
    is made before the clock starts, from a fixed seed. Latencies include the call from Python.
    """
    console = make_console(json_file)
    plan = MatchingPlan(commands=commands, books=books, resting=resting, batch=batch, runs=runs)
    figures = run_matching_bench(plan, lambda text: console.print(text, highlight=False))
    console.print(_matching_table(figures))
    about = machine()
    console.print(f"mix: {next(iter(figures.values())).mix}\nleft out: {about['left_out']}", highlight=False)
    write_json(json_file, {**{name: asdict(row) for name, row in figures.items()}, "machine": about})
    return 0


def _matching_table(figures: dict[str, MatchingFigures]) -> Table:
    table = Table(title="one engine, one thread; nanoseconds a command", title_justify="left", pad_edge=False)
    for name in ("engine", "commands/s", "p50", "p99", "p99.9", "books", "resting", "trades", "missed"):
        table.add_column(name, justify="left" if name == "engine" else "right")
    for name, row in figures.items():
        cells = (
            row.commands_per_s,
            row.ns_p50,
            row.ns_p99,
            row.ns_p999,
            row.books,
            row.resting,
            row.trades,
            row.missed,
        )
        table.add_row(name, *map(str, cells))
    return table


@command.command("restart")
@json_option
@click.option(
    "--commands",
    type=click.IntRange(20_000, 100_000_000),
    default=1_000_000,
    show_default=True,
    help="Commands in the journal (about 400 bytes of disk each, while it runs).",
)
@click.option(
    "--tail",
    type=click.IntRange(0, 10_000_000),
    default=100_000,
    show_default=True,
    help="Commands after the snapshot.",
)
@click.option("--engine", type=click.Choice(("native", "reference")), default="native", show_default=True)
@click.option("--whole", is_flag=True, help="Also measure the start from the whole journal, without a snapshot.")
@expected_errors
def restart(json_file: Output | None, commands: int, tail: int, engine: str, whole: bool) -> int:
    """Measure how long an engine takes from its data directory to its state in memory."""
    console = make_console(json_file)
    plan = RestartPlan(commands=commands, tail=min(tail, commands // 2), engine=engine, whole=whole)
    figures = run_restart_bench(plan, lambda text: console.print(text, highlight=False))
    console.print(
        f"{figures.engine}: {figures.commands} journaled commands, snapshot of {figures.snapshot_bytes} bytes and "
        f"{figures.tail} commands after it: {figures.total_ms} ms ({figures.open_ms} to open, "
        f"{figures.load_ms} to load)" + (f"; whole journal: {figures.replay_ms} ms" if whole else ""),
        highlight=False,
    )
    console.print(f"left out: {figures.left_out}", highlight=False)
    write_json(json_file, asdict(figures))
    return 0


@command.command("reconnect")
@json_option
@engine_option("native")
@click.option("--clients", type=click.IntRange(2, 10_000), default=1_000, show_default=True)
@click.option("--patience", "patience_s", type=Real(1, 600), default=60.0, show_default=True, help="Seconds for each.")
@expected_errors
def reconnect(json_file: Output | None, engine: str, clients: int, patience_s: float) -> int:
    """Kill one of two gateways under many clients, and measure until each of them trades again.

    Exit code 1 if one did not, or an epoch began.
    """
    console = make_console(json_file)
    plan = ReconnectPlan(IMPLEMENTATIONS[engine], clients, patience_s)
    result = run_reconnect_bench(plan, lambda text: console.print(text, highlight=False))
    console.print(
        f"{result.clients} clients, {result.moved} of them at the gateway that died: an answer after p50 "
        f"{result.p50_s:g} s, p99 {result.p99_s:g} s, the last after {result.last_s:g} s; {result.unanswered} without\n"
        f"{result.connections} streams begun, {result.client_cpu_s:g} s of CPU of the clients, {result.epochs} epochs\n"
        f"left out: {RECONNECT_LEFT_OUT}",
        highlight=False,
    )
    write_json(json_file, result.to_json())
    return int(bool(result.unanswered or result.epochs))


@command.command("overload")
@json_option
@engine_option("native")
@click.option(
    "--duration", "duration_s", type=Real(1, 600), default=8.0, show_default=True, help="Seconds of each phase."
)
@click.option(
    "--saturation",
    type=click.IntRange(0, 2_000_000),
    default=0,
    show_default=True,
    help="Orders a second that the cluster can do; 0: find out.",
)
@click.option(
    "--factor",
    "factors",
    type=Real(0.05, 20),
    multiple=True,
    help="Offer this multiple of it (repeatable); else half of it to three times as much.",
)
@click.option(
    "--sessions", type=click.IntRange(1, 64), default=4, show_default=True, help="Sessions that share the load."
)
@expected_errors
def overload(
    json_file: Output | None,
    engine: str,
    duration_s: float,
    saturation: int,
    factors: tuple[float, ...],
    sessions: int,
) -> int:
    """Offer more than the cluster can do: what it accepts, how late that is, and how soon all is well again.

    Orders go in batches, open loop. A client does not give an order that finds no room when it is due: beyond what the
    cluster can do its gateways refuse. Accepted is what was answered by a phase's end: short phases show too little.

    Exit code 1 if an order that was given stayed unanswered.
    """
    console = make_console(json_file)
    plan = OverloadPlan(
        IMPLEMENTATIONS[engine],
        duration_s=duration_s,
        sessions=sessions,
        factors=factors or FACTORS,
        saturation=saturation,
    )
    result = run_overload_bench(plan, lambda text: console.print(text, highlight=False))
    console.print(_overload_table(result))
    memory = ", ".join(f"{name} {before} -> {most}" for name, (before, most) in result.memory_mb.items())
    seconds = " ".join(f"{us / 1000:.1f}" for us in result.recovery_p99_by_second_us)
    console.print(
        f"p99 by second at half of saturation, right behind: {seconds} ms\n"
        f"a modest client (single orders): {_modest(result.modest_alone)} alone, {_modest(result.modest_beside)} "
        f"beside a greedy one that offers {result.modest_beside.factor:g} x\nmemory, MB resident: {memory}\n"
        f"mix: {result.mix}\nleft out: {result.left_out}",
        highlight=False,
    )
    write_json(json_file, result.to_json())
    return int(
        any(point.unanswered for point in (*result.points, result.calm, result.modest_alone, result.modest_beside))
    )


def _modest(point: Point) -> str:
    p50, p99 = (point.latency_us.get(name, 0) / 1000 for name in ("p50", "p99"))
    return f"{point.accepted_per_s}/s of {point.offered_per_s}/s, p50 {p50:.1f} and p99 {p99:.1f} ms"


def _overload_table(result: OverloadResult) -> Table:
    table = Table(
        title=f"saturation {result.saturation_per_s} orders/s; latency of what was accepted, milliseconds",
        title_justify="left",
        pad_edge=False,
    )
    for name in ("offered", "orders/s", "accepted/s", "of saturation", "not given", "p50", "p99", "max"):
        table.add_column(name, justify="right")
    for point in result.points:
        table.add_row(
            f"{point.factor:g} x",
            str(point.offered_per_s),
            str(point.accepted_per_s),
            f"{100 * point.accepted_per_s / result.saturation_per_s:.0f} %",
            str(point.not_given),
            *(f"{point.latency_us.get(name, 0) / 1000:.1f}" for name in ("p50", "p99", "max")),
        )
    return table


@command.command("soak")
@json_option
@engine_option("native")
@click.option(
    "--duration", "duration_s", type=Real(5, 86_400), default=600.0, show_default=True, help="Seconds of the soak."
)
@click.option(
    "--loops", type=click.IntRange(0, 1000), default=20, show_default=True, help="Busy loops beside the cluster."
)
@click.option(
    "--rate", type=click.IntRange(10, 50_000), default=300, show_default=True, help="Orders a second meanwhile."
)
@click.option(
    "--stops",
    type=click.IntRange(0, 600),
    default=0,
    show_default=True,
    help="Times a minute that one of the sequencers and engines stands still for 0.1 to 0.7 s.",
)
@expected_errors
def soak(json_file: Output | None, engine: str, duration_s: float, loops: int, rate: int, stops: int) -> int:
    """Let a cluster trade on a starved host, and count the epochs that nobody gave it a reason for.

    Nothing is killed; busy loops, which end with this command, take the CPU away. With `--stops`, processes also stand
    still for moments. Run it on a machine of its own: a load average far above the number of loops is somebody else's.

    Exit code 1 if an epoch began, a process ended or an order stayed unanswered.
    """
    console = make_console(json_file)
    plan = SoakPlan(IMPLEMENTATIONS[engine], duration_s=duration_s, loops=loops, rate=rate, stops_per_minute=stops)
    result = run_soak(plan, lambda text: console.print(text, highlight=False))
    causes = ", ".join(f"{cause} {count}" for cause, count in sorted(result.causes.items())) or "none"
    snapshots = f"{len(result.snapshots_ms)}, the slowest {max(result.snapshots_ms, default=0) / 1000:.1f} s"
    console.print(
        f"{result.seconds:.0f} s at load average {result.load_average:g}: {result.epochs} unprovoked epochs "
        f"({causes}), {result.restarts} processes started again\n"
        f"{result.orders} orders, {result.unanswered} unanswered; longest silence of all clients "
        f"{result.longest_silence_ms:.0f} ms; snapshots: {snapshots}\nleft out: {SOAK_LEFT_OUT}",
        highlight=False,
    )
    write_json(json_file, result.to_json())
    return 1 if result.epochs or result.restarts or result.unanswered else 0
