"""`lockstep reconcile`: prove that everybody's accounts of the trading agree, and what to do where they don't."""

import dataclasses
import functools
import json
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from lockstep.ops.cli.cluster.arguments import named_directory
from lockstep.ops.cli.lazy_group import PlainGroup
from lockstep.ops.cli.options import (
    Failure,
    InputFault,
    config_option,
    expected_errors,
    json_option,
    make_console,
    on_stdout,
    output_option,
    write_json,
)
from lockstep.ops.cli.tables import plain_table
from lockstep.reconciler.case_file import BreakRecord, BreakState, CaseFile, NoSuchBreak
from lockstep.reconciler.rules import TITLES, Rule
from lockstep.runtime.config import load
from lockstep.runtime.output import Output

data_dir_option = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="The reconciler's directory. Default: the one of the configuration.",
)


def _directory(config_path: Path, data_dir: Path | None) -> Path:
    return data_dir if data_dir is not None else load(config_path).reconciler.data_dir


@click.group("reconcile", cls=PlainGroup)
def command() -> None:
    """Prove that clients, gateways, journals, replicas and a downstream copy agree.

    `run` reconciles, continuously or once. `status`, `breaks`, `explain` and `resolve` are for what it finds;
    `certificate` and `verify` for the proof that there was nothing to find. docs/reconciliation.md lists the rules.
    """


@command.command("run")
@config_option
@data_dir_option
@click.option("--once", is_flag=True, help="Everything that is there now, once; exit code 1 if a break is open.")
@click.option(
    "--journal",
    "journals",
    type=click.Path(path_type=Path),
    multiple=True,
    help="An engine's data directory, at rest, or its name in the configuration (repeatable): reconcile files, without "
    "a cluster. Needs --data-dir.",
)
@click.option(
    "--intake",
    "intakes",
    type=click.Path(path_type=Path, file_okay=False),
    multiple=True,
    help="With --journal: a gateway's data directory (repeatable).",
)
@click.option(
    "--client-logs",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory of client logs. Default: the one of the configuration.",
)
@json_option
@expected_errors
def run_command(
    config_path: Path,
    data_dir: Path | None,
    once: bool,
    journals: tuple[Path, ...],
    intakes: tuple[Path, ...],
    client_logs: Path | None,
    json_file: Output | None,
) -> int:
    """Reconcile: a running cluster (continuously, or --once), or the files of one that is stopped.

    With --json: what `status --json` says, when it has ended.
    """
    # Imported late: the help must not pay for a whole process.
    from lockstep.reconciler.process import run, setup_of

    if journals:
        if data_dir is None:
            raise InputFault("--journal needs --data-dir: a directory for what is found")
        journals = tuple(named_directory(path, config_path) for path in journals)
        return _once(_cold_setup(data_dir, journals, intakes, client_logs), json_file)
    topology = load(config_path)
    wanted = topology.reconciler
    wanted = dataclasses.replace(
        wanted, data_dir=data_dir or wanted.data_dir, client_logs=client_logs or wanted.client_logs
    )
    topology = dataclasses.replace(topology, reconciler=wanted)
    if once:
        return _once(setup_of(topology), json_file)
    code = run(topology)
    if json_file is not None:
        with closing(CaseFile(wanted.data_dir)) as case:
            write_json(json_file, _summary(case))
    return code


def _cold_setup(data_dir: Path, journals: tuple[Path, ...], intakes: tuple[Path, ...], client_logs: Path | None) -> Any:
    from lockstep.reconciler.auditor import open_sources
    from lockstep.reconciler.setup import AuditSetup
    from lockstep.reconciler.sources import ColdJournal, SourceDamaged

    try:
        sources = open_sources(journals, ColdJournal)
    except SourceDamaged as error:
        raise Failure(str(error)) from error
    return AuditSetup(
        data_dir=data_dir,
        cluster="files",
        replicas=sources,
        intakes=tuple((path.name, path) for path in intakes),
        client_logs=(client_logs,) if client_logs is not None else (),
        engine="reference",
    )


def _once(setup: Any, json_file: Output | None) -> int:
    from lockstep.reconciler.auditor import Auditor
    from lockstep.reconciler.process import hold_directory

    with hold_directory(setup.data_dir), closing(CaseFile(setup.data_dir, create=True)) as case:
        with closing(Auditor(setup, case)) as auditor:
            result = auditor.run_pass(everything=True)
            certificate = auditor.certify(result)
        open_breaks = [row for row in case.breaks() if row.state == BreakState.OPEN]
        summary = _summary(case)
        say = functools.partial(click.echo, err=on_stdout(json_file))
        if result.target_seq:
            say(f"verified up to seq {result.verified_seq} of {result.target_seq} in {result.seconds:.1f} s")
        else:
            say(
                "no replica tells what is committed, so nothing was verified now (before: up to seq "
                f"{result.verified_seq}); is the cluster up? Of a stopped one, name the files: "
                "--journal DIR --data-dir OWN"
            )
        for row in open_breaks:
            say(f"{row.rule} break {row.id}: {row.subject}: {row.detail}")
        if result.halted:
            say(f"halted: {result.halted}")
        if certificate:
            body = json.loads(certificate)["body"]
            say(f"clean: certificate for seq {body['from_seq']} to {body['to_seq']} in {setup.data_dir}")
        elif not open_breaks:
            say(f"no certificate: {case.facts().get('no_certificate', '')}")
    write_json(json_file, summary)
    if open_breaks or result.halted:
        return 1
    return 0 if result.target_seq else 1


