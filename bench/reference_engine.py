"""Commands per second of the reference engine, alone in one thread, and where the time goes.

The flow is that of `lockstep bench matching`, on one book. Decoding of command records, session check, reservations,
matching and encoding of event records are all inside the measured time.

    .venv/bin/python bench/reference_engine.py [--commands N] [--batch N] [--profile]
"""

import argparse
import cProfile
import pstats
import time

import numpy as np

from lockstep.bench.matching import opened_engine, resting_orders
from lockstep.engine.reference import ReferenceEngine
from lockstep.stream.records import EventKind
from lockstep.trials.matching_flow import make_flow


def main() -> None:
    """Generate, apply, print."""
    parser = argparse.ArgumentParser(description="Commands per second of the reference engine on a mixed flow.")
    parser.add_argument("--commands", type=int, default=200_000)
    parser.add_argument("--batch", type=int, default=256, help="commands per apply()")
    parser.add_argument("--profile", action="store_true", help="print where the time goes instead")
    arguments = parser.parse_args()
    made = make_flow(arguments.commands)
    engine = opened_engine(ReferenceEngine, made.opening)
    flow = made.commands
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
    print(
        f"{len(flow) / elapsed:,.0f} commands/s, {elapsed / len(flow) * 1e6:.2f} us per command; "
        f"{resting_orders(engine)} orders resting at the end, batches of {arguments.batch}; events: {shares}"
    )


if __name__ == "__main__":
    main()
