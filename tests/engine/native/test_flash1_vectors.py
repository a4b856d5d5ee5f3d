"""The public flash1 vectors through the native engine, by way of the reference engine.

`tests/engine/test_flash1_vectors.py` holds the reference engine against the published reports; here both engines get
the same messages, so the native one is held against them too.
"""

import gzip
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lockstep.stream.records import COMMAND, CommandKind, Commands, OrderType, Side, TimeInForce

VECTORS = Path(__file__).resolve().parents[4] / "shared" / "vectors" / "flash1"
FLOWS = ("flash-crash", "normal", "static", "swing-25", "swing-40")
KINDS = {"new": 0, "cancel": 1, "modify": 2}
UNLIMITED_ACCOUNT = 6


def commands_of(table: Any) -> Commands:
    """(kind, side, ioc, lots, order id, price) rows as numbered commands of a session that is new."""
    kind, side, ioc, lots, order_id, price = np.asarray(table, dtype=np.int64).T
    rows = np.zeros(len(kind), dtype=COMMAND)
    rows["kind"] = np.array((CommandKind.NEW_ORDER, CommandKind.CANCEL, CommandKind.REPLACE))[kind]
    rows["side"] = np.where(side == 0, Side.BUY, Side.SELL)
    rows["order_type"] = OrderType.LIMIT
    rows["tif"] = np.where(ioc == 1, TimeInForce.IOC, TimeInForce.GTC)
    rows["account"] = UNLIMITED_ACCOUNT
    rows["instrument"] = 1
    rows["client_order_id"] = order_id
    rows["price_ticks"] = price
    rows["quantity_lots"] = lots
    rows["session_id"] = 77
    rows["session_no"] = np.arange(1, len(rows) + 1)
    return rows


@pytest.fixture
def vectors() -> Path:
    """The folder of the vectors; without it these tests are skipped."""
    if not VECTORS.is_dir():
        text = f"VECTORS MISSING: {VECTORS} is absent, so the native engine was NOT run over the flash1 flows"
        warnings.warn(text, stacklevel=1)
        pytest.skip(text)
    return VECTORS


@pytest.mark.parametrize("flow", FLOWS)
def test_flow_gives_the_same_events_and_state(pair: Any, vectors: Path, flow: str) -> None:
    with gzip.open(vectors / f"{flow}_first20000_orders.csv.gz", "rt") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.int64, comments="#")
    rows = commands_of(table[:, [0, 1, 2, 3, 5, 6]])
    for at in range(0, len(rows), 1_000):
        pair.apply(rows[at : at + 1_000])
    pair.compare_state()


def test_edge_cases_give_the_same_events_and_state(make_pair: Any, vectors: Path) -> None:
    for case in json.loads((vectors / "edge_cases_liquibook.json").read_text()):
        both = make_pair()
        table = [
            (KINDS[o["type"]], int(o["side"] == "sell"), int(o["ioc"]), o["qty"], o["order_id"], o["price"])
            for o in case["orders"]
        ]
        for row in commands_of(table).reshape(-1, 1):
            both.apply(row)
            both.compare_state()
