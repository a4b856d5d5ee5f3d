"""`lockstep ledger`: what everybody owns, and how it came to be."""

import dataclasses
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lockstep.ops.cli.cluster.arguments import named_directory
from lockstep.ops.cli.lazy_group import PlainGroup
from lockstep.ops.cli.ledger_history import COMMANDS
from lockstep.ops.cli.ledger_options import (
    account_argument,
    ledger_place,
    ledger_view,
    place_options,
    topology_of,
)
from lockstep.ops.cli.options import (
    Failure,
    InputFault,
    expected_errors,
    json_option,
    make_console,
    on_stdout,
    output_option,
    write_json,
)
from lockstep.ops.cli.periods import period_options
from lockstep.ops.cli.tables import plain_table
from lockstep.posttrade.ledger.statement_forms import FORMS, money
from lockstep.runtime.output import Output

if TYPE_CHECKING:
    from lockstep.posttrade.chunks import Position
    from lockstep.posttrade.ledger.place import LedgerPlace
    from lockstep.posttrade.ledger.statement import Statement


@click.group("ledger", cls=PlainGroup)
def command() -> None:
    """What everybody owns and how it came to be: balances, orders, trades, profit and loss, statements.

    `run` follows a cluster; the others read what it has written, whether it runs or not. docs/ledger.md explains it.
    """


@command.command("run")
@place_options
@click.option(
    "--grpc-port", type=click.IntRange(1, 65_535), help="Where clients ask it, instead of the configured port."
)
@click.option(
    "--metrics-port", type=click.IntRange(1, 65_535), help="Where its figures are, instead of the configured port."
)
@click.option(
    "--from-snapshot",
    is_flag=True,
    help="An empty ledger begins with the balances of an engine's newest snapshot, not with the first command.",
)
@expected_errors
def run_command(
    config_path: Path,
    data_dir: Path | None,
    database: str | None,
    grpc_port: int | None,
    metrics_port: int | None,
    from_snapshot: bool,
) -> int:
    """Run one ledger: it follows the cluster, and answers over gRPC. Any number may run, each with its own directory.

    Stop it with SIGTERM or Ctrl-C. Logs go to standard error; LOCKSTEP_LOG sets the level (debug, info, warning).
    """
    # Imported late: the help must not pay for a whole process.
    from lockstep.posttrade.ledger.process import run

    topology = topology_of(config_path, data_dir, database)
    ledger = topology.ledger
    own = data_dir is not None
    ledger = dataclasses.replace(
        ledger,
        grpc_port=(0 if own else ledger.grpc_port) if grpc_port is None else grpc_port,
        metrics_port=(0 if own else ledger.metrics_port) if metrics_port is None else metrics_port,
    )
    return run(dataclasses.replace(topology, ledger=ledger), from_snapshot=from_snapshot)


@command.command("rebuild")
@place_options
@click.option(
    "--journal",
    type=click.Path(path_type=Path),
    help="Data directory of an engine at rest, or its name in the configuration. Default: from the running engines.",
)
@click.option("--keep", is_flag=True, help="Keep all generations of before.")
@click.option(
    "--from-snapshot",
    is_flag=True,
    help="Begin with the balances of a snapshot: the engines' newest one, or the oldest in the --journal directory.",
)
@click.option(
    "--lose-history",
    is_flag=True,
    help="Replace a ledger that begins earlier, too: what it has of before is in no answer any more. Its generation "
    "stays.",
)
@expected_errors
def rebuild_command(
    config_path: Path,
    data_dir: Path | None,
    database: str | None,
    journal: Path | None,
    keep: bool,
    from_snapshot: bool,
    lose_history: bool,
) -> int:
    """Make the ledger anew beside the one that is used, then put it in its place.

    A running ledger takes it up by itself. Nothing is swapped in that is behind the ledger that counts, or that
    begins later (but see --lose-history).
    """
    from lockstep.posttrade.ledger.rebuild import rebuild_from_engines
    from lockstep.runtime.stop_request import StopRequest

    place = ledger_place(config_path, data_dir, database)
    if journal is not None:
        directory = named_directory(journal, config_path)
        position = _from_journal(place, directory, keep=keep, from_snapshot=from_snapshot, lose_history=lose_history)
    else:
        topology = topology_of(config_path, data_dir, database)

        def say(position: Any, committed_seq: int) -> None:
            click.echo(f"seq {position.seq} of {committed_seq}", err=True)

        position = rebuild_from_engines(
            topology, place, StopRequest.install(), say, keep=keep, from_snapshot=from_snapshot,
            lose_history=lose_history,
        )  # fmt: skip
    click.echo(f"rebuilt up to seq {position.seq}; generation {place.current()} counts now")
    return 0


