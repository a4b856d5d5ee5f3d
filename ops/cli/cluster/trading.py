"""`lockstep cluster halt` and `resume-trading`: an instrument's phase."""

from pathlib import Path
from typing import Final

import click

from lockstep.enums import Phase
from lockstep.ops.cli.cluster.steps import operator_errors
from lockstep.ops.cli.cluster.venue import result_of, token_option, value_before, venue
from lockstep.ops.cli.options import InputFault, config_option, json_option, make_console, write_json
from lockstep.runtime.output import Output
from lockstep.sync import Client

_ALL: Final = "all"
_OPEN: Final = ("continuous", "pre_open", "opening_auction", "closing_auction")

instrument_argument = click.argument("instrument", metavar="INSTRUMENT")


@click.command("halt")
@instrument_argument
@config_option
@token_option
@json_option
@operator_errors
def halt(instrument: str, config_path: Path, token: str | None, json_file: Output | None) -> int:
    """Stop trading in INSTRUMENT (its symbol, its id, or all) at once.

    The halt is a command in the stream: every replica stops at the same point. Orders stay in the book and can be
    canceled; new ones are refused with WRONG_PHASE.
    """
    return _set(config_path, token, instrument, Phase.HALT, json_file)


@click.command("resume-trading")
@instrument_argument
@config_option
@token_option
@click.option(
    "--phase", type=click.Choice(_OPEN), default=_OPEN[0], show_default=True, help="What it is to be open for."
)
@json_option
@operator_errors
def resume_trading(instrument: str, config_path: Path, token: str | None, phase: str, json_file: Output | None) -> int:
    """Open INSTRUMENT (its symbol, its id, or all) for trading again."""
    return _set(config_path, token, instrument, Phase[phase.upper()], json_file)


def _set(config_path: Path, token: str | None, instrument: str, phase: Phase, json_file: Output | None) -> int:
    with venue(config_path, token) as (topology, client, session):
        number = _number(client, instrument)
        report = result_of(session.set_phase(phase, instrument=number)).outcome
        before = value_before(topology, report.seq, lambda value: Phase(value).name.lower() if value else "?")
    shown = "every instrument" if number == 0 else instrument
    make_console(json_file).print(
        f"{shown}: {before} -> {phase.name.lower()} at seq {report.seq}, epoch {report.epoch}", highlight=False
    )
    write_json(
        json_file,
        {
            "instrument": number,
            "before": before,
            "after": phase.name.lower(),
            "seq": report.seq,
            "epoch": report.epoch,
        },
    )
    return 0


def _number(client: Client, instrument: str) -> int:
    if instrument == _ALL:
        return 0
    known = {row.symbol: row.id for row in client.instruments()}
    if instrument in known:
        return known[instrument]
    if instrument.isdecimal() and int(instrument) in known.values():
        return int(instrument)
    listed = ", ".join(sorted(known)) or "none is defined"
    raise InputFault(f"no instrument {instrument!r}; there are: {listed} (or all)")
