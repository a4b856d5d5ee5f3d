"""What the benches wrote as JSON, as plots (SVG) and as one page of tables: `README.md` in the same folder.

    .venv/bin/python -m lockstep.bench.plots [FOLDER]

`make bench` and `make bench-peers` write into `build/bench`. A file that is not there is left out; nothing is measured
here.
"""

import json
import os
import platform
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

FOLDER: Final = Path("build/bench")
_GROWTH: Final = "growth-"
_MODES: Final = ("single", "batched")
_SIZE: Final = (10.0, 3.6)
_BLUE: Final = "#1f5fa8"
_RED: Final = "#b3401f"

Row = Sequence[object]
Result = Mapping[str, Any]


def write_report(folder: Path) -> Path:
    """Draw and tabulate all results in the folder; the page."""
    mpl.use("svg")
    # The same figures give the same file.
    mpl.rcParams.update({"svg.hashsalt": "lockstep", "svg.fonttype": "none", "axes.spines.top": False})
    mpl.rcParams.update({"axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True})
    mpl.rcParams.update({"grid.color": "#dddddd"})
    parts = ["# Measured here", _machine()]
    for file in sorted(folder.glob("*.json")):
        result = json.loads(file.read_text(encoding="utf-8"))
        kind = "growth" if file.stem.startswith(_GROWTH) else file.stem
        if kind in _SECTIONS:
            parts += _SECTIONS[kind](result, folder, file.stem)
            parts.append(f"Mix: {result['mix']}. Left out: {result['left_out']}.")
    page = folder / "README.md"
    page.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return page


def _machine() -> str:
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; load "
        f"averages when this page was written: {load}. Load generators and all servers share these cores."
    )


def _table(names: Sequence[str], rows: Iterable[Row]) -> str:
    lines = ["| " + " | ".join(names) + " |", "| --- " + "| ---: " * (len(names) - 1) + "|"]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join(lines)


def _ms(us: float) -> str:
    return f"{us / 1000:.2f}"


def _save(figure: Figure, folder: Path, name: str, title: str) -> str:
    """Write the plot; the line that shows it."""
    figure.tight_layout()
    figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
    return f"![{title}]({name}.svg)"


def _cluster(result: Result, _folder: Path, _name: str) -> list[str]:
    names = ("phase", "offered/s", "answered/s", "p50 ms", "p99 ms", "longest ms", "CPU us/order")
    rows = [
        (
            phase["name"],
            phase["offered_per_s"],
            phase["answered_per_s"],
            *(_ms(phase["latency_us"].get(key, 0)) for key in ("p50", "p99", "max")),
            phase["cpu_us_per_order"].get("total", ""),
        )
        for phase in result["phases"]
    ]
    return ["## A whole cluster", _table(names, rows)]


def _overload(result: Result, folder: Path, name: str) -> list[str]:
    points = sorted(result["points"], key=lambda point: point["offered_per_s"])
    offered = [point["offered_per_s"] / 1000 for point in points]
    figure = Figure(_SIZE)
    rate, late = figure.subplots(1, 2)
    rate.plot(offered, offered, color="#999999", linestyle=":", label="all that is offered")
    rate.plot(offered, [point["accepted_per_s"] / 1000 for point in points], "o-", color=_BLUE, label="accepted")
    rate.axvline(result["saturation_per_s"] / 1000, color=_RED, linestyle="--", label="saturation")
    rate.set(xlabel="thousand orders/s offered", ylabel="thousand/s accepted", ylim=(0, None))
    rate.set_title("accepted")
    rate.legend(frameon=False)
    for key, color in (("p50", _BLUE), ("p99", _RED)):
        late.plot(offered, [point["latency_us"].get(key, 0) / 1000 for point in points], "o-", color=color, label=key)
    late.set(xlabel="thousand orders/s offered", ylabel="ms", ylim=(0, None))
    late.set_title("latency of what was accepted")
    late.legend(frameon=False)
    names = ("offered", "orders/s", "accepted/s", "p50 ms", "p99 ms")
    rows = [
        (
            f"{point['factor']:g} x",
            point["offered_per_s"],
            point["accepted_per_s"],
            *(_ms(point["latency_us"].get(key, 0)) for key in ("p50", "p99")),
        )
        for point in points
    ]
    shown = _save(figure, folder, name, "accepted rate and latency over offered rate")
    return ["## Beyond saturation", f"Saturation: {result['saturation_per_s']} orders/s.", _table(names, rows), shown]


def _growth(result: Result, folder: Path, name: str) -> list[str]:
    axis, points = result["axis"], result["points"]
    values = [point["value"] for point in points]
    figure = Figure(_SIZE)
    late, rate = figure.subplots(1, 2)
    for key, color in (("p50", _BLUE), ("p99", _RED)):
        late.plot(values, [point["latency_us"].get(key, 0) / 1000 for point in points], "o-", color=color, label=key)
    late.set_title(f"latency at {points[0]['offered_per_s']} orders/s" if points else "latency")
    late.set(ylabel="ms", ylim=(0, None))
    late.legend(frameon=False)
    rate.plot(values, [point["accepted_per_s"] / 1000 for point in points], "o-", color=_BLUE)
    rate.set_title(f"accepted of {result['too_much_per_s']} orders/s")
    rate.set(ylabel="thousand/s", ylim=(0, None))
    for axes in (late, rate):
        _by_powers(axes, axis, values)
    names = (axis, "answered/s", "p50 ms", "p99 ms", "CPU us/order", "accepted/s", "cores of others")
    rows = [
        (
            point["value"],
            point["answered_per_s"],
            *(_ms(point["latency_us"].get(key, 0)) for key in ("p50", "p99")),
            point["cpu_us_per_order"],
            point["accepted_per_s"],
            point["other_cores"],
        )
        for point in points
    ]
    shown = _save(figure, folder, name, f"latency and rate by {axis}")
    return [f"## Growth: {axis}", _table(names, rows), shown]


def _by_powers(axes: Axes, label: str, values: Sequence[int]) -> None:
    """A logarithmic axis, on which nought has a place, too."""
    axes.set_xlabel(label)
    if 0 in values:
        axes.set_xscale("symlog", linthresh=min((value for value in values if value), default=1))
    else:
        axes.set_xscale("log")


def _peers(result: Result, folder: Path, name: str) -> list[str]:
    figure = Figure((_SIZE[0], 2 * _SIZE[1]))
    grid = figure.subplots(2, 2, squeeze=False)
    parts = ["## Beside other systems"]
    for row, mode in enumerate(_MODES):
        figures = [one for one in result["figures"] if one["mode"] == mode]
        if not figures:
            for axes in grid[row]:
                axes.set_visible(False)
            continue
        systems = [one["system"] for one in figures]
        _bars(grid[row][0], systems, [[one[f"{key}_us"] / 1000 for one in figures] for key in ("p50", "p99")])
        grid[row][0].set_title(f"{mode}, {figures[0]['offered_per_s']} records/s: ms")
        costs = [[one[f"{key}_us_per_record"] for one in figures] for key in ("servers", "load")]
        _bars(grid[row][1], systems, costs, ("servers", "load generator"))
        grid[row][1].set_title(f"{mode}: CPU us a record")
        names = (
            "system",
            "answered/s",
            "unanswered",
            "p50 ms",
            "p99 ms",
            "servers us/record",
            "load generator us",
            "cores of others",
        )
        rows = [
            (
                one["system"],
                f"{one['answered_per_s']:.0f}",
                one["unanswered"],
                _ms(one["p50_us"]),
                _ms(one["p99_us"]),
                one["servers_us_per_record"],
                one["load_us_per_record"],
                one["other_cores"],
                one["rounds"],
            )
            for one in figures
        ]
        parts += [f"{mode}, {figures[0]['offered_per_s']} records/s offered:", _table(names, rows)]
    parts.append(_save(figure, folder, name, "latency and CPU of each system"))
    abouts = dict.fromkeys(one["about"] for one in result["figures"])
    missing = [f"Not measured: {peer}: {reason}" for peer, reason in result["not_measured"].items()]
    parts.append("\n".join(f"- {line}" for line in [*abouts, *missing]))
    return parts


def _bars(axes: Axes, names: Sequence[str], groups: Sequence[Sequence[float]], labels: Row = ("p50", "p99")) -> None:
    for number, (values, color) in enumerate(zip(groups, (_BLUE, _RED), strict=True)):
        places = [place + (number - 0.5) * 0.38 for place in range(len(names))]
        bars = axes.bar(places, values, 0.36, color=color, label=str(labels[number]))
        axes.bar_label(bars, fmt="%.4g", fontsize=8)
    axes.set_xticks(range(len(names)), names)
    axes.set_yscale("log")
    axes.legend(frameon=False)


_SECTIONS: Final[Mapping[str, Callable[[Result, Path, str], list[str]]]] = {
    "cluster": _cluster,
    "overload": _overload,
    "growth": _growth,
    "peers": _peers,
}


def main() -> int:
    """Write the page, and say where it is."""
    page = write_report(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
    sys.stdout.write(f"{page}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
