"""`lockstep cluster failover`: bring an unhealthy cluster back, with the consequence said first."""

from pathlib import Path

import click

from lockstep.ops.cli.cluster.arguments import complete_engine, read_engine
from lockstep.ops.cli.cluster.steps import (
    Work,
    confirm,
    dry_run_option,
    force_option,
    open_work,
    operator_errors,
    refuse,
)
from lockstep.ops.cli.cluster.tables import reasons_table
from lockstep.ops.cli.options import config_option, json_option
from lockstep.ops.operator.calls import change
from lockstep.ops.operator.plans import FailoverPlan, Refusal, plan_failover
from lockstep.runtime.output import Output
from lockstep.v1 import cluster_pb2


@click.command("failover")
@config_option
@click.option(
    "--candidate",
    callback=read_engine,
    shell_complete=complete_engine,
    metavar="ENGINE",
    help="Engine that goes on; default: the one that holds most.",
)
@click.option(
    "--accept-data-loss",
    is_flag=True,
    help="Go on with an engine that may lack committed commands, where no in-sync engine is left.",
)
@force_option
@dry_run_option
@json_option
@operator_errors
def command(
    config_path: Path, candidate: int, accept_data_loss: bool, force: bool, dry_run: bool, json_file: Output | None
) -> int:
    """Bring back a cluster that can't go on by itself.

    With an in-sync engine left and automatic failover paused, the lost ones are taken out: nothing is lost. With none
    left, the engine that holds most goes on alone, only with --accept-data-loss; that is recorded in the stream and in
    the history for ever. Says the consequence and asks first; --force does not ask.

    A healthy cluster is refused (exit code 3): use `switchover`.
    """
    with open_work(config_path, json_file, candidate) as work:
        plan = plan_failover(work.view, candidate, accept_data_loss=accept_data_loss)
        if isinstance(plan, Refusal):
            refuse(work, plan)
        work.show("before")
        work.console.print(reasons_table(plan.reasons, title="engines"))
        work.console.print(plan.consequence, highlight=False)
        if dry_run:
            return work.finish("dry run: nothing was changed", changed=False, consequence=plan.consequence)
        question = "LOSE COMMITTED COMMANDS and go on?" if plan.data_loss else "go ahead?"
        confirm(f"{question} engine-{plan.candidate} becomes primary", force=force)
        return _carry_out(work, plan)


def _carry_out(work: Work, plan: FailoverPlan) -> int:
    if plan.data_loss:
        change(
            plan.address,
            "ForceFailover",
            cluster_pb2.ForceFailoverRequest(to=plan.candidate, accept_data_loss=True),
        )
    else:
        for member in plan.fence:
            change(plan.address, "FenceMember", cluster_pb2.FenceMemberRequest(member=member, fenced=True))
        if work.look().primary != plan.candidate:
            change(plan.address, "SwitchPrimary", cluster_pb2.SwitchPrimaryRequest(to=plan.candidate))
    name = f"engine-{plan.candidate}"
    work.settle(
        lambda status, view: (
            view.leader > 0 and (found := status.primary()) is not None and found.name == name and name not in view.why
        ),
        f"{name} as primary",
    )
    return work.finish(
        f"{name} is primary in epoch {work.view.epoch}",
        changed=True,
        primary=name,
        epoch=work.view.epoch,
        data_loss=plan.data_loss,
        lost_commands_known=plan.lost_commands,
    )
