"""One connection to the door: bytes in, commands into the gateway's session; its rows back, as bytes.

All in the gateway's loop. Nothing is done for a single message in Python: a read buffer becomes an array of commands,
the rows of a burst become one write.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, cast

import numpy as np

from lockstep.edge.soup import connection as soup
from lockstep.edge.soup.connection import Connection, State
from lockstep.edge.soup.logins import Principal, of_client, principal_of
from lockstep.edge.soup.native import Codec
from lockstep.edge.soup.opening import WINDOW, Opening, Seal
from lockstep.edge.soup.ouch import HALT_TEXTS, TOP, Halt
from lockstep.edge.soup.pace import PACKETS_AT_ONCE, PACKETS_PER_S, Pace
from lockstep.edge.soup.packets import NO_SUCH_SESSION, NOT_AUTHORIZED, Login, whole_packet
from lockstep.edge.soup.stream import SoupStream
from lockstep.gateway.admission import instruments_of
from lockstep.gateway.sessions import Refused
from lockstep.gateway.validation import refuse_rows, strange_orders
from lockstep.runtime.access.callers import Unauthenticated
from lockstep.runtime.budget import Cost
from lockstep.runtime.tokens import can_end
from lockstep.stream.codes import Code
from lockstep.stream.records import COMMAND, CommandKind, Commands
from lockstep.v1 import orders_pb2

if TYPE_CHECKING:
    from lockstep.edge.soup.door import Door

MAX_TOKENS: Final = 1 << 20
"""Tokens that one session may use. Each takes 64 bytes of the gateway that has the session."""
MAX_TOKENS_IN_ALL: Final = 1 << 23
"""Of all sessions that are open at one door."""
_UNREAD_BYTES: Final = 1 << 16
_WRITE_HIGH: Final = 1 << 18
_NEVER: Final = 2**64 - 1
_END_TEXTS: Final[dict[Code | None, str]] = dict.fromkeys(
    (Code.STALE_CONNECTION, Code.SESSION_TAKEN_OVER), "another connection has logged in to this session"
)
_STALE_RETRIES: Final = 3
_LAST_WORDS_NS: Final = 5_000_000_000
_WAIT_MS: Final = 50
_GUESS_MS: Final = 500
_MS: Final = 1_000_000


class Link(asyncio.Protocol):
    """See the module. Invariant: no command is numbered before the session is sealed (`opening.py`), nor after its
    stream ended."""

    def __init__(self, door: "Door") -> None:
        self.principal: Principal | None = None
        self.host = ""
        """Where it comes from."""
        self._known_as: str | None = None
        """As which client the door counts it; None: as none."""
        self._unwatch: Callable[[], None] = _nothing
        self.connection_no = 0
        """Of the session, as it was announced to the cluster."""
        self.machine = Connection(time.monotonic_ns())
        self._door = door
        self._shell = door.shell
        self._driver = door.shell.driver
        self._transport: asyncio.Transport | None = None
        self._unread = bytearray()
        self._deaf = False
        """Nothing is read: the session is not open yet, or has as much under way as it may."""
        self._full = False
        """The client does not take what was written."""
        self._flush_planned = False
        self._stream: SoupStream | None = None
        self._codec: Codec | None = None
        self._opening = Opening()
        self._scanned = False
        self._wanted = 0
        self._unadmitted: Commands | None = None
        self._tokens = 0
        """Used ones, as the door counts them."""
        self._pace = Pace(PACKETS_PER_S, PACKETS_AT_ONCE)
        self._stale_retries = 0
        self._cut_ns = 0
        """When a connection that was ended is cut off, whether or not all was written."""

    # ---- the transport -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_WRITE_HIGH)
        self.host = self._peer().rpartition(":")[0]
        if not self._door.take_in(self, self.host):
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        del exc
        self._shell.guarded(self._on_lost)

    def _on_lost(self) -> None:
        self._unwatch()
        self.machine.step(soup.Ended(), time.monotonic_ns())
        self._transport = None
        self._leave_stream()
        self._door.let_go(self, self.host, self._known_as)

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`. Rows wait in the stream meanwhile, which ends when there are too many."""
        self._full = True

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._full = False
        self._plan_flush()

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._shell.guarded(lambda: self._on_data(data))

    def _on_data(self, data: bytes) -> None:
        if self.machine.state is State.OPEN:
            self.machine.step(soup.Came(), time.monotonic_ns())
            self._read(data)
            return
        self._unread += data
        if self.machine.state is State.GREETING:
            self._perform(self.machine.step(soup.Came(bytes(self._unread[:64])), time.monotonic_ns()))
        elif len(self._unread) > _UNREAD_BYTES:
            self._set_deaf(True)

    def on_tick(self, now_ns: int) -> None:
        """A quarter of a second is over."""
        if self.machine.state is not State.OVER:
            self._perform(self.machine.step(soup.Ticked(self._deaf), now_ns))
        elif self._transport is not None and now_ns >= self._cut_ns:
            # Its other end does not take what was written last.
            self._transport.abort()

    def end(self, text: str) -> None:
        """The gateway ends it."""
        self._perform(self.machine.step(soup.Ended(text), time.monotonic_ns()))

    def _perform(self, effects: soup.Effects) -> None:
        if effects.why:
            self._door.note(self, effects.why)
        if effects.login is not None:
            del self._unread[: effects.used]
            self._log_in(effects.login)
        if effects.send:
            self._write(effects.send)
        if effects.close:
            self._leave_stream()
            self._cut_ns = time.monotonic_ns() + _LAST_WORDS_NS
            if self._transport is not None:
                self._transport.close()

    def _write(self, raw: bytes) -> None:
        if self._transport is not None:
            self._transport.write(raw)

    def _set_deaf(self, deaf: bool) -> None:
        if deaf is self._deaf or self._transport is None or self.machine.state is State.OVER:
            return
        self._deaf = deaf
        if deaf:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _later(self, pause_ms: int, action: Callable[[], None]) -> None:
        self._shell.at(time.monotonic_ns() + max(1, pause_ms) * _MS, action)

    # ---- logging in ----------------------------------------------------------------------------------------------

    def _log_in(self, login: Login) -> None:
        if self._shell.entitlements.stores_user(login.user):
            self._shell.spawn(self._log_in_stored(login))
            return
        try:
            principal = principal_of(login, self._shell.entitlements, self.host)
        except Unauthenticated as error:
            self._on_unknown(login, error)
        else:
            self._on_known(login, principal)

    async def _log_in_stored(self, login: Login) -> None:
        try:
            known = self._shell.entitlements
            client = await known.identify_soup_user(login.user, login.password, self.host)
            principal = of_client(login, client)
        except Unauthenticated as error:
            self._on_unknown(login, error)
        else:
            self._on_known(login, principal)

    def _on_unknown(self, login: Login, error: Unauthenticated) -> None:
        self._shell.trail.refusal("OUCH login", login.user, self._peer(), str(error))
        # Not at once: passwords are short, and guessing them is to take its time.
        self._later(_GUESS_MS, partial(self._reject, NOT_AUTHORIZED, str(error)))

    def _on_known(self, login: Login, principal: Principal) -> None:
        if not self._door.knows(self, principal.client.name):
            self._reject(NOT_AUTHORIZED, "the client has as many connections as one may have")
            return
        self.principal, self._known_as = principal, principal.client.name
        if can_end(principal.client):
            gone = partial(self.end, "this login was revoked, changed, or is over")
            self._unwatch = self._shell.entitlements.watch(principal.client, gone)
        self._wanted = login.sequence
        self._open()

    def _peer(self) -> str:
        found = None if self._transport is None else self._transport.get_extra_info("peername")
        return "{}:{}".format(*found[:2]) if found else ""

    def _reject(self, reason: bytes, text: str) -> None:
        self._perform(self.machine.step(soup.Rejected(reason, text), time.monotonic_ns()))

    def _open(self) -> None:
        """Take the session, or try again a little later."""
        if self.machine.state is not State.OPENING or self.principal is None:
            return
        why = self._driver.why_not_serving()
        if why is None and not self._door.ready:
            why = Code.UNAVAILABLE, "this gateway does not know the instruments yet"
        if why is not None:
            if why[0] is Code.SHUTTING_DOWN:
                self._reject(NO_SUCH_SESSION, why[1])
            else:
                self._later(_WAIT_MS, self._open)
            return
        logins = self._door.logins_of(self.principal.session_id)
        wait_ns = logins.wait_ns(time.monotonic_ns())
        if wait_ns:
            self._later(wait_ns // _MS, self._open)
            return
        client = self.principal.client
        budget = self._shell.entitlements.budgets.of(client)
        wait_ns = 0 if budget is None else budget.take(Cost.LOGIN, time.monotonic_ns())
        if wait_ns:
            self._later(wait_ns // _MS, self._open)
            return
        self.connection_no = self._door.next_connection(self.principal.session_id)
        hello = orders_pb2.Hello(
            session_id=self.principal.session_id,
            next_no=1,
            connection=self.connection_no,
            cancel_on_disconnect_ms=client.soup_cancel_ms,
        )
        opened = self._driver.streams.open(client.name, hello, make=SoupStream)
        if isinstance(opened, Refused):
            self._on_refused(opened)
            return
        assert isinstance(opened, SoupStream), "made as one"
        logins.take(1, time.monotonic_ns())
        self._stream, self._opening, self._scanned = opened, Opening(), False
        self._codec = self._door.codec(self.principal, MAX_TOKENS)
        opened.on_change = self._plan_flush
        self._door.by_session[self.principal.session_id] = self

    def _on_refused(self, refused: Refused) -> None:
        if refused.code is Code.BUSY:
            self._later(refused.retry_after_ms, self._open)
        else:
            self._reject(NOT_AUTHORIZED, f"{refused.code.name}: the session can't be taken")

    def _leave_stream(self) -> None:
        stream, self._stream, self._unadmitted = self._stream, None, None
        self._codec = None
        self._door.tokens -= self._tokens
        self._tokens = 0
        if stream is not None:
            stream.on_change = _nothing
            self._driver.streams.close(stream)
        if self.principal is not None and self._door.by_session.get(self.principal.session_id) is self:
            del self._door.by_session[self.principal.session_id]

    # ---- from the cluster ----------------------------------------------------------------------------------------

    def _plan_flush(self) -> None:
        if not self._flush_planned:
            self._flush_planned = True
            self._shell.at(0, self._flush)

    def _flush(self) -> None:
        """What happened since the last time."""
        self._flush_planned = False
        stream, codec = self._stream, self._codec
        if stream is None or codec is None:
            return
        if not self._full:
            rows = stream.take_rows()
            if rows is not None:
                emit_from = self._wanted or (_NEVER if self.machine.state is State.OPENING else 1)
                raw = codec.encode(rows.rows, rows.legs, emit_from)
                if self._wanted and codec.next_message >= self._wanted:
                    self._accept(self._wanted)
                if raw:
                    self._write(raw)
                    self.machine.step(soup.Wrote(), time.monotonic_ns())
            if not stream.has_rows:
                self._driver.streams.on_drained(stream)
        if stream.end is not None:
            self._on_stream_end(stream)
        elif not self._has_room(codec):
            self._on_full()
        elif not stream.pending_rows:
            self._go_on(stream)

    def _has_room(self, codec: Codec) -> bool:
        """Whether the door may hold the tokens that it does."""
        used = codec.used
        self._door.tokens += used - self._tokens
        self._tokens = used
        return self._door.tokens <= MAX_TOKENS_IN_ALL

    def _on_full(self) -> None:
        text = "this gateway holds as many tokens of open sessions as it may: log in elsewhere, or to a new session"
        if self.machine.state is State.OPENING:
            self._reject(NO_SUCH_SESSION, text)
        else:
            self.end(text)

    def _accept(self, sequence: int) -> None:
        if self.machine.state is State.OPENING and self.principal is not None:
            self._perform(self.machine.step(soup.Accepted(self.principal.session, sequence), time.monotonic_ns()))

    def _on_stream_end(self, stream: SoupStream) -> None:
        assert stream.end is not None
        opening = self.machine.state is State.OPENING
        if stream.end.code is Code.STALE_CONNECTION and opening and self._stale_retries < _STALE_RETRIES:
            # Another gateway's clock was ahead when the session was there: the next number is above its.
            self._stale_retries += 1
            self._leave_stream()
            self._shell.at(0, self._open)
        elif opening:
            self._reject(NO_SUCH_SESSION, stream.end.text)
        else:
            self.end(_END_TEXTS.get(stream.end.code, stream.end.text))

    def _go_on(self, stream: SoupStream) -> None:
        """Everything that happened was taken: towards orders, or more of them."""
        session = self._driver.machine.sessions.get(stream.session_id)
        assert session is not None, "it has a stream"
        if not self._scanned and not stream.resuming:
            self._scanned = True
            self._seal(self._opening.on_all(session.answered, session.expected))
        if not self._opening.on_answered(session.answered):
            return
        if self.machine.state is State.OPENING:
            assert self._codec is not None
            if self._wanted > self._codec.next_message:
                text = f"message {self._wanted} is not there yet; {self._codec.next_message} is the next"
                self._reject(NO_SUCH_SESSION, text)
                return
            self._accept(self._codec.next_message)
        if self._unread or self._deaf:
            self._read(b"")

    def on_announced(self) -> None:
        """The cluster knows of this connection: SESSION_OPENED came back."""
        if self._stream is None:
            return
        session = self._driver.machine.sessions.get(self._stream.session_id)
        if session is not None:
            self._seal(self._opening.on_announced(session.answered, session.expected))
            self._plan_flush()

    def _seal(self, seal: Seal | None) -> None:
        if seal is None or self.principal is None or seal.first_no > seal.last_no:
            return
        records = np.zeros(seal.last_no - seal.first_no + 1, dtype=COMMAND)
        records["kind"] = CommandKind.REFUSED
        records["gateway"] = self._shell.member.id
        records["session_id"] = self.principal.session_id
        records["session_no"] = np.arange(seal.first_no, seal.last_no + 1, dtype=np.uint64)
        records["account"] = self.principal.account
        records["order_id"] = TOP
        records["received_ns"] = time.time_ns()
        records["tag"] = int(Code.NOTED)
        self._submit(records)

    # ---- to the cluster ------------------------------------------------------------------------------------------

    def _read(self, data: bytes) -> None:
        """As many of the client's messages as there is room for."""
        stream, codec = self._stream, self._codec
        if stream is None or codec is None or stream.over:
            return
        session = self._driver.machine.sessions.get(stream.session_id)
        assert session is not None, "it has a stream"
        if self._unread:
            self._unread += data
        pending: bytes | bytearray = self._unread or data
        room = WINDOW - session.unanswered
        early = self._pace.wait_ns(time.monotonic_ns()) > 0 or not self._opening.on_answered(session.answered)
        if early or self._unadmitted is not None or room < 2:
            self._keep(pending, 0)
            self._set_deaf(len(self._unread) > 0)
            return
        consumed, packets, halt, raw = codec.decode(pending, session.expected, room, time.time_ns())
        self._door.counters["soup_packets"] += packets
        self._keep(pending, consumed)
        if raw:
            self._submit(self._entitled(np.frombuffer(raw, dtype=COMMAND)))
        if halt == Halt.NONE:
            wait_ns = self._pace.take(packets, time.monotonic_ns())
            if wait_ns:
                self._shell.at(time.monotonic_ns() + wait_ns, self._plan_flush)
            # A whole packet is left where there was no room for it.
            self._set_deaf(wait_ns > 0 or self._unadmitted is not None or whole_packet(self._unread))
        elif halt == Halt.LOGOUT:
            self._perform(self.machine.step(soup.Ended(), time.monotonic_ns()))
        else:
            self.end(HALT_TEXTS[Halt(halt)])

    def _entitled(self, records: Commands) -> Commands:
        """The same with a refusal in place of each order for an instrument that the client may not trade."""
        instruments = None if self.principal is None else instruments_of(self.principal.client)
        if instruments is None:
            return records
        strange = strange_orders(records, instruments)
        if strange.any():
            records = records.copy()
            refuse_rows(records, np.where(strange, np.uint64(Code.NOT_ENTITLED), np.uint64(0)))
        return records

    def _keep(self, pending: bytes | bytearray, consumed: int) -> None:
        if pending is self._unread:
            del self._unread[:consumed]
        elif consumed < len(pending):
            self._unread += pending[consumed:]

    def _submit(self, records: Commands) -> None:
        assert self._stream is not None, "commands of an open session"
        client = None if self.principal is None else self.principal.client
        refused = self._driver.submit(self._stream.session_id, records, admin=False, client=client)
        if refused is None:
            self._unadmitted = None
            return
        left = records[records["session_no"] >= refused.from_no]
        if refused.code is Code.NOT_ENTITLED or not len(left):
            self.end(f"{refused.code.name}: the session takes nothing more")
            return
        # They have their numbers and are known to the codec: the same again, until they are admitted.
        self._unadmitted = left
        self._set_deaf(True)
        self._later(refused.retry_after_ms, partial(self._submit_again, self._stream))

    def _submit_again(self, stream: SoupStream) -> None:
        if stream is not self._stream or stream.over or self._unadmitted is None:
            return
        self._submit(self._unadmitted)
        if self._unadmitted is None:
            self._plan_flush()


def _nothing() -> None:
    return
