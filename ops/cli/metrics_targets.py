"""`lockstep metrics-targets`: what Prometheus has to scrape."""

import sys
from pathlib import Path

import click

from lockstep.ops.cli.options import InputFault, config_option, expected_errors
from lockstep.ops.config import load
from lockstep.ops.metrics.targets import scrape_targets


@click.command("metrics-targets")
@config_option
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write to this file instead of standard output; Prometheus notices by itself.",
)
@expected_errors
def command(config_path: Path, output: Path | None) -> int:
    """Print the scrape targets of a cluster for Prometheus (file_sd_configs).

    Every process of the configuration with a metrics_port, every snapshotter with a snapshotter_metrics_port, and every
    etcd member.
    """
    text = scrape_targets(load(config_path))
    if output is None:
        sys.stdout.write(text)
        return 0
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputFault(f"{output}: can't be written: {error.strerror}; choose another --output") from error
    return 0
