"""`lockstep bench peers` and `growth`: beside other systems, and with more of one thing."""

import click
from rich.table import Table

from lockstep.bench.growth import AXES, QUICK, GrowthPlan, GrowthResult, run_growth_bench
from lockstep.bench.peers.compare import LOCKSTEP, RATES, PeersPlan, PeersResult, run_peers_bench
from lockstep.bench.peers.systems import SYSTEMS
from lockstep.ops.cli.options import (
    IMPLEMENTATIONS,
    Real,
    engine_option,
    expected_errors,
    json_option,
    make_console,
    write_json,
)
from lockstep.runtime.output import Output


@click.command("peers")
@json_option
@click.option("--peer", "peers", type=click.Choice(tuple(SYSTEMS)), multiple=True, help="Only this one (repeatable).")
@click.option(
    "--mode",
    type=click.Choice([*RATES, "both"]),
    default="both",
    show_default=True,
    help="single: 1000 records a second, each a message; batched: 100000 in batches.",
)
@click.option("--rate", type=click.IntRange(10, 2_000_000), help="Records offered a second instead.")
@click.option(
    "--duration", "duration_s", type=Real(1, 600), default=8.0, show_default=True, help="Seconds of each phase."
)
@click.option("--rounds", type=click.IntRange(1, 100), default=3, show_default=True, help="Medians are taken of them.")
@click.option(
    "--quiet",
    "quiet_s",
    type=Real(0, 3600),
    default=0.0,
    show_default=True,
    help="Seconds to wait at most before each system until other programs are quiet.",
)
@expected_errors
def peers(
    json_file: Output | None,
    peers: tuple[str, ...],
    mode: str,
    rate: int | None,
    duration_s: float,
    rounds: int,
    quiet_s: float,
) -> int:
    """Measure Lockstep beside NATS JetStream, Redis and PostgreSQL, each as an ordered replicated log.

    The same records at the same times in the same batches, open loop, one system after the other. Each has at least
    two copies on disk, synced, before it acknowledges. `ops/setup/get-peers` fetches the servers, the extra `peers`
    has their clients; what can't be had is named and left out.

    Exit code 1 if a record stayed unanswered, or no peer could be measured.
    """
    console = make_console(json_file)
    modes = tuple(RATES) if mode == "both" else (mode,)
    rates = None if rate is None else dict.fromkeys(RATES, rate)
    plan = PeersPlan(peers or tuple(SYSTEMS), modes, rates, duration_s, rounds=rounds, quiet_s=quiet_s)
    result = run_peers_bench(plan, lambda text: console.print(text, highlight=False))
    for one in modes:
        console.print(_peers_table(result, one))
    abouts = dict.fromkeys(figures.about for figures in result.figures)
    missing = [f"left out: {name}: {reason}" for name, reason in result.not_measured.items()]
    console.print("\n".join([*abouts, *missing]), highlight=False)
    console.print(
        f"a synced write of 4 KiB to this disk: {result.sync_us:.0f} us; records of {result.record_bytes} bytes; "
        f"medians of those of {result.rounds} rounds in which others were quiet, else of all; x: times Lockstep's; "
        f"others: cores that other programs had; of: rounds that count\nmix: {result.mix}\nleft out: {result.left_out}",
        highlight=False,
    )
    write_json(json_file, result.to_json())
    measured = {figures.system for figures in result.figures}
    return int(any(figures.unanswered for figures in result.figures) or measured == {LOCKSTEP})


def _peers_table(result: PeersResult, mode: str) -> Table:
    ours = result.of(LOCKSTEP, mode)
    offered = ours.offered_per_s if ours else 0
    table = Table(title=f"{mode}: {offered} records/s offered", title_justify="left", pad_edge=False)
    figures = (
        "answered/s",
        "unanswered",
        "p50 ms",
        "x",
        "p99 ms",
        "x",
        "max ms",
        "servers us/record",
        "x",
        "load us",
        "others",
        "of",
    )
    for name in ("system", *figures):
        table.add_column(name, justify="left" if name == "system" else "right")

    def ratio(theirs: float, of_ours: float) -> str:
        return f"{theirs / of_ours:.2f}" if of_ours else ""

    for row in result.figures:
        if row.mode == mode and ours is not None:
            table.add_row(
                row.system,
                f"{row.answered_per_s:.0f}",
                str(row.unanswered),
                f"{row.p50_us / 1000:.2f}",
                ratio(row.p50_us, ours.p50_us),
                f"{row.p99_us / 1000:.2f}",
                ratio(row.p99_us, ours.p99_us),
                f"{row.max_us / 1000:.1f}",
                f"{row.servers_us_per_record:.1f}",
                ratio(row.servers_us_per_record, ours.servers_us_per_record),
                f"{row.load_us_per_record:.1f}",
                f"{row.other_cores:.1f}",
                str(row.rounds),
            )
    return table


@click.command("growth")
@json_option
@engine_option("native")
@click.option("--axis", type=click.Choice(tuple(AXES)), required=True, help="What there is more and more of.")
@click.option(
    "--point", "points", type=click.IntRange(0, 1_000_000), multiple=True, help="Only this many (repeatable)."
)
@click.option("--rate", type=click.IntRange(10, 1_000_000), default=20_000, show_default=True, help="Orders a second.")
@click.option(
    "--duration", "duration_s", type=Real(1, 600), default=5.0, show_default=True, help="Seconds of each phase."
)
@click.option("--quick", is_flag=True, help="Two points, a second each.")
@expected_errors
def growth(
    json_file: Output | None,
    engine: str,
    axis: str,
    points: tuple[int, ...],
    rate: int,
    duration_s: float,
    quick: bool,
) -> int:
    """Measure how latency, cost and rate change with more sessions, instruments, resting orders or rows of a batch.

    Each point has a cluster of its own: a steady rate first, then more than it can do.

    Exit code 1 if an order stayed unanswered.
    """
    console = make_console(json_file)
    if quick:
        points, duration_s = points or QUICK[axis], 1.0
    if axis != "resting" and 0 in points:
        raise click.BadParameter("0 is for the axis of resting orders", param_hint="--point")
    plan = GrowthPlan(axis, points, IMPLEMENTATIONS[engine], duration_s, 0.5 if quick else 2.0, rate=rate)
    result = run_growth_bench(plan, lambda text: console.print(text, highlight=False))
    console.print(_growth_table(result))
    console.print(
        f"others: cores that other programs had\nmix: {result.mix}\nleft out: {result.left_out}", highlight=False
    )
    write_json(json_file, result.to_json())
    return int(any(point.unanswered for point in result.points))


def _growth_table(result: GrowthResult) -> Table:
    title = f"by {result.axis}; accepted: of {result.too_much_per_s} orders/s offered"
    table = Table(title=title, title_justify="left", pad_edge=False)
    names = (
        "offered/s",
        "answered/s",
        "p50 ms",
        "p99 ms",
        "max ms",
        "CPU us/order",
        "accepted/s",
        "p99 ms then",
        "others",
    )
    for name in (result.axis, *names):
        table.add_column(name, justify="right")
    for point in result.points:
        table.add_row(
            str(point.value),
            str(point.offered_per_s),
            str(point.answered_per_s),
            *(f"{point.latency_us.get(name, 0) / 1000:.1f}" for name in ("p50", "p99", "max")),
            f"{point.cpu_us_per_order:.1f}",
            str(point.accepted_per_s),
            f"{point.accepted_p99_us / 1000:.1f}",
            f"{point.other_cores:.1f}",
        )
    return table
