"""Send many orders by columns through one session, read the reports by columns, keep a checkpoint.

Any number of gateways may be named; kill one, or the cluster's primary, while this runs: it goes on by itself.
Needs instrument 1 and account 1 (quick_start.py makes them). Run: python batch_session.py 127.0.0.1:7450
"""

# ruff: noqa: T201 - an example talks to a person

import sys
import time
from pathlib import Path

import numpy as np

from lockstep import Client, CommandColumns, EventKind, OrderType, Side, TimeInForce

ROWS, BATCHES = 500, 100


def main(addresses: str) -> None:
    first_id = time.time_ns()  # client order ids: unique among the account's live orders
    with Client(addresses) as client:
        session = client.session()
        start = time.perf_counter()
        for batch in range(BATCHES):
            sides = np.where(np.arange(ROWS) % 2 == 0, Side.BUY, Side.SELL)
            session.submit_columns(
                CommandColumns(
                    account=1,
                    instrument=1,
                    side=sides,
                    order_type=OrderType.LIMIT,
                    tif=TimeInForce.GTC,
                    client_order_id=np.arange(ROWS, dtype=np.uint64) + np.uint64(first_id + batch * ROWS),
                    price_ticks=np.where(sides == Side.BUY, 10_001, 10_000),  # each sell meets the buy before it
                    quantity_lots=5,
                )
            )
        session.drain(timeout_s=30)
        elapsed = time.perf_counter() - start

        trades = refused = 0
        for reports in session.batches(timeout_s=0.2):
            trades += int((reports.kind == EventKind.TRADE).sum())
            refused += int((reports.kind == EventKind.REJECTED).sum())

        # Everything is answered: a later process goes on with the same session by `client.session(resume=...)`.
        checkpoint = session.close()
        Path("session.json").write_text(checkpoint.to_json())
        print(f"{ROWS * BATCHES} orders in {elapsed:.2f} s, {trades} trade rows, {refused} refused")
        print(f"connections {session.counters.connections}, repeated rows dropped {session.counters.repeated_rows}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:7450")
