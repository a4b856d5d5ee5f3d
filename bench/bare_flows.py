"""The native engine beside a plain book on bare flows: time and instructions for each command.

Runs `build/bare_flows` (`make bench` builds it) over the public flash1 flows, if they are there, and over generated
ones of the same mix. Where the system does not let the program count instructions, they are counted by valgrind, which
repeats to the last one, if it is installed; else they are left out. `--page` writes the table into the page of
documentation.

    .venv/bin/python bench/bare_flows.py [--program FILE] [--vectors FOLDER] [--commands N] [--json FILE] [--page FILE]
"""

import argparse
import gzip
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from lockstep.bench.native_engine import FLOWS, VECTORS

RESTING = (1_000, 10_000, 100_000)
"""Orders that rest in the generated flows."""
BOTH = ("engine", "plain")
BEGIN, END = "<!-- table: written by bench/bare_flows.py -->\n", "<!-- end of table -->\n"

Row = dict[str, Any]


def unpack(vectors: Path, folder: Path) -> list[str]:
    """The flash1 flows as files that the program reads."""
    paths = []
    for name in FLOWS:
        packed = vectors / f"{name}_first20000_orders.csv.gz"
        if packed.exists():
            path = folder / f"flash1 {name}"
            path.write_bytes(gzip.decompress(packed.read_bytes()))
            paths.append(str(path))
    return paths


def run(program: Path, *arguments: str) -> str:
    """What the program says.

    Raises:
        subprocess.CalledProcessError: it failed; the trades were not the same, say.
    """
    return subprocess.run([program, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


def count(program: Path, which: str, flow: list[str]) -> int:
    """Instructions that one of the two executes on a flow, counted by valgrind."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"]
    command += [f"--toggle-collect=*replay_{which}*", str(program), "--replay", which, *flow]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    (counted,) = re.findall(r"Collected : (\d+)", said)
    return int(counted)


def measure(program: Path, flow: list[str], rounds: int) -> Row:
    """One flow: times of both, and instructions if anything here counts them."""
    row: Row = json.loads(run(program, "--rounds", str(rounds), *flow))
    row["counted_by"] = "processor" if row["engine_instructions"] is not None else None
    if row["counted_by"] is None and shutil.which("valgrind"):
        row["counted_by"] = "valgrind"
        for which in BOTH:
            row[f"{which}_instructions"] = round(count(program, which, flow) / row["commands"], 1)
    for unit in ("ns", "instructions"):
        if row[f"engine_{unit}"]:
            row[f"ratio_{unit}"] = round(row[f"plain_{unit}"] / row[f"engine_{unit}"], 2)
    return row


def table(rows: list[Row]) -> str:
    """Rows of a Markdown table; a ratio above 1 means that the engine is ahead."""
    lines = [
        "| flow | engine ns | plain ns | plain / engine | engine instructions | plain instructions | plain / engine |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        cells = [row["flow"], f"{row['engine_ns']:.0f}", f"{row['plain_ns']:.0f}", f"{row['ratio_ns']:.2f}"]
        if row["counted_by"]:
            cells += [f"{row[f'{which}_instructions']:.0f}" for which in BOTH] + [f"{row['ratio_instructions']:.2f}"]
        else:
            cells += ["-"] * 3
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def put(page: Path, rows: list[Row], rounds: int) -> None:
    """Put the table in the place of the one that the page has."""
    text = page.read_text()
    before, after = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    by = rows[0]["counted_by"]
    said = f"Instructions are counted by the {by}." if by == "processor" else f"Instructions are counted by {by}."
    load = f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}."
    note = f"\nMedians of {rounds} rounds. {said if by else 'Nothing here counts instructions.'} {load}\n"
    page.write_text(before + table(rows) + note + after)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description="The native engine beside a plain book on bare flows.")
    parser.add_argument("--program", type=Path, default=Path("build/bare_flows"))
    parser.add_argument("--vectors", type=Path, default=VECTORS, help="folder of the flash1 vectors")
    parser.add_argument("--commands", type=int, default=200_000, help="of each generated flow")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--page", type=Path, help="put the table into this page")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        flows = [[path] for path in unpack(arguments.vectors, Path(folder))]
        if not flows:
            print(f"no flash1 vectors in {arguments.vectors}: generated flows only")
        flows += [["--generate", str(arguments.commands), str(resting)] for resting in RESTING]
        for flow in flows:
            rows.append(measure(arguments.program, flow, arguments.rounds))
            print("\n".join(table(rows[-1:]).splitlines()[0 if len(rows) == 1 else 2 :]), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")
    if arguments.page:
        put(arguments.page, rows, arguments.rounds)


if __name__ == "__main__":
    main()
