"""The plain book that the engine is measured beside does the same work: the same trades, which others publish, too."""

import gzip
import json
import random
import subprocess
import warnings
from pathlib import Path
from typing import Any

import pytest

from lockstep.bench.bare_flows import BEGIN, END, measure, put
from lockstep.bench.native_engine import FLOWS, VECTORS, engine, flash1_flow, flash1_market
from lockstep.stream.records import EventKind

ROOT = Path(__file__).resolve().parents[2]
KINDS = {"new": 0, "cancel": 1, "modify": 2}
FIELDS = (
    "price_ticks",
    "quantity_lots",
    "maker_client_order_id",
    "client_order_id",
    "maker_leaves_lots",
    "leaves_lots",
)

# (kind, side, ioc, quantity, number, order id, price) of one message.
Message = tuple[int, int, int, int, int, int, int]
Trades = list[tuple[int, ...]]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bare") / "bare_flows"
    include = f"-I{ROOT}/engine/native/include"
    subprocess.run(["c++", "-std=c++20", "-O0", include, ROOT / "bench/bare_flows.cpp", "-o", out], check=True)
    return out


@pytest.fixture(scope="module")
def vectors() -> Path:
    if not VECTORS.is_dir():
        text = f"VECTORS MISSING: {VECTORS} is absent, so the plain book was NOT compared with published reports"
        warnings.warn(text, stacklevel=1)
        pytest.skip(text)
    return VECTORS


def written(path: Path, messages: list[Message]) -> Path:
    """A file of messages."""
    path.write_text("".join(",".join(map(str, message)) + "\n" for message in messages))
    return path


def plain_trades(program: Path, flow: Path) -> Trades:
    """Price, quantity, maker, taker and what is left of each, as the plain book traded."""
    said = subprocess.run([program, "--trades", flow], check=True, capture_output=True, text=True).stdout
    return [tuple(map(int, line.split(","))) for line in said.splitlines()]


def native_trades(flow: Path) -> Trades:
    """The same by the native engine."""
    packed = flow.with_suffix(".gz")
    packed.write_bytes(gzip.compress(flow.read_bytes()))
    native = engine()
    native.apply(flash1_market(), first_seq=1, timestamp_ns=1)
    events = native.apply(flash1_flow(packed), first_seq=native.last_seq + 1, timestamp_ns=1)
    trades = events[events["kind"] == EventKind.TRADE]
    return [tuple(int(trade[field]) for field in FIELDS) for trade in trades]


def random_messages(seed: int, count: int) -> list[Message]:
    """Few prices and few ids, so that everything happens: ids that live, are gone, or never were; less at one price."""
    pick = random.Random(seed)
    return [
        (
            pick.choices((0, 1, 2), (6, 2, 2))[0],
            pick.randrange(2),
            int(pick.random() < 0.2),
            pick.randrange(1, 40),
            number,
            pick.randrange(1, 60),
            100 + pick.randrange(12),
        )
        for number in range(count)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_plain_book_and_native_engine_trade_alike(program: Path, tmp_path: Path, seed: int) -> None:
    flow = written(tmp_path / "flow", random_messages(seed, 4_000))
    trades = plain_trades(program, flow)
    assert len(trades) > 1_000
    assert trades == native_trades(flow)


@pytest.mark.slow
@pytest.mark.parametrize("name", FLOWS)
def test_plain_book_trades_as_published(program: Path, vectors: Path, tmp_path: Path, name: str) -> None:
    flow = tmp_path / name
    flow.write_bytes(gzip.decompress((vectors / f"{name}_first20000_orders.csv.gz").read_bytes()))
    reports = gzip.decompress((vectors / f"{name}_first20000_reports.txt.gz").read_bytes()).decode().splitlines()
    published = [tuple(map(int, line.split(",")[2:])) for line in reports if line.startswith("1,")]
    trades = plain_trades(program, flow)
    assert [trade[:4] for trade in trades] == published
    assert trades == native_trades(flow)


@pytest.mark.slow
def test_plain_book_passes_the_edge_cases(program: Path, vectors: Path, tmp_path: Path) -> None:
    traded = 0
    for case in json.loads((vectors / "edge_cases_liquibook.json").read_text()):
        messages = [
            (KINDS[o["type"]], int(o["side"] == "sell"), int(o["ioc"]), o["qty"], at, o["order_id"], o["price"])
            for at, o in enumerate(case["orders"])
        ]
        published = [tuple(map(int, line.split(",")[2:])) for line in case["expected_reports"] if line[:2] == "1,"]
        trades = plain_trades(program, written(tmp_path / "case", messages))
        assert [trade[:4] for trade in trades] == published, case["name"]
        traded += len(trades)
    assert traded > 30


@pytest.mark.slow
def test_figures_of_a_short_flow(program: Path) -> None:
    row: dict[str, Any] = measure(program, ["--generate", "5000", "300"], 1)
    assert row["commands"] == 5_300
    assert row["trades"] > 100
    assert row["engine_ns"] > 0 < row["plain_ns"]
    assert row["ratio_ns"] == pytest.approx(row["plain_ns"] / row["engine_ns"], abs=0.01)
    if row["counted_by"]:
        assert 100 < row["engine_instructions"] < 100_000 > row["plain_instructions"] > 100


@pytest.mark.slow
def test_what_is_no_flow_is_said(program: Path, tmp_path: Path) -> None:
    flow = tmp_path / "flow"
    flow.write_text("0,1,0,88,0,1,33721\n3,1,0,88,0,2,33721\n")
    done = subprocess.run([program, flow], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "bare_flows: no flow message: 3,1,0,88,0,2,33721" in done.stderr


def test_table_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Before\n\n{BEGIN}old\n{END}\nafter\n")
    row = {"flow": "static", "engine_ns": 50.2, "plain_ns": 40.4, "ratio_ns": 0.8, "counted_by": None}
    put(page, [row], 3)
    text = page.read_text()
    assert "| static | 50 | 40 | 0.80 | - | - | - |" in text
    assert "old" not in text
    assert text.startswith("# Before\n")
    assert text.endswith(f"{END}\nafter\n")
