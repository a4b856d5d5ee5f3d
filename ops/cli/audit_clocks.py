"""`lockstep audit clocks`: how far a host's clock is from UTC, measured, judged and written down (RTS 25)."""

import shlex
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lockstep.ops.cli.options import Failure, InputFault, Real, config_option, expected_errors

if TYPE_CHECKING:
    from lockstep.posttrade.audit.clock_watch import ClockWatch


@click.command("clocks")
@click.argument("record", type=click.Path(path_type=Path, dir_okay=False))
@config_option
@click.option("--check", is_flag=True, help="Measure nothing: check RECORD, and say what it comes to.")
@click.option("--every", type=Real(1, 86_400), help="Measure again after so many seconds, until SIGTERM.")
@click.option("--metrics-port", type=click.IntRange(1, 65_535), help="With --every: where Prometheus reads figures.")
@click.option("--chronyc", default="chronyc -c tracking", show_default=True, help="What is asked, with its arguments.")
@expected_errors
def clocks_command(
    record: Path, config_path: Path, check: bool, every: float | None, metrics_port: int | None, chronyc: str
) -> int:
    """Measure how far this host's clock may be from UTC, and append it to RECORD, each line with the hash of the last.

    What is allowed follows from the gateways' measured latency (RTS 25). Exit code 1 if the clock is not good enough,
    or RECORD was changed.
    """
    if metrics_port is not None and every is None:
        raise InputFault("--metrics-port is for --every: who measures once has no figures for long")
    if check:
        return _check(record)
    # Imported late: the help must not pay for it.
    from lockstep.posttrade.audit.clock_watch import ClockWatch, chrony
    from lockstep.runtime.config import load

    command = shlex.split(chronyc)
    if not command:
        raise InputFault("name what is asked: --chronyc COMMAND")
    watch = ClockWatch(record, load(config_path), lambda: chrony(command))
    return _once(watch) if every is None else _again(watch, every, metrics_port or 0)


def _check(record: Path) -> int:
    from lockstep.posttrade.audit.clock_watch import lines_in
    from lockstep.posttrade.audit.clocks import ClockFault, checked

    try:
        found = checked(lines_in(record))
    except ClockFault as fault:
        raise Failure(f"{record}: {fault}") from fault
    click.echo(f"{found.lines} measurements from {found.first or '-'} to {found.last or '-'}; head {found.head}")
    click.echo(f"{found.faulty} were not good enough; at most {found.worst_ns / 1e3:.1f} us from UTC")
    return 1 if found.faulty else 0


def _again(watch: "ClockWatch", every: float, metrics_port: int) -> int:
    from lockstep.runtime.metrics.server import MetricsServer
    from lockstep.runtime.process import StopRequest, open_log

    stop, log, before = StopRequest.install(), open_log("clocks"), None
    with ExitStack() as stack:
        if metrics_port:
            # This host's own scraper alone reads it, and it says nothing of anybody.
            server = MetricsServer("127.0.0.1", metrics_port, watch.families, lambda _authorization, _peer: None)
            stack.callback(server.close)
        while True:
            clock, demand, _, faults = watch.measure()
            if faults != before:
                said = log.warning if faults else log.info
                said("clock", faults=faults, divergence_ns=clock.divergence_ns, allowed_ns=demand.divergence_ns)
            before = faults
            if stop.wait(every):
                return 0


def _once(watch: "ClockWatch") -> int:
    clock, demand, share, faults = watch.measure()
    within = "no command was measured, so the stricter class counts" if share is None else f"{share:.2%} within 1 ms"
    click.echo(f"class: {demand.name} ({within}): {demand.divergence_ns / 1e3:.0f} us from UTC at most")
    click.echo(f"clock: {clock.divergence_ns / 1e3:.1f} us at most from {clock.source or 'nothing'}")
    for fault in faults:
        click.echo(fault)
    return 1 if faults else 0
