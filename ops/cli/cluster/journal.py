"""`lockstep cluster journal`: look at the journals of engines that do not run, and judge them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console

from lockstep.engine.implementations import DEFAULT, NAMES, UnknownImplementation, implementation
from lockstep.ops.cli.cluster.arguments import engine_directory, engine_directory_argument
from lockstep.ops.cli.cluster.tables import history_table, time_text
from lockstep.ops.cli.lazy_group import PlainGroup
from lockstep.ops.cli.options import (
    Failure,
    InputFault,
    config_option,
    expected_errors,
    json_option,
    make_console,
    write_json,
)
from lockstep.ops.cli.tables import plain_table
from lockstep.ops.operator.archive import SUFFIX, archived_batches
from lockstep.ops.operator.cold import ColdJournal, NoJournal
from lockstep.ops.operator.history import EpochBegun, from_batch
from lockstep.ops.operator.journal_check import Verdict, verify
from lockstep.ops.operator.journal_diff import Comparison, compare
from lockstep.ops.operator.journal_listing import Listing, list_commands
from lockstep.ops.operator.salvage import NothingToSalvage, salvage
from lockstep.replica.journal import JournalSummary
from lockstep.replica.rocks import JournalFault
from lockstep.runtime.output import Output
from lockstep.stream.batch import LayoutError, decode_batch

_LAST: Final = 10


@click.group("journal", cls=PlainGroup)
def command() -> None:
    """Look at the journals of stopped engines, check and compare them.

    DIR is an engine's data directory, such as lockstep-data/engine-1, or its name in the configuration, such as
    engine-1. Nothing is written to it, but by `salvage`. An engine that runs is refused.
    """


@contextmanager
def opened(directory: Path) -> Iterator[ColdJournal]:
    """A stopped engine's journal, with its errors as messages and exit codes."""
    try:
        with ColdJournal(directory) as journal:
            yield journal
    except NoJournal as error:
        raise InputFault(str(error)) from error
    except JournalFault as error:
        raise Failure(str(error)) from error


@command.command("dump")
@engine_directory_argument("directory")
@config_option
@click.option("--from", "from_seq", type=click.IntRange(1), help="First command to list; default: the last ten.")
@click.option("--limit", type=click.IntRange(0), default=_LAST, show_default=True, help="Commands to list at the most.")
@click.option("--events", "with_events", is_flag=True, help="List what the engine computed of each command, too.")
@json_option
@expected_errors
def dump(
    directory: Path,
    config_path: Path,
    from_seq: int | None,
    limit: int,
    with_events: bool,
    json_file: Output | None,
) -> int:
    """Show what a journal holds: identity, tip, promise, digest, epochs, and some of its commands.

    Instead of DIR it takes an archived tail, DIR/archive/*.batches: commands that an engine discarded.

    With --json: every field of each command (`fields`), of each of its events (--events) and of the batches that they
    were stamped in, enough to build the journal again. Integers of 64 bits are texts.
    """
    console = make_console(json_file)
    if directory.is_file():
        return _dump_archive(console, directory, from_seq, limit, json_file)
    directory = engine_directory(directory, config_path)
    with opened(directory) as journal:
        summary = journal.summary
        start = from_seq if from_seq is not None else max(1, summary.tip_seq - limit + 1)
        try:
            epochs = _epochs(journal)
            listing = list_commands(
                map(decode_batch, journal.raw_batches(start)),
                start,
                limit,
                journal.events if with_events else lambda _: None,
            )
        except LayoutError as error:
            raise Failure(
                f"{directory}: an entry is damaged: {error}; `journal verify` says where, and the engine can be "
                "brought back with `lockstep cluster reinit`"
            ) from error
        digest = journal.digest(summary.tip_seq)
        listed = listing.to_json(journal.digest)
    facts = _facts(summary, digest)
    table = plain_table(f"journal in {directory}", header=False)
    for name, value in facts.items():
        table.add_row(name.replace("_", " "), str(value) or "not kept")
    console.print(table)
    console.print(history_table(epochs, title="epochs"))
    _print_rows(console, listing)
    write_json(json_file, {**facts, "epochs": [epoch.to_json() for epoch in epochs], **listed})
    return 0


def _facts(summary: JournalSummary, digest: bytes | None) -> dict[str, object]:
    return {
        "member": summary.member,
        "cluster_uuid": summary.cluster_uuid,
        "tip_seq": summary.tip_seq,
        "tip_epoch": summary.tip_epoch,
        "tip_time": time_text(summary.timestamp_ns),
        "committed_seq_at_least": summary.committed_seq,
        "promised_epoch": summary.promised,
        "promised_to": summary.promised_to,
        "incarnation": summary.incarnation,
        "digest": digest.hex() if digest is not None else "",
    }


