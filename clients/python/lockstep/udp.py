"""Market data as UDP datagrams: the line of every feed of a cluster at once, put together to one that is whole.

Needs Aeron (`pip install "lockstep-client[udp]"`). The rest of the package does without this module.
"""

import asyncio
import contextlib
import random
import re
import socket
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import grpc
import grpc.aio
from typing_extensions import Self

from lockstep.aio import AsyncClient
from lockstep.backoff import pause_s
from lockstep.book import FeedGap
from lockstep.channel import Channels, fatal_code, refusal_code
from lockstep.enums import Code
from lockstep.errors import LockstepError, Refused, SubscriptionEnded, Unavailable
from lockstep.feed_book import FeedBook, FeedState
from lockstep.line_machine import Again, Join, LineMachine
from lockstep.v1 import feed_pb2, feed_pb2_grpc

_POLL_S: Final = 0.001
_FRAGMENTS: Final = 512
"""Datagrams that are taken at once, before others of the program get their turn."""
_WHOLE: Final = 0xC0
_ANSWER_S: Final = 2.0
_JOIN_S: Final = 30.0
_LOOK_AGAIN_S: Final = 2.0
_BACKOFF_FIRST_S: Final = 0.01
_BACKOFF_MOST_S: Final = 0.5
_MAX_WAITING: Final = 262_144
_CONTROL: Final = re.compile(r"control=([^|]+):(\d+)")


