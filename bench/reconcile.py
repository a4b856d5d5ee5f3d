"""What a reconciler spends: CPU seconds of its passes over two journals at rest. `python bench/reconcile.py --help`.

The journals are made beforehand from a seeded flow, with batches of one size, and executed natively. Passes are bounded
as they are beside a live cluster, where few commands come between two of them.
"""

import argparse
import cProfile
import pstats
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from lockstep.engine.native import NativeEngine
from lockstep.reconciler.auditor import Auditor
from lockstep.reconciler.case_file import CaseFile
from lockstep.reconciler.setup import AuditSetup
from lockstep.reconciler.sources import ColdJournal
from lockstep.replica.effects import AppliedBatch, JournalWrite
from lockstep.replica.journal import Journal
from lockstep.stream.batch import Batch, stamp_batch
from lockstep.stream.digest import GENESIS, next_digest
from lockstep.stream.records import join_records
from lockstep.trials.matching_flow import make_flow

SESSIONS = 16


def batches(commands: int, size: int, resting: int) -> list[Batch]:
    """A stream: the opening, then `commands` more in batches of `size`, given by 16 sessions."""
    flow = make_flow(commands, books=4, resting=resting)
    records = join_records([flow.opening, flow.commands]).copy()
    places = np.arange(len(records))
    records["session_id"] = 1 + places % SESSIONS
    records["session_no"] = 1 + places // SESSIONS
    return [
        stamp_batch(records[at : at + size], epoch=1, first_seq=at + 1, timestamp_ns=1)
        for at in range(0, len(records), size)
    ]


def write(data_dir: Path, member: int, stamped: list[Batch]) -> int:
    """A journal with what its batches lead to; the number of events."""
    engine, digest, count = NativeEngine(), GENESIS, 0
    with closing(Journal(data_dir, member)) as journal:
        for first in range(0, len(stamped), 512):
            part = stamped[first : first + 512]
            done = []
            for each in part:
                events = engine.apply(each.records, first_seq=each.first_seq, timestamp_ns=each.timestamp_ns)
                digest = next_digest(digest, each.raw, events.tobytes())
                done.append(AppliedBatch(each.epoch, each.first_seq, each.last_seq, events, digest))
                count += len(events)
            journal.write(
                JournalWrite(batches=tuple(part), committed_seq=part[-1].last_seq, cluster_uuid="bench", joined=True),
                sync=False,
            )
            journal.derived.keep(tuple(done))
    return count


def run(directory: Path, options: argparse.Namespace, per_pass: int) -> tuple[float, int, int]:
    """Pass after pass until all is verified: CPU seconds, passes, seqs."""
    sources = tuple(ColdJournal(directory / f"engine-{member}") for member in (1, 2))
    setup = AuditSetup(data_dir=directory / f"own-{per_pass}", cluster="bench", replicas=sources, engine=options.engine)
    setup = replace(setup, pass_commands=per_pass)
    passes = 0
    with closing(CaseFile(setup.data_dir, create=True)) as case, closing(Auditor(setup, case)) as auditor:
        began = time.process_time()
        while True:
            result = auditor.run_pass()
            passes += 1
            if result.halted or result.found:
                raise SystemExit(f"{result}; {case.breaks()}")
            if result.caught_up:
                return time.process_time() - began, passes, result.verified_seq


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commands", type=int, default=40_000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--resting", type=int, default=1_000)
    parser.add_argument("--engine", default="native")
    parser.add_argument("--per-pass", type=int, nargs="+", default=[50_000, 200])
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    stamped = batches(options.commands, options.batch, options.resting)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        events = min([write(directory / f"engine-{member}", member, stamped) for member in (1, 2)])
        for per_pass in options.per_pass:
            profile = cProfile.Profile()
            if options.profile:
                profile.enable()
            seconds, passes, seqs = run(directory, options, per_pass)
            profile.disable()
            print(
                f"{per_pass:>6} commands a pass at the most, batches of {options.batch}: {passes} passes, "
                f"{seconds:.2f} CPU s; {seqs / seconds:,.0f} commands and {events / seconds:,.0f} events a CPU second, "
                f"{seconds / passes * 1000:.1f} ms a pass"
            )
            if options.profile:
                pstats.Stats(profile).sort_stats("tottime").print_stats(22)


if __name__ == "__main__":
    main()