def _print_rows(console: Console, listing: Listing) -> None:
    for row in listing.rows:
        console.print(f"{row.seq:>10}  {row.batch.epoch:>4}  {row.text}", highlight=False)
        for text in row.event_texts():
            console.print(f"{'':>16}  -> {text}", highlight=False)


@command.command("salvage")
@engine_directory_argument("directory")
@config_option
@json_option
@expected_errors
def salvage_command(directory: Path, config_path: Path, json_file: Output | None) -> int:
    """Make what can be read of a damaged journal a journal again; what was there is kept.

    The last resort, where no engine has what it held. Verified snapshots count for what comes before them. Where all is
    there that was acknowledged, the engine goes on; else the cluster does not believe it before a forced failover with
    accepted data loss. All or nothing: what fails has changed nothing.
    """
    console = make_console(json_file)
    directory = engine_directory(directory, config_path)
    try:
        done = salvage(directory)
    except (NoJournal, NothingToSalvage) as error:
        raise InputFault(str(error)) from error
    except JournalFault as error:
        raise Failure(str(error)) from error
    begins = f"from the snapshot at seq {done.base_seq} on, " if done.base_seq else ""
    then = (
        "Nothing that was acknowledged is lost, only older history. Start the engine."
        if done.whole
        else "Start the engine. If an engine with more than this comes back, it takes everything from there. Else, to "
        f"lose what is behind: `lockstep cluster failover --candidate engine-{done.member} --force --accept-data-loss`"
    )
    console.print(
        f"{directory} was damaged: {done.why}\n"
        f"It can be read {begins}up to {done.tip}; it held {done.needed}. What was there is now in {done.copy}\n{then}",
        highlight=False,
    )
    facts = {"member": done.member, "tip_seq": done.tip.seq, "held_seq": done.needed.seq, "why": done.why}
    facts |= {"base_seq": done.base_seq, "whole": done.whole}
    write_json(json_file, {**facts, "copy": str(done.copy)})
    return 0


def _dump_archive(console: Console, path: Path, from_seq: int | None, limit: int, json_file: Output | None) -> int:
    if path.suffix != SUFFIX:
        raise InputFault(
            f"{path} is no archived tail; name an engine's data directory, or a file {SUFFIX} in its archive"
        )
    try:
        batches = list(archived_batches(path))
    except LayoutError as error:
        raise Failure(f"{path}: {error}; read what is whole of it in {path.with_suffix('.jsonl')}") from error
    count = sum(batch.count for batch in batches)
    last = batches[-1].last_seq if batches else 0
    listing = list_commands(batches, from_seq if from_seq is not None else max(1, last - limit + 1), limit)
    console.print(f"{path}: {count} commands" + (f", seq {batches[0].first_seq} to {last}" if batches else ""))
    _print_rows(console, listing)
    write_json(json_file, {"archive": str(path), "count": count, **listing.to_json()})
    return 0


def _epochs(journal: ColdJournal) -> tuple[EpochBegun, ...]:
    found = []
    for entry in journal.summary.epochs:
        raw = next(journal.raw_batches(entry.first_seq), None)
        begun = from_batch(decode_batch(raw)) if raw is not None else None
        if begun is not None and begun.epoch == entry.epoch:
            found.append(begun)
    return tuple(found)


