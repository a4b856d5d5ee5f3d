"""`lockstep cluster pause` and `resume`: automatic failover off and on."""

from pathlib import Path

import click

from lockstep.ops.cli.cluster.steps import carry_out, dry_run_option, open_work, operator_errors
from lockstep.ops.cli.options import config_option, json_option
from lockstep.ops.operator.plans import plan_pause
from lockstep.runtime.output import Output
from lockstep.v1 import cluster_pb2


@click.command("pause")
@config_option
@dry_run_option
@json_option
@operator_errors
def pause(config_path: Path, dry_run: bool, json_file: Output | None) -> int:
    """Switch automatic failover off, for maintenance.

    Trading goes on. But a lost engine or sequencer then stalls the cluster until it returns, or until somebody acts
    with `failover`, `fence`, `switchover` or `resume`.
    """
    return _set(config_path, json_file, paused=True, dry_run=dry_run)


@click.command("resume")
@config_option
@dry_run_option
@json_option
@operator_errors
def resume(config_path: Path, dry_run: bool, json_file: Output | None) -> int:
    """Switch automatic failover on again.

    What was lost while it was off is replaced at once.
    """
    return _set(config_path, json_file, paused=False, dry_run=dry_run)


def _set(config_path: Path, json_file: Output | None, *, paused: bool, dry_run: bool) -> int:
    with open_work(config_path, json_file) as work:
        return carry_out(
            work,
            plan_pause(work.view, paused=paused),
            method="SetAutomaticFailover",
            request=cluster_pb2.SetAutomaticFailoverRequest(enabled=not paused),
            done=f"automatic failover is {'off' if paused else 'on'}",
            until=lambda _, view: view.leader > 0 and view.paused is paused,
            dry_run=dry_run,
        )
