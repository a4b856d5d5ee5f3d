"""`lockstep demo`: orders survive the death of the primary and of the sequencer."""

import time
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

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
from lockstep.trials.demo import DemoPlan, DemoResult, run_demo


@click.command("demo")
@json_option
@engine_option("mixed")
@click.option("--rate", type=click.IntRange(100, 50_000), default=3000, show_default=True, help="Orders a second.")
@click.option(
    "--calm",
    "calm_s",
    type=Real(0.5, 60),
    default=3.0,
    show_default=True,
    help="Seconds of trading before each kill and after the last one.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the order flow.")
@click.option("--data-dir", type=click.Path(path_type=Path, file_okay=False), help="Keep journals and logs here.")
@expected_errors
def command(json_file: Output | None, engine: str, rate: int, calm_s: float, seed: int, data_dir: Path | None) -> int:
    """Show that no order is lost when a machine dies: takes half a minute.

    Starts a real cluster on free ports in a temporary directory, trades through it from several sessions, kills the
    primary engine with kill -9 in the middle of the flow, then the leading sequencer, and then proves from what the
    clients saw and what each engine kept that every order was executed exactly once.

    Exit code 1 if any part of the proof fails.
    """
    console = make_console(json_file)
    started = time.monotonic()

    def say(text: str) -> None:
        console.print(f"[dim]{time.monotonic() - started:5.1f} s[/]  {text}", highlight=False)

    result = run_demo(DemoPlan(IMPLEMENTATIONS[engine], rate=rate, calm_s=calm_s, seed=seed, data_dir=data_dir), say)
    _show(result, console)
    write_json(json_file, result.to_json())
    return 0 if result.proven else 1


def _show(result: DemoResult, console: Console) -> None:
    console.print()
    proof = Table(title="proof", title_justify="left", pad_edge=False)
    for name in ("", "claim", "found"):
        proof.add_column(name)
    for check in result.checks:
        proof.add_row("[green]yes[/]" if check.holds else "[bold red]NO[/]", check.claim, check.detail)
    console.print(proof)
    table = Table(title="result", title_justify="left", show_header=False, pad_edge=False)
    table.add_column("what")
    table.add_column("value", justify="right")
    table.add_row("orders acknowledged", str(result.acknowledged))
    table.add_row("fills", str(result.fills))
    table.add_row("lost", str(result.lost))
    table.add_row("duplicated", str(result.duplicated))
    table.add_row("digests equal", "yes" if result.digests_equal else "NO")
    for failover in result.failovers:
        gap = failover.gap
        table.add_row(
            f"longest silence at kill -9 of the {failover.kind}",
            f"{gap.around_ns / 1e6:.1f} ms (usual: half under {gap.usual_p50_ns / 1e6:.1f}, 99 % under "
            f"{gap.usual_p99_ns / 1e6:.1f} ms)",
        )
    console.print(table)
    console.print("[bold green]PROVEN[/]" if result.proven else "[bold red]NOT PROVEN[/]")
