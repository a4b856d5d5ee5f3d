"""Commands per second of the native engine as Python sees it, alone in one thread.

Two flows, both prepared beforehand: the mixed flow of `lockstep bench matching` (accounts and all checks on) and, if
the public flash1 vectors are there, a replay of their five flows (one unlimited account). Each figure is the median of
several runs on fresh engines; decoding, session check, reservations, matching and events are inside the time.

    .venv/bin/python bench/native_engine.py [--commands N] [--runs N] [--vectors FOLDER] [--json FILE]
"""

import argparse
import gzip
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np

from lockstep.bench.matching import throughput
from lockstep.engine.native import NativeEngine, Sizes
from lockstep.stream.records import ADMIN, COMMAND, CommandKind, Commands, OrderType, Side, TimeInForce
from lockstep.trials.matching_flow import make_flow

VECTORS = Path(__file__).resolve().parents[2] / "shared" / "vectors" / "flash1"
FLOWS = ("flash-crash", "normal", "static", "swing-25", "swing-40")
BATCHES = (256, 4096)


def engine() -> NativeEngine:
    """A fresh engine with room for the orders of these flows."""
    return NativeEngine(Sizes(orders=65_536))


def flash1_market() -> Commands:
    """One instrument and one unlimited account."""
    rows = np.zeros(2, dtype=ADMIN)
    rows["kind"] = (CommandKind.DEFINE_INSTRUMENT, CommandKind.DEFINE_ACCOUNT)
    rows["name"] = (b"FLASH", b"all")
    rows["instrument"] = (1, 0)
    rows["account"] = (0, 1)
    rows["flags"] = (0, 3)
    rows["tick_micros"] = rows["lot_units"] = 1
    return rows.view(COMMAND)


def flash1_flow(path: Path) -> Commands:
    """A flow's messages as numbered commands of one session."""
    with gzip.open(path, "rt") as file:
        kind, side, ioc, lots, _, order_id, price = np.loadtxt(file, delimiter=",", dtype=np.int64, comments="#").T
    rows = np.zeros(len(kind), dtype=COMMAND)
    rows["kind"] = np.array((CommandKind.NEW_ORDER, CommandKind.CANCEL, CommandKind.REPLACE))[kind]
    rows["side"] = np.where(side == 0, Side.BUY, Side.SELL)
    rows["order_type"] = OrderType.LIMIT
    rows["tif"] = np.where(ioc == 1, TimeInForce.IOC, TimeInForce.GTC)
    rows["account"] = rows["instrument"] = rows["session_id"] = 1
    rows["client_order_id"] = order_id
    rows["price_ticks"] = price
    rows["quantity_lots"] = lots
    rows["session_no"] = np.arange(1, len(rows) + 1)
    return rows


def main() -> None:
    """Prepare, run, print medians."""
    parser = argparse.ArgumentParser(description="Commands per second of the native engine.")
    parser.add_argument("--commands", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--vectors", type=Path, default=VECTORS, help="folder of the flash1 vectors")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    arguments = parser.parse_args()
    mixed = make_flow(arguments.commands)
    flows: dict[str, tuple[Commands, Commands]] = {"mixed 50/40/8/2": (mixed.opening, mixed.commands)}
    for name in FLOWS:
        path = arguments.vectors / f"{name}_first20000_orders.csv.gz"
        if path.exists():
            flows[f"flash1 {name}"] = (flash1_market(), flash1_flow(path))
    figures: dict[str, Any] = {}
    for name, (opening, flow) in flows.items():
        for batch in BATCHES:
            rates = [throughput(engine, opening, flow, batch=batch) for _ in range(arguments.runs)]
            median = statistics.median(rates)
            figures[f"{name}, batches of {batch}"] = {"commands_per_s": round(median), "runs": list(map(round, rates))}
            print(f"{name:22} batches of {batch:4}: {median / 1e6:6.2f} M/s (best {max(rates) / 1e6:.2f})")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
