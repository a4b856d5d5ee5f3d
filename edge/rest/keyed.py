"""Commands under idempotency keys, over gateways and engines. What a key stands for is decided in `lanes.py`."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from lockstep.edge.rest.gateways import CallEnded, Gateways
from lockstep.edge.rest.lanes import FILLER, LAST_INDEX, Lane, Name, NotTheLanes, Use, session_of
from lockstep.edge.rest.problems import Problem
from lockstep.gateway.reports import report_messages, route
from lockstep.marketdata.shell import FeedShell
from lockstep.runtime.engines import EnginesUnavailable, EventsGone
from lockstep.runtime.inquiry import Page, joined
from lockstep.runtime.topology import Principal
from lockstep.stream.codes import Code
from lockstep.stream.records import EventKind
from lockstep.v1 import common_pb2, orders_pb2, replication_pb2

PATIENCE_S: Final = 12.0
"""For a command, from its arrival to its outcome."""
_LANE_WAITS: Final = 64
"""Commands of one lane that wait for each other."""
_MOST_KEYS: Final = 1 << 21
"""Keys in memory, of all lanes; a lane that is not in use goes, and is read again when it is. Those that are being
opened may come to it, `_OPENING_AT_ONCE` times `KEPT_KEYS`."""
_MOST_LANES: Final = 8_192
_OPENING_AT_ONCE: Final = 8
_FOREIGN_S: Final = 0.25
"""How long another door has for the command behind its note."""
_LOOK_S: Final = 0.01
_PAUSE_S: Final = 0.05
_DUPLICATE: Final = int(EventKind.DUPLICATE)

Reports = list[common_pb2.ExecutionReport]
Make = Callable[[], Awaitable[tuple[str, Any]]]
"""Makes a command: the gateway's method, and the request to it without its key."""


class KeyReused(Exception):
    """The key was used before, for something else."""


class ReportsCut(Exception):
    """The key's command was executed, but its reports were cut from every journal."""


