"""Asking the engines, as state machines: whom, whom next and when, and whose answer counts. Pure.

Every engine can answer for committed state and events. The primary comes first, because its state is the newest; where
something is only looked up, the next one soon after, because an engine that hangs keeps its connection. A page of a
list is asked of one engine: what is slow would only be slower if two did it. An answer of a lower epoch or seq than one
that was delivered comes from an engine that was left behind, and does not count.

The owner of an `Inquiry` makes the calls that `step` returns, and steps it with what comes of each, and at its
deadline: `runtime/engines.py` over gRPC, `trials/simulation/questions.py` over the simulated network.

| inquiry | asks | ends with |
| --- | --- | --- |
| `LookUp` | the primary; the next one as well after 0.1 s without an answer, or a failure | the first that counts |
| `OnePage` | one engine after the other, each until it fails; not one that is busy | its answer |
| `Newest` | all at once | the answer of the highest (epoch, seq) |
| `EventSearch` | one after the other, page by page; again, where it has others before this | the last page |
"""

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Final, Protocol

import numpy as np

from lockstep.stream.records import EVENT, Events, join_records, no_events
from lockstep.stream.values import frozen
from lockstep.v1 import common_pb2, replication_pb2

LAST_INDEX: Final = 2**32 - 1
"""Behind every event of its seq."""
EventKey = tuple[int, int]
"""(seq, index)"""
QUERY_TIMEOUT_NS: Final = 1_000_000_000
FETCH_TIMEOUT_NS: Final = 10_000_000_000
ASK_NEXT_AFTER_NS: Final = 100_000_000
"""Well above what a live engine takes under load, and below the silence that counts as a hang."""
BUSY_PAUSE_NS: Final = 50_000_000

Request = replication_pb2.QueryRequest | replication_pb2.FetchEventsRequest
Replies = Sequence[replication_pb2.FetchEventsReply]


class Fault(Enum):
    """Why there is no answer."""

    UNAVAILABLE = "unavailable"
    """The engine failed, or was left behind."""
    BUSY = "busy"
    """It lives, and has others before this."""
    GONE = "gone"
    """What is asked for was cut from its journal for good."""
    DIVERGED = "diverged"
    """Its history is another one than what the caller has received."""


@frozen
class Began:
    """The first step."""


@frozen
class Answered:
    """A call was answered; one for events with a page of them."""

    engine: int
    reply: replication_pb2.QueryReply | Replies


@frozen
class Failed:
    """A call failed. `first_seq`: from there on events can be had, where some were cut (0: not known)."""

    engine: int
    fault: Fault
    text: str
    first_seq: int = 0


@frozen
class Due:
    """The deadline of the last step has come."""


Happening = Began | Answered | Failed | Due
BEGAN: Final = Began()
DUE: Final = Due()


@frozen
class Call:
    """Ask this engine."""

    engine: int
    request: Request
    timeout_ns: int


@frozen
class NoAnswer:
    """No engine can answer now. The text says what each said; `first_seq` as in `Failed`."""

    fault: Fault
    text: str
    first_seq: int = 0
    everywhere: bool = False
    """GONE: each engine has said so. Else one that did not answer may have it."""


@frozen
class Page:
    """Events, in order and of `EVENT`, and how far they reach; there may be none."""

    events: Events
    through: EventKey


@frozen
class Todo:
    """What is to be done, in the order of the fields."""

    pages: tuple[Page, ...] = ()
    calls: tuple[Call, ...] = ()
    deadline_ns: int = 0
    """When `Due` is to come; 0: never."""
    end: replication_pb2.QueryReply | NoAnswer | None = None
    """It is over: the answer, or none. Calls that are under way mean nothing any more."""
    done: bool = False
    """It is over, and all pages were given."""

    @property
    def over(self) -> bool:
        """Nothing more is to be done."""
        return self.done or self.end is not None


NOTHING: Final = Todo()


class Inquiry(Protocol):
    """One question. See the module."""

    def step(self, event: Happening, now_ns: int) -> Todo:
        """Take one event, the first time `Began`."""


def in_order(engines: Iterable[int], *, first: int = 0, last: int = 0) -> list[int]:
    """All engines; `first` and `last` where they are named (0: whichever)."""
    return sorted(engines, key=lambda engine: (engine != first, engine == last))


