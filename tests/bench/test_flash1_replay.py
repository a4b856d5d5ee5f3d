"""Replays of the flash1 flows: the fills are the vectors' trades, with and without kills."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Vector

FLOWS = ["normal", "static", "flash-crash", "swing-25", "swing-40"]


def fills(path: Path) -> list[tuple[int, int, int, int]]:
    with path.open() as file:
        return [
            (int(row["taker_order_id"]), int(row["maker_order_id"]), int(row["price"]), int(row["quantity"]))
            for row in csv.DictReader(file)
        ]


def replay(run_cli: Callable, vector: Vector, folder: Path, *extra: str) -> tuple[list, dict]:
    out, result = folder / "fills.csv", folder / "result.json"
    done = run_cli("replay", vector.flow, "--local", "--fills", out, "--json", result, *extra, timeout=180)
    assert done.returncode == 0, done.stderr + done.stdout
    return fills(out), json.loads(result.read_text())


@pytest.mark.slow
def test_fills_of_a_flow_equal_the_vectors_trades(run_cli: Callable, flash1: Callable, tmp_path: Path) -> None:
    vector = flash1("normal", 3000)
    found, result = replay(run_cli, vector, tmp_path)
    assert found == vector.trades
    assert (result["acknowledged"], result["duplicates"], result["gaps"]) == (result["commands"], 0, 0)


@pytest.mark.slow
def test_fills_are_the_same_when_primary_sequencer_and_gateway_die_on_the_way(
    run_cli: Callable, flash1: Callable, tmp_path: Path
) -> None:
    vector = flash1("swing-40", 3000)
    kills = ["--kill", "primary@700", "--kill", "sequencer@1400", "--kill", "gateway@2100"]
    found, result = replay(run_cli, vector, tmp_path, *kills)
    assert found == vector.trades
    assert [kill["sent"] for kill in result["kills"]] == [700, 1400, 2100]
    assert len(result["epochs"]) > 1
    assert (result["acknowledged"], result["duplicates"], result["gaps"]) == (result["commands"], 0, 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", FLOWS)
def test_fills_of_the_whole_flow_equal_the_vectors_trades(
    run_cli: Callable, flash1: Callable, tmp_path: Path, name: str
) -> None:
    vector = flash1(name, 20_000)
    kills = ["--kill", "primary@4000", "--kill", "sequencer@9000", "--kill", "primary@14000"]
    found, _ = replay(run_cli, vector, tmp_path, *kills)
    assert found == vector.trades