@command.command("verify")
@engine_directory_argument("directory")
@config_option
@click.option(
    "--engine",
    "engine_name",
    type=click.Choice(NAMES),
    default=DEFAULT,
    show_default=True,
    help="Implementation that executes it; take the other one than the engine ran for an independent judge.",
)
@json_option
@expected_errors
def verify_journal(directory: Path, config_path: Path, engine_name: str, json_file: Output | None) -> int:
    """Execute a journal again and prove that it is what the engine wrote and did.

    Checks each entry's CRC, that no seq is missing, epochs and stamped times, and that a fresh engine comes to the
    digest that the engine had stored. Exit code 1 at the first fault, with its seq.
    """
    console = make_console(json_file)
    directory = engine_directory(directory, config_path)
    started = time.monotonic()
    try:
        make = implementation(engine_name)
    except UnknownImplementation as error:
        raise InputFault(str(error)) from error
    with opened(directory) as journal, console.status("executing"):
        name, tip = journal.name, journal.summary.tip_seq
        base, engine = journal.begin(make)
        verdict = verify(journal, engine, base)
        missing = journal.missing
    took_s = time.monotonic() - started
    console.print(
        f"{name}: {verdict.commands} commands in {verdict.batches} batches executed by the {engine_name} engine in "
        f"{took_s:.1f} s; proved from seq {verdict.from_seq} to {verdict.seq} of {tip}, epochs "
        f"{', '.join(str(begun.epoch) for begun in verdict.epochs) or 'none'}",
        highlight=False,
    )
    console.print(
        f"digest {verdict.digest.hex()}; {verdict.digests_compared} stored digests are equal", highlight=False
    )
    write_json(json_file, {"directory": str(directory), **_verdict_json(verdict), "seconds": round(took_s, 3)})
    if not verdict.sound:
        raise Failure(
            f"{directory}: FAULT at seq {verdict.fault_seq}: {verdict.fault}. Keep the directory; compare it with "
            "another engine's (`journal diff`), and bring the engine back with `lockstep cluster reinit`"
        )
    if missing:
        raise Failure(
            f"{directory}: FAULT: what is there is proved, and not all is there: {missing}. Keep the directory; "
            "started, its engine says who else has it"
        )
    if verdict.digests_compared:
        console.print("sound")
    else:
        console.print(
            "sound in itself; of what the engine had computed nothing is kept (it was killed), so compare the digest "
            "with another engine's at the same seq"
        )
    return 0


def _verdict_json(verdict: Verdict) -> dict[str, Any]:
    return {
        "sound": verdict.sound,
        "from_seq": verdict.from_seq,
        "seq": verdict.seq,
        "epoch": verdict.epoch,
        "commands": verdict.commands,
        "batches": verdict.batches,
        "digest": verdict.digest.hex(),
        "digests_compared": verdict.digests_compared,
        "epochs": [begun.to_json() for begun in verdict.epochs],
        "fault": verdict.fault,
        "fault_seq": verdict.fault_seq,
    }


@command.command("diff")
@engine_directory_argument("left")
@engine_directory_argument("right")
@config_option
@json_option
@expected_errors
def diff(left: Path, right: Path, config_path: Path, json_file: Output | None) -> int:
    """Find the first command at which two journals diverge: other command, other stamp, or other outcome.

    Exit code 0 if neither contradicts the other (one may be longer), 1 if they part.
    """
    console = make_console(json_file)
    left, right = engine_directory(left, config_path), engine_directory(right, config_path)
    with opened(left) as one, opened(right) as other:
        if one.summary.cluster_uuid != other.summary.cluster_uuid:
            raise InputFault(
                f"{left} and {right} are of different clusters ({one.summary.cluster_uuid} and "
                f"{other.summary.cluster_uuid}); name two engines of one cluster"
            )
        try:
            found = compare(one, other)
        except LayoutError as error:
            raise Failure(f"an entry is damaged: {error}; `journal verify` on each directory says which") from error
        names = (one.name, other.name)
    console.print(
        f"equal from seq {found.from_seq} to {found.equal_through}: {found.commands} commands, "
        f"{found.digests_compared} digests",
        highlight=False,
    )
    write_json(json_file, _comparison_json(found))
    if found.difference is None:
        console.print(_lengths(found, names), highlight=False)
        if not found.digests_compared:
            console.print("one of them keeps no digests: what came of the commands was not compared; `journal verify`")
        return 0
    console.print(f"first difference at seq {found.difference.seq}: {found.difference.kind.value}", highlight=False)
    for name, text in zip(names, (found.difference.left, found.difference.right), strict=True):
        console.print(f"  {name}: {text}", highlight=False)
    return 1


def _lengths(found: Comparison, names: tuple[str, str]) -> str:
    if found.left_tip == found.right_tip:
        return "the journals are equal"
    shorter = names[0] if found.left_tip < found.right_tip else names[1]
    low, high = sorted((found.left_tip, found.right_tip))
    return f"{shorter} ends {high - low} commands earlier, at seq {low}; what both hold is equal"


def _comparison_json(found: Comparison) -> dict[str, Any]:
    difference = found.difference
    return {
        "agree": found.agree,
        "from_seq": found.from_seq,
        "equal_through": found.equal_through,
        "commands": found.commands,
        "digests_compared": found.digests_compared,
        "left_tip": found.left_tip,
        "right_tip": found.right_tip,
        "difference": None
        if difference is None
        else {
            "kind": difference.kind.value,
            "seq": difference.seq,
            "left": difference.left,
            "right": difference.right,
        },
    }
