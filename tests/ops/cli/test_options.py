"""Options that commands have in common: which command takes which, and what they refuse."""

from pathlib import Path

import click
import pytest

from lockstep.ops.cli.main import cli
from lockstep.ops.cli.options import Real

from .conftest import COMMANDS, RunHere, required_words

OPERATED = {path: command for path, command in COMMANDS.items() if path[0] in ("cluster", "reconcile", "status")}
WITHOUT_JSON = {
    ("up",),
    ("metrics-targets",),
    ("driver",),
    ("sequencer",),
    ("engine",),
    ("snapshotter",),
    ("gateway",),
    ("feed",),
    ("day", "run"),
    *(path for path in COMMANDS if path[0] == "alerts" and path[1] not in ("list", "quotes", "watchlists", "webhooks")),
    *(("ledger", name) for name in ("run", "rebuild", "statement", "export")),
    *(("audit", name) for name in ("run", "prove", "check", "export", "query")),
    *(("audit", name) for name in ("clocks", "erase", "rekey", "officer", "seal", "open", "consent", "reveal")),
    *(path for path in COMMANDS if path[0] in ("access", "certs") and path != ("access", "list")),
}
FROM_FILES = {path for path in COMMANDS if path[0] == "audit" and path[1] not in ("run", "erase", "clocks")}
"""A trail is proven, asked and kept from its files alone. An erasure may look at the cluster; clocks are its hosts'."""
WITHOUT_CONFIG = {
    ("up",),
    ("demo",),
    ("sim",),
    ("chaos",),
    *FROM_FILES,
    *(path for path in COMMANDS if path[0] == "bench"),
}


def options(command: click.Command) -> set[str]:
    return {option for param in command.params for option in param.opts}


def test_all_commands_are_walked() -> None:
    assert {path[0] for path in COMMANDS} == set(cli.list_commands(click.Context(cli)))
    assert len(OPERATED) > 25


@pytest.mark.parametrize("path", OPERATED, ids="-".join)
def test_every_command_of_an_operator_takes_a_configuration_and_writes_json(path: tuple[str, ...]) -> None:
    assert options(OPERATED[path]) >= {"--config", "--json"}


@pytest.mark.parametrize("path", [path for path in COMMANDS if path not in OPERATED], ids="-".join)
def test_the_others_take_what_the_handbook_says(path: tuple[str, ...]) -> None:
    found = options(COMMANDS[path])
    if path != ("completion",):
        assert ("--json" in found) == (path not in WITHOUT_JSON)
        assert ("--config" in found) == (path not in WITHOUT_CONFIG)


@pytest.mark.parametrize("path", COMMANDS, ids="-".join)
def test_the_configuration_comes_from_the_variable_wherever_there_is_the_option(path: tuple[str, ...]) -> None:
    for param in COMMANDS[path].params:
        if "--config" in param.opts:
            assert param.envvar == "LOCKSTEP_CONFIG"


REALS = [
    (path, param.opts[0])
    for path, command in COMMANDS.items()
    for param in command.params
    if isinstance(param.type, click.types.FloatParamType)
]


@pytest.mark.parametrize(("path", "option"), REALS, ids=str)
def test_no_number_of_seconds_is_nan_or_infinite(
    run_here: RunHere, tmp_path: Path, path: tuple[str, ...], option: str
) -> None:
    param = next(param for param in COMMANDS[path].params if option in param.opts)
    assert isinstance(param.type, Real)
    for value in ("nan", "NaN", "-nan", "inf", "-inf", "1e999", "-1", "x", ""):
        done = run_here(*path, *required_words(COMMANDS[path], tmp_path), f"{option}={value}")
        assert done.code == 2, value
        # With an optional value (--watch) the parser takes what begins with a dash for options.
        assert f"Invalid value for '{option}'" in done.err or (value[:1] == "-" and "No such option" in done.err)


WHOLE = [
    (path, param)
    for path, command in COMMANDS.items()
    for param in command.params
    if isinstance(param.type, click.types.IntParamType) and isinstance(param, click.Option)
]


@pytest.mark.parametrize(("path", "param"), WHOLE, ids=lambda value: getattr(value, "name", None))
def test_no_whole_number_is_a_traceback(
    run_here: RunHere, tmp_path: Path, path: tuple[str, ...], param: click.Option
) -> None:
    for value in ("9" * 5000, "1.5", "x", "", "\u0661x"):
        done = run_here(*path, *required_words(COMMANDS[path], tmp_path), param.opts[0], value)
        assert done.code == 2, value
        assert f"Invalid value for '{param.opts[0]}'" in done.err


@pytest.mark.parametrize(
    "address", ["nonsense", "host:", "host:0", "host:65536", "host:\u0661", ":1", "a b:1", "http://a:1", ""]
)
def test_an_address_without_host_and_port_is_refused_wherever_one_is_taken(run_here: RunHere, address: str) -> None:
    taking = [path for path, command in COMMANDS.items() if "--address" in options(command)]
    assert len(taking) >= 4
    for path in taking:
        done = run_here(*path, *(["flow.csv"] if path == ("replay",) else []), "--address", address)
        assert done.code == 2, path
        assert "Invalid value for '--address'" in done.err
