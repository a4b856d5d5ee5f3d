"""`lockstep cluster reinit`: have an engine start afresh from its peers."""

from pathlib import Path

import click

from lockstep.ops.cli.cluster.arguments import engine_argument
from lockstep.ops.cli.cluster.steps import (
    carry_out,
    dry_run_option,
    force_option,
    open_work,
    operator_errors,
)
from lockstep.ops.cli.options import config_option, json_option
from lockstep.ops.operator.plans import plan_reinit
from lockstep.ops.operator.view import ClusterView
from lockstep.runtime.cluster_view import ClusterStatus
from lockstep.runtime.output import Output
from lockstep.v1 import cluster_pb2


@click.command("reinit")
@engine_argument
@config_option
@force_option
@dry_run_option
@json_option
@operator_errors
def command(member: int, config_path: Path, force: bool, dry_run: bool, json_file: Output | None) -> int:
    """Have ENGINE (2 or engine-2) archive its journal and come back by snapshot and catch-up.

    For an engine whose disk is suspect, or that diverged and was examined. Refused by an in-sync engine: fence it
    first. Nothing is deleted. Returns when the engine answers again; `status --watch` shows how far it is.
    """
    with open_work(config_path, json_file, member) as work:
        before = work.view.engine(member)
        seq = before.seq if before is not None else 0
        left = False

        def back(_: ClusterStatus, view: ClusterView) -> bool:
            nonlocal left
            engine = view.engine(member)
            up = engine is not None and engine.up
            # It lets go of its address while it archives; after that it is the new one that answers.
            left = left or not up or (engine is not None and engine.seq < seq)
            return left and up

        return carry_out(
            work,
            plan_reinit(work.view, member),
            method="Reinit",
            request=cluster_pb2.ReinitRequest(),
            done=f"engine-{member} (was at seq {seq}) starts afresh",
            until=back,
            dry_run=dry_run,
            ask_first=True,
            force=force,
        )
