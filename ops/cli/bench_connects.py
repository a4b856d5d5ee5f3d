"""`lockstep bench connects`: floods of connects against each door."""

import click

from lockstep.bench.connects import LEFT_OUT, ConnectsPlan, run_connects_bench
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


@click.command("connects")
@json_option
@engine_option("native")
@click.option(
    "--rate", "connects_per_s", type=click.IntRange(10, 50_000), default=5_000, show_default=True,
    help="Connects a second.",
)  # fmt: skip
@click.option("--phase", "phase_s", type=Real(1, 120), default=10.0, show_default=True, help="Seconds of each phase.")
@click.option(
    "--orders", "orders_per_s", type=click.IntRange(1, 2_000), default=200, show_default=True, help="Orders a second."
)
@expected_errors
def connects(json_file: Output | None, engine: str, connects_per_s: int, phase_s: float, orders_per_s: int) -> int:
    """Measure what thousands of connects a second against each door do to orders, and what is left of them.

    A local cluster, and orders at a fixed pace, open loop, without and beside the flood: against gRPC and the binary
    door of a gateway, HTTP and gRPC of a feed.

    Exit code 1 if a process has more descriptors than before forty seconds after a flood.
    """
    console = make_console(json_file)
    plan = ConnectsPlan(IMPLEMENTATIONS[engine], connects_per_s, phase_s, orders_per_s)
    results = run_connects_bench(plan, lambda text: console.print(text, highlight=False))
    console.print(f"left out: {LEFT_OUT}", highlight=False)
    write_json(json_file, {"doors": [one.to_json() for one in results], "left_out": LEFT_OUT})
    return int(any(one.descriptors_left for one in results))
