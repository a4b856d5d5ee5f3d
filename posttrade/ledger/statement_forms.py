"""A statement as text for people, CSV, JSON and PDF. The same statement gives the same bytes."""

import csv
import io
import json
from dataclasses import asdict
from textwrap import wrap
from typing import Any, Final

from lockstep.posttrade.ledger import schema
from lockstep.posttrade.ledger.statement import Movement, Statement, stamp_text

FORMS: Final = ("text", "csv", "json", "pdf")
_MICROS: Final = 1_000_000
_HEAD_WIDTH: Final = 110
"""Characters of a line of the head, on paper."""
_COLUMNS: Final = (
    "time", "event", "kind", "instrument", "lots", "price", "fee", "cash", "cash_after", "lots_after", "order_id",
)  # fmt: skip


def money(micros: int) -> str:
    """In units of the currency, as decimal text: all six places, without a float on the way."""
    sign = "-" if micros < 0 else ""
    whole, rest = divmod(abs(micros), _MICROS)
    return f"{sign}{whole}.{rest:06d}"


def _symbol(made: Statement, number: int) -> str:
    return "cash" if number == schema.CASH else made.instruments[number].symbol


def _amount(number: int, amount: int) -> str:
    return money(amount) if number == schema.CASH else f"{amount} lots"


def _price(made: Statement, one: Movement) -> str:
    if not one.price_ticks:
        return ""
    return money(one.price_ticks * made.instruments[one.instrument].tick_micros)


def _row(made: Statement, one: Movement) -> tuple[str, ...]:
    shares = one.instrument != schema.CASH
    return (
        stamp_text(one.timestamp_ns),
        f"{one.seq}.{one.index}",
        one.kind,
        _symbol(made, one.instrument) if shares else "",
        str(one.lots) if shares else "",
        _price(made, one),
        money(one.fee) if one.fee else "",
        money(one.cash),
        money(one.cash_after),
        str(one.lots_after) if shares else "",
        str(one.order_id) if one.order_id else "",
    )


def _sums(made: Statement) -> tuple[tuple[str, int], ...]:
    opened = () if made.opened is None else (("opening balance of the snapshot", made.taken_over),)
    return (
        *opened,
        ("paid in", made.paid_in),
        ("paid out", made.paid_out),
        ("bought", made.bought),
        ("sold", made.sold),
        ("fees", made.fees),
        ("realised profit (average cost, before fees)", made.realised),
    )


def _head(made: Statement) -> tuple[tuple[str, str], ...]:
    return (
        ("account", f"{made.account.account} {made.account.name}"),
        ("from", stamp_text(made.from_ns) if made.from_ns else "the beginning"),
        ("to", stamp_text(made.to_ns)),
        *(() if made.over else (("not over", _not_over(made)),)),
        ("as of", f"seq {made.position.seq}, epoch {made.position.epoch}, {stamp_text(made.position.timestamp_ns)}"),
        *(() if made.opened is None else (("begins with", made.opened.text),)),
    )


def _not_over(made: Statement) -> str:
    return f"this ledger has seen up to {stamp_text(made.position.timestamp_ns)}: more may come into the period"


def as_text(made: Statement) -> str:
    """For people."""
    lines = [f"{name:<12}{value}" for name, value in _head(made)]
    for title, amounts in (("opening", made.opening), ("closing", made.closing)):
        lines += ["", title]
        lines += [f"  {_symbol(made, number):<16}{_amount(number, amount):>28}" for number, amount in amounts.items()]
    lines += ["", "of the period"]
    lines += [f"  {name:<44}{money(amount):>28}" for name, amount in _sums(made)]
    lines += ["", f"movements: {len(made.movements)}"]
    rows = [_COLUMNS, *(_row(made, one) for one in made.movements)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(_COLUMNS))]
    lines += ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines) + "\n"