def why_not(engine: int, reply: replication_pb2.QueryReply, min_epoch: int, min_seq: int) -> str:
    """Why an answer does not count; empty if it does."""
    if reply.stamp.epoch < min_epoch:
        return f"engine {engine}: answers of epoch {reply.stamp.epoch}, {min_epoch} was seen"
    if reply.stamp.seq < min_seq:
        return f"engine {engine}: answers of seq {reply.stamp.seq}, {min_seq} was seen"
    return ""


def _nobody(said: list[str], fault: Fault = Fault.UNAVAILABLE, first_seq: int = 0) -> Todo:
    return Todo(end=NoAnswer(fault, "; ".join(said) or "the topology lists no engine", first_seq))


class LookUp:
    """See the module."""

    def __init__(
        self, engines: Sequence[int], request: replication_pb2.QueryRequest, *, min_epoch: int = 0, min_seq: int = 0
    ) -> None:
        """`engines`: in the order in which they are asked."""
        self._left = list(engines)
        self._request = request
        self._min_epoch, self._min_seq = min_epoch, min_seq
        self._asked = 0
        self._said: list[str] = []

    def step(self, event: Happening, now_ns: int) -> Todo:
        """See `Inquiry`."""
        if isinstance(event, Answered):
            assert isinstance(event.reply, replication_pb2.QueryReply)
            text = why_not(event.engine, event.reply, self._min_epoch, self._min_seq)
            if not text:
                return Todo(end=event.reply)
            self._said.append(text)
            self._asked -= 1
        elif isinstance(event, Failed):
            self._said.append(event.text)
            self._asked -= 1
        if not self._left:
            return NOTHING if self._asked else _nobody(self._said)
        self._asked += 1
        call = Call(self._left.pop(0), self._request, QUERY_TIMEOUT_NS)
        return Todo(calls=(call,), deadline_ns=now_ns + ASK_NEXT_AFTER_NS if self._left else 0)


class OnePage:
    """See the module."""

    def __init__(
        self,
        engines: Sequence[int],
        request: replication_pb2.QueryRequest,
        *,
        min_epoch: int = 0,
        min_seq: int = 0,
        timeout_ns: int = FETCH_TIMEOUT_NS,
    ) -> None:
        self._left = list(engines)
        self._request = request
        self._min_epoch, self._min_seq = min_epoch, min_seq
        self._timeout_ns = timeout_ns
        self._said: list[str] = []

    def step(self, event: Happening, now_ns: int) -> Todo:
        """See `Inquiry`."""
        del now_ns
        if isinstance(event, Answered):
            assert isinstance(event.reply, replication_pb2.QueryReply)
            text = why_not(event.engine, event.reply, self._min_epoch, self._min_seq)
            if not text:
                return Todo(end=event.reply)
            self._said.append(text)
        elif isinstance(event, Failed):
            if event.fault is Fault.BUSY:
                return Todo(end=NoAnswer(Fault.BUSY, event.text))
            self._said.append(event.text)
        if not self._left:
            return _nobody(self._said)
        return Todo(calls=(Call(self._left.pop(0), self._request, self._timeout_ns),))


class Newest:
    """See the module."""

    def __init__(self, engines: Sequence[int], request: replication_pb2.QueryRequest) -> None:
        self._engines = tuple(engines)
        self._request = request
        self._waits_for = len(self._engines)
        self._best: replication_pb2.QueryReply | None = None
        self._said: list[str] = []

    def step(self, event: Happening, now_ns: int) -> Todo:
        """See `Inquiry`."""
        del now_ns
        if isinstance(event, Began) and self._engines:
            return Todo(calls=tuple(Call(engine, self._request, QUERY_TIMEOUT_NS) for engine in self._engines))
        if isinstance(event, Answered):
            assert isinstance(event.reply, replication_pb2.QueryReply)
            best = self._best
            if best is None or _position(event.reply) > _position(best):
                self._best = event.reply
        elif isinstance(event, Failed):
            self._said.append(event.text)
        self._waits_for -= 1
        if self._waits_for > 0:
            return NOTHING
        return _nobody(self._said) if self._best is None else Todo(end=self._best)


