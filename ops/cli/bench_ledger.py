"""`lockstep bench ledger`: how fast a ledger stores a history."""

import dataclasses
from pathlib import Path

import click

from lockstep.ops.cli.options import Failure, expected_errors, json_option, make_console, write_json
from lockstep.runtime.output import Output


@click.command("ledger")
@json_option
@click.option(
    "--commands", type=click.IntRange(1_000, 20_000_000), default=500_000, show_default=True, help="Commands."
)
@click.option("--books", type=click.IntRange(1, 1_000), default=10, show_default=True, help="Instruments.")
@click.option("--resting", type=click.IntRange(0, 1_000_000), default=10_000, show_default=True, help="Resting orders.")
@click.option("--database", default="", help="URL of a PostgreSQL to measure instead of SQLite; tables of its own.")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("ledger-bench"),
    show_default=True,
    help="Where SQLite's file is; removed at the end.",
)
@expected_errors
def ledger(json_file: Output | None, commands: int, books: int, resting: int, database: str, directory: Path) -> int:
    """Measure how fast a ledger stores a history: fold and database, without a cluster around them.

    The flow of `bench matching`, executed beforehand. Each chunk is one transaction, as in the process.
    """
    try:
        from lockstep.bench.ledger import LedgerPlan, run_ledger_bench
    except ModuleNotFoundError as missing:
        raise Failure(f"this needs {missing.name}: install lockstep-cluster[posttrade]") from missing

    console = make_console(json_file)
    plan = LedgerPlan(commands, books, resting, database, directory)
    made = run_ledger_bench(plan, lambda text: console.print(text, highlight=False))
    console.print(
        f"{made.database}: {made.events_per_s} events/s, {made.rows_per_s} rows/s; {made.events} events "
        f"({made.trades} trades), {made.rows} rows in {made.seconds:g} s, {made.own_cpu_s:g} s of own CPU; "
        f"a chunk p50 {made.chunk_ms_p50:g}, max {made.chunk_ms_max:g} ms",
        highlight=False,
    )
    write_json(json_file, dataclasses.asdict(made))
    return 0
