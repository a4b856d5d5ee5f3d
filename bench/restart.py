"""How long an engine takes from its data directory to its state in memory: snapshot and tail, or the whole journal.

A journal of the wanted length is written directly, with events and digests, and one snapshot `tail` commands before its
end; then journal and snapshot are opened as an engine that starts does. Files are in the page cache, as they are when a
process starts again on the machine on which it died. The start of the Python process itself is left out.
"""

import gc
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from lockstep.engine.contract import EngineType
from lockstep.engine.implementations import DEFAULT, UnknownImplementation, implementation
from lockstep.replica.divergence import EpochEntry
from lockstep.replica.effects import AppliedBatch, JournalWrite
from lockstep.replica.journal import Journal
from lockstep.replica.machine import ReplicaMachine
from lockstep.replica.replayer import Replayer
from lockstep.replica.restore import restore
from lockstep.replica.settings import ReplicaOptions
from lockstep.replica.snapshots import SnapshotStore
from lockstep.runtime.process import EnvironmentFault
from lockstep.sequencer.window import control_record
from lockstep.stream.batch import Batch, stamp_batch
from lockstep.stream.records import CommandKind, Commands
from lockstep.trials.matching_flow import make_flow

_BATCH: Final = 512
_BLOCK: Final = 200_000
_BURST: Final = 16
_UUID: Final = "bench"
LEFT_OUT: Final = (
    "start of the process, imports, media driver, catching up with the others; files are in the page cache"
)


@dataclass(frozen=True, slots=True)
class RestartPlan:
    """What to measure."""

    commands: int = 1_000_000
    tail: int = 100_000
    """Commands after the snapshot."""
    resting: int = 10_000
    engine: str = "native"
    whole: bool = False
    """Also measure the start from the whole journal."""


@dataclass(frozen=True, slots=True)
class RestartFigures:
    """Milliseconds, and what was there."""

    engine: str
    commands: int
    tail: int
    """Commands that were replayed after the snapshot."""
    snapshot_bytes: int
    open_ms: int
    """Opening the databases."""
    load_ms: int
    """From open databases to the state in memory."""
    total_ms: int
    replay_ms: int
    """The same from the whole journal; 0: not measured."""
    left_out: str = LEFT_OUT


def run_restart_bench(plan: RestartPlan, say: Callable[[str], None]) -> RestartFigures:
    """Write a journal, start from it, and remove it.

    Raises:
        EnvironmentFault: the engine is not built here.
    """
    try:
        make = implementation(plan.engine)
    except UnknownImplementation as error:
        raise EnvironmentFault(str(error)) from error
    with tempfile.TemporaryDirectory(prefix="lockstep-restart-") as name:
        data_dir = Path(name)
        started = time.monotonic()
        written = _write(data_dir, plan)
        say(f"wrote {written} commands in {time.monotonic() - started:.0f} s")
        opened_ms, loaded_ms, machine = _start(data_dir, make, SnapshotStore(data_dir))
        (head,) = SnapshotStore(data_dir).heads()
        replay_ms = _start(data_dir, make, None)[1] if plan.whole else 0
    return RestartFigures(
        plan.engine,
        written,
        machine.replica_state.applied_seq - head.seq,
        head.file_bytes,
        opened_ms,
        loaded_ms,
        opened_ms + loaded_ms,
        replay_ms,
    )


def _start(data_dir: Path, make: EngineType, store: SnapshotStore | None) -> tuple[int, int, ReplicaMachine]:
    gc.collect()
    begun_ns = time.monotonic_ns()
    journal = Journal(data_dir, 1)
    opened_ns = time.monotonic_ns()
    machine = restore(journal, ReplicaOptions(1, (1, 2)), make, lambda: None, store)
    loaded_ns = time.monotonic_ns()
    journal.close()
    return (opened_ns - begun_ns) // 1_000_000, (loaded_ns - opened_ns) // 1_000_000, machine


def _write(data_dir: Path, plan: RestartPlan) -> int:
    """Journal, events, digests and one snapshot; how many commands it came to."""
    journal = Journal(data_dir, 1)
    replayer = Replayer(implementation(DEFAULT))
    burst: list[Batch] = []
    batches: list[AppliedBatch] = []
    taken = False
    for made in _stamped(plan):
        batches.append(replayer.run(made))
        burst.append(made)
        if len(burst) == _BURST:
            _keep(journal, burst, batches)
        if not taken and made.last_seq >= plan.commands - plan.tail:
            taken = True
            SnapshotStore(data_dir).write(replayer.snapshot(_UUID), made.last_seq, verified=True)
    _keep(journal, burst, batches)
    journal.write(JournalWrite((), (EpochEntry(1, 1),), (1, 1), _UUID, replayer.seq, joined=True), sync=True)
    journal.close()
    return replayer.seq


def _keep(journal: Journal, burst: list[Batch], batches: list[AppliedBatch]) -> None:
    journal.write(JournalWrite(tuple(burst)), sync=False)
    journal.derived.keep(tuple(batches))
    burst.clear()
    batches.clear()


def _stamped(plan: RestartPlan) -> Iterator[Batch]:
    """The stream: EPOCH_START, then the flow in blocks, each with session and order numbers of its own."""
    start = control_record(CommandKind.EPOCH_START, epoch=1, in_sync_bits=2, primary=1, sequencer=1)
    seq = 1
    for records in (start, *_blocks(plan)):
        for at in range(0, len(records), _BATCH):
            part = records[at : at + _BATCH]
            yield stamp_batch(part, epoch=1, first_seq=seq, timestamp_ns=seq * 1_000)
            seq += len(part)
            if seq > plan.commands:
                return


def _blocks(plan: RestartPlan) -> Iterator[Commands]:
    flow = make_flow(min(plan.commands, _BLOCK), books=4, resting=plan.resting, seed=1)
    yield flow.opening
    numbers = int(flow.commands["session_no"].max())
    ids = int(flow.commands["client_order_id"].max())
    for block in range(plan.commands // len(flow.commands) + 1):
        records = flow.commands.copy()
        records["session_no"] += np.uint64(block * numbers)
        if block:
            records["client_order_id"] += np.uint64(block * ids)
        yield records
