"""`lockstep bench reads`: large reads beside the load."""

from dataclasses import asdict

import click
from rich.table import Table

from lockstep.bench.reads import READS, ReadsPlan, moved, run_reads_bench
from lockstep.ops.cli.options import (
    IMPLEMENTATIONS,
    Real,
    engine_option,
    expected_errors,
    json_option,
    make_console,
    realtime_option,
    write_json,
)
from lockstep.runtime.output import Output


@click.command("reads")
@json_option
@engine_option("native")
@click.option("--orders", type=click.IntRange(0, 2_000_000), default=100_000, show_default=True, help="In one account.")
@click.option("--accounts", type=click.IntRange(10, 200_000), default=20_000, show_default=True)
@click.option("--instruments", type=click.IntRange(1, 20_000), default=5_000, show_default=True)
@click.option("--rate", type=click.IntRange(10, 10_000), default=500, show_default=True, help="Orders a second.")
@click.option("--duration", "duration_s", type=Real(1, 600), default=10.0, show_default=True)
@click.option("--rounds", type=click.IntRange(1, 20), default=3, show_default=True, help="Of each kind, in turn.")
@click.option("--read", "reads", type=click.Choice(READS), multiple=True, help="Only this kind (repeatable); else all.")
@realtime_option
@expected_errors
def reads(
    json_file: Output | None,
    engine: str,
    orders: int,
    accounts: int,
    instruments: int,
    rate: int,
    duration_s: float,
    rounds: int,
    reads: tuple[str, ...],
    realtime: bool,
) -> int:
    """Measure what trading notices of large reads beside it, at the other gateway or an engine of a local cluster.

    The reader has the machine's lowest priority; "spin" computes and reads nothing, for comparison.
    Exit code 1 if an order stayed unanswered, or a kind of read was never answered.
    """
    console = make_console(json_file)
    plan = ReadsPlan(
        IMPLEMENTATIONS[engine],
        reads or READS,
        orders,
        accounts,
        instruments,
        rate,
        duration_s,
        rounds,
        realtime=realtime,
    )
    phases = run_reads_bench(plan, lambda text: console.print(text, highlight=False))
    table = Table(title="order to report beside reads, microseconds", title_justify="left", pad_edge=False)
    for name in ("read", "p50", "p90", "p99", "p99.9", "max", "reads", "failed", "rows", "median ms", "CPU s"):
        table.add_column(name, justify="left" if name == "read" else "right")
    for phase in phases:
        cells = [f"{phase.latency_us.get(name, 0):.0f}" for name in ("p50", "p90", "p99", "p99.9", "max")]
        said = [str(phase.read.get(name, "")) for name in ("reads", "failed", "rows", "median_ms", "cpu_s")]
        table.add_row(phase.name, *cells, *said)
    console.print(table)
    for one in moved(phases):
        text = f"{one.name}: p99 {one.beside_us / 1e3:.1f} ms, alone {one.alone_us / 1e3:.1f} ms: {one.ratio:.2f}"
        console.print(f"{text} (medians of {rounds} rounds)", highlight=False)
    write_json(json_file, {"phases": [asdict(phase) for phase in phases]})
    return int(any(phase.unanswered or phase.read.get("reads") == 0 for phase in phases))
