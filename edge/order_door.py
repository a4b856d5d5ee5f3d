"""What doors for orders have in common: they listen, know instruments and connections, and end with their gateway.

Each is a client of the gateway's session machinery in the same process, and adds no decision to it (docs/adr/0022,
docs/adr/0046).
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np

from lockstep.edge.soup.logins import Principal
from lockstep.edge.soup.pace import LOGINS_AT_ONCE, LOGINS_PER_S, Pace
from lockstep.engine.pages import INSTRUMENT_COLUMNS
from lockstep.gateway.shell import GatewayShell
from lockstep.runtime.engines import EnginesUnavailable
from lockstep.runtime.faults import EnvironmentFault
from lockstep.runtime.half_open import end_half_open
from lockstep.runtime.process_log import open_log
from lockstep.stream.layouts import DEFINITION_EVENT
from lockstep.stream.records import SETTING_EVENT, EventKind, Events
from lockstep.v1 import replication_pb2

_HANDSHAKE_S: Final = 5.0
"""For TLS to be agreed on: before that nobody counts a connection."""
_FIRST_ADMIN: Final = 64
_TICK_S: Final = 0.25
_RETRY_S: Final = 0.1
_PAGE_S: Final = 3.0
_KEPT_NUMBERS: Final = 65_536
_BACKLOG: Final = 256


class Link(Protocol):
    """One connection."""

    principal: Principal | None

    def on_tick(self, now_ns: int) -> None:
        """A quarter of a second is over."""

    def end(self, text: str) -> None:
        """The gateway ends it."""


class Holder(Protocol):
    """Who has a session's stream."""

    connection_no: int

    def on_announced(self) -> None:
        """The cluster knows of this connection: SESSION_OPENED came back."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many connections a door has at the most."""

    connections: int
    unknown: int
    """That have not logged in; the oldest of more is ended. So those who are known find room, however many only
    connect."""
    of_host: int
    of_client: int