class UdpFeed:
    """Everything that a cluster's feeds send as datagrams: levels of all books at full depth, trades, instruments.

    It receives from all feeds that send, and takes what comes first. What got lost is asked for again, of any feed, and
    what is handed out is whole and in order, command by command: `updates` has the messages, `book` the books that
    they come to. As long as one feed lives, nothing is missing; what is older than 60 s can't be had again, and then it
    begins anew (`restarted`).

    Example:
        >>> async with AsyncClient("127.0.0.1:7450") as client, UdpFeed(client) as line:
        ...     async for update in line.updates():
        ...         print(update.instrument, update.last_seq, line.book(update.instrument))
    """

    def __init__(self, client: AsyncClient, *, aeron_dir: "Path | str | None" = None, interface: str = "") -> None:
        """Give it a client of the cluster; enter it (`async with`) to begin.

        Args:
            client: says where the feeds are, and with which token.
            aeron_dir: directory of a media driver that runs on this host; None: one inside this process.
            interface: address of this host at which datagrams arrive; empty: as the routes say.
        """
        self._client = client
        self._interface = interface
        self._directory = aeron_dir
        self._machine = LineMachine()
        self._stack = contextlib.AsyncExitStack()
        self._aeron: Any = None
        self._subscriptions: dict[tuple[str, int], Any] = {}
        self._described: set[str] = set()
        self._queue: deque[feed_pb2.FeedUpdate] | None = None
        self._ready = asyncio.Event()
        self._reason: LockstepError | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._fetching: asyncio.Task[None] | None = None
        self._server = random.randrange(64)  # noqa: S311 - spreads clients over the feeds, keeps no secret
        self.fault = ""
        """What Aeron complained of last."""
        self.last_break = ""
        """Why the last question to a feed had no answer."""

    # ---- what it shows -------------------------------------------------------------------------------------------

    @property
    def state(self) -> FeedState:
        """LIVE if nothing is known to be missing, and feeds were heard within the last half second."""
        return self._machine.state

    @property
    def seq(self) -> int:
        """Up to where it has everything."""
        return self._machine.seq

    @property
    def epoch(self) -> int:
        """Under which it was heard that far."""
        return self._machine.epoch

    @property
    def counters(self) -> "dict[str, int]":
        """`datagrams` received, `repeats` of what had come already, `gaps` asked for, `restarted`, and so on."""
        machine = self._machine
        names = ("datagrams", "repeats", "stale", "gaps", "restarted", "checksum_errors")
        return {name: getattr(machine, name) for name in names}

    @property
    def gap_ms(self) -> "list[float]":
        """For how long the latest gaps were open."""
        return [took_ns / 1e6 for took_ns in self._machine.gap_ns]

    def book(self, instrument: int) -> "FeedBook | None":
        """An instrument's book, as of `seq`; None: there is no such instrument."""
        return self._machine.book(instrument)

    async def updates(self) -> "AsyncIterator[feed_pb2.FeedUpdate]":
        """Every message from now on, in order, each once. One iterator at a time; it is to be read all the time.

        Raises:
            SubscriptionEnded: too many wait, since nobody took them. Refused: no feed sends a line.
        """
        queue: deque[feed_pb2.FeedUpdate] = deque()
        self._queue = queue
        try:
            while True:
                while queue:
                    yield queue.popleft()
                self._ready.clear()
                if self._reason is not None:
                    raise self._reason
                await self._ready.wait()
        finally:
            if self._queue is queue:
                self._queue = None

    async def wait_live(self, timeout_s: float = 10.0) -> None:
        """Wait until it is whole. Raises Unavailable: it is not, within so many seconds."""
        until_s = time.monotonic() + timeout_s
        while self.state is not FeedState.LIVE:
            if self._reason is not None:
                raise self._reason
            if time.monotonic() > until_s:
                why = self.last_break or self.fault or "silence"
                raise Unavailable(f"the line is not whole after {timeout_s} s ({why})")
            await asyncio.sleep(_POLL_S)

    # ---- life ----------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Begin. Raises Refused: the cluster has no feed, or none that sends a line."""
        try:
            self._attach()
            channels = await self._client.feed_channels()
            if not await self._describe(channels):
                raise Unavailable(f"no feed says where it sends ({self.last_break}); try again")
        except BaseException:
            await self.close()
            raise
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._guarded(work)) for work in (self._poll(channels), self._look(channels))]
        return self

    async def __aexit__(self, *_: object) -> None:
        """End."""
        await self.close()

    async def close(self) -> None:
        """End it. Whoever iterates gets SubscriptionEnded."""
        self._end(SubscriptionEnded("the line was closed; make another UdpFeed"))
        tasks = [*self._tasks, *((self._fetching,) if self._fetching is not None else ())]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for subscription in self._subscriptions.values():
            subscription.close()
        self._subscriptions.clear()
        if self._aeron is not None:
            self._aeron.close()
            self._aeron = None
        await self._stack.aclose()

    def _end(self, reason: LockstepError) -> None:
        if self._reason is None:
            self._reason = reason
        self._ready.set()

    async def _guarded(self, work: Any) -> None:
        try:
            await work
        except LockstepError as error:
            self._end(error)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - top of a task: who reads the line hears it
            self._end(LockstepError(f"reading a line raised {error!r}; make another UdpFeed"))

    # ---- Aeron ---------------------------------------------------------------------------------------------------

    def _attach(self) -> None:
        try:
            import pyaeron
        except ImportError as error:
            text = f'Aeron is not installed ({error}): pip install "lockstep-client[udp]" (CPython 3.12 or later)'
            raise Refused(Code.NOT_SUPPORTED, text) from error
        if self._directory is None:
            self._directory = Path(self._stack.enter_context(_own_directory())) / "aeron"
            driver = pyaeron.MediaDriver(
                dir=str(self._directory), threading="shared", dir_delete_on_start=True, dir_delete_on_shutdown=True
            )
            self._stack.callback(driver.close)
        # Aeron's default handler ends the whole process.
        context = pyaeron.Context(dir=str(self._directory), error_handler=self._on_fault)
        self._aeron = pyaeron.Aeron(context=context)

    def _on_fault(self, code: int, text: str) -> None:
        self.fault = f"{text} ({code})"

    async def _describe(self, channels: Channels) -> bool:
        """Subscribe to the feeds that say where they send; whether there are any. Raises Refused: none ever will."""
        refused: Refused | None = None
        for index, address in enumerate(channels.addresses):
            if address in self._described:
                continue
            stub = feed_pb2_grpc.MarketFeedStub(channels.channel(index))
            try:
                reply = await stub.DescribeLine(
                    feed_pb2.DescribeLineRequest(), metadata=channels.metadata, timeout=_ANSWER_S
                )
            except grpc.aio.AioRpcError as error:
                self.last_break = f"{address}: {error.code().name} {error.details()}"
                code = fatal_code(error.code())
                if code != Code.OK:
                    refused = Refused(refusal_code(error, code), error.details() or "")
                continue
            self._described.add(address)
            self._subscribe(reply.channel, reply.stream_id)
        if not self._subscriptions and refused is not None:
            raise refused
        return bool(self._subscriptions)

    def _subscribe(self, channel: str, stream_id: int) -> None:
        key = channel, stream_id
        if key in self._subscriptions:
            return
        control = _CONTROL.search(channel)
        if control is not None:
            local = self._interface or _local_address(control[1], int(control[2]))
            channel += f"|endpoint={local}:0"
        elif self._interface:
            channel += f"|interface={self._interface}"
        self._subscriptions[key] = self._aeron.add_subscription(f"{channel}|reliable=false", stream_id)

    # ---- tasks ---------------------------------------------------------------------------------------------------

    async def _look(self, channels: Channels) -> None:
        """Feeds that were away say later where they send."""
        while len(self._described) < len(channels.addresses):
            await asyncio.sleep(_LOOK_AGAIN_S)
            with contextlib.suppress(Refused):
                await self._describe(channels)

    async def _poll(self, channels: Channels) -> None:
        arrived: list[bytes] = []

        def collect(view: Any, header: Any) -> None:
            if header.flags & _WHOLE == _WHOLE:
                arrived.append(view.tobytes())

        while True:
            for subscription in tuple(self._subscriptions.values()):
                subscription.poll(collect, _FRAGMENTS, assemble=False)
            busy = len(arrived) >= _FRAGMENTS
            now_ns = time.monotonic_ns()
            for raw in arrived:
                self._take(partial(self._machine.on_frame, feed_pb2.FeedFrame.FromString(raw), now_ns, size=len(raw)))
            arrived.clear()
            if self._fetching is None:
                todo = self._machine.todo(now_ns)
                if todo is not None:
                    self._fetching = asyncio.get_running_loop().create_task(self._guarded(self._fetch(channels, todo)))
            if self._aeron.is_closed:
                text = f"the media driver in {self._directory} is gone ({self.fault}); make another UdpFeed"
                raise LockstepError(text)
            await asyncio.sleep(0 if busy else _POLL_S)

    def _take(self, work: Any) -> None:
        """Have the machine do something, and hand out what comes of it."""
        try:
            found = work()
        except FeedGap as gap:
            self.last_break = str(gap)
            self._machine.on_gone()
            return
        if found and self._queue is not None:
            self._queue.extend(found)
            if len(self._queue) > _MAX_WAITING:
                self._end(SubscriptionEnded(f"{_MAX_WAITING} messages waited, since nobody took them: read faster"))
            self._ready.set()

    async def _fetch(self, channels: Channels, todo: "Join | Again") -> None:
        """Ask one feed after the other until one has it."""
        try:
            gone = tries = 0
            while True:
                if tries and tries % len(channels.addresses) == 0:
                    if gone >= tries:
                        self._machine.on_gone()
                        return
                    chance = random.random()  # noqa: S311 - spreads clients in time
                    await asyncio.sleep(pause_s(_BACKOFF_FIRST_S, _BACKOFF_MOST_S, tries, chance))
                tries += 1
                self._server += 1
                try:
                    await self._ask(channels, todo)
                    return
                except grpc.aio.AioRpcError as error:
                    self.last_break = f"{channels.address(self._server)}: {error.code().name} {error.details()}"
                    if error.code() is grpc.StatusCode.FAILED_PRECONDITION:
                        self._machine.on_gone()
                        return
                    gone += error.code() is grpc.StatusCode.OUT_OF_RANGE
        finally:
            self._fetching = None

    async def _ask(self, channels: Channels, todo: "Join | Again") -> None:
        stub = feed_pb2_grpc.MarketFeedStub(channels.channel(self._server))
        if isinstance(todo, Join):
            call = stub.JoinLine(feed_pb2.JoinLineRequest(), metadata=channels.metadata, timeout=_JOIN_S)
            frames = [frame async for frame in call]
            self._take(partial(self._machine.on_joined, frames, time.monotonic_ns()))
            return
        request = feed_pb2.RetransmitRequest(after_seq=todo.after_seq, through_seq=todo.through_seq, epoch=todo.epoch)
        async for frame in stub.Retransmit(request, metadata=channels.metadata, timeout=_ANSWER_S):
            self._take(partial(self._machine.on_answer, frame, time.monotonic_ns()))


def _own_directory() -> "tempfile.TemporaryDirectory[str]":
    shared_memory = Path("/dev/shm")  # noqa: S108 - Aeron maps its buffers there
    return tempfile.TemporaryDirectory(prefix="lockstep-udp-", dir=shared_memory if shared_memory.is_dir() else None)


def _local_address(host: str, port: int) -> str:
    """The address of this host that reaches another one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((host, port))
        address: str = probe.getsockname()[0]
        return address
