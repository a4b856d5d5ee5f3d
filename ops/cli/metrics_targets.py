"""`lockstep metrics-targets`: what Prometheus has to scrape."""

from pathlib import Path

import click

from lockstep.ops.cli.options import config_option, expected_errors, output_option
from lockstep.ops.metrics_targets import scrape_targets
from lockstep.runtime.config import load
from lockstep.runtime.output import Output


@click.command("metrics-targets")
@config_option
@output_option("--output", "output", "Write to this file instead, which Prometheus watches")
@expected_errors
def command(config_path: Path, output: Output | None) -> int:
    """Print the scrape targets of a cluster for Prometheus (file_sd_configs).

    Every process of the configuration with a metrics_port, every snapshotter with a snapshotter_metrics_port, and every
    etcd member.
    """
    text = scrape_targets(load(config_path))
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write(text)
    return 0
