"""A FIX session's line into the cluster: opened, sealed, its rows read, its commands numbered and admitted.

All in the gateway's loop. What the client says and hears is `link.py`'s.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from lockstep.edge.fix.entry import MAX_COMMANDS, Entry
from lockstep.edge.fix.notes import Fields, seal_command
from lockstep.edge.fix.story import Story, StrangeNote
from lockstep.edge.soup.logins import Principal
from lockstep.edge.soup.opening import WINDOW, Opening, Seal
from lockstep.edge.soup.stream import SoupStream
from lockstep.gateway.admission import instruments_of
from lockstep.gateway.sessions import Refused
from lockstep.gateway.validation import refuse_rows, strange_orders
from lockstep.runtime.budget import Cost
from lockstep.stream.codes import Code
from lockstep.stream.records import COMMAND, CommandKind, Commands, join_records
from lockstep.v1 import orders_pb2

if TYPE_CHECKING:
    from lockstep.edge.fix.door import Door
    from lockstep.edge.fix.link import Link

_STALE_RETRIES: Final = 3
_WAIT_MS: Final = 50
_MS: Final = 1_000_000
_TAKEN: Final = (Code.STALE_CONNECTION, Code.SESSION_TAKEN_OVER)


class Line:
    """See the module. Invariant: no command is numbered before the session is sealed, but those of its seal."""

    def __init__(self, door: "Door", principal: Principal, link: "Link") -> None:
        self.principal = principal
        self.connection_no = 0
        """Of the session, as it was announced to the cluster."""
        self.over = False
        self.session_id = principal.session_id
        self._door, self._shell, self._driver = door, door.shell, door.shell.driver
        self._link = link
        self._stream: SoupStream | None = None
        self._opening = Opening()
        self._scanned = self._is_ready = False
        self._planned = False
        self._next_no = 0
        self._unadmitted: Commands | None = None
        self._stale_retries = 0
        self._begin()

    def _begin(self) -> None:
        principal = self.principal
        self.story = Story(self._door.symbols, self.session_id)
        self.entry = Entry(
            self.story, self._door.symbols, self.session_id, principal.account, principal.client.accounts
        )

    # ---- opening -----------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Take the session, or try again a little later."""
        if self.over or self._stream is not None:
            return
        why = self._driver.why_not_serving()
        if why is not None and why[0] is Code.SHUTTING_DOWN:
            self._refuse(why[1])
            return
        client = self.principal.client
        wait_ns = _WAIT_MS * _MS if why is not None or not self._door.ready else self._wait_ns()
        if wait_ns:
            self._later(wait_ns // _MS, self.open)
            return
        self.connection_no = self._door.next_connection(self.session_id)
        hello = orders_pb2.Hello(
            session_id=self.session_id,
            next_no=1,
            connection=self.connection_no,
            cancel_on_disconnect_ms=client.soup_cancel_ms,
        )
        opened = self._driver.streams.open(client.name, hello, make=SoupStream)
        if isinstance(opened, Refused):
            if opened.code is Code.BUSY:
                self._later(opened.retry_after_ms, self.open)
            else:
                self._refuse(f"{opened.code.name}: the session can't be taken")
            return
        assert isinstance(opened, SoupStream), "made as one"
        self._door.logins_of(self.session_id).take(1, time.monotonic_ns())
        self._stream, self._opening, self._scanned = opened, Opening(), False
        opened.on_change = self.plan
        self._door.by_session[self.session_id] = self

    def _wait_ns(self) -> int:
        """Until the session may be logged on to."""
        now_ns = time.monotonic_ns()
        wait_ns = self._door.logins_of(self.session_id).wait_ns(now_ns)
        budget = None if wait_ns else self._shell.entitlements.budgets.of(self.principal.client)
        return wait_ns if budget is None else budget.take(Cost.LOGIN, now_ns)

    def close(self) -> None:
        """The connection is over."""
        self.over = True
        self._leave_stream()

    def _leave_stream(self) -> None:
        stream, self._stream, self._unadmitted = self._stream, None, None
        if stream is not None:
            stream.on_change = _nothing
            self._driver.streams.close(stream)
        if self._door.by_session.get(self.session_id) is self:
            del self._door.by_session[self.session_id]

    def _refuse(self, text: str) -> None:
        self.over = True
        self._leave_stream()
        self._link.on_refused(text)

    def _later(self, pause_ms: int, action: Callable[[], None]) -> None:
        self._shell.at(time.monotonic_ns() + max(1, pause_ms) * _MS, action)

    # ---- from the cluster --------------------------------------------------------------------------------------------

    def plan(self) -> None:
        """Look for what happened, in the next turn of the loop."""
        if not self._planned:
            self._planned = True
            self._shell.at(0, self._flush)

    def _flush(self) -> None:
        self._planned = False
        stream = self._stream
        if stream is None:
            return
        if self._link.takes_rows:
            rows = stream.take_rows()
            if rows is not None:
                try:
                    bodies = self.story.take(rows.rows, rows.legs)
                except StrangeNote as error:
                    self._refuse(f"the session was used in another way than over FIX: {error}")
                    return
                self.entry.forget_outcomes()
                if self.story.live and bodies:
                    self._link.on_bodies(bodies)
            if not stream.has_rows:
                self._driver.streams.on_drained(stream)
        if stream.end is not None:
            self._on_stream_end(stream)
        elif not stream.pending_rows:
            self._go_on(stream)

    def _on_stream_end(self, stream: SoupStream) -> None:
        assert stream.end is not None
        opening = not self._is_ready
        if stream.end.code is Code.STALE_CONNECTION and opening and self._stale_retries < _STALE_RETRIES:
            # Another gateway's clock was ahead when the session was there: the next number is above its.
            self._stale_retries += 1
            self._leave_stream()
            self._begin()
            self._shell.at(0, self.open)
            return
        text = stream.end.text
        self._refuse("another connection has logged on to this session" if stream.end.code in _TAKEN else text)

    def _go_on(self, stream: SoupStream) -> None:
        """Everything that happened was taken: towards orders, or more of them."""
        session = self._driver.machine.sessions.get(stream.session_id)
        assert session is not None, "it has a stream"
        if not self._scanned and not stream.resuming:
            self._scanned = True
            self._seal(self._opening.on_all(session.answered, session.expected))
        if not self._opening.on_answered(session.answered):
            return
        if not self._is_ready:
            self._is_ready, self._next_no = True, session.expected
            self._link.on_ready()
        self._link.on_progress()

    def on_announced(self) -> None:
        """The cluster knows of this connection: SESSION_OPENED came back."""
        stream = self._stream
        session = None if stream is None else self._driver.machine.sessions.get(stream.session_id)
        if session is not None:
            self._seal(self._opening.on_announced(session.answered, session.expected))
            self.plan()

    def _seal(self, seal: Seal | None) -> None:
        if seal is not None and seal.first_no <= seal.last_no:
            self._admit(self._records([seal_command()] * (seal.last_no - seal.first_no + 1), seal.first_no))

    # ---- to the cluster ----------------------------------------------------------------------------------------------

    @property
    def has_room(self) -> bool:
        """Whether one more message of the client may be under way; some room is left for the session layer."""
        if not self._is_ready or self.over or self._unadmitted is not None:
            return False
        session = self._driver.machine.sessions.get(self.session_id)
        return session is not None and session.unanswered + 2 * MAX_COMMANDS <= WINDOW

    def submit(self, commands: list[Fields]) -> int:
        """Number them and have them admitted; the last one's number."""
        if self._stream is None or self.over:
            return 2**64 - 1
        records = self._entitled(self._records(commands, self._next_no))
        self._next_no += len(commands)
        if self._unadmitted is None:
            self._admit(records)
        else:
            self._unadmitted = join_records([self._unadmitted, records])
        return self._next_no - 1

    def _records(self, commands: list[Fields], first_no: int) -> Commands:
        records = np.zeros(len(commands), dtype=COMMAND)
        for at, fields in enumerate(commands):
            for name, value in fields.items():
                records[name][at] = value
        records["gateway"] = self._shell.member.id
        records["session_id"] = self.session_id
        records["session_no"] = np.arange(first_no, first_no + len(commands), dtype=np.uint64)
        records["received_ns"] = time.time_ns()
        records["stp"][records["kind"] == CommandKind.NEW_ORDER] = int(self.principal.self_trade)
        return records

    def _entitled(self, records: Commands) -> Commands:
        """The same with a refusal in place of each order for an instrument that the client may not trade."""
        instruments = instruments_of(self.principal.client)
        if instruments is not None:
            strange = strange_orders(records, instruments)
            if strange.any():
                refuse_rows(records, np.where(strange, np.uint64(Code.NOT_ENTITLED), np.uint64(0)))
        return records

    def _admit(self, records: Commands) -> None:
        refused = self._driver.submit(self.session_id, records, admin=False, client=self.principal.client)
        if refused is None:
            self._unadmitted = None
            return
        left = records[records["session_no"] >= refused.from_no]
        if refused.code is Code.NOT_ENTITLED or not len(left):
            self._refuse(f"{refused.code.name}: the session takes nothing more")
            return
        # They have their numbers: the same again, until they are admitted.
        self._unadmitted = left
        self._later(refused.retry_after_ms, partial(self._admit_again, self._stream))

    def _admit_again(self, stream: SoupStream | None) -> None:
        if stream is None or stream is not self._stream or stream.over or self._unadmitted is None:
            return
        self._admit(self._unadmitted)
        if self._unadmitted is None:
            self.plan()


def _nothing() -> None:
    return
