"""`lockstep cluster snapshot`: list, take and verify snapshots."""

from pathlib import Path
from typing import Any

import click
import grpc

from lockstep.engine.implementations import DEFAULT, NAMES, UnknownImplementation, implementation
from lockstep.ops.cli.cluster.arguments import engine_argument, engine_directory, engine_directory_argument
from lockstep.ops.cli.cluster.journal import opened
from lockstep.ops.cli.cluster.steps import Refused, Work, open_work, operator_errors
from lockstep.ops.cli.cluster.tables import time_text
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
from lockstep.ops.operator.calls import ask, change
from lockstep.ops.operator.snapshot_check import SnapshotVerdict, verify_snapshots
from lockstep.runtime.cluster_view import rpc_text
from lockstep.runtime.output import Output
from lockstep.v1 import cluster_pb2


@click.group("snapshot", cls=PlainGroup)
def command() -> None:
    """List the engines' snapshots, have one taken, verify those of a stopped engine.

    A snapshot is the state of the market at a seq. Engines start from it and a new disk is filled from it.
    """


@command.command("list")
@config_option
@json_option
@expected_errors
def list_snapshots(config_path: Path, json_file: Output | None) -> int:
    """List the snapshots beside every engine that answers. Exit code 1 if one does not."""
    table = plain_table("snapshots")
    for name in ("engine", "seq", "epoch", "taken (UTC)", "bytes", "digest", "verified"):
        table.add_column(name, justify="right" if name in ("seq", "epoch", "bytes") else "left", no_wrap=True)
    found: dict[str, object] = {}
    silent = 0
    with open_work(config_path, json_file) as work:
        for engine in work.view.engines:
            try:
                reply = ask(engine.address, "ListSnapshots", cluster_pb2.ListSnapshotsRequest())
            except grpc.RpcError as error:
                table.add_row(engine.name, f"[red]{rpc_text(error)}[/]")
                silent += 1
                continue
            for one in reply.snapshots:
                table.add_row(engine.name, *_cells(one))
            found[engine.name] = [_json(one) for one in reply.snapshots]
        work.console.print(table)
        count = len(table.rows) - silent
        work.finish(f"{count} snapshot{'s' * (count != 1)}", snapshots=found)
    return 1 if silent else 0


@command.command("take")
@engine_argument
@config_option
@json_option
@operator_errors
def take(member: int, config_path: Path, json_file: Output | None) -> int:
    """Have a snapshot taken beside ENGINE (2 or engine-2) of everything that is committed now, and verified.

    The live engine does not pause: the snapshotter beside it replays the journal.
    """
    with open_work(config_path, json_file, member) as work:
        address = _address(work, member)
        reply = change(address, "TakeSnapshot", cluster_pb2.TakeSnapshotRequest(), timeout_s=35.0)
        one = reply.snapshot
        return work.finish(
            f"engine-{member}: snapshot at seq {one.seq}, epoch {one.epoch}, {one.size_bytes} bytes, "
            f"digest {one.digest.hex()}, {'verified' if one.verified else 'not verified'}",
            **_json(one),
        )


def _address(work: Work, member: int) -> str:
    engine = work.view.engine(member)
    assert engine is not None
    if not engine.up:
        raise Refused(f"engine-{member} does not answer ({engine.error}). Nothing was changed; start it first")
    return engine.address


@command.command("verify")
@engine_directory_argument("directory")
@config_option
@click.option(
    "--engine",
    "engine_name",
    type=click.Choice(NAMES),
    default=DEFAULT,
    show_default=True,
    help="Implementation that executes the journal.",
)
@json_option
@expected_errors
def verify(directory: Path, config_path: Path, engine_name: str, json_file: Output | None) -> int:
    """Execute the journal of a stopped engine and compare each snapshot beside it, byte by byte.

    DIR is the engine's data directory, or its name in the configuration. A snapshot that the journal no longer reaches
    back to is checked by its checksums alone, and said so. Exit code 1 if one is wrong.
    """
    try:
        make = implementation(engine_name)
    except UnknownImplementation as error:
        raise InputFault(str(error)) from error
    console = make_console(json_file)
    directory = engine_directory(directory, config_path)
    with opened(directory) as journal:
        verdicts = verify_snapshots(journal, make)
    for one in verdicts:
        console.print(f"{one.path.name}: {one.text}", highlight=False)
    write_json(json_file, {"snapshots": [_verdict_json(one) for one in verdicts]})
    wrong = [one.path.name for one in verdicts if not one.sound]
    if wrong:
        raise Failure(
            f"{directory}: {len(wrong)} of {len(verdicts)} snapshots are wrong: {', '.join(wrong)}. "
            "Keep the directory; `journal verify` says whether the journal is sound"
        )
    console.print(f"{len(verdicts)} snapshots, all sound", highlight=False)
    return 0


def _cells(one: cluster_pb2.Snapshot) -> tuple[str, ...]:
    return (
        str(one.seq),
        str(one.epoch),
        time_text(one.taken_ns),
        str(one.size_bytes),
        one.digest.hex()[:8],
        "yes" if one.verified else "not yet",
    )


def _json(one: cluster_pb2.Snapshot) -> dict[str, Any]:
    return {
        "seq": one.seq,
        "epoch": one.epoch,
        "digest": one.digest.hex(),
        "size_bytes": one.size_bytes,
        "taken_ns": one.taken_ns,
        "verified": one.verified,
    }


def _verdict_json(one: SnapshotVerdict) -> dict[str, Any]:
    return {
        "file": one.path.name,
        "seq": one.seq,
        "sound": one.sound,
        "executed": one.executed,
        "text": one.text,
    }
