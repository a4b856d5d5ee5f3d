"""What a ledger answers: portfolio, histories, lots, days, statements, exports; and what it refuses."""

import csv
import io
import json
import sqlite3
import subprocess
import sys
from dataclasses import replace
from functools import cache
from itertools import pairwise

import pytest
from sqlalchemy import select

from lockstep.engine.reference.book import DEFAULT_MARGIN_PPM
from lockstep.posttrade.ledger import schema
from lockstep.posttrade.ledger.beancount_export import beancount_lines
from lockstep.posttrade.ledger.books import Instrument
from lockstep.posttrade.ledger.messages import TooWide, check_fits, statement_head
from lockstep.posttrade.ledger.place import PostgresPlace, SqlitePlace
from lockstep.posttrade.ledger.queries import Filter, UnknownAccount, UnknownOrder, view_of
from lockstep.posttrade.ledger.rebuild import rebuild_from_chunks
from lockstep.posttrade.ledger.sink import LedgerSink
from lockstep.posttrade.ledger.statement import DoesNotAddUp, PeriodEndsFirst, statement_of
from lockstep.posttrade.ledger.statement_forms import as_csv, as_json, as_pdf, as_text, money
from tests.all_features import ACCOUNTS
from tests.posttrade.flows import History, history


@cache
def the_history() -> History:
    return history(21, 500)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = SqlitePlace(tmp_path_factory.mktemp("ledger"))
    sink = LedgerSink(place.open(place.current()))
    for chunk in the_history().chunks(25):
        sink.apply(chunk)
    sink.close()
    return place


@pytest.fixture
def view(place):
    reader = place.reader(place.current())
    with view_of(reader) as view:
        yield view
    reader.dispose()


def test_portfolio_is_what_the_engine_says(view):
    for account in the_history().engine.accounts():
        made = view.portfolio(account.account)
        assert (made.cash, made.account.name) == (account.cash_micros, account.name)
        held = {one.instrument: one for one in made.holdings}
        for position in account.positions:
            one = held[position.instrument]
            assert (one.lots, one.cost, one.realised) == (
                position.quantity_lots, position.cost_micros, position.realised_micros,
            )  # fmt: skip
            assert one.reserved_lots == position.reserved_lots
            last = next(
                i.last_price_ticks for i in the_history().engine.instruments() if i.instrument == one.instrument
            )
            assert one.mark_ticks == last
            assert one.unrealised == (one.value - one.cost if one.lots > 0 else one.value + one.cost) * bool(one.lots)
        assert made.equity == made.cash + sum(one.value for one in made.holdings)
        assert made.position.seq == the_history().engine.last_seq


def test_postgresql_answers_what_sqlite_answers(view, postgres, tmp_path):
    other = PostgresPlace(postgres.url, tmp_path)
    sink = LedgerSink(other.open(1))
    for chunk in the_history().chunks(25):
        sink.apply(chunk)
    sink.close()
    reader = other.reader(1)
    with view_of(reader) as there:
        for account in ACCOUNTS:
            for fifo in (False, True):
                assert there.portfolio(account, fifo=fifo) == view.portfolio(account, fifo=fifo)
            first = view.days(account, Filter(limit=2))
            assert there.days(account, Filter(limit=2)) == first
            rest = Filter(before=first.next)
            assert there.days(account, rest) == view.days(account, rest)
            assert statement_of(there, account, 0, 0) == statement_of(view, account, 0, 0)
    reader.dispose()


