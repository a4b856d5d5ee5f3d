"""A replay of a flow that uses every optional column: what the file says is what the venue does."""

import csv
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lockstep.bench.replay.flow import check_flow, read_flow
from lockstep.bench.replay.reference import ClusterIds
from lockstep.bench.replay.runner import to_columns

FLOW = """# instrument: ABC tick=0.01 lot=10
# account: A cash=100000 positions=ABC:10000
# account: B cash=100000 positions=ABC:10000
action,order_id,account,instrument,side,type,tif,price,quantity,stop_price,display_quantity,min_quantity,post_only,stp
N,1,A,ABC,S,limit,gtc,10.00,300,,100,,,
N,2,B,ABC,S,limit,gtc,10.00,100,,,,,
N,3,B,ABC,B,limit,gtc,10.00,50,,,,1,
N,4,B,ABC,B,limit,ioc,10.00,500,,,450,,
N,5,B,ABC,B,limit,ioc,10.00,250,,,,,cancel_oldest
N,6,B,ABC,B,stop,gtc,,30,10.05,,,,
N,7,B,ABC,B,stop_limit,day,10.10,40,10.05,,,,
N,8,A,ABC,S,limit,gtc,10.05,100,,,,,
N,9,A,ABC,S,limit,gtc,10.10,100,,,,,
N,10,B,ABC,B,limit,gtc,10.05,60,,,,,
N,11,A,ABC,B,limit,gtc,10.10,120,,,,,decrement
C,9,,,,,,,,,,,,
"""
# Order 1 is an iceberg of three peaks, behind which order 2 stands. Order 3 may not take, order 4 does not find its
# minimum. Order 5 takes off its own account's order 2 on the way. Order 10 sets off both stops, in the order of their
# ids. Order 11 meets its own account's 8 and 9 only: nothing is traded, 9 is gone before its cancel comes.
FILLS = [
    ("5", "1", "10.00", "100"),
    ("5", "1", "10.00", "100"),
    ("5", "1", "10.00", "50"),
    ("10", "1", "10.00", "50"),
    ("10", "8", "10.05", "10"),
    ("6", "8", "10.05", "30"),
    ("7", "8", "10.05", "40"),
]


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    path = tmp_path / "flow.csv"
    path.write_text(FLOW)
    return path


def test_every_column_of_the_file_is_in_the_commands(flow: Path) -> None:
    summary = check_flow(flow)
    (chunk,) = read_flow(flow, summary)
    ids = ClusterIds(np.array([7], "u4"), np.array([1, 2], "u4"), {}, 1)
    columns = to_columns(chunk, ids).columns
    assert columns["order_type"].tolist() == [1, 1, 1, 1, 1, 3, 4, 1, 1, 1, 1, 0]
    assert columns["stop_price_ticks"].tolist() == [0, 0, 0, 0, 0, 1005, 1005, 0, 0, 0, 0, 0]
    assert columns["display_lots"].tolist() == [10] + [0] * 11
    assert columns["min_lots"].tolist() == [0, 0, 0, 45] + [0] * 8
    assert columns["flags"].tolist() == [0, 0, 1] + [0] * 9
    assert columns["stp"].tolist() == [0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 4, 0]


KILLS = ("--kill", "primary@5", "--kill", "sequencer@9")


@pytest.mark.slow
@pytest.mark.parametrize("kills", [pytest.param((), id="quiet"), pytest.param(KILLS, id="with kills")])
def test_fills_are_what_the_rules_say(run_cli: Callable, flow: Path, tmp_path: Path, kills: tuple[str, ...]) -> None:
    out, reports, result = tmp_path / "fills.csv", tmp_path / "reports.csv", tmp_path / "result.json"
    files = ("--fills", out, "--reports", reports, "--json", result)
    done = run_cli("replay", flow, "--local", *files, *kills, timeout=120)
    assert done.returncode == 0, done.stderr + done.stdout
    with out.open() as file:
        fills = [
            (row["taker_order_id"], row["maker_order_id"], row["price"], row["quantity"])
            for row in csv.DictReader(file)
        ]
    assert fills == FILLS
    assert json.loads(result.read_text())["refused"] == {"UNKNOWN_ORDER": 1, "WOULD_TRADE": 1}
    with reports.open() as file:
        kinds = [row["kind"] for row in csv.DictReader(file)]
    assert (kinds.count("REDUCED"), kinds.count("TRIGGERED")) == (1, 2)