@command.command("status")
@config_option
@data_dir_option
@json_option
@expected_errors
def status_command(config_path: Path, data_dir: Path | None, json_file: Output | None) -> int:
    """How far the reconciler is, and how many breaks of each rule are open. Exit code 1 if there are any."""
    with closing(CaseFile(_directory(config_path, data_dir))) as case:
        facts = case.facts()
        summary = _summary(case)
        counts = {state: case.counts(BreakState(state)) for state in BreakState}
        certificates = case.certificates()
    last = certificates[-1][:2] if certificates else None
    if not on_stdout(json_file):
        console = make_console()
        _print_facts(facts, last)
        table = plain_table("rules")
        for name in ("rule", "what must be true", "open", "explained", "resolved"):
            table.add_column(name)
        for rule in Rule:
            numbers = [counts[state][rule] for state in BreakState]
            style = "bold red" if numbers[0] else ""
            table.add_row(rule, TITLES[rule], *map(str, numbers), style=style)
        console.print(table)
    write_json(json_file, summary)
    return 1 if sum(counts[BreakState.OPEN].values()) or facts.get("halted") else 0


def _summary(case: CaseFile) -> dict[str, object]:
    """What `--json` says of the reconciler's directory."""
    certificates = case.certificates()
    return {
        **case.facts(),
        "breaks": {state: case.counts(BreakState(state)) for state in BreakState},
        "certificates": len(certificates),
        "last_certificate": certificates[-1][:2] if certificates else None,
    }


def _print_facts(facts: dict[str, Any], last: tuple[int, int] | None) -> None:
    age_s = (time.time_ns() - int(facts.get("last_pass_ns", 0))) / 1e9
    click.echo(f"cluster      {facts.get('cluster', '?')}")
    click.echo(f"verified     seq {facts.get('verified_seq', 0)} of {facts.get('committed_seq', 0)} committed")
    click.echo(f"last pass    {age_s:.1f} s ago, took {facts.get('last_pass_seconds', 0)} s")
    compared = facts.get("compared", {})
    click.echo(f"compared     {', '.join([*compared.get('replicas', []), *compared.get('gateways', [])]) or 'nothing'}")
    click.echo(f"client logs  {compared.get('client_logs', 0)}")
    click.echo(f"certificate  {f'seq {last[0]} to {last[1]}' if last else 'none yet'}")
    for name, why in facts.get("away", {}).items():
        click.echo(f"away         {name}: {why}")
    for text in (*facts.get("client_log_faults", ()), *facts.get("client_logs_incomplete", ())):
        click.echo(f"client log   {text}")
    if facts.get("halted"):
        click.echo(f"halted       {facts['halted']}")


@command.command("breaks")
@config_option
@data_dir_option
@click.option("--all", "all_states", is_flag=True, help="Resolved ones too.")
@json_option
@expected_errors
def breaks_command(config_path: Path, data_dir: Path | None, all_states: bool, json_file: Output | None) -> int:
    """List the breaks that are not resolved."""
    with closing(CaseFile(_directory(config_path, data_dir))) as case:
        rows = case.breaks(all_states=all_states)
    if not on_stdout(json_file):
        for row in rows:
            _print_break(row)
        if not rows:
            click.echo("no breaks")
    write_json(json_file, {"breaks": [dataclasses.asdict(row) for row in rows]})
    return 0


