"""`lockstep audit`: what happened, provably."""

import dataclasses
import json
import re
from pathlib import Path

import click

from lockstep.ops.cli import audit_archive, audit_keys
from lockstep.ops.cli.audit_clocks import clocks_command
from lockstep.ops.cli.audit_keys import keys_of, keys_option, master_option
from lockstep.ops.cli.lazy_group import PlainGroup
from lockstep.ops.cli.options import (
    DEFAULT_DATA_DIR,
    Failure,
    InputFault,
    config_option,
    expected_errors,
    json_option,
    on_stdout,
    output_option,
    write_json,
)
from lockstep.ops.cli.periods import period_options
from lockstep.runtime.config import load
from lockstep.runtime.output import Output

_trail = click.argument("directory", type=click.Path(path_type=Path, file_okay=False))


class Sha256(click.ParamType[str]):
    """A SHA-256 in 64 hexadecimal digits; colons between them are taken out."""

    name = "hex"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        digits = str(value).replace(":", "").lower()
        if not re.fullmatch("[0-9a-f]{64}", digits):
            self.fail(f"{str(value)[:80]!r} is no SHA-256; give all of its 64 hexadecimal digits", param, ctx)
        return digits


_fingerprint = click.option(
    "--fingerprint", type=Sha256(), help="Fingerprint of the key that must have signed (64 hexadecimal digits)."
)


@click.group("audit", cls=PlainGroup)
def command() -> None:
    """The audit trail: one record for each command and each event, hashed, chained and signed.

    `run` follows a cluster and writes it; the others need its files alone. docs/audit.md explains it.
    """


@command.command("run")
@config_option
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_DATA_DIR / "audit",
    show_default=True,
    help="Where the trail is written.",
)
@click.option(
    "--key-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Ed25519 key that manifests are signed with; made for an empty trail. Default: beside the data directory, its "
    "name with .key.pem.",
)
@keys_option
@master_option
@click.option(
    "--segment-commands",
    type=click.IntRange(1, 10_000_000),
    default=50_000,
    show_default=True,
    help="Commands of a segment, about; it also ends with each hour.",
)
@click.option("--metrics-port", type=click.IntRange(1, 65_535), help="Where Prometheus reads its figures.")
@click.option(
    "--from-snapshot",
    is_flag=True,
    help="An empty trail begins behind an engine's newest snapshot, and says that what lies before is not in it.",
)
@expected_errors
def run_command(
    config_path: Path,
    data_dir: Path,
    key_file: Path | None,
    key_store: str | None,
    master_key: Path | None,
    segment_commands: int,
    metrics_port: int | None,
    from_snapshot: bool,
) -> int:
    """Write the audit trail of a cluster, until SIGTERM or Ctrl-C."""
    # Imported late: the help must not pay for a whole process.
    from lockstep.posttrade.audit.process import run

    topology = load(config_path)
    return run(
        topology,
        data_dir,
        key_file,
        segment_commands,
        ("127.0.0.1", 0 if metrics_port is None else metrics_port),
        keys=keys_of(key_store, master_key),
        from_snapshot=from_snapshot,
    )


@command.command("verify")
@_trail
@_fingerprint
@click.option("--head", type=Sha256(), help="Hash of a manifest that must be there: what `audit head` printed once.")
@click.option("--last-seq", type=click.IntRange(1, 2**62), default=None, help="The trail must reach this seq.")
@json_option
@expected_errors
def verify_command(
    directory: Path, fingerprint: str | None, head: str | None, last_seq: int | None, json_file: Output | None
) -> int:
    """Verify the trail in DIRECTORY from its files alone: signatures, the chain, every record.

    Exit code 1 if anything was changed, dropped, added or reordered; each such place is named. That the tail was cut
    off only --head or --last-seq can show.
    """
    from lockstep.posttrade.audit.verify import verify

    if not directory.is_dir():
        raise InputFault(f"{directory}: there is no such directory")
    verdict = verify(directory, fingerprint=fingerprint, head=head, last_seq=last_seq or 0)
    write_json(
        json_file,
        {
            "manifests": verdict.manifests,
            "records": verdict.records,
            "first_seq": verdict.first_seq,
            "last_seq": verdict.last_seq,
            "fingerprint": verdict.fingerprint,
            "head": verdict.head,
            "begins_behind": verdict.begins_behind,
            "findings": [{"place": one.place, "what": one.what, "text": one.text} for one in verdict.findings],
            "unsealed": list(verdict.unsealed),
        },
    )
    say = not on_stdout(json_file)
    for one in verdict.findings if say else ():
        click.echo(f"{one.place}: {one.what}: {one.text}")
    if say:
        click.echo(
            f"{verdict.manifests} manifests, {verdict.records} records, seq {verdict.first_seq} to {verdict.last_seq}; "
            f"key {verdict.fingerprint}; {len(verdict.findings) or 'no'} findings"
        )
        click.echo(f"head {verdict.head}")
        if verdict.begins_behind:
            click.echo(
                f"it begins behind the snapshot at seq {verdict.begins_behind}: what lies before is not in this trail"
            )
        for name in verdict.unsealed:
            click.echo(f"{name} is not sealed, and not part of what is proven")
    return 1 if verdict.findings else 0