EXPIRE_NS = 2_000_000_000_000_000_000
PAST_NS = 1_000_000_000_000_000_000
EVERYTHING = f"""# instrument: ABC tick=0.01 lot=10
# account: A cash=100000 positions=ABC:10000
# account: B cash=100000 positions=ABC:10000
action,order_id,account,instrument,side,type,tif,price,quantity,stop_price,trail,protection_price,expire_ns,hidden,tag,block,phase,time_ns
P,,,ABC,,,,9.50,,,,,,,,,opening_auction,1000
N,1,A,ABC,S,limit,at_open,10.00,100,,,,,,,,,1000
N,2,B,ABC,B,limit,gtc,10.00,100,,,,,,,,,1000
N,3,B,ABC,B,limit,at_close,10.00,50,,,,,,,,,1000
P,,,,,,,,,,,,,,,,continuous,1000
N,4,A,ABC,S,limit,gtd,10.10,100,,,,{EXPIRE_NS},,18446744073709551615,,,1000
N,5,A,ABC,S,limit,gtc,10.20,100,,,,,1,,,,1000
N,6,A,ABC,S,limit,gtd,10.10,100,,,,{PAST_NS},,,,,1000
N,7,B,ABC,B,market,ioc,,300,,,10.10,,,,,,1000
N,8,B,ABC,S,trailing_stop,gtc,,20,,0.50,,,,,,,1000
R,8,,,,,,,40,9.70,,,,,,,,1000
N,9,B,ABC,B,limit,gtc,9.00,50,,,,,,,,,1000
M,,B,ABC,B,,,,,,,,,,,,,1000
N,10,A,ABC,B,limit,gtc,9.00,50,,,,,,,,,300001000
M,,A,,,,,,,,,,,,,1,,600001000
N,11,A,ABC,B,limit,gtc,9.00,50,,,,,,,,,600001000
"""
# Orders 1 and 2 meet in the auction. Order 7 takes order 4 and is held to its protection; the hidden order 5 at 10.20
# stays. Order 6 has expired before it came. The first mass cancel takes the buys of B (3 and 9, not the trailing stop),
# the second kills account A: orders 5 and 10 go, 11 is refused.


def test_every_new_column_is_in_the_commands(tmp_path: Path) -> None:
    path = tmp_path / "flow.csv"
    path.write_text(EVERYTHING)
    (chunk,) = read_flow(path, check_flow(path, timed=True))
    columns = to_columns(chunk, ClusterIds(np.array([7], "u4"), np.array([1, 2], "u4"), {}, 1)).columns
    row = {name: values.tolist() for name, values in columns.items()}
    assert row["kind"] == [68, 1, 1, 1, 68, 1, 1, 1, 1, 1, 3, 1, 4, 1, 4, 1]
    assert row["instrument"] == [7, 7, 7, 7, 0, 7, 7, 7, 7, 7, 7, 7, 7, 7, 0, 7]
    assert row["account"] == [0, 1, 2, 2, 0, 1, 1, 1, 2, 2, 2, 2, 2, 1, 1, 1]
    assert row["tif"] == [0, 6, 2, 7, 0, 5, 2, 5, 3, 2, 0, 2, 0, 2, 0, 2]
    assert row["expire_ns"] == [0, 0, 0, 0, 0, EXPIRE_NS, 0, PAST_NS, 0, 0, 0, 0, 0, 0, 0, 0]
    assert row["flags"] == [0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0]
    assert row["tag"][5] == 2**64 - 1
    assert (row["price_ticks"][0], row["price_ticks"][8], row["trail_ticks"][9]) == (950, 1010, 50)
    assert (row["price_ticks"][10], row["stop_price_ticks"][10], row["quantity_lots"][10]) == (0, 970, 4)
    assert row["side"][12] == 1
    assert chunk.phase.tolist() == [2, 0, 0, 0, 3] + [0] * 11
    assert chunk.time_ns.tolist() == [1000] * 13 + [300_001_000, 600_001_000, 600_001_000]


@pytest.mark.slow
def test_auctions_expiry_hidden_trailing_protection_and_mass_cancel_do_what_the_rules_say(
    run_cli: Callable, tmp_path: Path
) -> None:
    flow, fills, reports, result = (tmp_path / name for name in ("flow.csv", "fills.csv", "reports.csv", "result.json"))
    flow.write_text(EVERYTHING)
    began = time.monotonic()
    options = ("--fills", fills, "--reports", reports, "--json", result, "--pace", "0.5", "--fail-on-refusal")
    done = run_cli("replay", flow, "--local", *options, timeout=120)
    assert (done.returncode, done.stderr) == (1, "lockstep: 2 of 16 commands were refused\n"), done.stdout
    assert "cluster: 127.0.0.1:" in done.stdout
    assert "lockstep status --watch --config /" in done.stdout
    facts = json.loads(result.read_text())
    assert facts["refused"] == {"BAD_EXPIRY": 1, "ACCOUNT_KILLED": 1}
    assert (facts["acknowledged"], facts["gaps"], facts["duplicates"]) == (16, 0, 0)
    # 600 ms of the file at half its speed.
    assert 1.2 <= facts["seconds"] <= time.monotonic() - began
    assert "e+" not in done.stdout
    with fills.open() as file:
        traded = list(csv.DictReader(file))
    assert [(row["taker_order_id"], row["maker_order_id"], row["price"], row["quantity"]) for row in traded] == [
        ("2", "1", "10.00", "100"),
        ("7", "4", "10.10", "100"),
    ]
    assert [row["side"] for row in traded] == ["B", "B"]
    assert abs(int(traded[0]["time_ns"]) - time.time_ns()) < 120 * 1_000_000_000
    with reports.open() as file:
        reported = list(csv.DictReader(file))
    canceled = [int(row["client_order_id"]) for row in reported if row["reason"] == "MASS_CANCEL"]
    assert canceled == [3, 9, 5, 10]
    assert {row["kind"] for row in reported} >= {
        "PHASE_CHANGED",
        "ACCEPTED",
        "TRADE",
        "REPLACED",
        "MASS_CANCELED",
        "REJECTED",
    }
    assert {row["side"] for row in reported} <= {"", "B", "S"}
