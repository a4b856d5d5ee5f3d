"""`lockstep cluster is-primary`: yes or no by exit code, for scripts and health checks."""

from pathlib import Path

import click

from lockstep.ops.cli.cluster.arguments import EXIT_UNKNOWN, check_engine, engine_argument
from lockstep.ops.cli.options import TIMEOUT, config_option, expected_errors, json_option, on_stdout, write_json
from lockstep.ops.operator.view import view_of
from lockstep.runtime.cluster_view import StatusProbe
from lockstep.runtime.config import load
from lockstep.runtime.output import Output


@click.command("is-primary")
@engine_argument
@config_option
@click.option(
    "--timeout", "timeout_s", type=TIMEOUT, default=1.0, show_default=True, help="Seconds to wait for answers."
)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing.")
@json_option
@expected_errors
def command(member: int, config_path: Path, timeout_s: float, quiet: bool, json_file: Output | None) -> int:
    """Exit with 0 if ENGINE (2 or engine-2) is the primary, with 1 if it is not, with 4 if it does not answer.

    It is the primary if it says so itself and the leading sequencer, if one answers, says the same. A resurrected
    former primary therefore counts as none.
    """
    topology = load(config_path)
    check_engine(topology, member)
    with StatusProbe.of(topology) as probe:
        status = probe.ask(timeout_s=timeout_s)
    view = view_of(status, topology)
    engine = view.engine(member)
    assert engine is not None
    claims = engine.role == "primary"
    confirmed = not view.leader or view.primary == member
    text, code = ("yes", 0) if claims and confirmed else (f"no: it is {engine.role}", 1)
    if claims and not confirmed:
        text = f"no: it says so in epoch {engine.epoch}, but sequencer-{view.leader} names engine-{view.primary}"
    if not engine.up:
        text, code = f"not known: engine-{member} does not answer ({engine.error})", EXIT_UNKNOWN
    if not quiet:
        click.echo(text, err=on_stdout(json_file))
    answer = {0: True, 1: False}.get(code)
    write_json(json_file, {"engine": engine.name, "primary": answer, "role": engine.role, "why": text})
    return code