def as_csv(made: Statement) -> str:
    """A row for each opening balance, movement and closing balance, and one if the period is not over."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for title, amounts, at in (("opening", made.opening, made.from_ns), ("closing", made.closing, made.to_ns)):
        if title == "closing":
            writer.writerows(_row(made, one) for one in made.movements)
        for number, amount in amounts.items():
            cash = money(amount) if number == schema.CASH else ""
            lots = "" if number == schema.CASH else amount
            writer.writerow((stamp_text(at), "", title, _symbol(made, number), "", "", "", "", cash, lots, ""))
    if not made.over:
        # Where a closing balance is no last word, the file says so.
        seen = stamp_text(made.position.timestamp_ns)
        writer.writerow((seen, f"{made.position.seq}", "not over", *("",) * (len(_COLUMNS) - 3)))
    return out.getvalue()


def as_json(made: Statement) -> str:
    """Everything, amounts as whole numbers of micros and lots."""

    def balances(amounts: dict[int, int]) -> list[dict[str, Any]]:
        return [{"instrument": number, "name": _symbol(made, number), "amount": amounts[number]} for number in amounts]

    names = (
        "seq", "index", "leg", "timestamp_ns", "kind", "instrument", "lots", "price_ticks", "fee", "cash",
        "cash_after", "lots_after", "order_id",
    )  # fmt: skip
    content = {
        "account": made.account.account,
        "name": made.account.name,
        "from_ns": made.from_ns,
        "to_ns": made.to_ns,
        "over": made.over,
        "as_of": {"seq": made.position.seq, "epoch": made.position.epoch},
        "begins_with": None if made.opened is None else asdict(made.opened),
        "opening": balances(made.opening),
        "closing": balances(made.closing),
        "sums": dict(_sums(made)),
        "movements": [{name: getattr(one, name) for name in names} for one in made.movements],
    }
    return json.dumps(content, indent=2) + "\n"


def as_pdf(made: Statement) -> bytes:
    """Pages of A4, landscape."""
    from reportlab.lib import colors
    from reportlab.lib.pagesizes import A4, landscape
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.platypus import LongTable, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

    out = io.BytesIO()
    margin = 36
    document = SimpleDocTemplate(
        out, pagesize=landscape(A4), leftMargin=margin, rightMargin=margin, topMargin=margin, bottomMargin=margin,
        title=f"Statement of account {made.account.account}", author="Lockstep", invariant=1,
    )  # fmt: skip
    styles = getSampleStyleSheet()
    small = TableStyle([("FONTSIZE", (0, 0), (-1, -1), 7), ("LINEBELOW", (0, 0), (-1, 0), 0.5, colors.black)])
    parts = [Paragraph(f"Statement of account {made.account.account}", styles["Title"])]
    parts.append(Table([[name, "\n".join(wrap(value, _HEAD_WIDTH))] for name, value in _head(made)], hAlign="LEFT"))
    for title, rows in (
        ("Opening", [(_symbol(made, n), _amount(n, a)) for n, a in made.opening.items()]),
        ("Closing", [(_symbol(made, n), _amount(n, a)) for n, a in made.closing.items()]),
        ("Of the period", [(name, money(amount)) for name, amount in _sums(made)]),
    ):
        parts.append(Paragraph(title, styles["Heading2"]))
        parts.append(Table([list(row) for row in rows] or [["nothing", ""]], hAlign="LEFT"))
    parts += [Spacer(1, 12), Paragraph(f"Movements: {len(made.movements)}", styles["Heading2"])]
    table = [list(_COLUMNS), *(list(_row(made, one)) for one in made.movements)]
    parts.append(LongTable(table, repeatRows=1, style=small, hAlign="LEFT"))

    def numbered(canvas: Any, shown: Any) -> None:
        canvas.setFont("Helvetica", 7)
        canvas.drawString(margin, margin / 2, f"seq {made.position.seq}, page {shown.page}")

    document.build(parts, onFirstPage=numbered, onLaterPages=numbered)
    return out.getvalue()
