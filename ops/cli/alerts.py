"""`lockstep alerts`: watchlists and alerts of users."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lockstep.ops.cli.alerts_words import definition_from, shown
from lockstep.ops.cli.lazy_group import PlainGroup
from lockstep.ops.cli.options import (
    Failure,
    InputFault,
    config_option,
    expected_errors,
    json_option,
    make_console,
    on_stdout,
    write_json,
)
from lockstep.ops.cli.tables import plain_table
from lockstep.runtime.config import load
from lockstep.runtime.config_values import is_endpoint
from lockstep.runtime.output import Output
from lockstep.runtime.topology import Topology

if TYPE_CHECKING:
    from lockstep.alerts import AlertsClient

_PORT = click.IntRange(1, 65_535)


@click.group("alerts", cls=PlainGroup)
def command() -> None:
    """Watchlists and alerts of users: prices, changes, volume, fills, orders, risk. docs/alerts.md explains them.

    `run` follows a cluster, `rebuild` makes the alerts anew; the others ask a process that runs, as a client of the
    cluster.
    """


def _topology(config_path: Path, data_dir: Path | None) -> Topology:
    topology = load(config_path)
    if data_dir is None:
        return topology
    return dataclasses.replace(topology, alerts=dataclasses.replace(topology.alerts, data_dir=data_dir))


_data_dir_option = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="The alerts' directory. Default: the one of the configuration.",
)


@command.command("run")
@_data_dir_option
@config_option
@click.option("--grpc-port", type=_PORT, help="Where clients ask it, instead of the configured port.")
@click.option("--http-port", type=_PORT, help="Where its WebSocket is, instead of the configured port.")
@click.option("--metrics-port", type=_PORT, help="Where its figures are, instead of the configured port.")
@click.option(
    "--from-snapshot",
    is_flag=True,
    help="One that is empty begins with an engine's newest snapshot, not with the first command.",
)
@expected_errors
def run_command(
    config_path: Path,
    data_dir: Path | None,
    grpc_port: int | None,
    http_port: int | None,
    metrics_port: int | None,
    from_snapshot: bool,
) -> int:
    """Run the alerts: follow the cluster, answer over gRPC, send what fires to WebSockets and webhooks.

    Stop it with SIGTERM or Ctrl-C. Logs go to standard error; LOCKSTEP_LOG sets the level (debug, info, warning).
    """
    # Imported late: the help must not pay for a whole process.
    from lockstep.posttrade.alerts.process import run

    topology = _topology(config_path, data_dir)
    alerts = topology.alerts
    alerts = dataclasses.replace(
        alerts,
        grpc_port=alerts.grpc_port if grpc_port is None else grpc_port,
        http_port=alerts.http_port if http_port is None else http_port,
        metrics_port=alerts.metrics_port if metrics_port is None else metrics_port,
    )
    return run(dataclasses.replace(topology, alerts=alerts), from_snapshot=from_snapshot)


@command.command("rebuild")
@_data_dir_option
@config_option
@click.option(
    "--from-snapshot",
    is_flag=True,
    help="Go on with the engines' newest snapshot, where what follows was cut from every journal.",
)
@expected_errors
def rebuild_command(config_path: Path, data_dir: Path | None, from_snapshot: bool) -> int:
    """Make the alerts anew of what users asked for and what the engines have. Stop the process first.

    What has fired fires again, under the same numbers and ids. Watchlists and webhooks stay.
    """
    from lockstep.posttrade.alerts.rebuild import rebuild, skip
    from lockstep.runtime.stop_request import StopRequest

    topology = _topology(config_path, data_dir)
    if from_snapshot:
        click.echo(f"goes on at seq {skip(topology).seq}")
        return 0

    def say(position: Any, committed_seq: int) -> None:
        click.echo(f"seq {position.seq} of {committed_seq}", err=True)

    position = rebuild(topology, StopRequest.install(), say)
    click.echo(f"rebuilt up to seq {position.seq}")
    return 0


# ---- as a client -----------------------------------------------------------------------------------------------------


def _check_at(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not is_endpoint(value):
        raise click.BadParameter("it is not HOST:PORT, with a port from 1 to 65535", ctx, param)
    return value


def _client_options(function: Any) -> Any:
    for option in (
        click.option("--token", envvar="LOCKSTEP_TOKEN", help="Client token, where the cluster lists clients."),
        click.option(
            "--at",
            "address",
            metavar="HOST:PORT",
            callback=_check_at,
            help="Where the alerts process answers. Default: as the configuration says.",
        ),
        config_option,
    ):
        function = option(function)
    return function


@contextmanager
def _asked(config_path: Path, address: str | None, token: str | None) -> Iterator["AlertsClient"]:
    from lockstep.alerts import AlertsClient
    from lockstep.errors import Refused, Unavailable
    from lockstep.runtime.tls.authority import CA
    from lockstep.tls import tls_credentials

    credentials = None
    if address is None:
        topology = load(config_path)
        alerts = topology.alerts
        if not alerts.grpc_port:
            raise InputFault(f"{config_path} has no grpc_port in [alerts]; add one, or give --at")
        address = f"{alerts.host}:{alerts.grpc_port}"
        credentials = tls_credentials(topology.tls.cert_dir / CA) if topology.tls.on else None
    try:
        with AlertsClient(address, token=token, credentials=credentials) as client:
            yield client
    except Refused as error:
        # Without the remedy of its code, which speaks of orders: the text says what to do.
        raise Failure(error.text) from error
    except Unavailable as error:
        raise Failure(str(error)) from error
    except ValueError as error:
        raise InputFault(str(error)) from error


@command.command("add")
@click.argument("words", nargs=-1, required=True)
@_client_options
@click.option("--once", is_flag=True, help="It fires once, and is over then.")
@click.option("--hysteresis", type=click.IntRange(0), default=0, help="How far back arms it again.")
@click.option("--expire-ns", type=click.IntRange(0), default=0, help="Stamped time from which on it does not fire.")
@click.option("--note", default="", help="A line of yours that is sent along.")
@expected_errors
def add_command(
    words: tuple[str, ...],
    config_path: Path,
    address: str | None,
    token: str | None,
    once: bool,
    hysteresis: int,
    expire_ns: int,
    note: str,
) -> int:
    """Make an alert of WORDS, such as `price 1 last above 101`.

    \b
    price INSTRUMENT last|bid|ask above|below|crossing TICKS
    change INSTRUMENT open|close|reference|TICKS above|below|crossing PPM
    volume INSTRUMENT LOTS
    fill ACCOUNT [INSTRUMENT]
    order ACCOUNT STATE[,STATE...] [INSTRUMENT]
    buying-power ACCOUNT above|below|crossing MICROS
    position-limit ACCOUNT INSTRUMENT above|below|crossing PPM
    kill-switch ACCOUNT
    margin-call ACCOUNT
    """
    with _asked(config_path, address, token) as client:
        wanted = definition_from(words, once=once, hysteresis=hysteresis, expire_ns=expire_ns, note=note)
        made = client.create(wanted)
    click.echo(f"alert {made.number}: {shown(made.definition)}; counts behind seq {made.after_seq}")
    return 0


@command.command("remove")
@click.argument("number", type=click.IntRange(1))
@_client_options
@expected_errors
def remove_command(number: int, config_path: Path, address: str | None, token: str | None) -> int:
    """End alert NUMBER. What it has fired stays."""
    with _asked(config_path, address, token) as client:
        client.remove(number)
    return 0


@command.command("list")
@_client_options
@json_option
@expected_errors
def list_command(config_path: Path, address: str | None, token: str | None, json_file: Output | None) -> int:
    """All alerts of the client."""
    with _asked(config_path, address, token) as client:
        alerts = client.alerts()
    write_json(json_file, {"alerts": [_fields(one) for one in alerts]})
    if on_stdout(json_file):
        return 0
    table = plain_table("alerts")
    for name in ("alert", "watches", "state", "fired", "note"):
        table.add_column(name, justify="right" if name in ("alert", "fired") else "left")
    for one in alerts:
        states = {0: "not yours to see any more", 2: "over: fired", 3: "expired"}
        state = states.get(int(one.status), "armed" if one.armed else "not armed")
        table.add_row(str(one.number), shown(one.definition), state, str(one.count), one.definition.note)
    make_console(json_file).print(table)
    return 0


@command.command("history")
@_client_options
@click.option("--after", type=click.IntRange(0), default=0, help="Behind this firing.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="So many at the most.")
@expected_errors
def history_command(config_path: Path, address: str | None, token: str | None, after: int, limit: int) -> int:
    """What has fired, in order, a line of JSON each."""
    with _asked(config_path, address, token) as client:
        for one in client.firings(after=after, limit=limit).firings:
            click.echo(_line(one))
    return 0


@command.command("watch")
@_client_options
@click.option("--after", type=click.IntRange(0), help="Behind this firing. Default: what fires from now on.")
@expected_errors
def watch_command(config_path: Path, address: str | None, token: str | None, after: int | None) -> int:
    """What fires, a line of JSON each, until Ctrl-C."""
    with _asked(config_path, address, token) as client:
        for one in client.follow(after=after):
            click.echo(_line(one))
    return 0


def _fields(one: Any) -> dict[str, Any]:
    from google.protobuf.json_format import MessageToDict

    found: dict[str, Any] = MessageToDict(one, preserving_proto_field_name=True)
    return found


def _line(one: Any) -> str:
    from google.protobuf.json_format import MessageToJson

    return MessageToJson(one, preserving_proto_field_name=True, indent=None)


@command.command("quotes")
@click.argument("name")
@_client_options
@json_option
@expected_errors
def quotes_command(
    name: str, config_path: Path, address: str | None, token: str | None, json_file: Output | None
) -> int:
    """Prices, in ticks, of the watchlist NAME."""
    with _asked(config_path, address, token) as client:
        reply = client.quotes(name)
    write_json(json_file, _fields(reply))
    if on_stdout(json_file):
        return 0
    table = plain_table(f"{name}, as of seq {reply.stamp.seq}")
    for column in ("instrument", "last", "bid", "ask", "open", "close", "volume"):
        table.add_column(column, justify="left" if column == "instrument" else "right")
    for one in reply.quotes:
        prices = (one.last_ticks, one.bid_ticks, one.ask_ticks, one.open_ticks, one.close_ticks)
        table.add_row(one.symbol, *(str(price) if price else "-" for price in prices), str(one.volume_lots))
    make_console(None).print(table)
    return 0


@command.command("watchlists")
@_client_options
@json_option
@expected_errors
def watchlists_command(config_path: Path, address: str | None, token: str | None, json_file: Output | None) -> int:
    """All watchlists of the client."""
    with _asked(config_path, address, token) as client:
        found = client.watchlists()
    write_json(json_file, found)
    if not on_stdout(json_file):
        for name, numbers in found.items():
            click.echo(f"{name}: {' '.join(map(str, numbers))}")
    return 0


@command.command("put-watchlist")
@click.argument("name")
@click.argument("instruments", nargs=-1, type=click.IntRange(1, 2**32 - 1))
@_client_options
@expected_errors
def put_watchlist_command(
    name: str, instruments: tuple[int, ...], config_path: Path, address: str | None, token: str | None
) -> int:
    """Make the watchlist NAME of INSTRUMENTS (numbers), or put it in place of the one with its name."""
    with _asked(config_path, address, token) as client:
        client.put_watchlist(name, instruments)
    return 0


@command.command("remove-watchlist")
@click.argument("name")
@_client_options
@expected_errors
def remove_watchlist_command(name: str, config_path: Path, address: str | None, token: str | None) -> int:
    """Remove the watchlist NAME."""
    with _asked(config_path, address, token) as client:
        client.remove_watchlist(name)
    return 0


@command.command("add-webhook")
@click.argument("url")
@_client_options
@expected_errors
def add_webhook_command(url: str, config_path: Path, address: str | None, token: str | None) -> int:
    """Send what fires from now on to URL. Prints the secret that signs it, this once."""
    with _asked(config_path, address, token) as client:
        reply = client.create_webhook(url)
    click.echo(f"webhook {reply.webhook.number}: {reply.webhook.url}", err=True)
    click.echo(reply.secret)
    return 0


@command.command("remove-webhook")
@click.argument("number", type=click.IntRange(1))
@_client_options
@expected_errors
def remove_webhook_command(number: int, config_path: Path, address: str | None, token: str | None) -> int:
    """Remove webhook NUMBER."""
    with _asked(config_path, address, token) as client:
        client.remove_webhook(number)
    return 0


@command.command("webhooks")
@_client_options
@json_option
@expected_errors
def webhooks_command(config_path: Path, address: str | None, token: str | None, json_file: Output | None) -> int:
    """All webhooks of the client, and how they do."""
    with _asked(config_path, address, token) as client:
        found = client.webhooks()
    write_json(json_file, {"webhooks": [_fields(one) for one in found]})
    if on_stdout(json_file):
        return 0
    table = plain_table("webhooks")
    for column in ("webhook", "url", "delivered", "waiting", "discarded", "state"):
        table.add_column(column, justify="left" if column in ("url", "state") else "right")
    for one in found:
        state = f"fails: {one.last_error}" if one.failing_since_ns else "good"
        table.add_row(str(one.number), one.url, str(one.delivered), str(one.waiting), str(one.discarded), state)
    make_console(None).print(table)
    return 0
