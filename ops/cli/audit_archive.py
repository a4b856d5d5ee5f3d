"""`lockstep audit` commands about years: records in three tiers, and what is asked of them."""

import dataclasses
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lockstep.ops.cli.audit_keys import keys_of, keys_option, master_option
from lockstep.ops.cli.options import InputFault, expected_errors, json_option, on_stdout, output_option, write_json
from lockstep.ops.cli.periods import period_options
from lockstep.runtime.output import Output

if TYPE_CHECKING:
    from lockstep.posttrade.archive.moves import Moved

_archive = click.argument("archive", type=click.Path(path_type=Path, file_okay=False))
_database = click.option(
    "--database", metavar="URL", help="PostgreSQL of catalogue and hot tier. Default: SQLite in ARCHIVE."
)
_instrument = click.option("--instrument", type=click.IntRange(0, 2**32 - 1), help="This instrument alone; 0: of none.")
_NUMBER = click.IntRange(1, 2**32 - 1)


@click.command("load")
@click.argument("trail", type=click.Path(path_type=Path, file_okay=False))
@_archive
@_database
@json_option
@expected_errors
def load_command(trail: Path, archive: Path, database: str | None, json_file: Output | None) -> int:
    """Take what TRAIL has sealed since the last time into the hot tier of ARCHIVE; each segment is checked first."""
    from lockstep.posttrade.archive.archive import Archive
    from lockstep.posttrade.held import hold_directory

    if not trail.is_dir():
        raise InputFault(f"{trail}: there is no such directory")
    with hold_directory(archive, "archive"), closing(Archive(archive, database, make=True)) as opened:
        records = opened.load(trail)
        number, _ = opened.catalogue.loaded()
    write_json(json_file, {"records": records, "manifest": number})
    if not on_stdout(json_file):
        click.echo(f"{records} records taken; {archive} has all up to manifest {number}")
    return 0


@click.command("move")
@_archive
@_database
@click.option("--hot-days", type=click.IntRange(1, 100_000), default=90, show_default=True, help="In SQL so long.")
@click.option("--warm-days", type=click.IntRange(1, 100_000), default=365, show_default=True, help="On disk so long.")
@click.option("--bucket", metavar="s3://BUCKET/PREFIX", help="Cold tier: a bucket with object lock. Default: none.")
@click.option("--endpoint-url", help="Of an S3 that is not Amazon's.")
@click.option("--lock-days", type=click.IntRange(1, 100_000), default=2555, show_default=True, help="Locked so long.")
@click.option(
    "--lock-mode", type=click.Choice(("COMPLIANCE", "GOVERNANCE")), default="COMPLIANCE", show_default=True,
    help="Who may shorten it: nobody, or who has the right.",
)  # fmt: skip
@click.option(
    "--key-file", type=click.Path(path_type=Path, dir_okay=False),
    help="Ed25519 key that moves are signed with; made for the first one. Default: beside ARCHIVE, with .key.pem.",
)  # fmt: skip
@json_option
@expected_errors
def move_command(
    archive: Path, database: str | None, hot_days: int, warm_days: int, bucket: str | None, endpoint_url: str | None,
    lock_days: int, lock_mode: str, key_file: Path | None, json_file: Output | None,
) -> int:  # fmt: skip
    """Move days of ARCHIVE on whose time has come: to Parquet on this disk, and from there to locked objects.

    Each day is written, read again and compared, signed, and then dropped where it was. Killed at any moment, it is in
    one tier, whole. Days are counted back from the newest one that is loaded, which itself stays.
    """
    from lockstep.posttrade.archive.archive import Archive
    from lockstep.posttrade.archive.moves import MovePlan, Mover
    from lockstep.posttrade.audit.manifest import default_key, signing_key
    from lockstep.posttrade.held import hold_directory

    say = not on_stdout(json_file)

    def show(moved: "Moved") -> None:
        if say:
            click.echo(
                f"{moved.day} is {moved.tier}: {moved.records} records, {moved.files} files, {moved.bytes} bytes"
            )

    with hold_directory(archive, "archive"), closing(Archive(archive, database)) as opened:
        key = signing_key(key_file or default_key(archive), make=not opened.catalogue.moved()[0])
        if bucket is not None:
            opened.use_cold(bucket, endpoint_url)
        plan = MovePlan(hot_days, warm_days, bucket is not None, lock_days, lock_mode)
        done = Mover(opened, key).run(plan, show)
    write_json(json_file, {"moves": [dataclasses.asdict(one) for one in done]})
    if say:
        click.echo(f"{len(done)} moves")
    return 0