@command.command("head")
@_trail
@json_option
@expected_errors
def head_command(directory: Path, json_file: Output | None) -> int:
    """Print the hash of the newest manifest in DIRECTORY, to be kept elsewhere for `lockstep audit verify --head`."""
    from lockstep.posttrade.audit.manifest import ManifestFault
    from lockstep.posttrade.audit.verify import head_of

    try:
        found = head_of(directory)
    except ManifestFault as error:
        raise Failure(f"{directory} has no end that can be named: {error}") from error
    write_json(json_file, dataclasses.asdict(found))
    if not on_stdout(json_file):
        click.echo(f"{found.hash}  manifest {found.number}, up to seq {found.last_seq}, key {found.fingerprint}")
    return 0


@command.command("export")
@_trail
@click.option("--format", "form", type=click.Choice(("rts24", "rts22", "cat")), required=True, help="Which form.")
@period_options
@click.option("--mic", default="", help="Market identifier code (ISO 10383) of the exchange.")
@click.option("--currency", default="", help="Currency (ISO 4217) of all prices.")
@keys_option
@master_option
@output_option("--out", "out", "Write it to a file")
@expected_errors
def export_command(
    directory: Path,
    form: str,
    from_ns: int,
    to_ns: int,
    mic: str,
    currency: str,
    key_store: str | None,
    master_key: Path | None,
    out: Output | None,
) -> int:
    """Write what the trail in DIRECTORY has of orders and trades in a regulator's shape: `rts24`, `rts22` or `cat`.

    Only sealed records count, and each segment is checked first. docs/audit-exports.md has the fields. With --keys,
    numbers of accounts and clients stand where pseudonyms do, but of those that were erased.
    """
    from lockstep.posttrade.audit.export_forms import Venue, lines_of
    from lockstep.posttrade.audit.manifest import ManifestFault
    from lockstep.posttrade.audit.naming import open_keys, with_numbers
    from lockstep.posttrade.audit.order_steps import steps_of, within
    from lockstep.posttrade.audit.sealed import sealed_records

    if not directory.is_dir():
        raise InputFault(f"{directory}: there is no such directory")
    store = None if key_store is None else open_keys(keys_of(key_store, master_key), master=True)
    records = sealed_records(directory) if store is None else with_numbers(sealed_records(directory), store)
    steps = within(steps_of(records), from_ns, to_ns)
    try:
        lines = lines_of(form, steps, Venue(mic, currency))
        if out is None:
            for line in lines:
                click.echo(line, nl=False)
        else:
            out.write("".join(lines))
    except ManifestFault as error:
        raise Failure(f"{directory} can't be exported: {error}") from error
    return 0


@command.command("prove")
@_trail
@click.argument("record")
@output_option("--out", "out", "Write the proof to a file")
@expected_errors
def prove_command(directory: Path, record: str, out: Output | None) -> int:
    """Prove that RECORD (its id, SEQ.INDEX of an event, or SEQ of a command) is in the trail in DIRECTORY.

    The proof has the record, its way to the root of its segment, and the signed manifest: `lockstep audit check` needs
    nothing else.
    """
    from lockstep.posttrade.audit.manifest import ManifestFault
    from lockstep.posttrade.audit.verify import NoSuchRecord, prove

    try:
        text = json.dumps(prove(directory, record), indent=2) + "\n"
    except NoSuchRecord as error:
        raise Failure(str(error)) from error
    except ManifestFault as error:
        raise Failure(f"a manifest in {directory} can't be read: {error}") from error
    if out is None:
        click.echo(text, nl=False)
    else:
        out.write(text)
    return 0


@command.command("check")
@click.argument("proof", type=click.Path(path_type=Path, dir_okay=False))
@_fingerprint
@expected_errors
def check_command(proof: Path, fingerprint: str | None) -> int:
    """Check a PROOF that `lockstep audit prove` wrote. Exit code 1 if it proves nothing."""
    from lockstep.posttrade.audit.manifest import ManifestFault
    from lockstep.posttrade.audit.verify import check_proof

    try:
        record, signed_by = check_proof(json.loads(proof.read_text(encoding="utf-8")))
    except (ManifestFault, ValueError, RecursionError) as error:
        raise Failure(f"{proof}: {error}") from error
    if fingerprint is not None and fingerprint != signed_by:
        raise Failure(f"{proof}: signed by another key than {fingerprint}: {signed_by}")
    click.echo(json.dumps(record, indent=2))
    click.echo(f"sealed by key {signed_by}", err=True)
    return 0


for _one in (clocks_command, *audit_archive.COMMANDS, *audit_keys.COMMANDS):
    command.add_command(_one)
