"""The readers of `lockstep bench feed`: a process with many WebSockets that says how old what it gets is.

Each reader follows every instrument, also those that are defined later. Some of them (`checked`) are clients as the
package has them, which apply every update and compare every checksum. Of the others, so that the readers do not cost
more than the feed, only the age of each frame is read.
"""

import asyncio
import base64
import json
import os
import struct
import sys
import time
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import uvloop

from lockstep.bench.offering import announce
from lockstep.book import FeedGap
from lockstep.enums import Feed
from lockstep.feed_machine import FeedMachine
from lockstep.v1 import feed_pb2

_AGE_AT: Final = 54
"""Where an update's timestamp lies in its head, and below whether it is a snapshot (`marketdata/feed_encoding.py`)."""
_AGE: Final = struct.Struct("<q")
_SEQ_AT: Final = 36
"""The same of its last seq: by the first update of a frame the readers know that they got the same one."""
_SEQ: Final = struct.Struct("<Q")
_MOST_TURNS: Final = 20_000
"""Frames of which is written down when each reader had them."""
_UPDATE: Final = 0x0A
_SNAPSHOT_AT: Final = 68
_CONNECTING_AT_ONCE: Final = 50
_PATIENCE_S: Final = 120.0
_AGAIN_S: Final = 0.1
"""After which somebody whom the feed has turned away comes again."""


@dataclass(frozen=True, slots=True)
class ReadersPlan:
    """Whom to connect to, and how many."""

    host: str
    port: int
    readers: int
    checked: int
    interval_ms: int
    depth: int = 10


