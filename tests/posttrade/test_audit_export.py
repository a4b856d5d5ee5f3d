"""What regulators' forms say of a trail: held against a ledger of the same history, which knows nothing of forms."""

import csv
import io
import json
from collections import Counter
from contextlib import closing
from functools import cache
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lockstep.ops.cli.main import cli
from lockstep.posttrade.audit.export_forms import FIELDS, FORMATS, Venue, lines_of
from lockstep.posttrade.audit.manifest import ManifestFault
from lockstep.posttrade.audit.order_steps import Step, steps_of, within
from lockstep.posttrade.audit.sealed import sealed_records
from lockstep.posttrade.audit.trail import AuditTrail
from lockstep.posttrade.audit.verify import verify
from lockstep.posttrade.ledger.sink import LedgerSink
from lockstep.posttrade.ledger.store_sqlite import SqliteStore
from lockstep.posttrade.opening import opening_of
from lockstep.runtime.snapshot_reader import read_snapshot
from tests.posttrade.flows import History, history
from tests.posttrade.served import snapshot_of
from tests.seeds import one_in

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@cache
def the_history() -> History:
    return history(23, 500)


VENUE = Venue("XLCK", "EUR")
PAGE = Path(__file__).parents[2] / "docs" / "audit-exports.md"


def trail(directory: Path, commands: int, *, begin: int = 0) -> Path:
    """A trail of everything, or of what follows the snapshot behind so many batches; all of it is sealed."""
    made = AuditTrail(directory, KEY, segment_commands=commands)
    if begin:
        made.begin(opening_of(read_snapshot(snapshot_of(the_history(), begin)[2])))
    for chunk in the_history().chunks(17, begin=begin):
        made.apply(chunk)
    if made._file is not None:
        made._seal()
    made.close()
    return directory


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    return trail(tmp_path_factory.mktemp("export") / "trail", 150)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Rows of a ledger of the same history, by a query."""
    sink = LedgerSink(SqliteStore(tmp_path_factory.mktemp("ledger") / "ledger.db"))
    for chunk in the_history().chunks(40):
        sink.apply(chunk)
    with closing(sink):
        yield sink.store.rows


def steps(directory: Path) -> list[Step]:
    return list(steps_of(sealed_records(directory)))


def table(form: str, directory: Path) -> list[dict[str, str]]:
    text = "".join(lines_of(form, steps_of(sealed_records(directory)), VENUE))
    return list(csv.DictReader(io.StringIO(text)))


def test_each_order_is_in_the_steps_what_it_is_in_the_ledger(whole, rows):
    found: dict[int, list[Step]] = {}
    for step in steps(whole):
        found.setdefault(step.order.order_id, []).append(step)
    sql = (
        "SELECT order_id, account, instrument, side, leaves_lots, filled_lots, state, price_ticks, client_order_id "
        "FROM orders"
    )
    orders = {row[0]: row for row in rows(sql)}
    assert found.keys() == orders.keys()
    for number, of_order in found.items():
        _, account, instrument, side, leaves, filled, state, price, name = orders[number]
        last = of_order[-1].order
        assert of_order[0].what == ("REFUSED" if state == 4 else "NEW")
        assert [step.what for step in of_order].count("NEW") == (state != 4)
        assert (last.account, last.instrument, last.side) == (account, instrument, {1: "BUY", 2: "SELL"}.get(side, ""))
        assert last.client_order_id == name
        assert sum(step.traded for step in of_order) == filled
        if state != 4:
            assert last.remaining == leaves
            # A tick is a micro here.
            assert last.price == (f"{price / 1e6:.6f}".rstrip("0") if price else "")
        ended = [
            step.what for step in of_order if step.what not in ("NEW", "REPLACED", "REDUCED", "TRIGGERED", "TRADED")
        ]
        assert len(ended) <= 1
        assert not ended or of_order[-1].what == ended[0]


def test_order_records_have_all_fields_and_the_events_of_the_history(whole, rows):
    found = table("rts24", whole)
    assert all(len(row) == 51 and None not in row for row in found)
    events = Counter(row["21 event"] for row in found)
    kinds = dict(rows("SELECT kind, count(*) FROM order_events GROUP BY kind"))
    assert events["NEWO"] == kinds[1]
    assert events["REMO"] == kinds[2]
    assert events["PARF"] + events["FILL"] == kinds[3]
    assert events["CAME"] + events["CAMO"] + events["EXPI"] == kinds[4]
    assert events["REME"] == kinds[5]
    assert {"TRIG", "EXPI", "CAMO", "CAME", "REMA"} <= events.keys()
    numbers = [int(row["15 sequence number"]) for row in found]
    assert numbers == sorted(numbers)
    assert {row["16 segment MIC code"] for row in found} == {"XLCK"}
    limit = next(row for row in found if row["22 order type"] == "LIMIT" and row["21 event"] == "NEWO")
    assert limit["9 date and time"].endswith("Z")
    assert limit["19 date of receipt"] == limit["9 date and time"][:10]
    waiting = [row for row in found if row["33 order status"] == "INAC"]
    assert waiting
    assert all(row["38 displayed quantity"] == "0" for row in waiting)
    traded = [row for row in found if row["48 trading venue transaction identification code"]]
    pairs = Counter(row["48 trading venue transaction identification code"] for row in traded)
    assert set(pairs.values()) == {2}
    roles = Counter(row["44 passive or aggressive indicator"] for row in traded)
    assert roles["PASV"] == roles["AGRE"] > 0
    assert roles[""] > 0, "auctions know no aggressor"


def test_transactions_are_two_for_each_trade_and_add_up(whole, rows):
    found = table("rts22", whole)
    assert all(len(row) == 65 and None not in row for row in found)
    (trades,) = rows("SELECT count(*) FROM order_events WHERE kind=3")[0]
    assert len(found) == trades
    assert len({row["2 transaction reference number"] for row in found}) == len(found)
    bought: Counter[int] = Counter()
    for row in found:
        assert bool(row["7 buyer"]) != bool(row["16 seller"])
        account = int(row["7 buyer"] or row["16 seller"])
        bought[account] += int(row["30 quantity"]) * (1 if row["7 buyer"] else -1)
    assert sum(bought.values()) == 0
    expected = dict(rows("SELECT account, sum(lots) FROM entries WHERE kind=1 GROUP BY account"))
    assert {account: lots for account, lots in bought.items() if lots} == {a: n for a, n in expected.items() if n}


def test_events_are_json_and_say_why_orders_ended(whole):
    lines = [json.loads(line) for line in lines_of("cat", steps_of(sealed_records(whole)), VENUE)]
    assert len(lines) == len(steps(whole))
    types = Counter(line["type"] for line in lines)
    assert types.keys() == {
        "ORDER_ACCEPTED", "ORDER_REJECTED", "ORDER_MODIFIED", "ORDER_TRIGGERED", "ORDER_TRADE", "ORDER_CANCELED",
    }  # fmt: skip
    assert all(line["reason"] for line in lines if line["type"] in ("ORDER_REJECTED", "ORDER_CANCELED"))
    assert not any("tradeID" in line for line in lines if line["type"] != "ORDER_TRADE")


@pytest.mark.parametrize("form", one_in(3, FORMATS))
def test_the_same_history_gives_the_same_bytes_however_it_was_sealed(whole, tmp_path, form):
    other = trail(tmp_path / "other", 37)
    assert len(list(other.glob("manifest-*.json"))) > len(list(whole.glob("manifest-*.json")))
    one, two = ("".join(lines_of(form, steps_of(sealed_records(at)), VENUE)) for at in (whole, other))
    assert one == two


def test_a_period_is_cut_out_and_its_orders_are_whole(whole):
    every = steps(whole)
    begin_ns, end_ns = the_history().batches[150].timestamp_ns // 1000 * 1000, the_history().batches[300].timestamp_ns
    part = list(within(iter(every), begin_ns, end_ns))
    first, last = every.index(part[0]), every.index(part[-1])
    assert part == every[first : last + 1]


def test_a_trail_behind_a_snapshot_says_what_it_knows_of_orders_of_before(tmp_path, whole):
    begin = len(the_history().batches) // 2
    seq = the_history().batches[begin - 1].last_seq
    found = steps(trail(tmp_path / "late", 150, begin=begin))
    expected = [step for step in steps(whole) if step.seq > seq]
    same = ("what", "traded", "price", "taken_off", "number")
    assert [[getattr(one, name) for name in same] for one in found] == [
        [getattr(one, name) for name in same] for one in expected
    ]
    assert {step.order for step in found if step.order.order_id > seq} == {
        step.order for step in expected if step.order.order_id > seq
    }
    old = [step for step in found if step.order.order_id <= seq and step.traded]
    assert old
    assert all(step.order.account and step.order.side and step.order.symbol for step in old)


def test_nothing_is_exported_of_what_is_not_as_it_was_sealed(tmp_path):
    directory = trail(tmp_path / "trail", 150)
    path = sorted(directory.glob("segment-*.jsonl"))[1]
    path.write_bytes(path.read_bytes().replace(b'"side":"BUY"', b'"side":"SELL"', 1))
    assert verify(directory).findings
    with pytest.raises(ManifestFault, match="is not what was sealed"):
        list(sealed_records(directory))
    done = CliRunner().invoke(cli, ["audit", "export", str(directory), "--format", "cat"], standalone_mode=False)
    assert "can't be exported" in str(done.exception)
    path.unlink()
    with pytest.raises(ManifestFault, match="can't be read: No such file"):
        list(sealed_records(directory))


def test_the_command_writes_a_file(whole, tmp_path):
    out = tmp_path / "orders.csv"
    arguments = ["audit", "export", str(whole), "--format", "rts24", "--mic", "XLCK", "--currency", "EUR"]
    done = CliRunner().invoke(cli, [*arguments, "--out", str(out)], standalone_mode=False)
    assert done.exception is None
    assert out.read_text() == "".join(lines_of("rts24", steps_of(sealed_records(whole)), VENUE))
    done = CliRunner().invoke(cli, [*arguments, "--to", "2001-01-01"], standalone_mode=False)
    assert done.output.count("\n") == 1, "the head alone"


@pytest.mark.parametrize("form", FORMATS)
def test_the_page_has_the_fields_as_they_are(form):
    said = PAGE.read_text()
    for number, name, source, get in FIELDS[form]:
        assert f"| {number} | {name} | {source if get is not None else '-'} |" in said
