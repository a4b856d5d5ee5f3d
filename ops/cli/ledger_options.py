"""What the subcommands of `lockstep ledger` share: which ledger, of which time."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import click

from lockstep.ops.cli.options import Failure, InputFault, config_option
from lockstep.posttrade.ledger.place import LedgerPlace, place_of
from lockstep.posttrade.ledger.queries import UnknownAccount, UnknownOrder, View, view_of
from lockstep.runtime.config import load
from lockstep.runtime.topology import Topology

_LONGEST_NUMBER: Final = 10
_SHOWN: Final = 10


def place_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--database", help="URL of PostgreSQL, instead of what the configuration names."),
        click.option(
            "--data-dir",
            type=click.Path(path_type=Path, file_okay=False),
            help="The ledger's directory. Default: the one of the configuration.",
        ),
        config_option,
    ):
        function = option(function)
    return function


account_argument = click.argument("account", type=click.IntRange(1, 2**32 - 1))


def instrument_of(view: View, said: str | None) -> int:
    """The number of an instrument that was named by symbol or number; 0: none was.

    Raises:
        InputFault: the ledger knows none of this name.
    """
    if said is None:
        return 0
    instruments = view.instruments()
    by_symbol = {one.symbol: number for number, one in instruments.items()}
    found = by_symbol.get(said)
    if found is None and said.isascii() and said.isdigit() and len(said) <= _LONGEST_NUMBER:
        found = int(said) if int(said) in instruments else None
    if found is None:
        known = ", ".join(sorted(by_symbol)[:_SHOWN]) or "none"
        raise InputFault(f"this ledger has no instrument {said!r}; by symbol or number, such as: {known}")
    return found


def topology_of(config_path: Path, data_dir: Path | None, database: str | None) -> Topology:
    topology = load(config_path)
    wanted = topology.ledger
    changed = dataclasses.replace(
        wanted,
        data_dir=data_dir or wanted.data_dir,
        # A directory of one's own is a ledger of one's own.
        database=database if database is not None else "" if data_dir is not None else wanted.database,
    )
    return dataclasses.replace(topology, ledger=changed)


def ledger_place(config_path: Path, data_dir: Path | None, database: str | None) -> LedgerPlace:
    if data_dir is not None and database is None:
        return place_of("", data_dir)
    wanted = topology_of(config_path, data_dir, database).ledger
    return place_of(wanted.database, wanted.data_dir)


@contextmanager
def ledger_view(config_path: Path, data_dir: Path | None, database: str | None) -> Iterator[View]:
    from sqlalchemy.exc import DBAPIError

    place = ledger_place(config_path, data_dir, database)
    generation = place.current()
    with closing(place.open(generation, write=False)):
        pass
    reader = place.reader(generation)
    try:
        with view_of(reader) as view:
            yield view
    except (UnknownAccount, UnknownOrder) as error:
        raise Failure(str(error)) from error
    except DBAPIError as error:
        raise Failure(f"the ledger can't be read: {str(error.orig).splitlines()[0]}") from error
    finally:
        reader.dispose()
