"""One FIX connection: bytes in, commands into the gateway's session; its rows back, as messages.

All in the gateway's loop. The session machine decides what is said and numbers it. What it numbers of its own is noted
in the stream first, and waits until the note has come back; messages that follow from rows need no note, and wait only
for what stands in front of them.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from lockstep.edge.fix.dictionary import FIXT_11, fix_44, fix_50sp2
from lockstep.edge.fix.line import Line
from lockstep.edge.fix.logins import principal_of, session_of, user_of
from lockstep.edge.fix.notes import Given, NoteKind, note_commands
from lockstep.edge.fix.reports import Body
from lockstep.edge.fix.session import Session
from lockstep.edge.fix.values import (
    GREETING_NS,
    Accepted,
    Came,
    Claim,
    Dropped,
    Effects,
    Event,
    Fetch,
    Fetched,
    Leave,
    Numbers,
    Profile,
    Refused,
    Regenerated,
    Send,
    State,
    Ticked,
)
from lockstep.edge.fix.wire import Message
from lockstep.edge.soup.logins import Principal, of_client
from lockstep.edge.soup.packets import Login
from lockstep.runtime.access.callers import Unauthenticated
from lockstep.runtime.tokens import can_end

if TYPE_CHECKING:
    from lockstep.edge.fix.door import Door

MAX_MESSAGES: Final = 1 << 18
"""That a session may have said since its numbers began: each takes about 300 bytes while it has a connection."""
_WRITE_HIGH: Final = 1 << 18
_BEGIN_BYTES: Final = 24
_LAST_WORDS_NS: Final = 5_000_000_000
_GUESS_MS: Final = 500
_MS: Final = 1_000_000


class Link(asyncio.Protocol):
    """See the module. Invariant: no number leaves that a gateway which takes the session over would give again."""

    def __init__(self, door: "Door") -> None:
        self.principal: Principal | None = None
        self.machine: Session | None = None
        """None until it is known which version of FIX is spoken."""
        self.line: Line | None = None
        """The session in the cluster, from the login on."""
        self._door, self._shell = door, door.shell
        self._transport: asyncio.Transport | None = None
        self._host = ""
        self._known_as: str | None = None
        self._unwatch: Callable[[], None] = _nothing
        self._begin = b""
        self._claim: Claim | None = None
        self._inbox: deque[Message] = deque()
        self._out: deque[tuple[int, bytes]] = deque()
        """(number of the session that has to be answered first, bytes)."""
        self._is_first_note = True
        self._closing = False
        self._cut_ns = 0
        self._deaf = self._full = False
        self._last_ns = 0
        self._made_ns = time.monotonic_ns()

    # ---- the transport -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_WRITE_HIGH)
        self._host = self._peer().rpartition(":")[0]
        if not self._door.take_in(self, self._host):
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        del exc
        self._shell.guarded(self._on_lost)

    def _on_lost(self) -> None:
        self._unwatch()
        self._transport = None
        self._out.clear()
        if self.machine is not None:
            self.machine.step(Dropped(), self._now_ns())
        self._leave_line()
        self._door.let_go(self, self._host, self._known_as)

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`. Rows wait in the stream meanwhile, which ends when there are too many."""
        self._full = True

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._full = False
        if self.line is not None:
            self.line.plan()

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._shell.guarded(lambda: self._on_data(data))

    def _on_data(self, data: bytes) -> None:
        if self.machine is None:
            self._begin += data
            if len(self._begin) < _BEGIN_BYTES:
                return
            data, self._begin = self._begin, b""
            dictionary = fix_50sp2() if data.startswith(b"8=" + FIXT_11) else fix_44()
            self.machine = Session(Profile(dictionary, self._door.comp_id), self._now_ns())
        self._step(Came(data))

    def on_tick(self, now_ns: int) -> None:
        """A quarter of a second is over, by the monotonic clock."""
        if self._closing and now_ns >= self._cut_ns:
            # Its other end does not take what was written last, or the cluster does not take its note.
            self._abort()
        elif self.machine is None:
            if now_ns - self._made_ns >= GREETING_NS:
                self.end("no Logon came in time")
        elif not self._closing:
            self._step(Ticked())

    def end(self, text: str) -> None:
        """The gateway ends it: with a Logout, if there is a session to say so in."""
        self._door.note(self, text)
        line = self.line
        if self.machine is not None and self.machine.state is State.OPEN and line is not None and not line.over:
            self._step(Leave(text))
            self._close()
        else:
            self._abort()

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _close(self) -> None:
        """Once everything is written."""
        if not self._closing:
            self._closing = True
            self._cut_ns = time.monotonic_ns() + _LAST_WORDS_NS
        if not self._out and self._transport is not None:
            self._transport.close()

    def _now_ns(self) -> int:
        """UTC; never back."""
        self._last_ns = max(self._last_ns, time.time_ns())
        return self._last_ns

    def _peer(self) -> str:
        found = None if self._transport is None else self._transport.get_extra_info("peername")
        return "{}:{}".format(*found[:2]) if found else ""

    # ---- the machine -------------------------------------------------------------------------------------------------

    def _step(self, event: Event) -> None:
        machine = self.machine
        if machine is None:
            return
        before = event.numbers if isinstance(event, Accepted) else machine.numbers
        effects = machine.step(event, self._now_ns())
        for why in effects.why:
            self._door.note(self, why)
        self._inbox.extend(effects.deliver)
        self._say(effects, before)
        if effects.claim is not None:
            self._claim = effects.claim
            self._log_in(effects.claim)
        if effects.fetch is not None:
            self._shell.at(0, partial(self._on_fetch, effects.fetch))
        if effects.close:
            self._close()
        else:
            self._pump()

    def _say(self, effects: Effects, before: Numbers) -> None:
        """Note the numbers that went to the session layer, and write behind that."""
        need_no = 0
        if effects.numbers is not None and self.line is not None:
            restarted = effects.numbers.life != before.life
            first = 1 if restarted else before.next_out
            count = effects.numbers.next_out - first - len(effects.numbered)
            if count or restarted:
                need_no = self._note(effects.numbers, count, restarted=restarted)
        if effects.send:
            self._out.append((need_no, effects.send))
            self._write()

    def _note(self, numbers: Numbers, count: int, *, restarted: bool) -> int:
        """Put down that `count` numbers went to the session layer; the session's number that says so."""
        line = self.line
        assert line is not None, "numbers of an open session"
        kind = NoteKind.OPENED if self._is_first_note else NoteKind.GIVEN
        self._is_first_note = False
        if restarted:
            kind = NoteKind.RESTARTED
            line.story.restart(line.story.count, numbers.since_ns)
            # What waits here has numbers of before, which say nothing of those that come.
            self._inbox = deque(_without_number(message) for message in self._inbox)
        waiting = [int(message.value(34) or b"1") for message in self._inbox]
        next_in = min([numbers.next_in, *waiting])
        given = Given(kind, line.story.count, count, next_in, numbers.since_ns)
        line.story.numbering.give(given.ordinal, count)
        return line.submit(note_commands(given))

    def _write(self) -> None:
        line = self.line
        if self._transport is None or self._full:
            return
        answered = 0 if line is None else line.story.seen_no
        while self._out and self._out[0][0] <= answered:
            self._transport.write(self._out.popleft()[1])
        if self._closing:
            self._close()

    # ---- logging in --------------------------------------------------------------------------------------------------

    def _log_in(self, claim: Claim) -> None:
        user, password = user_of(claim)
        known = self._shell.entitlements
        if known.stores_user(user):
            self._shell.spawn(self._log_in_stored(claim, user, password))
            return
        try:
            principal = principal_of(claim, known, self._host)
        except Unauthenticated as error:
            self._on_unknown(user, error)
        else:
            self._on_known(principal)

    async def _log_in_stored(self, claim: Claim, user: str, password: str) -> None:
        try:
            client = await self._shell.entitlements.identify_soup_user(user, password, self._host)
            principal = of_client(Login(user, password, session_of(claim), 0), client)
        except Unauthenticated as error:
            self._on_unknown(user, error)
        else:
            self._on_known(principal)

    def _on_unknown(self, user: str, error: Unauthenticated) -> None:
        self._shell.trail.refusal("FIX logon", user, self._peer(), str(error))
        # Not at once: passwords are short, and guessing them is to take its time.
        self._shell.at(time.monotonic_ns() + _GUESS_MS * _MS, partial(self._step, Refused(str(error))))

    def _on_known(self, principal: Principal) -> None:
        if self._transport is None:
            return
        if not self._door.knows(self, principal.client.name):
            self._step(Refused("the client has as many connections as one may have"))
            return
        self.principal, self._known_as = principal, principal.client.name
        if can_end(principal.client):
            gone = partial(self.end, "this login was revoked, changed, or is over")
            self._unwatch = self._shell.entitlements.watch(principal.client, gone)
        self.line = Line(self._door, principal, self)
        self.line.open()

    # ---- what the line says ------------------------------------------------------------------------------------------

    def on_ready(self) -> None:
        """The session may take orders: everything that happened to it is known."""
        line = self.line
        if line is not None and self.machine is not None and self.machine.state is State.CHECKING:
            line.story.live = True
            self._door.counters["fix_logons"] += 1
            self._step(Accepted(line.story.numbers))

    def on_refused(self, text: str) -> None:
        """The session can't be had, or no more."""
        self._door.note(self, text)
        if self.machine is not None and self.machine.state is State.CHECKING:
            self._step(Refused(text))
        else:
            # Nothing that it said now could be noted.
            self._abort()

    def on_bodies(self, bodies: list[Body]) -> None:
        """Messages that follow from rows which came just now."""
        machine, now_ns = self.machine, self._now_ns()
        if machine is None or not machine.is_known:
            return
        parts = [machine.step(Send(one.kind, one.fields()), now_ns).send for one in bodies]
        if any(parts):
            self._out.append((0, b"".join(parts)))

    def on_progress(self) -> None:
        """Rows were read, or there is room again."""
        self._write()
        line = self.line
        if line is None or self.machine is None:
            return
        if line.story.live and len(line.story.bodies) > MAX_MESSAGES:
            self.end(f"the session has said {MAX_MESSAGES} messages: log on with ResetSeqNumFlag (141), or to another")
        self._pump()

    @property
    def takes_rows(self) -> bool:
        """Whether its client reads what is written."""
        return not self._full

    # ---- messages ----------------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """As many of the client's messages as there is room for."""
        line = self.line
        if line is None or line.over or self.machine is None:
            return
        while self._inbox and line.has_room:
            commands = line.entry.commands(self._inbox.popleft())
            if commands:
                self._door.counters["fix_messages"] += 1
                line.submit(commands)
        self._set_deaf(bool(self._inbox))

    def _set_deaf(self, deaf: bool) -> None:
        if deaf is self._deaf or self._transport is None or self._closing:
            return
        self._deaf = deaf
        if deaf:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _on_fetch(self, fetch: Fetch) -> None:
        line = self.line
        if line is None or self._transport is None:
            return
        story = line.story
        numbering = story.numbering
        messages: tuple[Regenerated, ...] = ()
        if fetch.life == numbering.life:
            made = []
            for ordinal in numbering.ordinals(fetch.begin, fetch.end, story.count):
                one = story.bodies[ordinal - numbering.base]
                made.append(Regenerated(numbering.number_of(ordinal), one.kind, one.fields(), one.sent_ns))
            messages = tuple(made)
        self._step(Fetched(fetch.life, fetch.begin, fetch.end, messages))

    def _leave_line(self) -> None:
        line, self.line = self.line, None
        if line is not None:
            line.close()


def _without_number(message: Message) -> Message:
    return replace(message, fields=tuple((tag, b"0" if tag == 34 else value) for tag, value in message.fields))


def _nothing() -> None:
    return