def _from_journal(
    place: "LedgerPlace", directory: Path, *, keep: bool, from_snapshot: bool, lose_history: bool
) -> "Position":
    from lockstep.posttrade.ledger.rebuild import rebuild_from_chunks
    from lockstep.posttrade.opening import opening_of
    from lockstep.posttrade.reading import executed
    from lockstep.replica.snapshot_file import decode_head
    from lockstep.replica.snapshots import SnapshotStore, usable
    from lockstep.replica.stored_journal import StoredJournal
    from lockstep.runtime.snapshot_reader import read_snapshot

    with closing(StoredJournal(directory)) as stored:
        committed, opening, state = stored.committed_hint, None, b""
        if from_snapshot:
            summary, store = stored.summary(), SnapshotStore(directory)
            heads = usable(
                store.heads(), cluster_uuid=summary.cluster_uuid, epochs=summary.epochs, tip_seq=summary.tip_seq,
                base_seq=summary.base_seq,
            )  # fmt: skip
            if not heads:
                raise Failure(f"{directory} has no snapshot that its journal continues")
            # The oldest, so that as much as possible is in the ledger.
            raw = store.read(heads[-1].seq)
            opening, state = opening_of(read_snapshot(raw)), raw[decode_head(raw).head_bytes :]
        elif stored.base_seq:
            raise Failure(
                f"{directory} begins behind seq {stored.base_seq}: add --from-snapshot to begin with the balances of "
                "its oldest snapshot, or name a journal that has all"
            )
        first_seq = opening.position.seq + 1 if opening else 1
        batches = (batch for batch in stored.batches(first_seq) if batch.last_seq <= committed)
        return rebuild_from_chunks(
            place, executed(batches, state=state), keep=keep, opening=opening, lose_history=lose_history
        )


@command.command("status")
@place_options
@click.option("--digest", is_flag=True, help="Digests of all tables: equal ledgers have equal ones.")
@json_option
@expected_errors
def status_command(
    config_path: Path, data_dir: Path | None, database: str | None, digest: bool, json_file: Output | None
) -> int:
    """How far the ledger is, and how much it holds."""
    from lockstep.posttrade.ledger.digest import table_digests
    from lockstep.posttrade.ledger.queries import Opened

    place = ledger_place(config_path, data_dir, database)
    generation = place.current()
    with closing(place.open(generation, write=False)) as store:
        store.hold_still()
        position = store.position()
        facts: dict[str, Any] = {"generation": generation, **dataclasses.asdict(position)}
        for row in store.rows("SELECT seq, epoch, timestamp_ns, digest FROM openings"):
            facts["begins_with"] = Opened(*row).text
        for table in ("orders", "entries", "lots", "balances", "accounts", "instruments"):
            facts[table] = store.rows(f"SELECT count(*) FROM {table}")[0][0]  # noqa: S608 - names of ours
        if digest:
            facts["digests"] = table_digests(store)
    write_json(json_file, facts)
    if not on_stdout(json_file):
        for name, value in facts.items():
            rows = value.items() if isinstance(value, dict) else [(name, value)]
            for key, shown in rows:
                click.echo(f"{key:<14}{shown}")
    return 0


