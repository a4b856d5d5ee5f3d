"""`lockstep cluster ack-policy`: show or change when an acknowledgement counts as durable."""

from pathlib import Path

import click

from lockstep.ops.cli.cluster.steps import carry_out, dry_run_option, open_work, operator_errors
from lockstep.ops.cli.options import config_option, json_option
from lockstep.ops.operator.plans import plan_ack_policy
from lockstep.ops.operator.view import ACK_POLICIES
from lockstep.runtime.output import Output
from lockstep.v1 import cluster_pb2


@click.command("ack-policy")
@click.argument("policy", type=click.Choice(ACK_POLICIES), required=False)
@config_option
@dry_run_option
@json_option
@operator_errors
def command(policy: str | None, config_path: Path, dry_run: bool, json_file: Output | None) -> int:
    """Show the ack policy, or change it from a stamped command on.

    synced: a command counts once every in-sync engine has it on disk (fsync). replicated: once every in-sync engine has
    it in memory; disks follow within milliseconds. A policy that can't be met stalls; it is never weakened by itself.
    """
    with open_work(config_path, json_file) as work:
        if policy is None:
            return work.finish(work.view.ack_policy, ack_policy=work.view.ack_policy)
        return carry_out(
            work,
            plan_ack_policy(work.view, policy),
            method="SetAckPolicy",
            request=cluster_pb2.SetAckPolicyRequest(policy=f"ACK_POLICY_{policy.upper()}"),
            done=f"the ack policy is {policy}",
            until=lambda _, view: (
                view.ack_policy == policy and all(e.epoch == view.epoch for e in view.engines if e.up and e.in_sync)
            ),
            dry_run=dry_run,
        )
