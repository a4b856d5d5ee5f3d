"""`lockstep cluster doctor`: what is wrong with the cluster and its surroundings, and what to do."""

from collections import Counter
from pathlib import Path
from typing import Final

import click

from lockstep.ops.cli.options import config_option, expected_errors, json_option, make_console, write_json
from lockstep.ops.cli.tables import plain_table
from lockstep.ops.operator.checkup import Grade
from lockstep.ops.operator.survey import survey
from lockstep.runtime.cluster_view import StatusProbe
from lockstep.runtime.config import load
from lockstep.runtime.output import Output

_STYLES: Final = {Grade.OK: "green", Grade.WARNING: "yellow", Grade.FAULT: "bold red"}


@click.command("doctor")
@config_option
@click.option("--all", "show_all", is_flag=True, help="Show what is well, too.")
@json_option
@expected_errors
def command(config_path: Path, show_all: bool, json_file: Output | None) -> int:
    """Check etcd, media driver, clocks, disks, ports, versions and roles; say what to do about each finding.

    Disks, driver, clock and versions are those of this host: run it on each. Exit code 1 if there is a fault.
    """
    topology = load(config_path)
    console = make_console(json_file)
    with StatusProbe.of(topology) as probe:
        status = probe.ask(timeout_s=2.0)
    findings = survey(topology, status)
    table = plain_table(f"cluster {topology.name}")
    for name in ("area", "subject", "", "finding", "what to do"):
        table.add_column(name, no_wrap=name in ("area", ""), overflow="fold")
    for finding in findings:
        if show_all or finding.grade is not Grade.OK:
            grade = f"[{_STYLES[finding.grade]}]{finding.grade.value}[/]"
            table.add_row(finding.area, finding.subject, grade, finding.text, finding.remedy)
    counts = Counter(finding.grade for finding in findings)
    if table.row_count:
        console.print(table)
    console.print(
        f"{len(findings)} checks: {counts[Grade.FAULT]} faults, {counts[Grade.WARNING]} warnings, "
        f"{counts[Grade.OK]} well",
        highlight=False,
    )
    rows = [
        {"area": f.area, "subject": f.subject, "grade": f.grade.value, "finding": f.text, "remedy": f.remedy}
        for f in findings
    ]
    write_json(json_file, {"findings": rows, "faults": counts[Grade.FAULT], "warnings": counts[Grade.WARNING]})
    return 1 if counts[Grade.FAULT] else 0