@command.command("portfolio")
@place_options
@account_argument
@click.option("--fifo", is_flag=True, help="Cost and profit first in, first out; else by average cost.")
@json_option
@expected_errors
def portfolio_command(
    config_path: Path, data_dir: Path | None, database: str | None, account: int, fifo: bool, json_file: Output | None
) -> int:
    """Cash, positions with profit and loss, and buying power of ACCOUNT."""
    with ledger_view(config_path, data_dir, database) as view:
        made = view.portfolio(account, fifo=fifo)
    write_json(json_file, dataclasses.asdict(made))
    if on_stdout(json_file):
        return 0
    click.echo(f"account {account} {made.account.name}, as of seq {made.position.seq}")
    if made.opened is not None:
        click.echo(made.opened.text)
    power = "without bound" if made.unlimited else money(made.buying_power)
    for name, text in (
        ("cash", money(made.cash)),
        ("reserved", money(made.reserved)),
        ("equity", money(made.equity)),
        ("buying power", power),
        ("fees paid", money(made.fees)),
    ):
        click.echo(f"  {name:<14}{text:>28}")
    table = plain_table("positions")
    for name in ("instrument", "lots", "reserved", "cost", "value", "realised", "unrealised"):
        table.add_column(name, justify="left" if name == "instrument" else "right")
    for one in made.holdings:
        amounts = (money(one.cost), money(one.value), money(one.realised), money(one.unrealised))
        table.add_row(one.symbol, str(one.lots), str(one.reserved_lots), *amounts)
    make_console(json_file).print(table)
    return 0


for _one in COMMANDS:
    command.add_command(_one)


@command.command("statement")
@place_options
@account_argument
@period_options
@click.option("--format", "form", type=click.Choice(FORMS), default="text", show_default=True, help="What to write.")
@output_option("--out", "out", "Write it to a file; a PDF needs one")
@expected_errors
def statement_command(
    config_path: Path,
    data_dir: Path | None,
    database: str | None,
    account: int,
    from_ns: int,
    to_ns: int,
    form: str,
    out: Output | None,
) -> int:
    """Statement of ACCOUNT: opening, movements, closing. Exit code 1, and nothing written, if they do not add up."""
    from lockstep.posttrade.ledger.statement import DoesNotAddUp, NotKnown, PeriodEndsFirst, TooLong, statement_of

    if form == "pdf" and (out is None or out.on_stdout):
        raise InputFault("a PDF goes into a file: name it with --out")
    try:
        with ledger_view(config_path, data_dir, database) as view:
            made = statement_of(view, account, from_ns, to_ns)
    except PeriodEndsFirst as error:
        raise InputFault(f"{error}; give --from before --to") from error
    except NotKnown as error:
        text = f"{error}; give --from {error.from_ns} (nanoseconds since 1970) or later, and --to behind it"
        raise InputFault(text) from error
    except (DoesNotAddUp, TooLong) as error:
        raise Failure(str(error)) from error
    _write(made, form, out)
    return 0


def _write(made: "Statement", form: str, out: Output | None) -> None:
    from lockstep.posttrade.ledger import statement_forms as forms

    if form == "pdf":
        assert out is not None, "asked for before"
        try:
            content = forms.as_pdf(made)
        except ModuleNotFoundError as missing:
            raise Failure(f"a PDF needs {missing.name}: install lockstep-cluster[posttrade]") from missing
        out.write_bytes(content)
        return
    text = {"text": forms.as_text, "csv": forms.as_csv, "json": forms.as_json}[form](made)
    if out is None:
        click.echo(text, nl=False)
    else:
        out.write(text)


@command.command("export")
@place_options
@output_option("--out", "out", "Write it to a file")
@expected_errors
def export_command(config_path: Path, data_dir: Path | None, database: str | None, out: Output | None) -> int:
    """All entries as a text of Beancount, which `bean-check` checks."""
    from lockstep.posttrade.ledger.beancount_export import beancount_lines

    with ledger_view(config_path, data_dir, database) as view:
        text = "\n".join(beancount_lines(view)) + "\n"
    if out is None:
        click.echo(text, nl=False)
    else:
        out.write(text)
    return 0