@click.command("query")
@_archive
@_database
@click.option("--account", "accounts", type=_NUMBER, multiple=True, help="Account; may be repeated. Needs --keys.")
@click.option("--client", "clients", type=_NUMBER, multiple=True, help="Client whose session it was. Needs --keys.")
@click.option("--pseudonym", "pseudonyms", multiple=True, help="Pseudonym of an account or client; may be repeated.")
@keys_option
@master_option
@period_options
@_instrument
@click.option("--words", help="Only records whose text (refusals, names) has all of these words.")
@click.option("--estimate", is_flag=True, help="Say what it costs, and read nothing.")
@output_option("--out", "out", "Write the records to a file")
@expected_errors
def query_command(
    archive: Path, database: str | None, accounts: tuple[int, ...], clients: tuple[int, ...],
    pseudonyms: tuple[str, ...], key_store: str | None, master_key: Path | None, from_ns: int, to_ns: int,
    instrument: int | None, words: str | None, estimate: bool, out: Output | None,
) -> int:  # fmt: skip
    """Give the records of a client, a period, an instrument from all tiers of ARCHIVE, one a line, as they were sealed.

    What it costs is said first, on standard error: days, files, bytes, requests, known from the catalogue alone.
    """
    from lockstep.posttrade.archive.archive import Archive
    from lockstep.posttrade.archive.questions import Question, answer, costs_of, plan_of
    from lockstep.posttrade.audit.records import encode

    if words is not None:
        _check_words(words)
    subjects = _subjects(accounts, clients, pseudonyms, key_store, master_key)
    question = Question(subjects, from_ns, to_ns, instrument, words or "")
    with closing(Archive(archive, database)) as opened:
        costs = costs_of(plan_of(opened, question))
        for one in costs:
            click.echo(
                f"{one.tier}: {one.days} days, {one.files} files, {one.bytes} bytes, {one.requests} requests; "
                f"{one.records} records",
                err=not estimate,
            )
        if not costs:
            click.echo("no tier has anything of it", err=not estimate)
        if estimate:
            return 0
        lines = (encode(record).decode("ascii") + "\n" for record in answer(opened, question))
        if out is None:
            for line in lines:
                click.echo(line, nl=False)
        else:
            with out.stream() as stream:
                for line in lines:
                    stream.write(line)
    return 0


def _check_words(words: str) -> None:
    from lockstep.posttrade.archive.questions import words_of

    if not words_of(words):
        raise InputFault("there is no word to search for: a word has letters or digits")


def _subjects(
    accounts: tuple[int, ...], clients: tuple[int, ...], pseudonyms: tuple[str, ...], key_store: str | None,
    master_key: Path | None,
) -> tuple[str, ...] | None:  # fmt: skip
    """Pseudonyms; without a key store numbers, as a trail of before has them; None: whomever."""
    from lockstep.posttrade.audit.naming import open_keys
    from lockstep.posttrade.audit.subjects import subjects_of

    named = subjects_of(accounts, clients)
    if not named:
        return pseudonyms or None
    found = list(pseudonyms) + [one.text for one in named]
    if key_store is not None:
        with closing(open_keys(keys_of(key_store, master_key), master=True)) as store:
            found += [known.pseudonym for one in named for known in store.pseudonyms_of(one)]
    return tuple(found)


