"""The ledger as a text of Beancount (plain-text accounting), so that a judge that we did not write checks it.

Cash is the commodity `CASH`, in units; each instrument a commodity `I<number>`, in lots. Every event is a transaction
with the entries that it made, priced trades with the price of a lot; what does not add up, `bean-check` refuses. The
balances that the ledger keeps stand at the end as assertions.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby

from sqlalchemy import select

from lockstep.posttrade.ledger import schema
from lockstep.posttrade.ledger.books import amount_of
from lockstep.posttrade.ledger.queries import View
from lockstep.posttrade.ledger.statement_forms import money

_E = schema.ENTRIES.c


def _name(account: int, number: int) -> str:
    owner = {schema.WORLD: "Equity:World", schema.HOUSE: "Income:Fees"}.get(account, f"Assets:A{account}")
    return f"{owner}:{_commodity(number).title()}"


def _commodity(number: int) -> str:
    return "CASH" if number == schema.CASH else f"I{number}"


def _day(timestamp_ns: int) -> str:
    return f"{datetime.fromtimestamp(timestamp_ns // 10**9, UTC):%Y-%m-%d}"


def beancount_lines(view: View) -> Iterator[str]:
    """Line by line. All of the ledger: for tests and small ones."""
    begin = "1970-01-01"
    yield 'option "title" "Lockstep ledger"'
    yield 'option "inferred_tolerance_default" "*:0"'
    for number in (schema.CASH, *sorted(view.instruments())):
        yield f"{begin} commodity {_commodity(number)}"
    query = select(_E.account, _E.instrument).distinct().order_by(_E.account, _E.instrument)
    pairs = {(row.account, row.instrument) for row in view.connection.execute(query)}
    owners = {account for account, _ in pairs}
    for account, number in sorted(pairs | {(account, schema.CASH) for account in owners}):
        yield f"{begin} open {_name(account, number)}"
    entries = view.connection.execute(select(schema.ENTRIES).order_by(_E.seq, _E.event_index, _E.leg)).mappings()
    for (seq, at), rows in groupby(entries, key=lambda row: (row["seq"], row["timestamp_ns"])):
        yield from _transactions(seq, at, [dict(row) for row in rows])
    yield from _balances(view)


def _transactions(seq: int, timestamp_ns: int, rows: list[dict[str, int]]) -> Iterator[str]:
    """Of one command: one for each of its events; the two of a transfer of shares are one."""
    transfer = any(row["kind"] == schema.TRANSFER for row in rows)
    for index, of_event in groupby(rows, key=lambda row: 0 if transfer else row["event_index"]):
        entries = list(of_event)
        kinds = {schema.KINDS[row["kind"]] for row in entries if row["kind"] != schema.FEE}
        yield f'{_day(timestamp_ns)} * "{" ".join(sorted(kinds))} {seq}.{index}"'
        for row in entries:
            if row["cash_micros"]:
                yield f"  {_name(row['account'], schema.CASH)}  {money(row['cash_micros'])} CASH"
            if row["lots"]:
                yield f"  {_name(row['account'], row['instrument'])}  {row['lots']} {_commodity(row['instrument'])}"


def _balances(view: View) -> Iterator[str]:
    last = view.position.timestamp_ns // 10**9
    day = f"{datetime.fromtimestamp(last, UTC) + timedelta(days=1):%Y-%m-%d}"
    for row in view.connection.execute(select(schema.BALANCES)).mappings():
        number, held = row["instrument"], amount_of(row["amount"], row["amount_high"])
        amount = money(held) if number == schema.CASH else str(held)
        if held:
            yield f"{day} balance {_name(row['account'], number)}  {amount} {_commodity(number)}"
