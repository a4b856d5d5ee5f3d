"""Where the pseudonyms of a trail come from: its key store and master key, beside it unless somebody names others."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstep.posttrade.audit.keystore import KeyStore
from lockstep.posttrade.audit.keystore_place import key_store_url
from lockstep.posttrade.audit.master import coming_key, master_key
from lockstep.posttrade.audit.pseudonyms import LOW, SESSION_FIELDS, SUBJECT_FIELDS, Pseudonyms
from lockstep.posttrade.audit.records import NUMBERED_SESSIONS, PLAIN, VERSION
from lockstep.posttrade.audit.subjects import SESSION, Subject
from lockstep.posttrade.audit.trail import has_trail, newest_body
from lockstep.runtime.faults import EnvironmentFault
from lockstep.runtime.process_log import ProcessLog


@dataclass(frozen=True, slots=True)
class Keys:
    """What a command line says of them; None: beside the trail."""

    store: str | None = None
    """A file, or a PostgreSQL URL."""
    master: Path | None = None


def beside(directory: Path, ending: str) -> Path:
    """A file beside a trail, never in it: whoever is given the trail is not given who is in it."""
    whole = directory.resolve()
    return whole.with_name(f"{whole.name}.{ending}")


def names_of(directory: Path, keys: Keys, log: ProcessLog) -> Pseudonyms | None:
    """The pseudonyms of the trail there; None: it began before there were any.

    Raises:
        EnvironmentFault: key store or master key are missing, can't be used, or lie in the trail.
    """
    body = newest_body(directory)
    if body is not None and body.get("records_version") == PLAIN:
        log.warning(
            "no_pseudonyms", trail=str(directory),
            text="this trail began with numbers of accounts and clients, and goes on so: for pseudonyms keep it, and "
            "begin a new directory",
        )  # fmt: skip
        return None
    version = VERSION
    if body is not None and body.get("records_version") == NUMBERED_SESSIONS:
        version = NUMBERED_SESSIONS
        log.warning(
            "numbered_sessions", trail=str(directory),
            text="this trail began with numbers of sessions, and goes on so: for pseudonyms of these, too, keep it, "
            "and begin a new directory",
        )  # fmt: skip
    place = keys.store or str(beside(directory, "keys.db"))
    master = keys.master or beside(directory, "master.key")
    for path in (master, Path(place)):
        if path.resolve().is_relative_to(directory.resolve()):
            raise EnvironmentFault(f"{path} would lie in the trail that it names people of: name a place outside")
    new = not has_trail(directory) and not KeyStore.there(place)
    store = KeyStore(place, master_key(master, make=new), coming=coming_key(master), make=new)

    def again() -> KeyStore:
        return KeyStore(place, master_key(master, make=False), coming=coming_key(master))

    return Pseudonyms(store, f"{socket.gethostname()}:{directory.resolve()}", again, version=version)


def open_keys(keys: Keys, *, master: bool) -> KeyStore:
    """For a command. `master`: it has to read keys.

    Raises:
        EnvironmentFault: there is none, or its master key is missing.
    """
    if keys.store is None:
        raise EnvironmentFault("name the key store (--keys): a file, or a PostgreSQL URL")
    if not master:
        return KeyStore(keys.store, None)
    path = master_file(keys)
    return KeyStore(keys.store, master_key(path, make=False), coming=coming_key(path))


def master_file(keys: Keys) -> Path:
    """Where the master key of a key store lies.

    Raises:
        EnvironmentFault: it has to be named.
    """
    path, store = keys.master, keys.store or ""
    if path is None and key_store_url(store).startswith("sqlite") and store.endswith(".keys.db"):
        path = Path(store.removesuffix(".keys.db") + ".master.key")
    if path is None:
        raise EnvironmentFault("name the file of the master key (--master-key)")
    return path


def with_numbers(records: Iterator[dict[str, Any]], store: KeyStore) -> Iterator[dict[str, Any]]:
    """Records with numbers in place of pseudonyms, but of those whose key is gone."""
    known: dict[str, int | str] = {}
    for record in records:
        for name in (*SUBJECT_FIELDS, *SESSION_FIELDS):
            said = record.get(name)
            if not isinstance(said, str):
                continue
            if said not in known:
                subject = store.subject_of(said)
                known[said] = said if subject is None else _number(subject)
            record[name] = known[said]
        yield record


def _number(subject: Subject) -> int:
    """As it stands in a record: of a session what is behind its client's number."""
    return subject.number & LOW if subject.kind == SESSION else subject.number
