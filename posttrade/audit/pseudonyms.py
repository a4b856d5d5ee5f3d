"""Pseudonyms in records, as a follower writes them: accounts and clients leave, what the key store says comes.

A session's number begins with the client's, so records have the client's pseudonym and what is behind it, which the
client drew. All that names somebody is of these fields; the rest of a record says nothing about who it was.
"""

from collections.abc import Callable
from typing import Any, Final

from lockstep.posttrade.audit.keystore import KeyStore, MasterKeyChanged
from lockstep.posttrade.audit.keystore_schema import LIVE
from lockstep.posttrade.audit.subjects import ACCOUNT, CLIENT, Named, Subject, Wanted

_ACCOUNTS: Final = ("account", "to_account", "maker_account")
_SESSIONS: Final = {
    "session_id": ("client", "session"),
    "maker_session_id": ("maker_client", "maker_session"),
    "of_session": ("of_client", "of_session"),
}
_OF_SESSION: Final = ("SESSION_OPENED", "SESSION_CLOSED")
"""Commands whose `order_id` is a session."""
SUBJECT_FIELDS: Final = (*_ACCOUNTS, *(client for client, _ in _SESSIONS.values()))
"""Of a record that has pseudonyms: those that have one."""
_SHIFT: Final = 32
_LOW: Final = (1 << _SHIFT) - 1

Found = list[tuple[str, Subject, int]]
"""Of a record: the field, whose number it has, and the number."""


class Pseudonyms:
    """One follower's view of the key store. Belongs to the thread that applies."""

    def __init__(self, store: KeyStore, follower: str, again: Callable[[], KeyStore] | None = None) -> None:
        """`again`: opens the key store anew, when its master key was changed."""
        self.store = store
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
        found = [(seq, record, _found(record)) for seq, record in records]
        wanted: dict[Subject, Wanted] = {}
        for seq, record, fields in found:
            for name, subject, _ in fields:
                if subject not in wanted and self._remembered(subject, seq) is None:
                    wanted[subject] = self._wanted(subject, seq, record, name)
        if wanted:
            self._ask(list(wanted.values()))
        for seq, record, fields in found:
            for name, subject, number in fields:
                _put(record, name, number, self._pseudonym(subject, seq, record, name))

    def _pseudonym(self, subject: Subject, seq: int, record: dict[str, Any], name: str) -> str:
        known = self._remembered(subject, seq)
        if known is None:
            # Within a batch a key has ended, and another one begins.
            self._ask([self._wanted(subject, seq, record, name)])
            known = self._remembered(subject, seq)
        assert known is not None, f"the key store gave no pseudonym for seq {seq}"
        return known.pseudonym

    def _remembered(self, subject: Subject, seq: int) -> Named | None:
        for known in (self._known.get(subject), self._stones.get(subject)):
            if known is not None and known.from_seq <= seq <= known.to_seq:
                return known
        return None

    def _wanted(self, subject: Subject, seq: int, record: dict[str, Any], name: str) -> Wanted:
        what = "C" if record["what"] == "command" else f"E{record['index']}"
        return Wanted(subject, seq, f"{seq}.{what}.{name}", self._from_beginning)

    def _ask(self, wanted: list[Wanted]) -> None:
        for one, named in zip(wanted, self._asked(lambda store: store.resolve(wanted)), strict=True):
            self._known[one.subject] = named
            if named.to_seq < LIVE:
                # Nothing changes it any more, and when the key is gone nobody can say it again.
                self._stones[one.subject] = named


def _found(record: dict[str, Any]) -> Found:
    found: Found = []
    for name in _ACCOUNTS:
        if name in record:
            found.append((name, Subject(ACCOUNT, record[name]), record[name]))
    for name in _SESSIONS:
        if name in record:
            found.append((name, Subject(CLIENT, record[name] >> _SHIFT), record[name]))
    if record["what"] == "command" and record["kind"] in _OF_SESSION and "order_id" in record:
        found.append(("order_id", Subject(CLIENT, record["order_id"] >> _SHIFT), record["order_id"]))
    return found


def _put(record: dict[str, Any], name: str, number: int, pseudonym: str) -> None:
    if name in _ACCOUNTS:
        record[name] = pseudonym
        return
    del record[name]
    client, session = _SESSIONS["of_session" if name == "order_id" else name]
    record[client] = pseudonym
    record[session] = number & _LOW