def _position(reply: replication_pb2.QueryReply) -> EventKey:
    return reply.stamp.epoch, reply.stamp.seq


class EventSearch:
    """See the module. Committed events after an id, up to and including a seq."""

    def __init__(
        self,
        engines: Sequence[int],
        *,
        after: EventKey,
        to_seq: int,
        session_id: int = 0,
        min_epoch: int = 0,
        delivered_epoch: int = 0,
    ) -> None:
        """`session_id`: 0: of all. `delivered_epoch`: under which `after` was delivered; 0: not known, or not asked."""
        self._left = list(engines)
        self._engines = len(self._left)
        self._after = after
        self._to_seq = to_seq
        self._session_id = session_id
        self._min_epoch = min_epoch
        self._delivered_epoch = delivered_epoch
        self._engine = 0
        self._busy_until_ns = 0
        self._said: list[str] = []
        self._begins: list[int] = []

    def step(self, event: Happening, now_ns: int) -> Todo:
        """See `Inquiry`."""
        match event:
            case Began():
                return self._go_on(now_ns, next_engine=True)
            case Due():
                return Todo(calls=(self._call(),))
            case Answered():
                assert not isinstance(event.reply, replication_pb2.QueryReply)
                return self._on_page(event.reply, now_ns)
            case Failed(fault=Fault.BUSY) if now_ns < self._busy_until_ns:
                return Todo(deadline_ns=now_ns + BUSY_PAUSE_NS)
            case Failed(fault=Fault.DIVERGED):
                return Todo(end=NoAnswer(Fault.DIVERGED, event.text))
            case Failed():
                self._said.append(event.text)
                if event.fault is Fault.GONE:
                    self._begins.append(event.first_seq)
        return self._go_on(now_ns, next_engine=True)

    def _on_page(self, replies: Replies, now_ns: int) -> Todo:
        pages = []
        paused = False
        for reply in replies:
            if reply.epoch < self._min_epoch:
                # It may be of a history that was discarded.
                paused = False
                break
            events = np.frombuffer(reply.events, dtype=EVENT)
            last = (int(events["seq"][-1]), int(events["index"][-1])) if len(events) else (0, 0)
            self._after = max(self._after, last, (reply.through_seq, LAST_INDEX))
            pages.append(Page(events, self._after))
            paused = reply.paused
        if pages and self._delivered_epoch:
            # An epoch may have begun on the way: the page was delivered under this one, or a lower one.
            self._delivered_epoch = max(self._delivered_epoch, *(reply.epoch for reply in replies))
        if pages and self._after >= (self._to_seq, LAST_INDEX):
            return Todo(pages=tuple(pages), done=True)
        if not paused:
            reached = self._after[0]
            self._said.append(
                f"engine {self._engine}: has committed events of epoch {self._min_epoch} up to {reached} only"
            )
        return self._go_on(now_ns, next_engine=not paused, pages=tuple(pages))

    def _go_on(self, now_ns: int, *, next_engine: bool, pages: tuple[Page, ...] = ()) -> Todo:
        if next_engine:
            if not self._left:
                text = "; ".join(self._said) or "the topology lists no engine"
                fault = Fault.GONE if self._begins else Fault.UNAVAILABLE
                everywhere = 0 < len(self._begins) == self._engines
                return Todo(pages=pages, end=NoAnswer(fault, text, min(self._begins, default=0), everywhere))
            self._engine = self._left.pop(0)
        self._busy_until_ns = now_ns + FETCH_TIMEOUT_NS
        return Todo(pages=pages, calls=(self._call(),))

    def _call(self) -> Call:
        seq, index = self._after
        request = replication_pb2.FetchEventsRequest(
            after=common_pb2.EventId(seq=seq, index=index),
            session_id=self._session_id,
            to_seq=self._to_seq,
            delivered_epoch=self._delivered_epoch,
        )
        return Call(self._engine, request, FETCH_TIMEOUT_NS)


def joined(pages: Sequence[Page]) -> Events:
    """The events of some pages as one array."""
    parts = [page.events for page in pages if len(page.events)]
    return join_records(parts) if parts else no_events()