class Unanswered(Exception):
    """It is not known yet what came of the command: asked for again, with the same key, it has its outcome."""

    def __init__(self, code: Code, text: str, retry_after_ms: int = 0) -> None:
        """`retry_after_ms`: as a gateway said it; 0: none did."""
        super().__init__(text)
        self.code = code
        self.retry_after_ms = retry_after_ms


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a command."""

    reports: Reports
    epoch: int
    repeated: bool
    """The key had been used before."""


@dataclass(slots=True, eq=False)
class _OpenLane:
    session_id: int
    lane: Lane = field(default_factory=Lane)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0
    known: bool = False
    """Its events were read, so that `lane` is as of some moment."""
    foreign_since_s: float = 0.0
    """Since when a key of another door is pending; 0: none is."""
    counted: int = 0
    """Its keys among those that the door has counted."""


class KeyedCommands:
    """All lanes that one door has open. Belongs to one loop."""

    def __init__(self, shell: FeedShell, gateways: Gateways) -> None:
        self._shell = shell
        self._gateways = gateways
        self._lanes: OrderedDict[int, _OpenLane] = OrderedDict()
        self._keys = 0
        """Of all lanes."""
        self._opening = asyncio.Semaphore(_OPENING_AT_ONCE)
        self.answered_seq = 0
        """The highest seq of an outcome that was given to anybody."""

    async def execute(self, client: Principal, authorization: str | None, name: Name, make: Make) -> Outcome:
        """The outcome of the key's command: what `make` makes, or what it was used for before.

        `make` is asked only if the key has no outcome yet. What it raises uses up no key.

        Raises:
            CallEnded: a gateway refused it; nothing was executed.
            KeyReused, ReportsCut, Unanswered: see there.
        """
        give_up_s = time.monotonic() + PATIENCE_S
        session_id = session_of(client.number, name.lane)
        async with self._turn(session_id, give_up_s) as open_lane:
            attempt = _Attempt(self, open_lane, authorization, name, make, give_up_s)
            outcome = await attempt.run()
        self.answered_seq = max(self.answered_seq, outcome.reports[-1].event_id.seq)
        return outcome

    @asynccontextmanager
    async def _turn(self, session_id: int, give_up_s: float) -> AsyncIterator[_OpenLane]:
        """The lane, for one at a time."""
        open_lane = self._lanes.get(session_id)
        if open_lane is None:
            self._require_room()
            open_lane = self._lanes[session_id] = _OpenLane(session_id)
        self._lanes.move_to_end(session_id)
        if open_lane.waiting >= _LANE_WAITS:
            raise Unanswered(Code.BUSY, "too many commands of this client wait for each other; nothing was executed")
        open_lane.waiting += 1
        try:
            try:
                async with asyncio.timeout(give_up_s - time.monotonic()):
                    await open_lane.lock.acquire()
            except TimeoutError:
                text = "other commands of this client take too long; nothing was executed"
                raise Unanswered(Code.BUSY, text) from None
            try:
                yield open_lane
            finally:
                open_lane.lock.release()
        finally:
            open_lane.waiting -= 1
            self._count(open_lane)
            self._has_room()

    def _count(self, open_lane: _OpenLane) -> None:
        self._keys += len(open_lane.lane) - open_lane.counted
        open_lane.counted = len(open_lane.lane)

    def _has_room(self) -> bool:
        """Whether one lane more may be opened; those that nobody uses go for it, the one first that was used first."""
        if self._fits:
            return True
        for open_lane in list(self._lanes.values()):
            if not open_lane.waiting:
                self._keys -= open_lane.counted
                del self._lanes[open_lane.session_id]
                if self._fits:
                    return True
        return False

    @property
    def _fits(self) -> bool:
        return self._keys <= _MOST_KEYS and len(self._lanes) < _MOST_LANES

    def _require_room(self) -> None:
        """Raises Unanswered: all lanes are in use, and have as many keys as this door holds."""
        if not self._has_room():
            raise Unanswered(Code.BUSY, "this door holds as many keys as it may; nothing was executed by this request")

    # ---- what the attempts need ----------------------------------------------------------------------------------

    async def call(self, method: str, request: Any, authorization: str | None, give_up_s: float) -> Any:
        """A command to a gateway."""
        patience_s = max(0.05, give_up_s - time.monotonic())
        return await self._gateways.call("OrderEntry", method, request, authorization, patience_s=patience_s)

    async def read(self, open_lane: _OpenLane, *, newest: bool = False) -> None:
        """Take the lane's events that are not in yet, as far as the feed is; `newest`: as far as the engines are.

        Raises:
            EnginesUnavailable: they can't be had now.
            NotTheLanes: the history is another one.
            Unanswered: there is no room for it.
        """
        if open_lane.known:
            await self._read(open_lane, await self._newest_seq(open_lane.session_id) if newest else 0)
            return
        # From its beginning: a lane has many keys, so few at once are read, and each looks whether there is room.
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._opening.acquire()
        except TimeoutError:
            raise Unanswered(Code.BUSY, "too many keys are being looked up; nothing was executed") from None
        try:
            self._require_room()
            await self._read(open_lane)
        finally:
            self._opening.release()
            self._count(open_lane)

    async def _newest_seq(self, session_id: int) -> int:
        asked = replication_pb2.QueryRequest(session_id=session_id)
        reply = await self._shell.engines.query(asked, min_epoch=self._shell.machine.epoch)
        return int(reply.stamp.seq)

    async def _read(self, open_lane: _OpenLane, least_seq: int = 0) -> None:
        engines, machine = self._shell.engines, self._shell.machine
        lane, session_id = open_lane.lane, open_lane.session_id
        to_seq = max(machine.seq, self.answered_seq, least_seq)
        cut = False
        while True:
            if lane.through >= (to_seq, LAST_INDEX):
                break
            search = engines.events(
                after=lane.through,
                to_seq=to_seq,
                session_id=session_id,
                min_epoch=machine.epoch,
                client=str(session_id),
            )
            try:
                async with aclosing(search) as pages:  # type: ignore[type-var]  # it is an async generator
                    async for raw, through in pages:
                        # Those of others that met a resting order of this session have numbers of theirs.
                        events = raw[raw["session_id"] == session_id]
                        if cut and lane.next_no == 1:
                            lane.skip_to(events)
                        lane.take(events, through)
                break
            except EventsGone as gone:
                if cut or not gone.first_seq or not gone.everywhere:
                    # An engine that does not answer now may have it: what it knows must not be executed again.
                    raise EnginesUnavailable(str(gone)) from None
                cut = True
                lane.through = (gone.first_seq - 1, LAST_INDEX)
        if cut and lane.next_no == 1:
            asked = replication_pb2.QueryRequest(session_id=session_id)
            reply = await engines.query(asked, min_epoch=machine.epoch, min_seq=to_seq)
            lane.next_no = reply.session_last_no + 1
        open_lane.known = True

    async def outcome_of(self, session_id: int, use: Use) -> Reports:
        """What came of a command that was executed before; empty: it is not there.

        Raises:
            EnginesUnavailable, EventsGone: it can't be had, or not any more.
        """
        pages: list[Page] = []
        engines, machine = self._shell.engines, self._shell.machine
        found = engines.events(
            after=(use.seq - 1, LAST_INDEX), to_seq=use.seq, session_id=session_id, min_epoch=machine.epoch,
            client=str(session_id),
        )  # fmt: skip
        async for events, through in found:
            pages.append(Page(events, through))
        routed = route(joined(pages), session_id) if any(len(page.events) for page in pages) else None
        if routed is None:
            return []
        reports = routed.of(0)
        mine = reports.rows["session_no"] == use.number
        return [one for one, own in zip(report_messages(reports, machine.epoch), mine.tolist(), strict=True) if own]


class _Attempt:
    """One request's way to its outcome. It has the lane for itself at this door."""

    def __init__(
        self,
        commands: KeyedCommands,
        open_lane: _OpenLane,
        authorization: str | None,
        name: Name,
        make: Make,
        give_up_s: float,
    ) -> None:
        self._commands = commands
        self._open = open_lane
        self._authorization = authorization
        self._name = name
        self._make = make
        self._made: tuple[str, Any] | None = None
        self._is_newest = False
        """The lane was read up to what an engine has committed."""
        self._give_up_s = give_up_s

    async def run(self) -> Outcome:
        """See `KeyedCommands.execute`."""
        code, pause_ms = Code.BUSY, 0
        while True:
            try:
                outcome = await self._step()
                if outcome is not None:
                    return outcome
                continue
            except NotTheLanes:
                self._forget()
                code, pause_ms, why = Code.UNAVAILABLE, 0, "the session of this key is not as it was known"
            except EnginesUnavailable as error:
                if isinstance(error, EventsGone) and error.everywhere:
                    raise ReportsCut(str(error)) from None
                code, pause_ms, why = Code.UNAVAILABLE, 0, f"no engine answers: {error}"
            except CallEnded as ended:
                if ended.code is Code.SESSION_GAP:
                    # What is known of the lane is of a history that an operator has given up.
                    self._forget()
                elif not ended.unanswered:
                    raise
                why, pause_ms = str(ended), ended.retry_after_ms
                code = code if ended.refused else Code.UNAVAILABLE
            if time.monotonic() + _PAUSE_S > self._give_up_s:
                text = f"{why}; send it again with the same Idempotency-Key, it is executed once"
                noted = self._open.lane.find(self._name.key) is not None
                raise Unanswered(Code.UNAVAILABLE if noted else code, text, pause_ms)
            await asyncio.sleep(_PAUSE_S)

    async def _step(self) -> Outcome | None:
        """One step nearer to the outcome; None: there is another one to take."""
        lane = self._open.lane
        if not self._open.known:
            await self._commands.read(self._open)
        use = lane.find(self._name.key)
        if use is not None:
            if use.request != self._name.request:
                raise KeyReused
            if use.seq:
                return await self._before(use)
            return await self._command(use.number) if await self._can_be_asked() else None
        if lane.pending is not None:
            await self._wait_for_other()
            return None
        # Before the key is noted: what can't be asked for uses up none.
        if not await self._can_be_asked():
            return None
        await self._note(self._name.high, self._name.low)
        return None

    async def _before(self, use: Use) -> Outcome | None:
        reports = await self._commands.outcome_of(self._open.session_id, use)
        if not reports:
            raise NotTheLanes("an outcome is not where it was")
        return Outcome(reports, reports[0].epoch, repeated=True)

    async def _can_be_asked(self) -> bool:
        """Whether there is a command to send; False: there is more to be known of the lane first.

        Raises:
            Problem: what the request means can't be asked for, and its key has no outcome.
        """
        if self._made is None:
            try:
                self._made = await self._make()
            except Problem:
                if self._is_newest:
                    raise
                # The feed may be behind what was executed under this key; the engines are not.
                await self._commands.read(self._open, newest=True)
                self._is_newest = True
                return False
        return True

    async def _command(self, number: int) -> Outcome | None:
        assert self._made is not None, "asked for before"
        reply = await self._call(*self._made, number)
        first = reply.reports[0]
        if int(first.code) == Code.KEY_REUSED:
            raise KeyReused
        if not self._take(number, first):
            return None
        use = self._open.lane.find(self._name.key)
        if use is None or not use.seq:
            # Another door has used the number up, since this one had been silent for too long: once more.
            return None
        return Outcome(list(reply.reports), reply.stamp.epoch, repeated=reply.duplicate)

    async def _note(self, high: int, low: int) -> None:
        """Put a name under the next number, and see whose it is."""
        number = self._open.lane.next_no
        note = orders_pb2.Note(high=high, low=low)
        reply = await self._call("Note", orders_pb2.NoteRequest(note=note), number)
        self._take(number, reply.reports[0])

    async def _wait_for_other(self) -> None:
        """A key of another door is pending: its command comes, or its number is used up."""
        now_s = time.monotonic()
        lane, pending = self._open.lane, self._open.lane.pending
        self._open.foreign_since_s = self._open.foreign_since_s or now_s
        if now_s - self._open.foreign_since_s < _FOREIGN_S:
            await asyncio.sleep(_LOOK_S)
            await self._commands.read(self._open)
        else:
            await self._note(*FILLER)
        if lane.pending is not pending:
            self._open.foreign_since_s = 0.0

    async def _call(self, method: str, request: Any, number: int) -> Any:
        request.key.session_id, request.key.session_no = self._open.session_id, number
        return await self._commands.call(method, request, self._authorization, self._give_up_s)

    def _take(self, number: int, first: common_pb2.ExecutionReport) -> bool:
        """Whether it is known now what the number was used for; the lane is read anew where it is not."""
        if int(first.code) == Code.SESSION_OUT_OF_ORDER:
            raise NotTheLanes("the session's next number is another one")
        if first.kind == _DUPLICATE:
            self._forget()
            return False
        seq = first.event_id.seq
        self._open.lane.on_outcome(number, seq, first.order_id, first.client_order_id, first.code)
        return True

    def _forget(self) -> None:
        self._open.lane, self._open.known, self._is_newest = Lane(), False, False
