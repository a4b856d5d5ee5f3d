"""`lockstep sim`: the whole cluster in one thread, from seeds, with everything going wrong."""

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Final

import click

from lockstep.ops.cli.options import expected_errors, json_option, make_console, write_json
from lockstep.runtime.output import Output
from lockstep.runtime.stop_request import StopRequest
from lockstep.trials.simulation.run import Outcome, simulate

_PER_TASK: Final = 4
_INTERRUPTED: Final = 130


@click.command("sim")
@click.option("--seeds", type=click.IntRange(min=1), default=100, show_default=True, help="How many seeds to run.")
@click.option("--start", type=click.IntRange(min=0), default=1, show_default=True, metavar="S", help="The first seed.")
@click.option("--jobs", type=click.IntRange(min=0), default=0, metavar="N", help="Processes; 0: one for each core.")
@click.option(
    "--history", is_flag=True, help="Print what happened in a seed that fails (in every one, if it is the only)."
)
@click.option("--keep-going", is_flag=True, help="Run all seeds, also after one has failed.")
@json_option
@expected_errors
def command(seeds: int, start: int, history: bool, keep_going: bool, jobs: int, json_file: Output | None) -> int:
    """Simulate the whole cluster under faults and check every safety rule after every step.

    The real state machines of sequencers, engines, gateways and client sessions run against a simulated network, disks,
    clocks and etcd. One seed is one cluster, one order flow and one schedule of faults; the same seed always does the
    same. After the faults everything is healed and has to converge. Exit code 1 if a rule was broken; the line that
    repeats the run is printed. Ctrl-C ends it, exit code 130, and prints how far it has come.
    """
    console = make_console(json_file)
    stop = StopRequest.install()
    began = time.monotonic()
    faults: Counter[str] = Counter()
    violations: list[dict[str, object]] = []
    steps = done = commands = trades = 0
    for outcome in _outcomes(range(start, start + seeds), jobs or os.cpu_count() or 1):
        seed = outcome.seed
        done += 1
        steps, commands, trades = steps + outcome.steps, commands + outcome.commands, trades + outcome.trades
        faults.update(outcome.faults)
        if history and (outcome.violation or seeds == 1):
            for line in simulate(seed, keep_history=True).history:
                console.print(line, markup=False, highlight=False, soft_wrap=True)
        if outcome.violation:
            violations.append({"seed": seed, "violation": outcome.violation, "repeat": outcome.repeat})
            console.print(f"seed {seed}: {outcome.violation}", markup=False, style="red", soft_wrap=True)
            console.print(f"repeat with: {outcome.repeat} --history", markup=False, soft_wrap=True)
            if not keep_going:
                break
        if stop.requested:
            console.print(f"stopped behind seed {seed}", highlight=False)
            break
    seconds = time.monotonic() - began
    console.print(
        f"{done} seeds, {steps} steps, {commands} commands, {trades} trades, {faults.total()} faults, "
        f"{len(violations)} violations in {seconds:.1f} s"
    )
    write_json(
        json_file,
        {
            "seeds": done,
            "steps": steps,
            "commands": commands,
            "trades": trades,
            "faults": dict(sorted(faults.items())),
            "violations": violations,
            "seconds": round(seconds, 3),
        },
    )
    return 1 if violations else _INTERRUPTED if stop.requested else 0


def _outcomes(seeds: range, jobs: int) -> Iterator[Outcome]:
    """Outcomes in order of the seeds."""
    if jobs == 1 or len(seeds) <= _PER_TASK:
        yield from map(simulate, seeds)
        return
    pool = ProcessPoolExecutor(jobs, initializer=_leave_interrupts_to_the_parent)
    try:
        yield from pool.map(simulate, seeds, chunksize=_PER_TASK)
    finally:
        pool.shutdown(cancel_futures=True)


def _leave_interrupts_to_the_parent() -> None:
    """Ctrl-C reaches every process of the terminal; what is simulated then is carried to its end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
