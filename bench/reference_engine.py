"""Commands per second of the reference engine, alone in one thread.

The flow is new / cancel / replace / IOC in the shares 50 / 40 / 8 / 2 on one instrument, with 64 funded accounts,
around a mid price that wanders; it is generated beforehand from a seed, so runs are comparable. Decoding of command
records, session check, reservations, matching and encoding of event records are all inside the measured time.

    .venv/bin/python bench/reference_engine.py [--commands N] [--batch N] [--profile]
"""

import argparse
import cProfile
import pstats
import random
import time
from typing import Any

import numpy as np

from lockstep.engine.reference import ReferenceEngine
from lockstep.stream.records import ADMIN, COMMAND, CommandKind, Commands, EventKind, OrderType, Side, TimeInForce

ACCOUNTS = 64
SESSION = 1


def _definitions() -> Commands:
    """One instrument; accounts with cash and shares that suffice for the run, all checks on."""
    rows = np.zeros(1 + 3 * ACCOUNTS, dtype=ADMIN)
    rows[0]["kind"] = CommandKind.DEFINE_INSTRUMENT
    rows[0]["instrument"] = 1
    rows[0]["name"] = b"BENCH"
    rows[0]["tick_micros"] = 10_000
    rows[0]["lot_units"] = 1
    for account in range(1, ACCOUNTS + 1):
        define, cash, shares = rows[3 * account - 2 : 3 * account + 1]
        define["kind"] = CommandKind.DEFINE_ACCOUNT
        define["name"] = f"account {account}".encode()
        cash["kind"] = CommandKind.ADJUST_CASH
        cash["amount_micros"] = 10**15
        shares["kind"] = CommandKind.ADJUST_POSITION
        shares["instrument"] = 1
        shares["quantity_lots"] = 10**9
        for row in (define, cash, shares):
            row["account"] = account
    return rows.view(COMMAND)


def mixed_flow(count: int, seed: int) -> Commands:
    """`count` numbered commands; cancels and replaces name orders by client id and sometimes miss, as in life."""
    pick = random.Random(seed)
    rows = np.zeros(count, dtype=COMMAND)
    columns: dict[str, list[int]] = {name: [0] * count for name in _COLUMNS}
    live: list[tuple[int, int, int]] = []
    mid = 100_000
    for at in range(count):
        mid += pick.choice((-1, 1)) if at % 16 == 0 else 0
        draw = pick.random()
        row: dict[str, Any] = {"kind": CommandKind.NEW_ORDER, "quantity_lots": pick.randint(1, 100)}
        if draw < 0.52 or not live:
            account, client_id, side = pick.randint(1, ACCOUNTS), at + 1, int(pick.choice((Side.BUY, Side.SELL)))
            ioc = draw >= 0.50
            away = -2 if ioc or pick.random() < 0.1 else 2 + int(pick.expovariate(0.02))
            price = mid - away if side == Side.BUY else mid + away
            row |= {"order_type": OrderType.LIMIT, "tif": TimeInForce.IOC if ioc else TimeInForce.GTC}
            row |= {"side": side, "price_ticks": price}
            if not ioc:
                live.append((account, client_id, side))
        else:
            slot = pick.randrange(len(live))
            account, client_id, side = live[slot]
            row["kind"] = CommandKind.CANCEL
            if draw >= 0.92:
                away = 2 + int(pick.expovariate(0.02))
                row |= {"kind": CommandKind.REPLACE, "price_ticks": mid - away if side == Side.BUY else mid + away}
            else:
                live[slot] = live[-1]
                live.pop()
        row |= {"account": account, "client_order_id": client_id, "instrument": 1}
        for name, value in row.items():
            columns[name][at] = value
    for name, values in columns.items():
        rows[name] = values
    rows["session_id"] = SESSION
    rows["session_no"] = np.arange(1, count + 1)
    return rows


_COLUMNS = (
    "kind",
    "side",
    "order_type",
    "tif",
    "account",
    "client_order_id",
    "instrument",
    "price_ticks",
    "quantity_lots",
)


def main() -> None:
    """Generate, apply, print."""
    parser = argparse.ArgumentParser(description="Commands per second of the reference engine on a mixed flow.")
    parser.add_argument("--commands", type=int, default=200_000)
    parser.add_argument("--batch", type=int, default=256, help="commands per apply()")
    parser.add_argument("--profile", action="store_true", help="print where the time goes instead")
    arguments = parser.parse_args()
    engine = ReferenceEngine()
    definitions = _definitions()
    engine.apply(definitions, first_seq=1, timestamp_ns=1)
    flow = mixed_flow(arguments.commands, seed=1)
    batches = [flow[at : at + arguments.batch] for at in range(0, len(flow), arguments.batch)]
    profile = cProfile.Profile()
    if arguments.profile:
        profile.enable()
    outcomes = []
    start = time.perf_counter()
    for batch in batches:
        kinds = engine.apply(batch, first_seq=engine.last_seq + 1, timestamp_ns=2)["kind"]
        outcomes.append(kinds)
    elapsed = time.perf_counter() - start
    if arguments.profile:
        profile.disable()
        pstats.Stats(profile).sort_stats("tottime").print_stats(20)
    kinds = np.concatenate(outcomes)
    shares = {kind.name.lower(): int((kinds == kind).sum()) for kind in EventKind if (kinds == kind).any()}
    resting = sum(len(engine.open_orders(view.account)) for view in engine.accounts())
    print(
        f"{len(flow) / elapsed:,.0f} commands/s, {elapsed / len(flow) * 1e6:.2f} us per command; "
        f"{resting} orders resting at the end, batches of {arguments.batch}; events: {shares}"
    )


if __name__ == "__main__":
    main()
