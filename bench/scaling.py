"""How the native core's speed depends on the number of books and of resting orders: a table and two plots.

Runs `build/native_bench` (`make bench` builds it) for each point and writes `engine-speed.md` with its SVG plots into a
folder, `docs` by default. What the page has of the plain book (`bench/bare_flows.py --page`) stays.

    .venv/bin/python bench/scaling.py [--program FILE] [--out FOLDER] [--commands N]
"""

import argparse
import json
import math
import os
import subprocess
from pathlib import Path
from typing import Any

BOOKS = (1, 10, 100, 1_000, 5_000)
RESTING = (1_000, 10_000, 100_000, 1_000_000)
MANY_RESTING = 100_000
"""Resting orders of all books together while the number of books changes."""
PLAIN_BOOK = "\n## Beside a plain book\n"
WIDTH, HEIGHT, LEFT, BOTTOM = 640, 320, 60, 40


def measure(program: Path, books: int, resting: int, commands: int) -> dict[str, Any]:
    """One point."""
    arguments = [str(program), str(books), str(resting), str(commands)]
    done = subprocess.run(arguments, check=True, capture_output=True, text=True)
    point: dict[str, Any] = json.loads(done.stdout)
    print(f"{books:5} books, {resting:8} resting: {point['commands_per_s'] / 1e6:6.2f} M/s", flush=True)
    return point


def plot(points: list[dict[str, Any]], key: str, title: str) -> str:
    """Millions of commands a second over the logarithm of `key`, as SVG."""
    top = math.ceil(max(point["commands_per_s"] for point in points) / 1e6)
    first, last = math.log10(points[0][key]), math.log10(points[-1][key])

    def place(point: dict[str, Any]) -> tuple[float, float]:
        across = (math.log10(point[key]) - first) / (last - first)
        up = point["commands_per_s"] / 1e6 / top
        return LEFT + across * (WIDTH - LEFT - 30), HEIGHT - BOTTOM - up * (HEIGHT - BOTTOM - 40)

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="20" font-size="14">{title}</text>',
    ]
    for million in range(top + 1):
        _, y = place({key: points[0][key], "commands_per_s": million * 1e6})
        lines.append(f'<line x1="{LEFT}" y1="{y:.0f}" x2="{WIDTH - 30}" y2="{y:.0f}" stroke="#ddd"/>')
        lines.append(f'<text x="{LEFT - 10}" y="{y + 4:.0f}" text-anchor="end">{million}</text>')
    for point in points:
        x, y = place(point)
        lines.append(f'<circle cx="{x:.0f}" cy="{y:.0f}" r="4" fill="#1f5fa8"/>')
        label = f"{point[key]:,}".replace(",", " ")
        lines.append(f'<text x="{x:.0f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{label}</text>')
    path = " ".join(f"{x:.0f},{y:.0f}" for x, y in map(place, points))
    lines.append(f'<polyline points="{path}" fill="none" stroke="#1f5fa8" stroke-width="2"/>')
    return "\n".join([*lines, "</svg>", ""])


def table(points: list[dict[str, Any]]) -> str:
    """The points as rows."""
    rows = [
        "| books | resting orders | M commands/s | p50 ns | p99 ns | p99.9 ns |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for point in points:
        figures = " | ".join(str(point[name]) for name in ("ns_p50", "ns_p99", "ns_p999"))
        rows.append(f"| {point['books']} | {point['resting']} | {point['commands_per_s'] / 1e6:.2f} | {figures} |")
    return "\n".join(rows)


def main() -> None:
    """Measure, write, say where."""
    parser = argparse.ArgumentParser(description="Speed of the native core over books and resting orders.")
    parser.add_argument("--program", type=Path, default=Path("build/native_bench"))
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument("--commands", type=int, default=1_000_000)
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    by_resting = [measure(arguments.program, 1, resting, arguments.commands) for resting in RESTING]
    by_books = [measure(arguments.program, books, MANY_RESTING, arguments.commands) for books in BOOKS]
    (arguments.out / "engine-speed-resting.svg").write_text(
        plot(by_resting, "resting", "M commands/s, one book, by resting orders")
    )
    title = f"M commands/s by books, {MANY_RESTING} resting orders together"
    (arguments.out / "engine-speed-books.svg").write_text(plot(by_books, "books", title))
    text = f"""# How fast the native core is, by size

Written by `bench/scaling.py`. The mixed flow of `bench/native_bench.cpp` (new / cancel / replace / IOC 50 / 40 / 8 / 2,
64 funded accounts, all checks on), one thread; {os.cpu_count()} cores, load average {load:.1f} at the start.
Throughput is by the CPU time of the thread, so that other load lengthens it through the shared caches only; latencies
are by the wall clock, and are worthless unless the machine was idle.

One book:

{table(by_resting)}

![by resting orders](engine-speed-resting.svg)

{MANY_RESTING} resting orders spread over all books:

{table(by_books)}

![by books](engine-speed-books.svg)
"""
    page = arguments.out / "engine-speed.md"
    _, heading, beside = page.read_text().partition(PLAIN_BOOK) if page.exists() else ("", "", "")
    page.write_text(text + heading + beside)


if __name__ == "__main__":
    main()
