"""Sends a checked flow file through a cluster in one session, with faults on the way if wanted.

One session keeps the file's order: the cluster executes a session's commands in the order of their numbers, whatever
dies in between. So the fills are those of an undisturbed run, line for line.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from lockstep.admin import SetPhase
from lockstep.aio import AsyncClient
from lockstep.bench.replay.flow import FlowChunk, FlowSummary, read_flow
from lockstep.bench.replay.recording import Recording
from lockstep.bench.replay.reference import ClusterIds, define
from lockstep.columns import CommandColumns, ReportColumns
from lockstep.rows import COMMAND_FIELDS
from lockstep.runtime.output import Output, OutputStream
from lockstep.runtime.process import EnvironmentFault
from lockstep.session import AsyncSession
from lockstep.stream.records import CommandKind

_SAME_COLUMNS: Final = tuple(name for name in COMMAND_FIELDS if name not in ("account", "instrument", "order_id"))
"""Columns of a file whose values are the cluster's, too."""
_CHUNK_ROWS: Final = 512
_PACED_INTERVAL_S: Final = 0.002
_LONGEST_NS: Final = 2**62
_MAX_UNANSWERED: Final = 16_384


@dataclass(frozen=True, slots=True)
class Kill:
    """A fault to inject: `target` is `primary`, `sequencer` or `gateway`, killed after `after` commands were sent."""

    target: str
    after: int


class Executioner(Protocol):
    """Who can kill a process of the cluster."""

    def execute(self, target: str) -> dict[str, object]:
        """Kill the process in that role with SIGKILL; blocks while the cluster could not stand it. What was done."""


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """What to send where."""

    path: Path
    summary: FlowSummary
    addresses: Sequence[str]
    token: str | None = None
    client_number: int | None = None
    rate: int = 0
    """Commands a second; 0: as fast as the cluster takes them, or by `pace`."""
    pace: float = 0.0
    """Send by the file's `time_ns`, so many times as fast; 0: not by time."""
    kills: tuple[Kill, ...] = ()
    fills: Output | None = None
    reports: Output | None = None
    drain_s: float = 60.0
    """How long to wait for the answers after the last command."""


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What came of it."""

    commands: int
    seconds: float
    recording: Recording
    kills: tuple[dict[str, object], ...]

    @property
    def complete(self) -> bool:
        """Every command was answered, none twice, and nothing was missing in between."""
        recording = self.recording
        return recording.acknowledged == self.commands and not recording.duplicates and not recording.gaps

    def to_json(self, summary: FlowSummary) -> dict[str, object]:
        """For `--json`."""
        recording = self.recording
        return {
            "commands": self.commands,
            "by_action": dict(summary.by_action),
            "acknowledged": recording.acknowledged,
            "unanswered": self.commands - recording.acknowledged,
            "refused": dict(recording.refusals),
            "reports": recording.rows,
            "fills": recording.fills,
            "filled_quantity": recording.filled_units,
            "duplicates": recording.duplicates,
            "gaps": recording.gaps,
            "epochs": recording.epochs,
            "kills": list(self.kills),
            "seconds": round(self.seconds, 3),
            "throughput_per_s": round(self.commands / self.seconds) if self.seconds else 0,
            "latency_us": recording.latency_us(),
        }


async def replay(plan: ReplayPlan, executioner: Executioner | None = None) -> ReplayResult:
    """Send the file and wait for every answer.

    Raises:
        FlowError: the cluster has other definitions than the file.
        Refused, Unavailable: the cluster does not take the session or the definitions.
        EnvironmentFault: answers are missing after `drain_s`, or an output can't be written; nothing is left of it.
    """
    with ExitStack() as outputs:
        # Begun before anything is sent, and in their places only when everything was answered.
        fills, reports = (
            None if one is None else outputs.enter_context(one.stream()) for one in (plan.fills, plan.reports)
        )
        return await _replay(plan, executioner, fills, reports)


async def _replay(
    plan: ReplayPlan, executioner: Executioner | None, fills: OutputStream | None, reports: OutputStream | None
) -> ReplayResult:
    inbox = _Inbox()
    async with AsyncClient(plan.addresses, token=plan.token, client_number=plan.client_number) as client:
        session = await client.session(
            on_batch=inbox.on_batch, max_unanswered=_MAX_UNANSWERED, batch_rows=_CHUNK_ROWS, timeout_s=5.0
        )
        ids = await define(client, session, plan.summary)
        recording = Recording(ids.traded, first_no=ids.next_no, fills=fills, reports=reports)
        inbox.recording = recording
        started = time.monotonic()
        kills = await _send(plan, session, ids, recording, executioner)
        await _wait_answered(session, recording, plan)
        seconds = time.monotonic() - started
        await session.close()
        recording.close_fill()
    _raise_fault(recording)
    return ReplayResult(plan.summary.commands, seconds, recording, tuple(kills))


class _Inbox:
    """Takes batches from the session's loop; before the recording begins they are answers to definitions."""

    def __init__(self) -> None:
        self.recording: Recording | None = None

    def on_batch(self, batch: ReportColumns) -> None:
        if self.recording is not None:
            self.recording.on_batch(batch, time.monotonic_ns())


