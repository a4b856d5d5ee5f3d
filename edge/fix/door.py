"""The FIX door of a gateway: listens, knows instruments and connections, and ends with the gateway.

It is a client of the gateway's session machinery in the same process, and adds no decision to it (docs/adr/0046).
"""

import asyncio
import time
from collections import Counter
from typing import Any, Final

import numpy as np

from lockstep.edge.fix.line import Line
from lockstep.edge.fix.link import Link
from lockstep.edge.fix.symbols import Symbols
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

COMP_ID: Final = b"LOCKSTEP"
"""TargetCompID of what clients send."""
MAX_CONNECTIONS: Final = 256
MAX_UNKNOWN: Final = 64
"""That have not logged on; the oldest of more is ended. So those who are known find room, however many only connect."""
MAX_OF_HOST: Final = 128
MAX_OF_CLIENT: Final = 32
_HANDSHAKE_S: Final = 5.0
_FIRST_ADMIN: Final = 64
_TICK_S: Final = 0.25
_RETRY_S: Final = 0.1
_PAGE_S: Final = 3.0
_KEPT_NUMBERS: Final = 65_536
_BACKLOG: Final = 256


class Door:
    """See the module. Invariant: `by_session` has the lines whose stream is open, each session once."""

    def __init__(self, shell: GatewayShell, address: str) -> None:
        """`address`: host:port."""
        self.shell = shell
        self.address = address
        self.comp_id = COMP_ID
        self.by_session: dict[int, Line] = {}
        self.counters = {"fix_messages": 0, "fix_logons": 0, "fix_turned_away": 0}
        self.ready = False
        """All instruments are known."""
        self.symbols = Symbols()
        self._links: set[Link] = set()
        self._unknown: dict[Link, None] = {}
        """Those that have not logged on, oldest first."""
        self._of: Counter[tuple[str, str]] = Counter()
        """Connections of each ("host", name) and ("client", name)."""
        self._connections: dict[int, int] = {}
        """Session -> the highest connection that is known."""
        self._logins: dict[int, Pace] = {}
        self._server: asyncio.Server | None = None
        self._log = open_log(shell.member.name)

    # ---- life --------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen.

        Raises:
            EnvironmentFault: the address can't be had.
        """
        self.shell.listeners.append(self.on_events)
        self.shell.door_counters.append(lambda: {**self.counters, "fix_connections": len(self._links)})
        host, _, port = self.address.rpartition(":")
        tls = self.shell.entrance.ssl_context()
        try:
            self._server = await asyncio.get_running_loop().create_server(
                lambda: Link(self),
                host.strip("[]"),
                int(port),
                backlog=_BACKLOG,
                reuse_address=True,
                ssl=tls,
                ssl_handshake_timeout=_HANDSHAKE_S if tls is not None else None,
            )
        except OSError as error:
            text = f"the address of `fix`, {self.address}, can't be listened on ({error.strerror or error})"
            raise EnvironmentFault(f"{text}; stop the program that uses it, or choose another address") from error
        end_half_open(self._server.sockets)
        self.shell.spawn(self._learn_instruments())
        self.shell.spawn(self._tick_forever())

    async def stop(self) -> None:
        """End all connections: clients come again, here or elsewhere."""
        if self._server is not None:
            self._server.close()
        for link in list(self._links):
            link.end("this gateway is being stopped; log on to another one")

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
                self._define(row["instrument"], row["symbol"], row["tick_micros"], row["lot_units"])
            after, more = reply.next.account, reply.more
        self.ready = True

    def _define(self, number: Any, symbol: bytes, tick_micros: Any, units: Any) -> None:
        self.symbols.define(int(number), bytes(symbol), int(tick_micros), int(units))

    # ---- events ------------------------------------------------------------------------------------------------------

    def on_events(self, events: Events) -> None:
        """A burst was delivered to the streams."""
        kinds = events["kind"]
        if kinds.max(initial=0) < _FIRST_ADMIN:
            return
        defined = kinds == EventKind.INSTRUMENT_DEFINED
        if defined.any():
            for row in np.frombuffer(events[defined].tobytes(), dtype=DEFINITION_EVENT):
                self._define(row["instrument"], row["name"], row["tick_micros"], row["lot_units"])
        opened = kinds == EventKind.SESSION_OPENED
        if opened.any():
            here = self.shell.member.id
            for row in np.frombuffer(events[opened].tobytes(), dtype=SETTING_EVENT):
                session, connection = int(row["of_session"]), int(row["connection"])
                self.on_connection(session, connection)
                line = self.by_session.get(session)
                if line is not None and int(row["value"]) == here and connection == line.connection_no:
                    line.on_announced()

    def on_connection(self, session_id: int, connection: int) -> None:
        """The session has had a connection of this number."""
        known = self._connections.pop(session_id, 0)
        self._connections[session_id] = max(known, connection)
        if len(self._connections) > _KEPT_NUMBERS:
            del self._connections[next(iter(self._connections))]

    def logins_of(self, session_id: int) -> Pace:
        """How often it may be logged on to."""
        pace = self._logins.pop(session_id, None) or Pace(LOGINS_PER_S, LOGINS_AT_ONCE)
        self._logins[session_id] = pace
        if len(self._logins) > _KEPT_NUMBERS:
            del self._logins[next(iter(self._logins))]
        return pace

    def next_connection(self, session_id: int) -> int:
        """A number above all that are known: as a rule the time in milliseconds, so that all gateways count alike."""
        here = self.shell.machine.disconnects.connection_here(session_id)
        return max(time.time_ns() // 1_000_000, self._connections.get(session_id, 0) + 1, here + 1)

    # ---- links -------------------------------------------------------------------------------------------------------

    def take_in(self, link: Link, host: str) -> bool:
        """A connection was made; whether there is room for it."""
        full = len(self._links) >= MAX_CONNECTIONS or self._of["host", host] >= MAX_OF_HOST
        if full or self.shell.stopping:
            self.counters["fix_turned_away"] += 1
            return False
        self._links.add(link)
        self._unknown[link] = None
        self._of["host", host] += 1
        if len(self._unknown) > MAX_UNKNOWN:
            oldest = next(iter(self._unknown))
            del self._unknown[oldest]
            self.counters["fix_turned_away"] += 1
            oldest.end("too many connections that have not logged on")
        return True

    def knows(self, link: Link, client: str) -> bool:
        """A connection has logged on; whether its client may have one more."""
        if self._of["client", client] >= MAX_OF_CLIENT:
            self.counters["fix_turned_away"] += 1
            return False
        self._unknown.pop(link, None)
        self._of["client", client] += 1
        return True

    def let_go(self, link: Link, host: str, client: str | None) -> None:
        """A connection is over. `client`: that it was known as; None: as none."""
        if link not in self._links:
            return
        self._links.discard(link)
        self._unknown.pop(link, None)
        for key in (("host", host), *((("client", client),) if client is not None else ())):
            self._of[key] -= 1
            if not self._of[key]:
                del self._of[key]

    def note(self, link: Link, why: str) -> None:
        """For the log, which has room for what clients do wrong at debug level alone."""
        session = 0 if link.principal is None else link.principal.session_id
        self._log.debug("fix connection", session=session, why=why)
