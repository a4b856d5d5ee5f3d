"""Cancel on disconnect: which sessions want it, and when the gateway has to say that one of them is gone. Pure.

The gateway says two things about a session, both as numbered commands of its own session: SESSION_OPENED when it says
Hello here, SESSION_CLOSED when its stream has ended and none was opened here within the time that it named. Whether
the second one counts is decided in the sequenced state: not if another gateway has said SESSION_OPENED meanwhile.

Who is watched is written to the intake log together with the command that says so (`take_changes`), so a gateway that
is killed goes on with it: every session has its whole time again, from the moment at which it could say Hello.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from lockstep.stream.records import CommandKind

MAX_GRACE_MS: Final = 3_600_000
MAX_WATCHED: Final = 16_384
_NS_PER_MS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Announcement:
    """What the gateway has to say about a session."""

    kind: CommandKind
    """SESSION_OPENED or SESSION_CLOSED."""
    session_id: int


class Disconnects:
    """Sessions that want their orders canceled when their client is gone.

    Invariants: `_grace_ms` has all sessions of the other maps, but those that `_changes` drops; those of `_due_ns` and
    `_returning` have no stream open here.
    """

    def __init__(self) -> None:
        self._grace_ms: dict[int, int] = {}
        self._due_ns: dict[int, int] = {}
        self._returning: dict[int, int] = {}
        self._said_hello: dict[int, None] = {}
        self._changes: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._grace_ms)

    @property
    def lost(self) -> int:
        """Sessions without a stream here whose time runs."""
        return len(self._due_ns)

    def restore(self, stored: Iterable[tuple[int, int]]) -> None:
        """(session, milliseconds) of the former life. Their time begins with `begin`."""
        self._grace_ms.update(stored)
        self._returning = dict(self._grace_ms)

    def begin(self, now_ns: int) -> None:
        """Clients can say Hello from now on. Calls after the first change nothing."""
        if self._returning:
            returning, self._returning = self._returning, {}
            for session_id in returning:
                self.on_lost(session_id, now_ns)

    def is_full(self, session_id: int) -> bool:
        """No more sessions are watched, and this is not one of them."""
        return len(self._grace_ms) >= MAX_WATCHED and session_id not in self._grace_ms

    def on_hello(self, session_id: int, grace_ms: int) -> None:
        """A stream of the session was opened here. `grace_ms` 0: it does not want this, or not any more."""
        self._due_ns.pop(session_id, None)
        self._returning.pop(session_id, None)
        if grace_ms:
            self._grace_ms[session_id] = grace_ms
            self._said_hello[session_id] = None
        elif self._grace_ms.pop(session_id, None) is not None:
            self._said_hello.pop(session_id, None)
            self._changes[session_id] = 0

    def on_lost(self, session_id: int, now_ns: int) -> None:
        """Its stream ended, and no other one is open here."""
        grace_ms = self._grace_ms.get(session_id)
        if grace_ms is not None:
            self._due_ns[session_id] = now_ns + grace_ms * _NS_PER_MS

    def plan(self, now_ns: int) -> list[Announcement]:
        """What is to be said by now, in order; it is due until it is taken."""
        if not self._said_hello and not self._due_ns:
            return []
        said = [Announcement(CommandKind.SESSION_OPENED, session_id) for session_id in self._said_hello]
        over = [session_id for session_id, due_ns in self._due_ns.items() if due_ns <= now_ns]
        return said + [Announcement(CommandKind.SESSION_CLOSED, session_id) for session_id in over]

    def on_taken(self, announcement: Announcement) -> None:
        """It is on its way to the sequencer, with `take_changes` in the same write."""
        session_id = announcement.session_id
        if announcement.kind is CommandKind.SESSION_OPENED:
            del self._said_hello[session_id]
            self._changes[session_id] = self._grace_ms[session_id]
        else:
            del self._due_ns[session_id], self._grace_ms[session_id]
            self._changes[session_id] = 0

    def take_changes(self) -> tuple[tuple[int, int], ...]:
        """(session, milliseconds; 0: forget it) to be written with what was taken up to here."""
        changes, self._changes = tuple(self._changes.items()), {}
        return changes
