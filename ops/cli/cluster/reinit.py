"""`lockstep cluster reinit`: have an engine start afresh from its peers."""

from pathlib import Path

import click

from lockstep.ops.cli.cluster.steps import (
    carry_out,
    dry_run_option,
    engine_argument,
    force_option,
    open_work,
    operator_errors,
)
from lockstep.ops.cli.options import config_option, json_option
from lockstep.ops.operator.plans import plan_reinit
from lockstep.v1 import cluster_pb2


@click.command("reinit")
@engine_argument
@config_option
@force_option
@dry_run_option
@json_option
@operator_errors
def command(member: int, config_path: Path, force: bool, dry_run: bool, json_path: Path | None) -> int:
    """Have ENGINE (2 or engine-2) archive its journal and come back by snapshot and catch-up.

    For an engine whose disk is suspect, or that diverged and was examined. Refused by an in-sync engine: fence it
    first. Nothing is deleted. Returns when the engine answers again; `status --watch` shows how far it is.
    """
    with open_work(config_path, json_path) as work:
        before = work.view.engine(member)
        incarnation = _incarnation(work.status, member)

        def restarted(status: object, _: object) -> bool:
            now = _incarnation(status, member)
            return now not in (0, incarnation)

        return carry_out(
            work,
            plan_reinit(work.view, member),
            method="Reinit",
            request=cluster_pb2.ReinitRequest(),
            done=f"engine-{member} (was at seq {before.seq if before is not None else 0}) starts afresh",
            until=restarted,
            dry_run=dry_run,
            ask_first=True,
            force=force,
        )


def _incarnation(status: object, member: int) -> int:
    rows = getattr(status, "members", ())
    return next((r.reply.incarnation for r in rows if r.name == f"engine-{member}" and r.reply is not None), 0)
