"""Results become one page with tables, and plots that a browser can show."""

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

LATENCY = {"p50": 1500.0, "p99": 9000.0, "max": 12_000.0}
SAID = {"mix": "half of each", "left_out": "the network"}


def growth(axis: str, values: tuple[int, ...]) -> dict[str, Any]:
    points = [
        {"value": value, "offered_per_s": 20_000, "answered_per_s": 19_900, "latency_us": LATENCY,
         "cpu_us_per_order": 40.5, "accepted_per_s": 90_000, "accepted_p99_us": 1e5, "unanswered": 0,
         "other_cores": 0.2}
        for value in values
    ]  # fmt: skip
    return {"axis": axis, "points": points, "too_much_per_s": 200_000, **SAID}


def figures(system: str, mode: str) -> dict[str, Any]:
    return {
        "system": system, "about": f"{system} 1.2", "mode": mode, "offered_per_s": 1000, "answered_per_s": 999.5,
        "unanswered": 0, "p50_us": 1234.0, "p99_us": 5678.0, "max_us": 1e4, "servers_us_per_record": 100.5,
        "load_us_per_record": 50.5, "other_cores": 0.3, "rounds": 2,
    }  # fmt: skip


RESULTS = {
    "cluster": {
        "phases": [
            {"name": "single", "offered_per_s": 1000, "answered_per_s": 1000, "latency_us": LATENCY,
             "cpu_us_per_order": {"total": 1500.5}}
        ],
        **SAID,
    },
    "overload": {
        "saturation_per_s": 90_000,
        "points": [
            {"factor": factor, "offered_per_s": int(factor * 90_000), "accepted_per_s": 80_000, "latency_us": LATENCY}
            for factor in (2.0, 0.5)
        ],
        **SAID,
    },
    "growth-resting": growth("resting", (0, 10, 1000)),
    "growth-sessions": growth("sessions", (1, 10)),
    "peers": {
        "figures": [figures(system, "batched") for system in ("lockstep", "nats")],
        "not_measured": {"redis": "there is none"},
        **SAID,
    },
}  # fmt: skip


def write(folder: Path) -> dict[str, bytes]:
    for name, result in RESULTS.items():
        (folder / f"{name}.json").write_text(json.dumps(result))
    (folder / "other.json").write_text("{}")
    from lockstep.bench.plots import write_report  # matplotlib takes a second, also to collect tests

    page = write_report(folder)
    assert page == folder / "README.md"
    return {path.name: path.read_bytes() for path in folder.glob("*.svg")}


@pytest.mark.slow
def test_each_result_has_its_table_and_its_plot(tmp_path: Path) -> None:
    plots = write(tmp_path)
    page = (tmp_path / "README.md").read_text()
    assert re.findall(r"!\[.+\]\((.+)\)", page) == [
        "growth-resting.svg", "growth-sessions.svg", "overload.svg", "peers.svg",
    ]  # fmt: skip
    assert sorted(plots) == sorted(re.findall(r"!\[.+\]\((.+)\)", page))
    for drawn in plots.values():
        assert ET.fromstring(drawn).tag.endswith("svg")
    assert "| single | 1000 | 1000 | 1.50 | 9.00 | 12.00 | 1500.5 |" in page
    assert "| 0.5 x | 45000 | 80000 | 1.50 | 9.00 |\n| 2 x |" in page
    assert "| 1000 | 19900 | 1.50 | 9.00 | 40.5 | 90000 | 0.2 |" in page
    assert "| nats | 1000 | 0 | 1.23 | 5.68 | 100.5 | 50.5 | 0.3 | 2 |" in page
    assert "Not measured: redis: there is none" in page
    assert page.count("Mix: half of each. Left out: the network.") == len(RESULTS)
    widths = {len(line.split("|")) for line in page.split("## ")[1].splitlines() if line.startswith("|")}
    assert len(widths) == 1, "every row has as many cells as the head"


@pytest.mark.slow
def test_the_same_figures_give_the_same_plots(tmp_path: Path) -> None:
    assert write(tmp_path) == write(tmp_path)