async def _send(
    plan: ReplayPlan,
    session: AsyncSession,
    ids: ClusterIds,
    recording: Recording,
    executioner: Executioner | None,
) -> list[dict[str, object]]:
    kills = sorted(plan.kills, key=lambda kill: kill.after)
    done: list[dict[str, object]] = []
    rows = _CHUNK_ROWS if not plan.rate else max(1, min(_CHUNK_ROWS, round(plan.rate * _PACED_INTERVAL_S)))
    clock = _Clock(plan)
    for chunk in read_flow(plan.path, plan.summary, chunk_rows=rows):
        columns = to_columns(chunk, ids)
        due_ns = clock.due_ns(chunk)
        start = 0
        while start < len(chunk):
            await _sleep_until(int(due_ns[start]))
            stop = _stop(chunk, start, due_ns, kills)
            if stop > start:
                await _submit(session, _Part(chunk, columns, start, stop), due_ns[start:stop], ids, recording)
                start = stop
            while kills and chunk.first_index + start >= kills[0].after:
                done.append(await _kill(kills.pop(0), chunk.first_index + start, executioner))
    return done


class _Clock:
    """When each command is due: open loop, whatever came back of those before."""

    def __init__(self, plan: ReplayPlan) -> None:
        self._plan = plan
        self._started_ns = time.monotonic_ns()
        self._first_time_ns = -1

    def due_ns(self, chunk: FlowChunk) -> NDArray[np.int64]:
        """For each row, by the monotonic clock; 0: as soon as the cluster takes it."""
        if self._plan.rate:
            # The rows of one chunk go together, at the time of the first.
            after = chunk.first_index * 1_000_000_000 // self._plan.rate
            return np.full(len(chunk), self._started_ns + after, np.int64)
        if not self._plan.pace:
            return np.zeros(len(chunk), np.int64)
        if self._first_time_ns < 0:
            self._first_time_ns = int(chunk.time_ns[0])
        passed = (chunk.time_ns - self._first_time_ns) / self._plan.pace
        return self._started_ns + np.minimum(passed, _LONGEST_NS).astype(np.int64)


def _stop(chunk: FlowChunk, start: int, due_ns: NDArray[np.int64], kills: Sequence[Kill]) -> int:
    """The end of the rows that go together from `start` on: all that are due, up to a kill or a phase."""
    now_ns = time.monotonic_ns()
    stop = max(start + 1, int(np.searchsorted(due_ns, now_ns, side="right")))
    phases = np.flatnonzero(chunk.kind[start:stop] == CommandKind.SET_PHASE)
    if len(phases):
        stop = start + max(1, int(phases[0]))
    if kills:
        stop = min(stop, max(start, kills[0].after - chunk.first_index))
    return stop


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows of a chunk that go together."""

    chunk: FlowChunk
    columns: CommandColumns
    start: int
    stop: int


def _raise_fault(recording: Recording) -> None:
    if recording.fault is not None:
        raise recording.fault


async def _submit(
    session: AsyncSession, part: _Part, due_ns: NDArray[np.int64], ids: ClusterIds, recording: Recording
) -> None:
    _raise_fault(recording)
    now_ns = time.monotonic_ns()
    chunk, start = part.chunk, part.start
    # No answer can come before the number is noted: answers are this loop's, and it is not left in between.
    if chunk.kind[start] == CommandKind.SET_PHASE:
        instrument = int(np.append(ids.instruments, 0)[chunk.instrument[start]])
        phase = SetPhase(instrument, int(chunk.phase[start]), reference_price_ticks=int(chunk.price_ticks[start]))
        first_no = (await session.submit(phase)).session_no
    else:
        first_no = await session.submit_columns(part.columns.slice(start, part.stop))
    previous = -1
    for at, due in enumerate(due_ns.tolist()):
        if due != previous:
            recording.sent.add(first_no + at, due or now_ns)
        previous = due


async def _kill(kill: Kill, sent: int, executioner: Executioner | None) -> dict[str, object]:
    if executioner is None:
        raise EnvironmentFault("nothing can be killed in this cluster; use --local")
    what = await asyncio.to_thread(executioner.execute, kill.target)
    return {"target": kill.target, "after": kill.after, "sent": sent, **what}


async def _sleep_until(due_ns: int) -> None:
    delay_ns = due_ns - time.monotonic_ns()
    if delay_ns > 0:
        await asyncio.sleep(delay_ns / 1e9)


async def _wait_answered(session: AsyncSession, recording: Recording, plan: ReplayPlan) -> None:
    try:
        async with asyncio.timeout(plan.drain_s):
            await session.drain()
    except TimeoutError:
        missing = plan.summary.commands - recording.acknowledged
        raise EnvironmentFault(
            f"{missing} of {plan.summary.commands} commands are not answered {plan.drain_s:g} s after the last one "
            "was sent; `lockstep status` shows what the cluster lacks"
        ) from None


def to_columns(chunk: FlowChunk, ids: ClusterIds) -> CommandColumns:
    """A chunk of the file as commands for a cluster."""
    same: dict[str, Any] = {name: getattr(chunk, name) for name in _SAME_COLUMNS}
    return CommandColumns(
        count=len(chunk),
        # The last one stands for none, whose index is -1.
        account=np.append(ids.accounts, np.uint32(0))[chunk.account],
        instrument=np.append(ids.instruments, np.uint32(0))[chunk.instrument],
        **same,
    )