class Reader(asyncio.Protocol):
    """One WebSocket, with no more of the protocol than a server's data frames need."""

    def __init__(self, plan: ReadersPlan, ages: "Ages", machine: FeedMachine | None) -> None:
        self._plan = plan
        self._ages = ages
        self.machine = machine
        self.live = asyncio.get_running_loop().create_future()
        self.closed = ""
        self.frames = 0
        self.aged = self.age_ns = 0
        """Frames whose age was read while somebody measured, and the sum of the ages."""
        self.gaps = 0
        self._buffer = bytearray()
        self._open = False

    def connection_made(self, transport: Any) -> None:
        """Ask for a WebSocket."""
        self._transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET /feed HTTP/1.1\r\nHost: {self._plan.host}:{self._plan.port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """The answer, then frames."""
        self._buffer += data
        if not self._open:
            head, found, rest = bytes(self._buffer).partition(b"\r\n\r\n")
            if not found:
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self.closed = head.partition(b"\r\n")[0].decode()
                self._transport.close()
                return
            self._open = True
            self._buffer = bytearray(rest)
            self._subscribe()
        self._take_frames()

    def connection_lost(self, error: Exception | None) -> None:
        """It is over."""
        self.closed = self.closed or f"closed: {error}"
        if not self.live.done():
            self.live.set_result(False)

    def stall(self) -> None:
        """Read nothing from now on."""
        self._transport.pause_reading()

    def leave(self) -> None:
        """Without a word, as a process that dies."""
        self._transport.abort()

    def _subscribe(self) -> None:
        asked = feed_pb2.FeedRequest()
        asked.subscribe.feed = feed_pb2.Subscription(feed="FEED_L2").feed
        asked.subscribe.depth = self._plan.depth
        asked.subscribe.interval_ms = self._plan.interval_ms
        payload = asked.SerializeToString()
        mask = b"\x01\x02\x03\x04"
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        size = len(payload)
        head = bytes((0x82, 0x80 | size)) if size < 126 else struct.pack(">BBH", 0x82, 0x80 | 126, size)
        self._transport.write(head + mask + masked)

    def _take_frames(self) -> None:
        buffer = self._buffer
        at = 0
        while len(buffer) - at >= 2:
            size, body = buffer[at + 1], at + 2
            if size == 126:
                body += 2
                if len(buffer) < body:
                    break
                size = struct.unpack_from(">H", buffer, at + 2)[0]
            elif size == 127:
                body += 8
                if len(buffer) < body:
                    break
                size = struct.unpack_from(">Q", buffer, at + 2)[0]
            if len(buffer) < body + size:
                break
            if buffer[at] == 0x82:
                self._on_frame(bytes(buffer[body : body + size]))
            at = body + size
        del buffer[:at]

    def _on_frame(self, frame: bytes) -> None:
        if not self.live.done():
            self.live.set_result(True)
        if not frame or frame[0] != _UPDATE:
            return
        self.frames += 1
        head = 2 if frame[1] < 128 else 3 if frame[2] < 128 else 4
        if self._ages.measuring and len(frame) > head + _SNAPSHOT_AT and not frame[head + _SNAPSHOT_AT]:
            now_ns = time.time_ns()
            age_ns = now_ns - _AGE.unpack_from(frame, head + _AGE_AT)[0]
            self._ages.add(_SEQ.unpack_from(frame, head + _SEQ_AT)[0], now_ns, age_ns)
            self.aged += 1
            self.age_ns += age_ns
        if self.machine is not None:
            try:
                self.machine.on_frame(feed_pb2.FeedFrame.FromString(frame))
            except FeedGap:
                self.gaps += 1


class Ages:
    """How old updates are when they come, while somebody measures."""

    def __init__(self) -> None:
        self.measuring = False
        self.taken: list[int] = []
        self.turns: dict[int, list[int]] = {}
        """By the last seq of a frame's first update: when the first and the last reader had it, and how many did."""

    def begin(self) -> None:
        """Measure, and forget what was measured before."""
        self.taken, self.turns, self.measuring = [], {}, True

    def add(self, seq: int, now_ns: int, age_ns: int) -> None:
        """One more."""
        self.taken.append(age_ns)
        turn = self.turns.get(seq)
        if turn is not None:
            turn[1] = now_ns
            turn[2] += 1
        elif len(self.turns) < _MOST_TURNS:
            self.turns[seq] = [now_ns, now_ns, 1]

    def percentiles_ms(self) -> dict[str, float]:
        """p50, p99 and the most."""
        if not self.taken:
            return {"p50": 0.0, "p99": 0.0, "max": 0.0}
        p50, p99, most = np.percentile(np.array(self.taken), (50, 99, 100)) / 1e6
        return {"p50": round(float(p50), 2), "p99": round(float(p99), 2), "max": round(float(most), 2)}


class Readers:
    """Does what it is told: `connect`, `measure`, `end` (of measuring), `stall`, `leave`; says what came of it."""

    def __init__(self, plan: ReadersPlan) -> None:
        self._plan = plan
        self._ages = Ages()
        self._readers: list[Reader] = []
        self._stalled: list[Reader] = []
        self._came_before = False
        self._frames_before = 0
        self._turned_away = 0

    async def run(self) -> None:
        """Until there are no more words."""
        loop = asyncio.get_running_loop()
        while word := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
            match word:
                case "connect":
                    seconds = await self._connect()
                    announce({"event": "connected", "seconds": seconds, "turned_away": self._turned_away})
                case "measure":
                    self._measure()
                case "end":
                    announce(self._measured())
                case "stall":
                    self._stalled.append(await self._open(None))
                    self._stalled[-1].stall()
                    announce({"event": "stalled"})
                case "leave":
                    self._leave()
                    announce({"event": "left"})

    async def _open(self, machine: FeedMachine | None) -> Reader:
        """One that is live. Who is turned away comes again."""
        loop, plan, ages = asyncio.get_running_loop(), self._plan, self._ages
        while True:
            try:
                _, reader = await loop.create_connection(lambda: Reader(plan, ages, machine), plan.host, plan.port)
            except OSError:
                await asyncio.sleep(_AGAIN_S)
                continue
            if await reader.live:
                return reader
            self._turned_away += 1
            await asyncio.sleep(_AGAIN_S)

    async def _connect(self) -> float:
        """Seconds until the last is live. The first time so many at once; those that come again do so at one moment."""
        loop = asyncio.get_running_loop()
        begin_s = loop.time()
        at_once = self._plan.readers if self._came_before else _CONNECTING_AT_ONCE
        for begin in range(0, self._plan.readers, at_once):
            numbers = range(begin, min(begin + at_once, self._plan.readers))
            machines = [FeedMachine(Feed.L2, self._plan.depth) if n < self._plan.checked else None for n in numbers]
            async with asyncio.timeout(_PATIENCE_S):
                self._readers += await asyncio.gather(*map(self._open, machines))
        self._came_before = True
        return round(loop.time() - begin_s, 3)

    def _leave(self) -> None:
        for one in (*self._readers, *self._stalled):
            one.leave()
        self._readers, self._stalled = [], []

    def _measure(self) -> None:
        for one in self._readers:
            one.aged = one.age_ns = 0
        self._frames_before = sum(one.frames for one in self._readers)
        self._ages.begin()

    def _measured(self) -> dict[str, Any]:
        self._ages.measuring = False
        machines = [one.machine for one in self._readers if one.machine is not None]
        return {
            "event": "result",
            "frames": sum(one.frames for one in self._readers) - self._frames_before,
            "delay_ms": self._ages.percentiles_ms(),
            "turns": self._ages.turns,
            "means_ms": _bounds([one.age_ns / one.aged / 1e6 for one in self._readers if one.aged]),
            "checksum_errors": sum(machine.checksum_errors for machine in machines),
            "gaps": sum(one.gaps for one in self._readers),
            "recovered": sum(machine.recovered for machine in machines),
            "closed": sorted({one.closed for one in self._readers if one.closed}),
        }


def _bounds(values: list[float]) -> list[float]:
    """The least and the greatest; none of none."""
    return [min(values), max(values)] if values else []


def main() -> int:
    """Run the plan given as JSON in the first argument."""
    plan = ReadersPlan(**json.loads(sys.argv[1]))
    uvloop.run(Readers(plan).run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