@click.command("search")
@_archive
@click.argument("words")
@_database
@period_options
@_instrument
@json_option
@expected_errors
def search_command(
    archive: Path, words: str, database: str | None, from_ns: int, to_ns: int, instrument: int | None,
    json_file: Output | None,
) -> int:  # fmt: skip
    """Find which texts in ARCHIVE have all of these WORDS (refusals, names), and in how many records of which days.

    It reads no record: `lockstep audit query --words` gives them.
    """
    from lockstep.posttrade.archive.archive import Archive
    from lockstep.posttrade.archive.questions import Question, mentions

    _check_words(words)
    with closing(Archive(archive, database)) as opened:
        found = mentions(opened, Question(None, from_ns, to_ns, instrument, words))
    write_json(json_file, {"texts": found})
    if not on_stdout(json_file):
        for one in found:
            click.echo(f"{one['records']:>9}  {one['first_day']} to {one['last_day']}  {one['text']}")
        click.echo(f"{len(found)} texts")
    return 0


@click.command("summary")
@_archive
@_database
@period_options
@_instrument
@json_option
@expected_errors
def summary_command(
    archive: Path, database: str | None, from_ns: int, to_ns: int, instrument: int | None, json_file: Output | None
) -> int:
    """Show what each day of ARCHIVE came to, by instrument: orders, trades, volume, refusals by code."""
    from lockstep.posttrade.archive.archive import Archive
    from lockstep.posttrade.archive.questions import Question, tier_of

    with closing(Archive(archive, database)) as opened:
        days = Question(None, from_ns, to_ns).days
        tiers = opened.catalogue.tiers()
        found = [one | {"tier": tier_of(tiers, one["day"])} for one in opened.catalogue.summaries(days, instrument)]
    write_json(json_file, {"days": found})
    for one in found if not on_stdout(json_file) else ():
        by_code = ", ".join(f"{code} {count}" for code, count in one["by_code"].items())
        codes = f" ({by_code})" if by_code else ""
        click.echo(
            f"{one['day']} {one['tier']:4} {one['instrument']:>6} {one['symbol']:10} {one['orders']} orders, "
            f"{one['trades']} trades, volume {one['volume']}, {one['refusals']} refusals{codes}"
        )
    return 0


@click.command("verify-archive")
@_archive
@_database
@click.option("--trail", type=click.Path(path_type=Path, file_okay=False), help="Compare every record with this trail.")
@click.option("--fingerprint", help="Fingerprint of the key that must have signed moves (64 hexadecimal digits).")
@json_option
@expected_errors
def verify_archive_command(
    archive: Path, database: str | None, trail: Path | None, fingerprint: str | None, json_file: Output | None
) -> int:
    """Verify ARCHIVE: signatures, the chain of moves, every file, object and record, daily summaries, both indexes.

    Exit code 1 if anything was changed, dropped or added; each such place is named. What is hot is signed nowhere:
    only with --trail is it seen that a record of it was changed, or that its beginning or its end is missing.
    """
    from lockstep.posttrade.archive.archive import Archive
    from lockstep.posttrade.archive.checking import check_archive

    with closing(Archive(archive, database)) as opened:
        found = check_archive(opened, trail=trail, fingerprint=fingerprint)
    said = {
        "records": dict(found.records), "files": dict(found.files), "fingerprint": found.fingerprint,
        "findings": [dataclasses.asdict(one) for one in found.findings],
    }  # fmt: skip
    write_json(json_file, said)
    if not on_stdout(json_file):
        for one in found.findings:
            click.echo(f"{one.place}: {one.what}: {one.text}")
        held = ", ".join(f"{tier} {count} records" for tier, count in found.records.items())
        said_key = found.fingerprint or "none yet"
        click.echo(f"{held or 'no records'}; key {said_key}; {len(found.findings) or 'no'} findings")
    return 1 if found.findings else 0


COMMANDS = (
    load_command, move_command, query_command, search_command, summary_command, verify_archive_command,
)  # fmt: skip
