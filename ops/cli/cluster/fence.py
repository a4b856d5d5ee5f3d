"""`lockstep cluster fence`: keep an engine out of the in-sync set, or let it in again."""

from pathlib import Path

import click

from lockstep.ops.cli.cluster.arguments import engine_argument
from lockstep.ops.cli.cluster.steps import carry_out, dry_run_option, open_work, operator_errors
from lockstep.ops.cli.options import config_option, json_option
from lockstep.ops.operator.plans import plan_fence
from lockstep.runtime.output import Output
from lockstep.v1 import cluster_pb2


@click.command("fence")
@engine_argument
@config_option
@click.option("--lift", is_flag=True, help="Let it in again.")
@dry_run_option
@json_option
@operator_errors
def command(member: int, config_path: Path, lift: bool, dry_run: bool, json_file: Output | None) -> int:
    """Take ENGINE (2 or engine-2) out of the in-sync set and keep it out until --lift.

    It may go on running and follows the stream as a learner, but no commit waits for it and it never becomes primary.
    If it is the primary, another in-sync engine takes the role first. The last in-sync engine is refused.
    """
    fenced = not lift
    with open_work(config_path, json_file, member) as work:
        return carry_out(
            work,
            plan_fence(work.view, member, fenced=fenced),
            method="FenceMember",
            request=cluster_pb2.FenceMemberRequest(member=member, fenced=fenced),
            done=f"engine-{member} is {'fenced' if fenced else 'let in again'}",
            until=lambda _, view: (member in view.fenced) is fenced and not (fenced and member in view.in_sync),
            dry_run=dry_run,
        )
