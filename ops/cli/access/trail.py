"""`lockstep access trail`: look whether audit trails are whole."""

from pathlib import Path

import click

from lockstep.ops.cli.options import Failure, config_option, expected_errors
from lockstep.runtime.access.trail import KEPT, broken_line
from lockstep.runtime.config import load


@click.command("trail")
@config_option
@click.option("--show", type=click.IntRange(0, 10_000), default=0, show_default=True, help="Lines of each to show.")
@expected_errors
def command(config_path: Path, show: int) -> int:
    """Check the audit trails of this host: whether a line was changed or taken out.

    Each line says the hash of the one before it. Lines that were cut off at the end do not show; compare the number of
    lines with a copy elsewhere. Exit code 1 if a trail is broken.
    """
    directory = load(config_path).access.audit_dir
    trails = sorted(directory.glob("*.jsonl")) if directory.is_dir() else []
    if not trails:
        click.echo(f"{directory}: no trail; nothing was refused or done on this host")
        return 0
    broken = []
    for trail in trails:
        lines = lines_of(trail)
        found = broken_line(lines)
        said = f"line {found} does not follow from the one before it" if found else "whole"
        click.echo(f"{trail.stem}: {len(lines)} lines, {said}")
        for line in lines[len(lines) - min(show, len(lines)) :]:
            click.echo(f"  {line}")
        if found:
            broken.append(trail.stem)
    if broken:
        raise Failure(f"changed by somebody: {', '.join(broken)}; compare with a copy")
    return 0


def lines_of(trail: Path) -> list[str]:
    """Of all files of a trail that are kept, oldest first."""
    parts = [trail.with_name(f"{trail.name}.{number}") for number in range(KEPT - 1, 0, -1)]
    return [line for part in (*parts, trail) if part.exists() for line in part.read_text("utf-8").splitlines()]