def _print_break(row: BreakRecord) -> None:
    found = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(row.found_ns // 1_000_000_000))
    click.echo(f"{row.id}  {row.rule} {row.state}  {row.subject}  (found {found} UTC)")
    click.echo(f"   {row.detail}")
    if row.note:
        click.echo(f"   note: {row.note}")


@command.command("explain")
@config_option
@data_dir_option
@click.argument("number", type=click.IntRange(1, 2**63 - 1), metavar="ID")
@click.argument("text")
@json_option
@expected_errors
def explain_command(config_path: Path, data_dir: Path | None, number: int, text: str, json_file: Output | None) -> int:
    """Write down why break ID is there. It stays, and no longer keeps certificates back."""
    return _change(config_path, data_dir, number, BreakState.EXPLAINED, text, json_file)


@command.command("resolve")
@config_option
@data_dir_option
@click.argument("number", type=click.IntRange(1, 2**63 - 1), metavar="ID")
@click.argument("text")
@json_option
@expected_errors
def resolve_command(config_path: Path, data_dir: Path | None, number: int, text: str, json_file: Output | None) -> int:
    """Write down how break ID was mended. If a rule finds it again, it is open again."""
    return _change(config_path, data_dir, number, BreakState.RESOLVED, text, json_file)


def _change(
    config_path: Path, data_dir: Path | None, number: int, state: BreakState, text: str, json_file: Output | None
) -> int:
    with closing(CaseFile(_directory(config_path, data_dir))) as case:
        try:
            changed = case.change(number, state, text)
        except NoSuchBreak as error:
            raise InputFault(str(error)) from error
    if not on_stdout(json_file):
        _print_break(changed)
    write_json(json_file, dataclasses.asdict(changed))
    return 0


@command.command("certificate")
@config_option
@data_dir_option
@output_option("--out", "out", "Write it to a file")
@click.option("--list", "listing", is_flag=True, help="List the ranges of all certificates.")
@json_option
@expected_errors
def certificate_command(
    config_path: Path, data_dir: Path | None, out: Output | None, listing: bool, json_file: Output | None
) -> int:
    """Show the newest certificate. Exit code 1 if there is none.

    With --json: the ranges of all certificates, and the key and the range of the newest one.
    """
    with closing(CaseFile(_directory(config_path, data_dir))) as case:
        certificates = case.certificates()
        why = case.facts().get("no_certificate", "")
    if not certificates:
        raise Failure(f"no certificate was issued yet: {why or 'none was due'}")
    from_seq, to_seq, text = certificates[-1]
    ranges = [row[:2] for row in certificates]
    fingerprint = json.loads(text)["fingerprint"]
    facts = {"from_seq": from_seq, "to_seq": to_seq, "fingerprint": fingerprint, "ranges": ranges, "why_no_newer": why}
    write_json(json_file, facts)
    if listing:
        for row in ranges:
            click.echo(f"seq {row[0]} to {row[1]}", err=on_stdout(json_file))
        return 0
    if why:
        click.echo(f"lockstep: this is the newest; since then none was issued: {why}", err=True)
    if out is None:
        if not on_stdout(json_file):
            click.echo(text, nl=False)
        return 0
    out.write(text)
    found = f"certificate for seq {from_seq} to {to_seq} in {out.name}; key {fingerprint}"
    click.echo(found, err=on_stdout(out, json_file))
    return 0


@command.command("verify")
@click.argument("certificate", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--journal",
    "journals",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    help="Data directory of an engine that does not run, or its name in the configuration (repeatable).",
)
@click.option("--fingerprint", help="Fingerprint of the key that must have signed (hexadecimal digits).")
@click.option(
    "--engine",
    type=click.Choice(("reference", "native")),
    default="reference",
    show_default=True,
    help="Implementation that executes the journals.",
)
@config_option
@json_option
@expected_errors
def verify_command(
    certificate: Path,
    journals: tuple[Path, ...],
    fingerprint: str | None,
    engine: str,
    config_path: Path,
    json_file: Output | None,
) -> int:
    """Verify CERTIFICATE from journals alone: check the signature, execute them, compute every figure again.

    Exit code 1 if a journal does not bear it out, or none holds enough to bear it out as a whole; 2 if it is no
    certificate or the signature is wrong.
    """
    from lockstep.reconciler.certificate import CertificateFault, read_certificate
    from lockstep.reconciler.verify import first_divergent_command, verify_journal

    try:
        claimed = read_certificate(certificate.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputFault(f"{certificate}: can't be read: {error.strerror}") from error
    except (UnicodeDecodeError, CertificateFault) as error:
        raise InputFault(f"{certificate}: {error}") from error
    journals = tuple(named_directory(path, config_path) for path in journals)
    body = claimed.body
    say = functools.partial(click.echo, err=on_stdout(json_file))
    say(f"signature    good; key {claimed.fingerprint}")
    if fingerprint is not None and fingerprint.lower() != claimed.fingerprint:
        raise Failure(f"signed by another key than {fingerprint}")
    say(f"claim        seq {body['from_seq']} to {body['to_seq']}: {body['commands']} commands, ", nl=False)
    say(f"{body['fills']} fills, end digest {body['end_digest']}")
    verdicts = [verify_journal(claimed, path, engine) for path in journals]
    for verdict in verdicts:
        _print_verdict(verdict, say)
    wrong = any(verdict.differs for verdict in verdicts)
    if wrong and len(journals) > 1:
        parting = first_divergent_command(journals, int(body["to_seq"]))
        say(f"journals     {parting or 'are equal to each other'}")
    verdict_rows = [{**dataclasses.asdict(verdict), "bears_out": verdict.bears_out} for verdict in verdicts]
    write_json(json_file, {"fingerprint": claimed.fingerprint, "claim": body, "journals": verdict_rows})
    return 1 if wrong or not any(verdict.bears_out for verdict in verdicts) else 0


def _print_verdict(verdict: Any, say: Callable[[str], None]) -> None:
    began = f" behind the snapshot at seq {verdict.after_seq}" if verdict.after_seq else ""
    if verdict.differs:
        outcome = "DOES NOT BEAR IT OUT"
    elif verdict.bears_out:
        outcome = "bears it out"
    else:
        outcome = "bears its end out" if verdict.commands else "can't say"
    say(f"journal      {verdict.journal}: {outcome} ({verdict.commands} commands executed{began})")
    for text in (*verdict.differs, verdict.lacks):
        if text:
            say(f"             {text}")
