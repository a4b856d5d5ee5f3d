"""`lockstep cluster history`: every epoch, when it began, why, and how long commands waited."""

from pathlib import Path

import click

from lockstep.ops.cli.cluster.steps import open_work
from lockstep.ops.cli.cluster.tables import history_table
from lockstep.ops.cli.options import config_option, expected_errors, json_option
from lockstep.ops.operator.calls import read_history
from lockstep.runtime.output import Output


@click.command("history")
@config_option
@click.option(
    "--from-epoch", type=click.IntRange(1), default=1, show_default=True, help="Only epochs from this one on."
)
@json_option
@expected_errors
def command(config_path: Path, from_epoch: int, json_file: Output | None) -> int:
    """Show every epoch: time, cause, gap, and who had which role.

    The epochs are those of the foremost engine's journal, so they are what really happened. The gap, from the first
    evidence of a loss to the first command of the new epoch, is what the leader noted in etcd; "?" where it is not
    known. Epochs behind a truncated journal come from etcd alone.
    """
    with open_work(config_path, json_file) as work:
        epochs = read_history(work.desk.topology, work.view, from_epoch)
        work.console.print(history_table(epochs, title=f"epochs of cluster {work.view.name}"))
        return work.finish(
            f"{len(epochs)} epoch{'s' * (len(epochs) != 1)}", epochs=[epoch.to_json() for epoch in epochs]
        )
