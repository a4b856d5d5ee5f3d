"""The load generator of `lockstep bench peers`: offers a peer's log the records that Lockstep's journal would get.

The records are commands of the mix of `load.py`, 128 bytes each, in messages like those of Lockstep's sessions: a
record goes at once while fewer than four messages of its session are unanswered, otherwise it waits, and all that wait
go together. A message is one entry of the log: no peer gives each record a number of its own, as Lockstep does.
"""

import asyncio
import json
import sys
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import uvloop

from lockstep.bench.load import LoadSession
from lockstep.bench.offering import Pace, Times, announce, end_with_parent, file_by_second, offer_and_measure
from lockstep.bench.peers.lanes import Lane
from lockstep.bench.peers.systems import System, system
from lockstep.stream.records import COMMAND

UNANSWERED_MESSAGES: Final = 4
"""Of a session, as `Limits` of Lockstep's client has it."""
_ROWS: Final = 1024
"""Most records of one message; Lockstep's load generator asks its client for the same."""
_BLOCK: Final = 65_536
_CATCH_UP_S: Final = 10.0
_NONE: Final = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class PeerLoad(Pace):
    """What to offer, and to whom."""

    peer: str = ""
    where: Mapping[str, Any] = field(default_factory=dict)
    sessions: int = 4
    seed: int = 0


class Records:
    """An endless run of records, cut from a block that is made once."""

    def __init__(self, seed: int) -> None:
        columns = LoadSession(1, seed).make(_BLOCK)
        block = np.zeros(_BLOCK, COMMAND)
        for name, rows in columns.columns.items():
            block[name] = rows
        block["session_no"] = np.arange(1, _BLOCK + 1)
        block["received_ns"] = time.time_ns() + np.arange(_BLOCK) * 1_000
        self._bytes = block.tobytes()
        self._next = 0

    def take(self, count: int) -> bytes:
        """The next ones; `count` is at most that of a message."""
        if self._next + count > _BLOCK:
            self._next = 0
        first, self._next = self._next, self._next + count
        return self._bytes[first * COMMAND.itemsize : self._next * COMMAND.itemsize]


class PeerSession:
    """One session's share of the load: `offering.Offered`."""

    def __init__(self, lanes: Sequence[Lane], seed: int) -> None:
        self.orders = self.answered_in_time = self.shed = self.fills = self.unanswered = 0
        self.messages = 0
        """Acknowledged, from the first one on."""
        self.refused: Counter[str] = Counter()
        self.seconds: dict[int, list[Times]] = {}
        self._free = list(lanes)
        self._records = Records(seed)
        self._waiting: deque[Times] = deque()
        self._under_way: set[asyncio.Task[None]] = set()
        self._fault: BaseException | None = None
        self._measures = False
        self._first_due_ns = 0
        self._ended_ns = 2**63 - 1
        self._arrived: list[tuple[int, Times]] = []

    async def send(self, due_ns: Times) -> None:
        """Give a lane what has come, or let it wait until one is free."""
        if self._fault is not None:
            raise self._fault
        if self._measures:
            self._first_due_ns = self._first_due_ns or int(due_ns[0])
            self.orders += len(due_ns)
        self.unanswered += len(due_ns)
        self._waiting.append(due_ns)
        if self._free:
            task = asyncio.create_task(self._append(self._free.pop()))
            self._under_way.add(task)
            task.add_done_callback(self._done)

    async def _append(self, lane: Lane) -> None:
        """Send what waits, until nothing does."""
        while self._waiting:
            due_ns = self._next_message()
            await lane(self._records.take(len(due_ns)))
            now_ns = time.monotonic_ns()
            self.messages += 1
            self.unanswered -= len(due_ns)
            if self._first_due_ns:
                self._arrived.append((now_ns, due_ns))
        self._free.append(lane)

    def _next_message(self) -> Times:
        parts, rows = [], 0
        while self._waiting and rows < _ROWS:
            part = self._waiting.popleft()
            if rows + len(part) > _ROWS:
                self._waiting.appendleft(part[_ROWS - rows :])
                part = part[: _ROWS - rows]
            parts.append(part)
            rows += len(part)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fault = error

    def room_for(self, count: int) -> int:
        """All: a peer refuses nothing."""
        return count

    def measure(self) -> None:
        """From the next record on, count."""
        self._measures = True

    def end(self, now_ns: int) -> None:
        """The phase is over: what is answered from here on is late."""
        self._ended_ns = now_ns

    async def drain(self) -> None:
        """Wait until everything is answered."""
        while self._under_way and self._fault is None:
            await asyncio.wait(self._under_way)
        if self._fault is not None:
            raise self._fault

    def count(self) -> None:
        """Bring the figures up to date with the answers that have come."""
        arrived, self._arrived = self._arrived, []
        came_ns = np.repeat([now_ns for now_ns, _ in arrived], [len(due) for _, due in arrived]).astype(np.int64)
        due_ns = np.concatenate([due for _, due in arrived] or [_NONE])
        measured = due_ns >= self._first_due_ns
        came_ns, due_ns = came_ns[measured], due_ns[measured]
        self.answered_in_time += int((came_ns <= self._ended_ns).sum())
        file_by_second(self.seconds, due_ns, came_ns)


async def run_load(plan: PeerLoad) -> dict[str, Any]:
    """Offer the load; the result.

    Raises:
        LookupError: the log has not what was acknowledged.
    """
    peer = system(plan.peer)
    before = await peer.held(plan.where)
    async with peer.lanes(plan.where, plan.sessions, UNANSWERED_MESSAGES) as lanes:
        sessions = [PeerSession(own, plan.seed + number) for number, own in enumerate(lanes)]
        result = await offer_and_measure(plan, sessions)
        if not result["unanswered"]:
            await _see_them(peer, plan.where, before + sum(session.messages for session in sessions))
    return result


async def _see_them(peer: System, where: Mapping[str, Any], expected: int) -> None:
    """A copy may show what it has on disk a little later."""
    deadline = time.monotonic() + _CATCH_UP_S
    while (found := await peer.held(where)) != expected:
        if time.monotonic() > deadline:
            raise LookupError(f"the log has {found} messages, and should have {expected}")
        await asyncio.sleep(0.1)


def main() -> int:
    """Run the plan given as JSON in the first argument."""
    plan = PeerLoad(**json.loads(sys.argv[1]))
    end_with_parent()
    try:
        announce(uvloop.run(run_load(plan)))
    except Exception as error:  # noqa: BLE001  # whatever a client of a peer raises is said, and ends this process
        sys.stderr.write(f"load generator: {plan.peer}: {type(error).__name__}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
