"""A replay of a flow that uses every optional column: what the file says is what the venue does."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lockstep.ops.replay.flow import check_flow, read_flow
from lockstep.ops.replay.reference import ClusterIds
from lockstep.ops.replay.runner import to_columns

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


@pytest.mark.parametrize("kills", [(), ("--kill", "primary@5", "--kill", "sequencer@9")], ids=["quiet", "with kills"])
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
        kinds = [int(row["kind"]) for row in csv.DictReader(file)]
    assert (kinds.count(10), kinds.count(11)) == (1, 2)