class OrderDoor[L: Link, H: Holder](ABC):
    """See the module. Invariant: `by_session` has those whose stream is open, each session once."""

    def __init__(self, shell: GatewayShell, address: str, key: str, bounds: Bounds, counted: tuple[str, ...]) -> None:
        """`address`: host:port; `key`: under which the configuration has it; `counted`: what else it counts."""
        self.shell = shell
        self.address = address
        self.by_session: dict[int, H] = {}
        self._turned_away = f"{key}_turned_away"
        self.counters = dict.fromkeys((*counted, self._turned_away), 0)
        self.ready = False
        """All instruments are known."""
        self._key = key
        self._bounds = bounds
        self._links: set[L] = set()
        self._unknown: dict[L, None] = {}
        """Those that have not logged in, oldest first."""
        self._of: Counter[tuple[str, str]] = Counter()
        """Connections of each ("host", name) and ("client", name)."""
        self._connections: dict[int, int] = {}
        """Session -> the highest connection that is known."""
        self._logins: dict[int, Pace] = {}
        self._server: asyncio.Server | None = None
        self._log = open_log(shell.member.name)

    @abstractmethod
    def _link(self) -> asyncio.Protocol:
        """For a connection that comes."""

    @abstractmethod
    def _define(self, number: int, symbol: bytes, tick_micros: int, units: int) -> None:
        """An instrument is there."""

    # ---- life ----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen.

        Raises:
            EnvironmentFault: the address can't be had.
        """
        self.shell.listeners.append(self.on_events)
        self.shell.door_counters.append(lambda: {**self.counters, f"{self._key}_connections": len(self._links)})
        host, _, port = self.address.rpartition(":")
        loop, tls = asyncio.get_running_loop(), self.shell.entrance.ssl_context()
        try:
            self._server = await loop.create_server(
                self._link,
                host.strip("[]"),
                int(port),
                backlog=_BACKLOG,
                reuse_address=True,
                ssl=tls,
                ssl_handshake_timeout=_HANDSHAKE_S if tls is not None else None,
            )
        except OSError as error:
            text = f"the address of `{self._key}`, {self.address}, can't be listened on ({error.strerror or error})"
            raise EnvironmentFault(f"{text}; stop the program that uses it, or choose another address") from error
        end_half_open(self._server.sockets)
        self.shell.spawn(self._learn_instruments())
        self.shell.spawn(self._tick_forever())

    async def stop(self) -> None:
        """End all connections: clients come again, here or elsewhere."""
        if self._server is not None:
            self._server.close()
        for link in list(self._links):
            link.end("this gateway is being stopped; log in at another one")

    async def _tick_forever(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            now_ns = time.monotonic_ns()
            for link in list(self._links):
                link.on_tick(now_ns)

    async def _learn_instruments(self) -> None:
        """Those that were defined before; later ones come as events."""
        while self.shell.machine.downlink is None:  # noqa: ASYNC110 - the machine has no event for it
            # Before that nobody says what is defined behind a page.
            await asyncio.sleep(_RETRY_S)
        after, more = 0, True
        while more:
            try:
                request = replication_pb2.QueryRequest(instruments_after=after)
                reply = await self.shell.list_page(request, min_seq=0, timeout_s=_PAGE_S)
            except EnginesUnavailable:
                await asyncio.sleep(_RETRY_S)
                continue
            for row in np.frombuffer(reply.instrument_rows, dtype=INSTRUMENT_COLUMNS):
                self._on_instrument(row, "symbol")
            after, more = reply.next.account, reply.more
        self.ready = True

    def _on_instrument(self, row: Any, symbol: str) -> None:
        self._define(int(row["instrument"]), bytes(row[symbol]), int(row["tick_micros"]), int(row["lot_units"]))

    # ---- events --------------------------------------------------------------------------------------------------

    def on_events(self, events: Events) -> None:
        """A burst was delivered to the streams."""
        kinds = events["kind"]
        if kinds.max(initial=0) < _FIRST_ADMIN:
            return
        defined = kinds == EventKind.INSTRUMENT_DEFINED
        if defined.any():
            for row in np.frombuffer(events[defined].tobytes(), dtype=DEFINITION_EVENT):
                self._on_instrument(row, "name")
        opened = kinds == EventKind.SESSION_OPENED
        if opened.any():
            here = self.shell.member.id
            for row in np.frombuffer(events[opened].tobytes(), dtype=SETTING_EVENT):
                session, connection = int(row["of_session"]), int(row["connection"])
                self.on_connection(session, connection)
                holder = self.by_session.get(session)
                if holder is not None and int(row["value"]) == here and connection == holder.connection_no:
                    holder.on_announced()

    def on_connection(self, session_id: int, connection: int) -> None:
        """The session has had a connection of this number."""
        known = self._connections.pop(session_id, 0)
        self._connections[session_id] = max(known, connection)
        if len(self._connections) > _KEPT_NUMBERS:
            del self._connections[next(iter(self._connections))]

    def logins_of(self, session_id: int) -> Pace:
        """How often it may be logged in to."""
        pace = self._logins.pop(session_id, None) or Pace(LOGINS_PER_S, LOGINS_AT_ONCE)
        self._logins[session_id] = pace
        if len(self._logins) > _KEPT_NUMBERS:
            del self._logins[next(iter(self._logins))]
        return pace

    def next_connection(self, session_id: int) -> int:
        """A number above all that are known: as a rule the time in milliseconds, so that all gateways count alike."""
        here = self.shell.machine.disconnects.connection_here(session_id)
        return max(time.time_ns() // 1_000_000, self._connections.get(session_id, 0) + 1, here + 1)

    # ---- links ---------------------------------------------------------------------------------------------------

    def take_in(self, link: L, host: str) -> bool:
        """A connection was made; whether there is room for it."""
        full = len(self._links) >= self._bounds.connections or self._of["host", host] >= self._bounds.of_host
        if full or self.shell.stopping:
            self.counters[self._turned_away] += 1
            return False
        self._links.add(link)
        self._unknown[link] = None
        self._of["host", host] += 1
        if len(self._unknown) > self._bounds.unknown:
            oldest = next(iter(self._unknown))
            del self._unknown[oldest]
            self.counters[self._turned_away] += 1
            oldest.end("too many connections that have not logged in")
        return True

    def knows(self, link: L, client: str) -> bool:
        """A connection has logged in; whether its client may have one more."""
        if self._of["client", client] >= self._bounds.of_client:
            self.counters[self._turned_away] += 1
            return False
        self._unknown.pop(link, None)
        self._of["client", client] += 1
        return True

    def let_go(self, link: L, host: str, client: str | None) -> None:
        """A connection is over. `client`: that it was known as; None: as none."""
        if link not in self._links:
            return
        self._links.discard(link)
        self._unknown.pop(link, None)
        for key in (("host", host), *((("client", client),) if client is not None else ())):
            self._of[key] -= 1
            if not self._of[key]:
                del self._of[key]

    def note(self, link: L, why: str) -> None:
        """For the log, which has room for what clients do wrong at debug level alone."""
        session = 0 if link.principal is None else link.principal.session_id
        self._log.debug(f"{self._key} connection", session=session, why=why)