def test_both_policies_lead_to_the_same_sum_where_shares_only_trade(tmp_path):
    # Without deposits and transfers of shares, which the policies take at other costs.
    made = history(33, 0)
    number = 1
    from tests.all_features import burst

    for _ in range(300):
        commands, number = burst(made.pick, made._now_ns, number)
        made.stamp(commands)
    place = SqlitePlace(tmp_path / "trades")
    sink = LedgerSink(place.open(1))
    for chunk in made.chunks(50):
        sink.apply(chunk)
    sink.close()
    reader = place.reader(1)
    with view_of(reader) as view:
        seen = 0
        for account in ACCOUNTS:
            pairs = zip(view.portfolio(account).holdings, view.portfolio(account, fifo=True).holdings, strict=True)
            for average, fifo in pairs:
                seen += abs(average.realised)
                # Average cost rounds down at each closing.
                closings = len(view.lots(account, average.instrument)[1].rows)
                off = average.realised + average.unrealised - fifo.realised - fifo.unrealised
                assert abs(off) <= closings
    assert seen > 0
    reader.dispose()


def test_orders_come_in_pages_without_repeats_or_gaps(view):
    account = ACCOUNTS[0]
    whole = view.orders(account, Filter(limit=1000))
    assert whole.next == ()
    paged, before = [], ()
    while True:
        page = view.orders(account, Filter(limit=7, before=before))
        paged += page.rows
        before = page.next
        if not before:
            break
    assert tuple(paged) == whole.rows
    assert [row["order_id"] for row in paged] == sorted((row["order_id"] for row in paged), reverse=True)
    for state in schema.STATES:
        rows = view.orders(account, Filter(state=state, limit=1000)).rows
        assert rows == tuple(row for row in whole.rows if row["state"] == state)
        assert rows or state == schema.FILLED
    middle = whole.rows[len(whole.rows) // 2]["entered_ns"]
    late = view.orders(account, Filter(from_ns=middle, limit=1000)).rows
    early = view.orders(account, Filter(to_ns=middle, limit=1000)).rows
    assert late + early == whole.rows


def test_trades_come_in_pages_and_by_side(view):
    account = ACCOUNTS[1]
    whole = view.trades(account, Filter(limit=1000)).rows
    paged, before = [], ()
    while True:
        page = view.trades(account, Filter(limit=5, before=before))
        paged += page.rows
        before = page.next
        if not before:
            break
    assert tuple(paged) == whole
    assert len(whole) > 20
    bought = view.trades(account, Filter(side=1, limit=1000)).rows
    assert bought == tuple(row for row in whole if row["lots"] > 0)


def test_an_order_and_its_life(view):
    row = next(
        row for row in view.orders(ACCOUNTS[0], Filter(state=schema.CANCELED, limit=1000)).rows if row["filled_lots"]
    )
    order, part = view.order(row["order_id"])
    events = part.rows
    assert order == row
    assert not part.more
    assert events[0]["kind"] == 1
    assert sum(one["quantity_lots"] for one in events if one["kind"] == 3) == row["filled_lots"]
    assert sum(one["fee_micros"] for one in events) == row["fees_micros"]


def test_what_is_not_there_is_said(view):
    with pytest.raises(UnknownAccount, match="no account 77"):
        view.portfolio(77)
    with pytest.raises(UnknownOrder, match="no order 5"):
        view.order(5)


def test_days_add_up_to_the_balance(view):
    account = ACCOUNTS[2]
    days = view.days(account, Filter(limit=1000)).rows
    made = view.portfolio(account)
    assert sum(day["cash_micros"] for day in days) == made.cash
    assert sum(day["fee_micros"] for day in days) == made.fees
    assert sum(day["profit_micros"] for day in days) == sum(one.realised for one in made.holdings)


def test_statements_of_any_period_add_up_and_meet_each_other(view):
    account = ACCOUNTS[0]
    whole = statement_of(view, account, 0, 0)
    assert whole.opening == {}
    times = sorted({one.timestamp_ns for one in whole.movements})
    cuts = [times[len(times) * part // 7] for part in range(1, 7)]
    parts = [statement_of(view, account, begin, end) for begin, end in zip([0, *cuts], [*cuts, 0], strict=True)]
    for one, next_one in pairwise(parts):
        assert one.closing == next_one.opening
    assert tuple(move for part in parts for move in part.movements) == whole.movements
    assert whole.closing.get(0, 0) == whole.paid_in - whole.paid_out - whole.bought + whole.sold - whole.fees
    assert parts[-1].closing == whole.closing


def test_a_period_that_ends_before_it_begins_is_refused_and_one_behind_everything_is_empty(view):
    account = ACCOUNTS[0]
    last_ns = view.position.timestamp_ns
    with pytest.raises(PeriodEndsFirst):
        statement_of(view, account, last_ns, 1)
    late = statement_of(view, account, last_ns + 10**9, 0)
    assert (late.movements, late.opening) == ((), late.closing)


def test_what_nobody_set_is_as_the_engines_have_it():
    untouched = Instrument(1, 1, 1)
    assert (untouched.initial_margin_ppm, untouched.maintenance_margin_ppm) == DEFAULT_MARGIN_PPM


def test_a_ledger_that_was_tampered_with_gives_no_statement(place, tmp_path):
    for number, sql in enumerate((
        "UPDATE entries SET cash_micros = cash_micros + 1 WHERE rowid_of",
        "DELETE FROM entries WHERE rowid_of",
        "UPDATE balances SET amount = amount + 1 WHERE account = 1 AND instrument = 0",
    )):  # fmt: skip
        other = SqlitePlace(tmp_path / str(number))
        with sqlite3.connect(place.path(1)) as source, sqlite3.connect(other.path(1)) as target:
            source.backup(target)
            first = "account = 1 AND seq = (SELECT min(seq) FROM entries WHERE account = 1 AND kind = 1)"
            target.execute(sql.replace("rowid_of", first))
        reader = other.reader(1)
        with view_of(reader) as view, pytest.raises(DoesNotAddUp, match=r"account 1, (cash|event)"):
            statement_of(view, 1, 0, 0)
        reader.dispose()


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("UPDATE entries SET fee_micros = fee_micros + 5 WHERE one_trade", "of a trade of"),
        ("UPDATE entries SET price_ticks = price_ticks + 1 WHERE one_trade", "of a trade of"),
        ("UPDATE order_events SET quantity_lots = quantity_lots + 1 WHERE its_event", "order .* has another account"),
        ("UPDATE order_events SET fee_micros = fee_micros + 1 WHERE its_event", "order .* has another account"),
        ("DELETE FROM order_events WHERE its_event", "order .* has another account"),
        ("UPDATE entries SET kind = 9 WHERE one_trade", "kind 9"),
        ("UPDATE entries SET instrument = 4242 WHERE one_trade", "instrument 4242"),
        ("UPDATE entries SET lots = 3 WHERE account = 1 AND kind = 2", "kind cash has 3 lots"),
        ("UPDATE entries SET cash_micros = 7 WHERE account = 1 AND kind = 3", "kind shares has"),
    ],
)
def test_an_entry_that_contradicts_itself_or_its_order_gives_no_statement(place, tmp_path, sql, why):
    other = SqlitePlace(tmp_path)
    with sqlite3.connect(place.path(1)) as source, sqlite3.connect(other.path(1)) as target:
        source.backup(target)
        seq, index, leg, order = target.execute(
            "SELECT seq, event_index, leg, order_id FROM entries WHERE account = 1 AND kind = 1 ORDER BY seq LIMIT 1"
        ).fetchone()
        one = f"account = 1 AND seq = {seq} AND event_index = {index} AND leg = {leg}"
        event = f"order_id = {order} AND seq = {seq} AND event_index = {index}"
        assert target.execute(sql.replace("one_trade", one).replace("its_event", event)).rowcount > 0
    reader = other.reader(1)
    with view_of(reader) as view, pytest.raises(DoesNotAddUp, match=why):
        statement_of(view, 1, 0, 0)
    reader.dispose()


def test_a_period_that_is_not_over_says_so_in_csv_and_in_its_message(view):
    account, last_ns = ACCOUNTS[0], view.position.timestamp_ns
    for to_ns, over in ((last_ns + 10**9, False), (last_ns, True), (0, True)):
        made = statement_of(view, account, 0, to_ns)
        assert made.over is over
        assert statement_head(made).head.not_over is not over
        rows = list(csv.reader(io.StringIO(as_csv(made))))
        assert ("not over" in [row[2] for row in rows]) is not over
        assert len({len(row) for row in rows}) == 1


def test_a_sum_that_64_bits_do_not_hold_is_refused_and_not_held_at_their_end(view):
    made = statement_of(view, ACCOUNTS[0], 0, 0)
    check_fits(made)
    for wide in ({"paid_in": 2**63}, {"bought": 2**63}, {"realised": -(2**63)}, {"closing": {0: 2**63}}):
        with pytest.raises(TooWide, match="64 bits don't hold"):
            check_fits(replace(made, **wide))


def test_statements_in_every_form_say_the_same(view):
    made = statement_of(view, ACCOUNTS[0], 0, 0)
    content = json.loads(as_json(made))
    assert content["closing"] == [
        {"instrument": n, "name": made.instruments[n].symbol if n else "cash", "amount": a}
        for n, a in made.closing.items()
    ]
    assert len(content["movements"]) == len(made.movements)
    rows = list(csv.DictReader(io.StringIO(as_csv(made))))
    assert [row["kind"] for row in rows].count("closing") == len(made.closing)
    moved = [row for row in rows if row["kind"] not in ("opening", "closing")]
    assert moved[-1]["cash_after"] == money(made.closing.get(0, 0))
    assert money(made.closing.get(0, 0)) in as_text(made)
    pdf = as_pdf(made)
    assert pdf.startswith(b"%PDF-")
    assert pdf == as_pdf(made), "the same statement, the same bytes"
    assert pdf.rstrip().endswith(b"%%EOF")


@pytest.mark.parametrize(("micros", "text"), [(0, "0.000000"), (-1, "-0.000001"), (12_345_678, "12.345678")])
def test_money_is_written_without_a_float(micros, text):
    assert money(micros) == text


def _bean_check(path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", "from beancount.scripts.check import main; main()", "--no-cache", str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_bean_check_accepts_the_exported_ledger_and_refuses_a_wrong_one(view, tmp_path):
    lines = list(beancount_lines(view))
    path = tmp_path / "ledger.beancount"
    path.write_text("\n".join(lines) + "\n")
    done = _bean_check(path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sum(" * " in line for line in lines) > 100
    wrong = next(place for place, line in enumerate(lines) if line.endswith(" CASH") and line.startswith("  "))
    amount = lines[wrong].split()[1]
    lines[wrong] = lines[wrong].replace(amount, amount[:-1] + str((int(amount[-1]) + 1) % 10))
    path.write_text("\n".join(lines) + "\n")
    refused = _bean_check(path)
    assert refused.returncode != 0
    assert "does not balance" in refused.stderr + refused.stdout


def test_a_rebuild_beside_the_live_one_is_swapped_in_whole(tmp_path):
    place = SqlitePlace(tmp_path)
    live = LedgerSink(place.open(place.current()))
    chunks = list(the_history().chunks(40))
    for chunk in chunks[:3]:
        live.apply(chunk)
    reader = place.reader(1)
    with view_of(reader) as before:
        position = rebuild_from_chunks(place, chunks)
        # Whoever reads goes on with what it has; the live one goes on, too.
        assert before.position == chunks[2].end()
        live.apply(chunks[3])
    reader.dispose()
    live.close()
    assert place.current() == 2
    assert position == chunks[-1].end()
    reader = place.reader(2)
    with view_of(reader) as after:
        assert after.position == position
        assert after.connection.execute(select(schema.ACCOUNTS.c.account)).fetchall()
    reader.dispose()
    again = rebuild_from_chunks(place, chunks)
    assert (place.current(), again) == (3, position)
    assert not place.path(1).exists(), "the one before the last is removed"
    assert place.path(2).exists(), "somebody may be reading the last one"
