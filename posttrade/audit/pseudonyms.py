"""Pseudonyms in records, as a follower writes them: accounts and clients leave, what the key store says comes.

A session's number begins with the client's, so records have the client's pseudonym, and one of the session: a client
may draw his sessions' numbers by a rule, and go on with one after an erasure. All that names somebody is of these
fields; the rest of a record says nothing about who it was.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from lockstep.posttrade.audit.keystore import KeyStore, MasterKeyChanged
from lockstep.posttrade.audit.keystore_schema import LIVE
from lockstep.posttrade.audit.records import NUMBERED_SESSIONS, VERSION
from lockstep.posttrade.audit.subjects import ACCOUNT, CLIENT, CLIENT_SHIFT, SESSION, Named, Subject, Wanted

_ACCOUNTS: Final = ("account", "to_account", "maker_account")
_SESSIONS: Final = {
    "session_id": ("client", "session"),
    "maker_session_id": ("maker_client", "maker_session"),
    "of_session": ("of_client", "of_session"),
}
_OF_SESSION: Final = ("SESSION_OPENED", "SESSION_CLOSED")
_MAY_NAME_SESSION: Final = (*_OF_SESSION, "MASS_CANCEL")
"""Commands whose `order_id` is a session. Records of versions 1 and 2 have that of a MASS_CANCEL in clear."""
SUBJECT_FIELDS: Final = (*_ACCOUNTS, *(client for client, _ in _SESSIONS.values()))
"""Of a record that has pseudonyms: those that have one of an account or a client."""
SESSION_FIELDS: Final = tuple(session for _, session in _SESSIONS.values())
"""Of a record that has pseudonyms: sessions."""
LOW: Final = (1 << CLIENT_SHIFT) - 1
"""Of a session's number: what is behind the client's."""


@dataclass(frozen=True, slots=True)
class _Field:
    """A field that has a number of somebody's."""

    name: str
    subject: Subject
    target: str
    """Where the pseudonym stands."""
    place: str
    """What the place of the history is called by it."""


class Pseudonyms:
    """One follower's view of the key store. Belongs to the thread that applies."""

    def __init__(
        self,
        store: KeyStore,
        follower: str,
        again: Callable[[], KeyStore] | None = None,
        *,
        version: int = VERSION,
    ) -> None:
        """`again`: opens the key store anew, when its master key was changed. `version`: of the records."""
        self.store = store
        self.version = version
        self._again = again
        self._follower = follower
        self._known: dict[Subject, Named] = {}
        self._stones: dict[Subject, Named] = {}
        """Of keys that have ended."""
        self._generation = 0
        self._from_beginning = False

    def go_on(self, seq: int, *, from_beginning: bool) -> None:
        """Behind this seq. `from_beginning`: nothing was before."""
        self._from_beginning = from_beginning
        self._asked(lambda store: store.register(self._follower, seq))

    def announce(self, seq: int) -> None:
        """What follows is of seqs up to this one."""
        generation = self._asked(lambda store: store.announce(self._follower, seq))
        if generation != self._generation:
            self._known, self._generation = {}, generation

    def sealed(self, seq: int) -> None:
        """Everything up to there is sealed."""
        self._asked(lambda store: store.sealed(self._follower, seq))

    def _asked[T](self, ask: Callable[[KeyStore], T]) -> T:
        try:
            return ask(self.store)
        except MasterKeyChanged:
            if self._again is None:
                raise
            fresh = self._again()
        self.store.close()
        self.store = fresh
        return ask(fresh)

    def conceal(self, records: list[tuple[int, dict[str, Any]]]) -> None:
        """Put pseudonyms into records, in place.

        Raises:
            EnvironmentFault: the key store does not answer, or a key is gone.
        """
        numbered = self.version <= NUMBERED_SESSIONS
        found = [(seq, record, _found(record, numbered=numbered)) for seq, record in records]
        wanted: dict[Subject, Wanted] = {}
        for seq, record, fields in found:
            for one in fields:
                if one.subject not in wanted and self._remembered(one.subject, seq) is None:
                    wanted[one.subject] = self._wanted(one, seq, record)
        if wanted:
            self._ask(list(wanted.values()))
        for seq, record, fields in found:
            numbers = {one.name: record.pop(one.name) for one in fields if one.name in record}
            for one in fields:
                record[one.target] = self._pseudonym(one, seq, record)
            if numbered:
                for one in fields:
                    if one.subject.kind == CLIENT:
                        record[_session_of(one.name)] = numbers[one.name] & LOW

    def _pseudonym(self, one: _Field, seq: int, record: dict[str, Any]) -> str:
        known = self._remembered(one.subject, seq)
        if known is None:
            # Within a batch a key has ended, and another one begins.
            self._ask([self._wanted(one, seq, record)])
            known = self._remembered(one.subject, seq)
        assert known is not None, f"the key store gave no pseudonym for seq {seq}"
        return known.pseudonym

    def _remembered(self, subject: Subject, seq: int) -> Named | None:
        for known in (self._known.get(subject), self._stones.get(subject)):
            if known is not None and known.from_seq <= seq <= known.to_seq:
                return known
        return None

    def _wanted(self, one: _Field, seq: int, record: dict[str, Any]) -> Wanted:
        what = "C" if record["what"] == "command" else f"E{record['index']}"
        return Wanted(one.subject, seq, f"{seq}.{what}.{one.place}", self._from_beginning)

    def _ask(self, wanted: list[Wanted]) -> None:
        for one, named in zip(wanted, self._asked(lambda store: store.resolve(wanted)), strict=True):
            self._known[one.subject] = named
            if named.to_seq < LIVE:
                # Nothing changes it any more, and when the key is gone nobody can say it again.
                self._stones[one.subject] = named


def _found(record: dict[str, Any], *, numbered: bool) -> list[_Field]:
    found = [_Field(name, Subject(ACCOUNT, record[name]), name, name) for name in _ACCOUNTS if name in record]
    sessions = [name for name in _SESSIONS if name in record]
    of_session = _OF_SESSION if numbered else _MAY_NAME_SESSION
    if record["what"] == "command" and record["kind"] in of_session and record.get("order_id"):
        sessions.append("order_id")
    for name in sessions:
        number, (client, session) = record[name], _SESSIONS[_session_field(name)]
        found.append(_Field(name, Subject(CLIENT, number >> CLIENT_SHIFT), client, name))
        if not numbered:
            found.append(_Field(name, Subject(SESSION, number), session, f"{name}.session"))
    return found


def _session_field(name: str) -> str:
    return "of_session" if name == "order_id" else name


def _session_of(name: str) -> str:
    return _SESSIONS[_session_field(name)][1]
