"""`lockstep ledger orders`, `order`, `trades`, `lots`, `days`: what has happened to an account."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from lockstep.ops.cli.ledger_options import account_argument, instrument_of, ledger_view, place_options
from lockstep.ops.cli.options import InputFault, expected_errors, json_option, make_console, on_stdout, write_json
from lockstep.ops.cli.periods import period_options
from lockstep.ops.cli.tables import plain_table
from lockstep.posttrade.ledger.queries import MOST_ROWS, Filter, Page, Part, View
from lockstep.posttrade.ledger.statement import stamp_text
from lockstep.posttrade.ledger.statement_forms import money
from lockstep.runtime.output import Output
from lockstep.stream.records import EventKind, Side

_STATES = {"live": 1, "filled": 2, "canceled": 3, "rejected": 4}
_SIDES = {"buy": int(Side.BUY), "sell": int(Side.SELL)}


def _page_options(rows: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def added(function: Callable[..., Any]) -> Callable[..., Any]:
        text = "Rows of the page."
        limit = click.option("--limit", type=click.IntRange(1, MOST_ROWS), default=rows, show_default=True, help=text)
        cursor = click.option("--cursor", default="", help="Where the page begins: what the page before said.")
        return cursor(limit(function))

    return added


def _history_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        _page_options(50),
        click.option("--side", type=click.Choice(tuple(_SIDES)), help="Only of this side."),
        click.option("--instrument", default=None, help="Only of this instrument, by symbol or number."),
    ):
        function = option(function)
    return period_options(function)


def _filter(view: View, values: dict[str, Any], numbers: int) -> Filter:
    from lockstep.posttrade.ledger.messages import BadCursor, cursor_from

    try:
        before = cursor_from(values["cursor"], numbers)
    except BadCursor as error:
        raise InputFault(str(error)) from error
    return Filter(
        instrument=instrument_of(view, values.get("instrument")),
        state=_STATES.get(values.get("state") or "", 0),
        side=_SIDES.get(values.get("side") or "", 0),
        from_ns=values["from_ns"],
        to_ns=values["to_ns"],
        before=before,
        limit=values["limit"],
    )


def _show(page: Page, columns: dict[str, Callable[[dict[str, Any]], str]], json_file: Output | None) -> int:
    from lockstep.posttrade.ledger.messages import cursor_of

    write_json(json_file, {"rows": list(page.rows), "next_cursor": cursor_of(page.next)})
    if on_stdout(json_file):
        return 0
    table = plain_table("")
    for name in columns:
        table.add_column(name, no_wrap=True)
    for row in page.rows:
        table.add_row(*(make(row) for make in columns.values()))
    make_console(json_file).print(table)
    if page.next:
        click.echo(f"more: --cursor {cursor_of(page.next)}")
    return 0


@click.command("orders")
@place_options
@account_argument
@click.option("--state", type=click.Choice(tuple(_STATES)), help="Only in this state.")
@_history_options
@json_option
@expected_errors
def orders_command(
    config_path: Path,
    data_dir: Path | None,
    database: str | None,
    account: int,
    json_file: Output | None,
    **values: Any,
) -> int:
    """Orders of ACCOUNT, newest first, those that are over too."""
    names = {number: name for name, number in _STATES.items()}
    with ledger_view(config_path, data_dir, database) as view:
        view.account(account)
        page = view.orders(account, _filter(view, values, 1))
    columns: dict[str, Callable[[dict[str, Any]], str]] = {
        "time": lambda row: stamp_text(row["entered_ns"]),
        "order": lambda row: str(row["order_id"]),
        "instrument": lambda row: str(row["instrument"]),
        "side": lambda row: Side(row["side"]).name.lower() if row["side"] else "",
        "price": lambda row: str(row["price_ticks"]),
        "quantity": lambda row: str(row["quantity_lots"]),
        "filled": lambda row: str(row["filled_lots"]),
        "open": lambda row: str(row["leaves_lots"]),
        "state": lambda row: names[row["state"]],
        "code": lambda row: str(row["code"] or ""),
    }
    return _show(page, columns, json_file)


@click.command("order")
@place_options
@click.argument("order_id", type=click.IntRange(1, 2**63 - 1))
@json_option
@expected_errors
def order_command(
    config_path: Path, data_dir: Path | None, database: str | None, order_id: int, json_file: Output | None
) -> int:
    """The whole life of the order ORDER_ID (the seq of its command)."""
    with ledger_view(config_path, data_dir, database) as view:
        row, events = view.order(order_id)
    write_json(json_file, {"order": row, "events": list(events.rows), "more_events": events.more})
    if on_stdout(json_file):
        return 0
    for name, value in row.items():
        click.echo(f"{name:<18}{value}")
    table = plain_table("events")
    for name in ("time", "event", "kind", "code", "price", "lots", "open", "fee"):
        table.add_column(name, no_wrap=True)
    for one in events.rows:
        kind = EventKind(one["kind"]).name
        place = f"{one['seq']}.{one['event_index']}"
        numbers = (one["price_ticks"], one["quantity_lots"], one["leaves_lots"])
        code = str(one["code"] or "")
        table.add_row(stamp_text(one["timestamp_ns"]), place, kind, code, *map(str, numbers), money(one["fee_micros"]))
    make_console(json_file).print(table)
    _say_more(events, "events")
    return 0


@click.command("trades")
@place_options
@account_argument
@_history_options
@json_option
@expected_errors
def trades_command(
    config_path: Path,
    data_dir: Path | None,
    database: str | None,
    account: int,
    json_file: Output | None,
    **values: Any,
) -> int:
    """Trades of ACCOUNT, newest first."""
    with ledger_view(config_path, data_dir, database) as view:
        view.account(account)
        page = view.trades(account, _filter(view, values, 3))
    columns: dict[str, Callable[[dict[str, Any]], str]] = {
        "time": lambda row: stamp_text(row["timestamp_ns"]),
        "event": lambda row: f"{row['seq']}.{row['event_index']}",
        "instrument": lambda row: str(row["instrument"]),
        "lots": lambda row: f"{row['lots']:+d}",
        "price": lambda row: str(row["price_ticks"]),
        "cash": lambda row: money(row["cash_micros"]),
        "fee": lambda row: money(row["fee_micros"]),
        "profit": lambda row: money(row["profit_micros"]),
        "order": lambda row: str(row["order_id"]),
    }
    return _show(page, columns, json_file)


@click.command("lots")
@place_options
@account_argument
@click.argument("instrument")
@json_option
@expected_errors
def lots_command(
    config_path: Path,
    data_dir: Path | None,
    database: str | None,
    account: int,
    instrument: str,
    json_file: Output | None,
) -> int:
    """Open lots of ACCOUNT in INSTRUMENT (symbol or number), and what closing others brought: its profit, explained."""
    with ledger_view(config_path, data_dir, database) as view:
        view.account(account)
        lots, closings = view.lots(account, instrument_of(view, instrument))
    more = {"more_lots": lots.more, "more_closings": closings.more}
    write_json(json_file, {"lots": list(lots.rows), "closings": list(closings.rows), **more})
    if on_stdout(json_file):
        return 0
    console = make_console(json_file)
    table = plain_table("open lots, oldest first")
    for name in ("time", "event", "lots", "open", "cost of what is open"):
        table.add_column(name, no_wrap=True)
    for row in lots.rows:
        place = f"{row['seq']}.{row['event_index']}"
        numbers = (str(row["lots"]), str(row["open_lots"]), money(row["open_micros"]))
        table.add_row(stamp_text(row["timestamp_ns"]), place, *numbers)
    console.print(table)
    table = plain_table("closings, newest first")
    for name in ("time", "event", "opened by", "lots", "cost", "proceeds", "profit"):
        table.add_column(name, no_wrap=True)
    for row in closings.rows:
        places = (f"{row['seq']}.{row['event_index']}", f"{row['lot_seq']}.{row['lot_index']}", str(row["lots"]))
        amounts = (money(row["cost_micros"]), money(row["proceeds_micros"]), money(row["profit_micros"]))
        table.add_row(stamp_text(row["timestamp_ns"]), *places, *amounts)
    console.print(table)
    _say_more(lots, "open lots")
    _say_more(closings, "closings")
    return 0


def _say_more(part: Part, what: str) -> None:
    if part.more:
        click.echo(f"there are more than these {len(part.rows)} {what}")


@click.command("days")
@place_options
@account_argument
@period_options
@_page_options(MOST_ROWS)
@json_option
@expected_errors
def days_command(
    config_path: Path,
    data_dir: Path | None,
    database: str | None,
    account: int,
    json_file: Output | None,
    **values: Any,
) -> int:
    """Sums of each day (UTC) and instrument of ACCOUNT, oldest first."""
    from lockstep.posttrade.ledger.messages import cursor_of

    with ledger_view(config_path, data_dir, database) as view:
        view.account(account)
        page = view.days(account, _filter(view, values, 2))
    write_json(json_file, {"days": list(page.rows), "next_cursor": cursor_of(page.next)})
    if on_stdout(json_file):
        return 0
    table = plain_table("")
    for name in ("day", "instrument", "trades", "bought", "sold", "cash", "fees", "profit"):
        table.add_column(name, no_wrap=True)
    for row in page.rows:
        numbers = (row["instrument"] or "cash", row["trades"], row["bought_lots"], row["sold_lots"])
        amounts = (money(row["cash_micros"]), money(row["fee_micros"]), money(row["profit_micros"]))
        table.add_row(stamp_text(row["day_ns"])[:10], *map(str, numbers), *amounts)
    make_console(json_file).print(table)
    if page.next:
        click.echo(f"more: --cursor {cursor_of(page.next)}")
    return 0


COMMANDS = (orders_command, order_command, trades_command, lots_command, days_command)
