"""One client process of a chaos run: sessions that trade through the real SDK and write down all that they do.

It reads what to do from lines on standard input and says how far it is on standard output:

| it reads | it does | it says |
| --- | --- | --- |
| - | opens its sessions and sends orders, open loop | `trading` |
| `stop` | sends no more, waits for the answers | `drained` |
| `finish` | one harmless command for each session, whose answer comes behind all that others did; saves | `saved` |

The end of standard input at any point, and a session that fails, save what there is and end the process; such a
history is marked as not complete.
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from lockstep.aio import AsyncClient
from lockstep.columns import CommandColumns, ReportColumns
from lockstep.errors import LockstepError
from lockstep.rows import COMMAND_DTYPES, REPORT_DTYPES
from lockstep.runtime.topology import Principal
from lockstep.session import AsyncSession
from lockstep.trials.checker.history import SEEN, SENT, SeenRows, SentRows, SessionHistory, save_history
from lockstep.trials.demo_trader import OrderFlow

_OPEN_S: Final = 20.0


TRADER: Final = Principal(name="chaos", token="-".join(("chaos", "of", "one", "machine")), number=1, admin=True)
"""Hosts are no loopback: a cluster of several lets nobody in whom it does not know."""


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What one client process does."""

    addresses: tuple[str, ...]
    accounts: tuple[int, ...]
    """One session for each."""
    instruments: tuple[int, ...]
    seed: int
    rows: int
    """Commands in one batch."""
    interval_ms: int
    """Between two batches of one session."""
    drain_s: int
    """How long to wait for answers at the end."""
    directory: str
    """Where the histories go."""
    client_logs: str = ""
    """Where the SDK writes a log of each session for the reconciler; empty: it writes none."""

    def to_json(self) -> str:
        """As the process' only argument."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def from_json(cls, text: str) -> "LoadPlan":
        """Twin of `to_json`."""
        words = json.loads(text)
        for name in ("addresses", "accounts", "instruments"):
            words[name] = tuple(words[name])
        return cls(**words)


class _Recorder:
    """One session, its flow and its history."""

    def __init__(self, plan: LoadPlan, account: int) -> None:
        self.account = account
        self.complete = False
        self._plan = plan
        self._flow = OrderFlow(account=account, instruments=plan.instruments, seed=plan.seed * 1000 + account)
        self._sent: list[SentRows] = [np.zeros(0, SENT)]
        self._seen: list[SeenRows] = [np.zeros(0, SEEN)]
        self._session: AsyncSession | None = None

    @property
    def session(self) -> AsyncSession:
        """The session, once it is open."""
        assert self._session is not None
        return self._session

    async def open(self, client: AsyncClient) -> None:
        """Open the session."""
        log_dir = Path(self._plan.client_logs) if self._plan.client_logs else None
        self._session = await client.session(on_batch=self._on_batch, linger_ms=0.5, timeout_s=_OPEN_S, log_dir=log_dir)

    async def trade(self, offset_s: float, stop: asyncio.Event) -> None:
        """Send what is due until `stop`, whether or not anything comes back."""
        due = time.monotonic() + offset_s
        while not stop.is_set():
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            due += self._plan.interval_ms / 1000
            await self._send(self._flow.next(self._plan.rows))

    async def drain(self) -> None:
        """Wait for the answers to all commands."""
        await asyncio.wait_for(self.session.drain(), self._plan.drain_s)

    async def finish(self) -> None:
        """Hear what others' last commands did to this session's orders."""
        await self._send(self._flow.harmless())
        await self.drain()
        self.complete = True

    def save(self) -> None:
        """Write the history."""
        history = SessionHistory(
            self.session.session_id,
            self.account,
            np.concatenate(self._sent),
            np.concatenate(self._seen),
            self.complete,
        )
        save_history(Path(self._plan.directory), f"account-{self.account}", history)

    async def _send(self, columns: CommandColumns) -> None:
        sent_ns = time.monotonic_ns()
        first_no = await self.session.submit_columns(columns)
        rows = np.zeros(columns.count, SENT)
        rows["sent_ns"] = sent_ns
        rows["session_no"] = np.arange(first_no, first_no + columns.count)
        for name in COMMAND_DTYPES:
            if name in columns.columns:
                rows[name] = columns.columns[name]
        self._sent.append(rows)

    def _on_batch(self, batch: ReportColumns) -> None:
        rows = np.zeros(len(batch), SEEN)
        rows["epoch"] = batch.epoch
        for name in REPORT_DTYPES:
            rows[name] = getattr(batch, name)
        rows["heard_ns"] = time.monotonic_ns()
        self._seen.append(rows)


async def _run(plan: LoadPlan) -> int:
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    recorders = [_Recorder(plan, account) for account in plan.accounts]
    async with AsyncClient(plan.addresses, token=TRADER.token, client_number=TRADER.number) as client:
        for recorder in recorders:
            await recorder.open(client)
        try:
            await _trade(plan, recorders, orders)
            if await _reported(orders, "finish"):
                await asyncio.gather(*(recorder.finish() for recorder in recorders))
        finally:
            for recorder in recorders:
                recorder.save()
    _say("saved")
    return 0 if all(recorder.complete for recorder in recorders) else 1


async def _trade(plan: LoadPlan, recorders: list[_Recorder], orders: asyncio.StreamReader) -> None:
    stop = asyncio.Event()
    step_s = plan.interval_ms / 1000 / len(recorders)
    async with asyncio.TaskGroup() as flows:
        for place, recorder in enumerate(recorders):
            flows.create_task(recorder.trade(place * step_s, stop))
        _say("trading")
        await _reported(orders, "stop")
        stop.set()
    await asyncio.gather(*(recorder.drain() for recorder in recorders))
    _say("drained")


async def _reported(orders: asyncio.StreamReader, word: str) -> bool:
    """Wait for a word; False if the parent has gone."""
    return (await orders.readline()).decode().strip() == word


def _say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main() -> int:
    """Entry point: the plan as JSON is the only argument."""
    plan = LoadPlan.from_json(sys.argv[1])
    try:
        return asyncio.run(_run(plan))
    except* (LockstepError, TimeoutError) as errors:
        sys.stderr.write(f"client of accounts {plan.accounts}: {errors.exceptions[0]!r}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
