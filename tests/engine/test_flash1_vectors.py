"""Public matching-engine vectors: 33 edge cases and five flows of 20 000 messages, compared line by line.

The vectors live outside the repository (see the fixture `vectors`). They know no accounts, so all orders belong to
one unlimited account and the file's order id is the client id. Their report lines, sorted by (sequence, type):

    0,seq,side,id,price,qty         accepted
    1,seq,price,qty,maker,taker     trade
    2,seq,side,id,price             canceled (by request or as IOC remainder)
    3,seq,side,id,newprice,newqty   modified
    4,seq,id                        cancel refused
    5,seq,id                        modify refused
"""

import gzip
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lockstep.engine.reference import ReferenceEngine, check_invariants
from lockstep.stream.records import (
    ADMIN,
    COMMAND,
    CommandKind,
    Commands,
    EventKind,
    Events,
    OrderType,
    Side,
    TimeInForce,
)

VECTORS = Path(__file__).resolve().parents[3] / "shared" / "vectors" / "flash1"
FLOWS = ("flash-crash", "normal", "static", "swing-25", "swing-40")
KINDS = {"new": 0, "cancel": 1, "modify": 2}
COMMAND_KINDS = (CommandKind.NEW_ORDER, CommandKind.CANCEL, CommandKind.REPLACE)
ACCOUNT, INSTRUMENT, SESSION = 1, 1, 1
FIRST_SEQ = 3
"""Seq of a flow's message 0: two definitions go before it."""

# (kind, side, ioc, qty, order_id, price) of one message.
Message = tuple[int, int, int, int, int, int]


@pytest.fixture
def vectors() -> Path:
    """The folder of the vectors; without it these tests are skipped."""
    if not VECTORS.is_dir():
        text = f"VECTORS MISSING: {VECTORS} is absent, so the engine was NOT compared with other engines' reports"
        warnings.warn(text, stacklevel=1)
        pytest.skip(text)
    return VECTORS


def commands_of(messages: list[Message]) -> Commands:
    """Messages as numbered commands of one session."""
    kind, side, ioc, lots, order_id, price = np.array(messages, dtype=np.int64).T
    rows = np.zeros(len(messages), dtype=COMMAND)
    rows["kind"] = np.array(COMMAND_KINDS)[kind]
    rows["side"] = np.where(side == 0, Side.BUY, Side.SELL)
    rows["order_type"] = OrderType.LIMIT
    rows["tif"] = np.where(ioc == 1, TimeInForce.IOC, TimeInForce.GTC)
    rows["account"] = ACCOUNT
    rows["instrument"] = INSTRUMENT
    rows["client_order_id"] = order_id
    rows["price_ticks"] = price
    rows["quantity_lots"] = lots
    rows["session_id"] = SESSION
    rows["session_no"] = np.arange(1, len(messages) + 1)
    return rows


def report_lines(events: Events) -> list[str]:
    """Events in the vectors' words."""
    return [line for seq, *event in _rows(events) for line in _lines(seq - FIRST_SEQ, *event)]


def _rows(events: Events) -> Iterator[list[int]]:
    names = ["seq", "kind", "side", "client_order_id", "price_ticks", "quantity_lots", "maker_client_order_id"]
    yield from np.stack([events[name].astype(np.int64) for name in names], axis=1).tolist()


def _lines(seq: int, kind: int, side: int, cid: int, price: int, lots: int, maker: int) -> Iterator[str]:
    if kind == EventKind.ACCEPTED:
        yield f"0,{seq},{side - 1},{cid},{price},{lots}"
    elif kind == EventKind.TRADE:
        yield f"1,{seq},{price},{lots},{maker},{cid}"
    elif kind == EventKind.CANCELED:
        yield f"2,{seq},{side - 1},{cid},{price}"
    elif kind == EventKind.REPLACED:
        yield f"3,{seq},{side - 1},{cid},{price},{lots}"
    elif kind == EventKind.CANCEL_REJECTED:
        yield f"4,{seq},{cid}"
    elif kind == EventKind.REPLACE_REJECTED:
        yield f"5,{seq},{cid}"
    else:
        raise AssertionError(f"event kind {kind} at {seq} has no line")


def by_seq_and_type(lines: list[str]) -> list[str]:
    """Sorted as the vectors are; the order among trades of one message stays."""
    return sorted(lines, key=lambda line: (int(line.split(",")[1]), int(line[0])))


def market() -> ReferenceEngine:
    """An engine with one instrument and one unlimited account."""
    rows = np.zeros(2, dtype=ADMIN)
    rows["kind"] = (CommandKind.DEFINE_INSTRUMENT, CommandKind.DEFINE_ACCOUNT)
    rows["name"] = (b"FLASH", b"all")
    rows["instrument"] = (INSTRUMENT, 0)
    rows["account"] = (0, ACCOUNT)
    rows["flags"] = (0, 3)
    rows["tick_micros"] = rows["lot_units"] = 1
    engine = ReferenceEngine()
    engine.apply(rows.view(COMMAND), first_seq=1, timestamp_ns=1)
    return engine


def edge_cases() -> list[Any]:
    path = VECTORS / "edge_cases_liquibook.json"
    return json.loads(path.read_text()) if path.exists() else []


@pytest.mark.parametrize("case", edge_cases(), ids=lambda case: case["name"])
def test_edge_case_gives_the_reports_and_best_prices_of_liquibook(vectors: Path, case: dict[str, Any]) -> None:
    engine = market()
    messages = [
        (KINDS[o["type"]], int(o["side"] == "sell"), int(o["ioc"]), o["qty"], o["order_id"], o["price"])
        for o in case["orders"]
    ]
    rows = commands_of(messages)
    lines: list[str] = []
    best: list[list[int | None]] = []
    for at in range(len(rows)):
        events = engine.apply(rows[at : at + 1], first_seq=engine.last_seq + 1, timestamp_ns=2)
        check_invariants(engine, cash_micros=0, lots={})
        lines += report_lines(events)
        view = engine.book(INSTRUMENT, 1)
        assert view is not None
        best.append([half[0].price_ticks if half else None for half in (view.bids, view.asks)])
    assert by_seq_and_type(lines) == case["expected_reports"]
    assert best == case["bbo_after_each_message"]


def test_all_33_edge_cases_are_there(vectors: Path) -> None:
    assert len(edge_cases()) == 33


@pytest.mark.parametrize("flow", FLOWS)
def test_flow_gives_the_published_reports_line_by_line(vectors: Path, flow: str) -> None:
    with gzip.open(vectors / f"{flow}_first20000_orders.csv.gz", "rt") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.int64, comments="#")
    assert (table[:, 4] == np.arange(len(table))).all()
    rows = commands_of([tuple(row) for row in table[:, [0, 1, 2, 3, 5, 6]].tolist()])
    with gzip.open(vectors / f"{flow}_first20000_reports.txt.gz", "rt") as file:
        expected = file.read().splitlines()
    engine = market()
    lines: list[str] = []
    for at in range(0, len(rows), 1000):
        batch = rows[at : at + 1000]
        lines += report_lines(engine.apply(batch, first_seq=engine.last_seq + 1, timestamp_ns=2))
    check_invariants(engine, cash_micros=0, lots={})
    reports = by_seq_and_type(lines)
    for number, (got, want) in enumerate(zip(reports, expected, strict=False)):
        assert got == want, f"report line {number}"
    assert len(reports) == len(expected)
