"""Cancel on disconnect: which sessions want it, and when the gateway has to say that one of them is gone. Pure.

The gateway says two things about a session, both as numbered commands of its own session: SESSION_OPENED when it says
Hello here, SESSION_CLOSED when its stream has ended and none was opened here within the time that it named. Both name
the connection, which the client numbers: what they do is decided in the sequenced state, where the highest number that
was opened counts, so that what comes late of an earlier connection does nothing.

Which sessions are watched is written to the intake log together with the command that says so (`take_changes`), so a
gateway that is killed goes on with it: every session has its whole time again, from the moment at which it could say
Hello.
"""

from collections.abc import Iterable
from typing import Final

from lockstep.stream.records import CommandKind
from lockstep.stream.values import frozen

MAX_GRACE_MS: Final = 3_600_000
MAX_WATCHED: Final = 16_384
_NS_PER_MS: Final = 1_000_000


@frozen
class Announcement:
    """What the gateway has to say about a session."""

    kind: CommandKind
    """SESSION_OPENED or SESSION_CLOSED."""
    session_id: int
    connection: int


@frozen
class Watch:
    """What is kept of a session with cancel on disconnect."""

    session_id: int
    grace_ms: int
    """0: it is not watched any more."""
    connection: int
    """The one that it said Hello with here."""


class Disconnects:
    """Sessions that want their orders canceled when their client is gone.

    Invariants: `_watched` has all sessions of `_due_ns` and `_returning`, which have no stream open here, and none of
    `_numbered`, which have one. The connection of a session that is watched only rises.
    """

    def __init__(self) -> None:
        self._watched: dict[int, Watch] = {}
        self._due_ns: dict[int, int] = {}
        self._returning: dict[int, Watch] = {}
        self._numbered: dict[int, int] = {}
        """Session -> the connection of its stream here, which does not want this."""
        self._said_hello: dict[int, int] = {}
        """Session -> the connection that is to be announced; not watched if its Hello did not ask for it."""
        self._changes: dict[int, Watch] = {}

    def __len__(self) -> int:
        return len(self._watched)

    @property
    def lost(self) -> int:
        """Sessions without a stream here whose time runs."""
        return len(self._due_ns)

    def restore(self, stored: Iterable[Watch]) -> None:
        """Sessions of the former life. Their time begins with `begin`."""
        self._watched.update((watch.session_id, watch) for watch in stored)
        self._returning = dict(self._watched)

    def begin(self, now_ns: int) -> None:
        """Clients can say Hello from now on. Calls after the first change nothing."""
        if self._returning:
            returning, self._returning = self._returning, {}
            for session_id in returning:
                self.on_lost(session_id, now_ns)

    def is_full(self, session_id: int) -> bool:
        """No more sessions are watched, and this is not one of them."""
        return len(self._watched) >= MAX_WATCHED and session_id not in self._watched

    def is_stale(self, session_id: int, connection: int) -> bool:
        """The session said Hello here with that number or a higher one."""
        return connection <= self.connection_here(session_id)

    def connection_here(self, session_id: int) -> int:
        """0: nothing is known of one."""
        watch = self._watched.get(session_id)
        return watch.connection if watch is not None else self._numbered.get(session_id, 0)

    def is_unsaid(self, session_id: int) -> bool:
        """SESSION_OPENED has to leave before any command of the session."""
        return session_id in self._said_hello

    def on_hello(self, session_id: int, grace_ms: int, connection: int) -> None:
        """A stream of the session was opened here. `grace_ms` 0: it does not want this, or not any more.

        It is announced in both cases if it has a number: the session may have been closed, and takes no orders until a
        later connection is opened.
        """
        self._due_ns.pop(session_id, None)
        self._returning.pop(session_id, None)
        self._numbered.pop(session_id, None)
        if grace_ms:
            self._watched[session_id] = Watch(session_id, grace_ms, connection)
        else:
            self._forget(session_id)
            if connection:
                self._numbered[session_id] = connection
        if connection:
            self._said_hello[session_id] = connection

    def on_lost(self, session_id: int, now_ns: int) -> None:
        """Its stream ended, and no other one is open here."""
        self._numbered.pop(session_id, None)
        watch = self._watched.get(session_id)
        if watch is not None:
            self._due_ns[session_id] = now_ns + watch.grace_ms * _NS_PER_MS

    @property
    def numbers_are_known(self) -> bool:
        """`on_said` may have something to say."""
        return bool(self._watched or self._numbered)

    def on_said(self, session_id: int, *, has_it: bool, connection: int) -> bool:
        """A SESSION_OPENED came, of any gateway: the session's highest connection, and whether it is here.

        Whether the stream that is open here is one that the client has left: it is not watched any more then.
        """
        here = self.connection_here(session_id)
        if not here or connection < here or (has_it and connection == here):
            return False
        self._due_ns.pop(session_id, None)
        self._returning.pop(session_id, None)
        self._numbered.pop(session_id, None)
        self._forget(session_id)
        return True

    def _forget(self, session_id: int) -> None:
        watch = self._watched.pop(session_id, None)
        if watch is not None:
            self._said_hello.pop(session_id, None)
            self._changes[session_id] = Watch(session_id, 0, watch.connection)

    def plan(self, now_ns: int) -> list[Announcement]:
        """What is to be said by now, in order; it is due until it is taken."""
        if not self._said_hello and not self._due_ns:
            return []
        over = [session_id for session_id, due_ns in self._due_ns.items() if due_ns <= now_ns]
        return [
            *(Announcement(CommandKind.SESSION_OPENED, *said) for said in self._said_hello.items()),
            *(Announcement(CommandKind.SESSION_CLOSED, gone, self._watched[gone].connection) for gone in over),
        ]

    def on_taken(self, announcement: Announcement) -> None:
        """It is on its way to the sequencer, with `take_changes` in the same write."""
        session_id = announcement.session_id
        if announcement.kind is CommandKind.SESSION_OPENED:
            del self._said_hello[session_id]
            if session_id in self._watched:
                self._changes[session_id] = self._watched[session_id]
        else:
            del self._due_ns[session_id]
            self._forget(session_id)

    def take_changes(self) -> tuple[Watch, ...]:
        """To be written with what was taken up to here."""
        changes, self._changes = tuple(self._changes.values()), {}
        return changes
