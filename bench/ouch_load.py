"""The load generator of `lockstep bench cluster --door ouch`: bytes of OUCH 4.2 over SoupBinTCP, and answers timed.

The mix is that of `load.py`. Packets are cut from blocks that are made column by column, and what comes back is kept as
bytes with the time of its arrival, to be taken apart many at once: nothing is done for a single field in Python.
"""

import asyncio
import contextlib
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
import uvloop
from numpy.typing import NDArray

from lockstep.aio import AsyncClient
from lockstep.bench.load import INSTRUMENTS, define
from lockstep.bench.offering import MAX_BATCH, Pace, Times, announce, end_with_parent, file_by_second, offer_and_measure
from lockstep.errors import LockstepError

MIX: Final = (
    "over OUCH 4.2: 50 % new limit orders (day) within 20 ticks of a fixed mid price, 40 % cancels of the session's "
    "own recent orders (those of filled ones have no answer: cancels are counted, and not timed), 2 % replaces, "
    "8 % IOC; 4 instruments, one account with unlimited funds for each session; ack policy synced, 2 engines"
)
_MID_TICKS: Final = 10_000
_REACH_TICKS: Final = 20
_MOST_SHARES: Final = 50
_RECENT: Final = 512
_BLOCK: Final = 4096
_COUNTED_AT_ONCE: Final = 1 << 20
_DAY: Final = 99_998
_LOGIN_S: Final = 30.0
_TOKEN: Final = slice(9, 23)
"""In a message that names one, from its type on."""

_ENTER: Final = np.dtype(
    [
        ("length", ">u2"), ("packet", "S1"), ("type", "S1"), ("token", "S14"), ("side", "S1"), ("shares", ">u4"),
        ("stock", "S8"), ("price", ">u4"), ("tif", ">u4"), ("firm", "S4"), ("display", "S1"), ("capacity", "S1"),
        ("sweep", "S1"), ("minimum", ">u4"), ("cross", "S1"), ("customer", "S1"),
    ]
)  # fmt: skip
_REPLACE: Final = np.dtype(
    [
        ("length", ">u2"), ("packet", "S1"), ("type", "S1"), ("existing", "S14"), ("token", "S14"), ("shares", ">u4"),
        ("price", ">u4"), ("tif", ">u4"), ("display", "S1"), ("sweep", "S1"), ("minimum", ">u4"),
    ]
)  # fmt: skip
_CANCEL: Final = np.dtype([("length", ">u2"), ("packet", "S1"), ("type", "S1"), ("token", "S14"), ("shares", ">u4")])
_POWERS: Final = 10 ** np.arange(13, -1, -1, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class OuchPlan(Pace):
    """What to offer, and where."""

    addresses: tuple[str, ...] = ()
    """gRPC, for the definitions."""
    doors: tuple[str, ...] = ()
    sessions: int = 4
    seed: int = 0
    instruments: int = INSTRUMENTS
    resting: int = 0


class OuchSession(asyncio.Protocol):
    """One session's share of the load, and the times of its answers: an `Offered`."""

    def __init__(self, account: int, seed: int) -> None:
        self.account = account
        self.answered_in_time = self.fills = self.orders = self.shed = 0
        self.refused: Counter[str] = Counter()
        self.seconds: dict[int, list[Times]] = {}
        self._chance = np.random.default_rng(seed)
        self._next_id = 1
        self._packets: list[bytes] = []
        self._timed: list[int] = []
        """Token of each packet that is made and not sent; 0: it is not timed."""
        self._due_ns = np.zeros(1 << 16, np.int64)
        self._open: set[int] = set()
        """Tokens that are not answered."""
        self._first_measured = self._last = 0
        self._arrived: list[tuple[int, bytes]] = []
        self._arrived_bytes = 0
        self._rest = b""
        self._ended_ns = 2**63 - 1
        self._transport: asyncio.Transport | None = None
        self._accepted = asyncio.Event()

    # ---- the connection ------------------------------------------------------------------------------------------

    async def open(self, address: str) -> None:
        """Log in, to a new session."""
        host, _, port = address.rpartition(":")
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self, host, int(port))
        assert self._transport is not None
        login = b"L" + b"%-6d" % self.account + b" " * 20 + b"%20d" % 1
        self._transport.write(len(login).to_bytes(2, "big") + login)
        async with asyncio.timeout(_LOGIN_S):
            await self._accepted.wait()
        loop.call_later(1.0, self._beat)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`. Timed now, counted later and many at once."""
        if not self._accepted.is_set():
            if data[2:3] != b"A":
                raise LockstepError(f"the door does not accept the login: {data!r}")
            self._accepted.set()
        self._arrived.append((time.monotonic_ns(), data))
        self._arrived_bytes += len(data)
        if self._arrived_bytes >= _COUNTED_AT_ONCE:
            self.count()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        del exc
        self._transport = None

    def _beat(self) -> None:
        if self._transport is not None:
            self._transport.write(b"\0\1R")
            asyncio.get_running_loop().call_later(1.0, self._beat)

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.close()

    # ---- an Offered ----------------------------------------------------------------------------------------------

    async def send(self, due_ns: Times) -> None:
        """Send one order for each time that has come."""
        count = len(due_ns)
        while len(self._packets) < count:
            self._make()
        packets, self._packets = self._packets[:count], self._packets[count:]
        tokens, self._timed = self._timed[:count], self._timed[count:]
        assert self._transport is not None, "the door ended the connection"
        self._transport.write(packets[0] if count == 1 else b"".join(packets))
        last = max(tokens)
        while last >= len(self._due_ns):
            self._due_ns = np.concatenate([self._due_ns, np.zeros_like(self._due_ns)])
        self._due_ns[tokens] = due_ns
        self._last = max(self._last, last)
        self._open.update(token for token in tokens if token)
        if self._first_measured:
            self.orders += count

    def room_for(self, count: int) -> int:
        """TCP holds back what the door does not take."""
        return min(count, MAX_BATCH)

    def measure(self) -> None:
        """From the next order on, count."""
        self._first_measured = self._last + 1

    def end(self, now_ns: int) -> None:
        """The phase is over: what is answered from here on is late."""
        self._ended_ns = now_ns

    @property
    def unanswered(self) -> int:
        """Timed orders under way."""
        return len(self._open)

    async def drain(self) -> None:
        """Wait until everything is answered."""
        while self._open:
            await asyncio.sleep(0.01)
            self.count()

    def count(self) -> None:
        """Bring the figures up to date with the answers that have come."""
        arrived, self._arrived, self._arrived_bytes = self._arrived, [], 0
        if not arrived:
            return
        data = self._rest + b"".join(raw for _, raw in arrived)
        ends = len(self._rest) + np.cumsum([len(raw) for _, raw in arrived])
        offsets, at = [], 0
        while at + 2 <= len(data):
            length = data[at] << 8 | data[at + 1]
            if at + 2 + length > len(data):
                break
            offsets.append(at)
            at += 2 + length
        self._rest = data[at:]
        if not offsets:
            return
        starts = np.array(offsets)
        raw = np.frombuffer(data, dtype=np.uint8)
        sequenced = starts[raw[starts + 2] == ord("S")] + 3
        came_ns = np.array([now_ns for now_ns, _ in arrived])[np.searchsorted(ends, sequenced, side="right")]
        self._file(raw, sequenced, came_ns)

    def _file(self, raw: NDArray[np.uint8], messages: NDArray[np.int64], came_ns: Times) -> None:
        kinds = raw[messages]
        self.fills += int(((kinds == ord("E")) & (raw[np.minimum(messages + 31, len(raw) - 1)] == ord("R"))).sum())
        answers = np.isin(kinds, np.frombuffer(b"AUJ", dtype=np.uint8))
        at, came_ns = messages[answers], came_ns[answers]
        digits = raw[at[:, None] + np.arange(_TOKEN.start, _TOKEN.stop)].astype(np.int64) - ord("0")
        tokens = digits @ _POWERS
        self._open.difference_update(tokens.tolist())
        rejected = kinds[answers] == ord("J")
        for reason, count in Counter(raw[at[rejected] + _TOKEN.stop].tolist()).items():
            self.refused[f"Rejected {chr(reason)}"] += count
        measured = (tokens >= self._first_measured) & (self._first_measured > 0)
        tokens, came_ns = tokens[measured], came_ns[measured]
        self.answered_in_time += int((came_ns <= self._ended_ns).sum())
        file_by_second(self.seconds, self._due_ns[tokens], came_ns)

    # ---- packets -------------------------------------------------------------------------------------------------

    def _make(self) -> None:
        """The next block of packets."""
        chance, count = self._chance, _BLOCK
        dice = chance.random(count)
        cancels, replaces, immediate = dice < 0.40, (dice >= 0.40) & (dice < 0.42), dice >= 0.92
        timed = ~cancels
        ids = np.zeros(count, np.int64)
        ids[timed] = np.arange(self._next_id, self._next_id + int(timed.sum()))
        before = self._next_id - 1 + np.cumsum(timed)
        recent = np.maximum(1, before - 1 - chance.integers(0, _RECENT, count))
        self._next_id += int(timed.sum())
        offset = chance.integers(1, _REACH_TICKS + 1, count)
        buys = chance.random(count) < 0.5
        sign = np.where(buys ^ (chance.random(count) < 0.25), -1, 1)
        # A tick is a cent: a hundred ten-thousandths.
        price = (_MID_TICKS + sign * offset) * 100
        shares = chance.integers(1, _MOST_SHARES, count)
        news = timed & ~replaces
        enter = _blank(_ENTER, b"O", int(news.sum()))
        enter["token"], enter["side"] = _tokens(ids[news]), np.where(buys[news], b"B", b"S")
        enter["shares"], enter["price"] = shares[news], price[news]
        enter["stock"] = np.char.ljust(np.char.add(b"BENCH-", (ids[news] % INSTRUMENTS + 1).astype("S")), 8)
        enter["tif"] = np.where(immediate[news], 0, _DAY)
        enter["firm"], enter["display"], enter["capacity"], enter["sweep"] = b"    ", b"Y", b"P", b"N"
        enter["cross"], enter["customer"] = b"N", b"N"
        replace = _blank(_REPLACE, b"U", int(replaces.sum()))
        replace["existing"], replace["token"] = _tokens(recent[replaces]), _tokens(ids[replaces])
        # More than any order has: what has traded counts, and a total that leaves nothing would have no answer.
        shares += _MOST_SHARES
        replace["shares"], replace["price"], replace["tif"] = shares[replaces], price[replaces], _DAY
        replace["display"], replace["sweep"] = b"Y", b"N"
        cancel = _blank(_CANCEL, b"X", int(cancels.sum()))
        cancel["token"] = _tokens(recent[cancels])
        ways = {0: iter(_cut(enter)), 1: iter(_cut(replace)), 2: iter(_cut(cancel))}
        kinds = np.where(cancels, 2, np.where(replaces, 1, 0)).tolist()
        self._packets += [next(ways[kind]) for kind in kinds]
        self._timed += ids.tolist()


def _blank(layout: np.dtype[Any], kind: bytes, count: int) -> NDArray[Any]:
    rows = np.zeros(count, dtype=layout)
    rows["length"], rows["packet"], rows["type"] = layout.itemsize - 2, b"U", kind
    return rows


def _cut(rows: NDArray[Any]) -> list[bytes]:
    raw, size = rows.tobytes(), rows.dtype.itemsize
    return [raw[at : at + size] for at in range(0, len(raw), size)]


def _tokens(ids: NDArray[np.int64]) -> NDArray[np.bytes_]:
    """Fourteen digits each."""
    return np.char.zfill(ids.astype("S14"), 14)


async def run_load(plan: OuchPlan) -> dict[str, Any]:
    """Offer the load; the result."""
    async with AsyncClient(plan.addresses) as client:
        first_account = await define(client, plan)
    sessions = [OuchSession(first_account + i, plan.seed + i) for i in range(plan.sessions)]
    for i, session in enumerate(sessions):
        await session.open(plan.doors[i % len(plan.doors)])
    result = await offer_and_measure(plan, sessions)
    for session in sessions:
        session.close()
    return result


def main() -> int:
    """Run the plan given as JSON in the first argument."""
    fields = json.loads(sys.argv[1])
    plan = OuchPlan(**{**fields, "addresses": tuple(fields["addresses"]), "doors": tuple(fields["doors"])})
    end_with_parent()
    try:
        with contextlib.suppress(KeyboardInterrupt):
            announce(uvloop.run(run_load(plan)))
    except LockstepError as error:
        sys.stderr.write(f"load generator: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
