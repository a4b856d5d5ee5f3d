"""The key store: one random key for each client, under a master key, shared by all followers that write a trail.

A pseudonym is HMAC-SHA256(the client's key, who the client is), 128 bits of it. Keys are random, so two followers have
the same pseudonyms because they share this store: whoever meets a client first makes the key, in one transaction, and
everybody else finds it. A key counts from one seq to another, so which pseudonym a record has follows from its seq, and
not from when it was written.

Erasure ends a key at the furthest seq that any follower has used keys for, and destroys it when all of them have sealed
that far. What remains is a tombstone: at which place of the history the pseudonym is first used. A rebuild that comes
to that place takes the pseudonym from there; nothing in the store leads from a client to it, or back. docs/adr/0035.
"""

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, func, inspect, select, text
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError

from lockstep.posttrade.audit import keystore_log
from lockstep.posttrade.audit.keystore_disk import GLANCE_S, overwritten, written_anew
from lockstep.posttrade.audit.keystore_place import engine_of, key_store_url, shown
from lockstep.posttrade.audit.keystore_schema import (
    FOLLOWERS,
    KEYS,
    LIVE,
    METADATA,
    OFFICERS,
    SHARES,
    STORE,
    TOMBSTONES,
    VERSION,
)
from lockstep.posttrade.audit.officers import SECRET, Officer, SealFault, officer_from, seal_box
from lockstep.posttrade.audit.shamir import split
from lockstep.posttrade.audit.subjects import (
    CLIENT,
    CLIENT_SHIFT,
    SESSION,
    Named,
    Subject,
    Wanted,
    pseudonym_of,
    share_purpose,
    subject_from,
)
from lockstep.posttrade.audit.wrapping import NONCE, Wrapping
from lockstep.posttrade.follower import SinkAway
from lockstep.runtime.faults import EnvironmentFault, disk_text

_LOCK: Final = 0x10C4_57E9
"""Of PostgreSQL, for whoever writes into a key store."""


class KeyStoreAway(SinkAway):
    """The database of the key store does not answer now."""

    keeps = True


class MasterKeyChanged(EnvironmentFault):
    """The key store is under another master key since it was opened."""


class PseudonymGone(EnvironmentFault):
    """The key is destroyed, and this place of the history is not where it was first used."""


class KeyStore:
    """See the module.

    `master`: None for whoever may look and open, but not read keys. `coming`: what it may be changed for at any moment
    (`rekey`), or was already.

    Raises:
        EnvironmentFault: it can't be used, or is under another master key.
    """

    def __init__(self, url: str, master: bytes | None, *, coming: bytes | None = None, make: bool = False) -> None:
        self.url = url
        self.overwritten = True
        """Whether what was removed last is nowhere on the disk any more (`finish`)."""
        self._wrapping = None if master is None else Wrapping(master)
        self._check = b""
        """The known text under the master key, as it was when this was opened."""
        self._engine = engine_of(url, make=make)
        with self._faults():
            if make:
                self._make()
            elif not inspect(self._engine).has_table(STORE.name):
                raise EnvironmentFault(f"there is no key store in {shown(url)}: `lockstep audit run` makes one")
            with self._engine.connect() as look:
                row = look.execute(select(STORE)).one()
        self.store_id: str = row.store_id
        """A trail names it: with other keys it would have other pseudonyms."""
        if row.version != VERSION:
            raise EnvironmentFault(f"the key store in {shown(url)} has version {row.version}, this program {VERSION}")
        if self._wrapping is not None:
            self._wrapping = self._fitting(row.check, self._wrapping, None if coming is None else Wrapping(coming))
            self._check = row.check

    @classmethod
    def there(cls, place: str) -> bool:
        """Whether a key store was made there."""
        if key_store_url(place).startswith("sqlite"):
            return Path(place).exists()
        engine = engine_of(place, make=False)
        try:
            return inspect(engine).has_table(STORE.name)
        except SQLAlchemyError as error:
            raise KeyStoreAway(f"the key store in {shown(place)} does not answer: {error}") from error
        finally:
            engine.dispose()

    def close(self) -> None:
        """Release it."""
        self._engine.dispose()

    # ---- what followers ask ----------------------------------------------------------------------------------------

    def register(self, follower: str, seq: int) -> None:
        """A follower goes on behind this seq: what is before it, it does not ask for again."""
        with self._writing() as work:
            self._leave(work, follower)
            work.execute(FOLLOWERS.insert().values(name=follower, applied_seq=seq, sealed_seq=seq))

    def announce(self, follower: str, seq: int) -> int:
        """A follower is about to use keys up to this seq. The generation: at another one, nothing remembered counts."""
        with self._writing(soft=True) as work:
            held = FOLLOWERS.c.name == follower
            changed = work.execute(FOLLOWERS.update().where(held).values(applied_seq=seq))
            if changed.rowcount != 1:
                raise EnvironmentFault(f"{follower} was taken off the key store's followers; start it again")
            return int(work.execute(select(STORE.c.generation)).scalar_one())

    def sealed(self, follower: str, seq: int) -> None:
        """A follower has sealed up to this seq; keys that only it still needed go."""
        with self._writing() as work:
            work.execute(FOLLOWERS.update().where(FOLLOWERS.c.name == follower).values(sealed_seq=seq))
            self._settle(work)
        self.finish(GLANCE_S)

    def resolve(self, wanted: Sequence[Wanted]) -> list[Named]:
        """The pseudonym of each; keys that are missing are made, all in one transaction.

        Raises:
            PseudonymGone: one was erased, and the asker has not seen the history from its beginning.
        """
        with self._writing() as work:
            state = work.execute(select(STORE)).one()
            officers = self._officers(work)
            return [self._resolve(work, one, state, officers) for one in wanted]

    def _resolve(self, work: Connection, wanted: Wanted, state: Any, officers: list[Officer]) -> Named:
        tag = self.tag_of(wanted.subject)
        rows = work.execute(select(KEYS.c.pseudonym, KEYS.c.from_seq, KEYS.c.to_seq).where(KEYS.c.tag == tag)).all()
        for row in rows:
            if row.from_seq <= wanted.seq <= row.to_seq:
                return Named(*row)
        stone = work.execute(select(TOMBSTONES).where(TOMBSTONES.c.place == wanted.place)).one_or_none()
        if stone is not None and wanted.from_beginning:
            return Named(stone.pseudonym, wanted.seq, stone.to_seq)
        if not wanted.from_beginning and wanted.seq <= state.erased_through:
            raise PseudonymGone(
                f"seq {wanted.seq} concerns a client who may have been erased: what was written of the history before "
                "can't be gone on with; move the directory away, and let it be made from the beginning in an empty one"
            )
        live = [row for row in rows if row.to_seq == LIVE]
        if live:
            # Who came first had not seen the history from here on: the key is the same, its beginning is not.
            work.execute(
                KEYS.update()
                .where(KEYS.c.pseudonym == live[0].pseudonym)
                .values(from_seq=wanted.seq, place=wanted.place)
            )
            return Named(live[0].pseudonym, wanted.seq, LIVE)
        return self._create(work, wanted, tag, officers, state.needed)

    def _create(self, work: Connection, wanted: Wanted, tag: str, officers: list[Officer], needed: int) -> Named:
        key = secrets.token_bytes(SECRET)
        who = wanted.subject.text.encode()
        pseudonym = pseudonym_of(key, wanted.subject)
        work.execute(
            KEYS.insert().values(
                pseudonym=pseudonym, tag=tag, kind=wanted.subject.kind, from_seq=wanted.seq, to_seq=LIVE,
                place=wanted.place, secret=self.wrapping.encrypt(key + who, pseudonym.encode()),
            )
        )  # fmt: skip
        if wanted.subject.kind != SESSION:
            # Officers open clients and accounts; a session says no more.
            self._seal(work, pseudonym, who, officers, needed)
        return Named(pseudonym, wanted.seq, LIVE)

    # ---- erasure ---------------------------------------------------------------------------------------------------

    def erase(self, subjects: Sequence[Subject], reason: str, case: str, through: int = 0) -> tuple[int, int]:
        """End the keys of these clients and of their sessions. (Keys that end now, those that were destroyed at once.)

        The log has reason and case; it names no client and no pseudonym. `through`: they count at least up to this
        seq, also where no follower has come so far.
        """
        with self._writing() as work:
            tags = [self.tag_of(one) for one in (*subjects, *self._sessions_of(work, subjects))]
            rows = work.execute(select(KEYS).where(KEYS.c.tag.in_(tags), KEYS.c.to_seq == LIVE)).all()
            furthest = work.execute(select(func.max(FOLLOWERS.c.applied_seq))).scalar_one() or 0
            gone = work.execute(select(STORE.c.used_through)).scalar_one()
            for row in rows:
                end = max(furthest, gone, row.from_seq, through)
                work.execute(KEYS.update().where(KEYS.c.pseudonym == row.pseudonym).values(to_seq=end))
            if rows:
                work.execute(STORE.update().values(generation=STORE.c.generation + 1))
                keystore_log.append(work, "erasure", keys=len(rows), reason=reason, case=case)
            destroyed = self._settle(work)
        self.finish()
        return len(rows), destroyed

    def _sessions_of(self, look: Connection, subjects: Sequence[Subject]) -> list[Subject]:
        """Sessions of these clients that have a key."""
        clients = {one.number for one in subjects if one.kind == CLIENT}
        live = select(KEYS.c.pseudonym, KEYS.c.secret).where(KEYS.c.kind == SESSION, KEYS.c.to_seq == LIVE)
        rows = look.execute(live).all() if clients else ()
        found = [subject_from(self.unwrapped(row.secret, row.pseudonym)[SECRET:]) for row in rows]
        return [one for one in found if one.number >> CLIENT_SHIFT in clients]

    def _settle(self, work: Connection) -> int:
        """Destroy ended keys that no follower asks for any more; how many."""
        least = work.execute(select(func.min(FOLLOWERS.c.sealed_seq))).scalar_one()
        ended = select(KEYS.c.pseudonym, KEYS.c.place, KEYS.c.to_seq).where(KEYS.c.to_seq < LIVE)
        rows = work.execute(ended if least is None else ended.where(KEYS.c.to_seq <= least)).all()
        for row in rows:
            work.execute(SHARES.delete().where(SHARES.c.pseudonym == row.pseudonym))
            work.execute(KEYS.delete().where(KEYS.c.pseudonym == row.pseudonym))
            work.execute(TOMBSTONES.insert().values(place=row.place, pseudonym=row.pseudonym, to_seq=row.to_seq))
        if rows:
            through = max(row.to_seq for row in rows)
            higher = STORE.c.erased_through < through
            work.execute(STORE.update().where(higher).values(erased_through=through))
            keystore_log.append(work, "destroyed", keys=len(rows))
        return len(rows)

    def finish(self, patience_s: float | None = None) -> bool:
        """Leave nothing of what was removed in the file or beside it; False: somebody reads, and it is there still.

        The next one that seals or removes something does it then.
        """
        with self._faults():
            if self._engine.dialect.name == "sqlite":
                self.overwritten = overwritten(self._engine, patience_s)
                return self.overwritten
            with self._reading() as look:
                due = keystore_log.leaves_something(look)
            self.overwritten = not due or written_anew(self._engine, (KEYS.name, SHARES.name), patience_s)
        if due and self.overwritten:
            self.log("overwritten")
        return self.overwritten

    @staticmethod
    def _leave(work: Connection, follower: str) -> bool:
        """Take a follower off, and remember how far it has used keys."""
        held = FOLLOWERS.c.name == follower
        seq = work.execute(select(FOLLOWERS.c.applied_seq).where(held)).scalar_one_or_none()
        if seq is None:
            return False
        work.execute(STORE.update().where(STORE.c.used_through < seq).values(used_through=seq))
        work.execute(FOLLOWERS.delete().where(held))
        return True

    def forget_follower(self, name: str, reason: str) -> bool:
        """Wait for this follower's seals no longer; whether it was there."""
        with self._writing() as work:
            gone = self._leave(work, name)
            if gone:
                keystore_log.append(work, "follower_forgotten", follower=name, reason=reason)
            self._settle(work)
        self.finish()
        return gone

    # ---- who is who, for whoever has the master key ------------------------------------------------------------------

    def pseudonyms_of(self, subject: Subject) -> list[Named]:
        """All that a client has, or had until an erasure that is not done yet."""
        with self._reading() as look:
            columns = (KEYS.c.pseudonym, KEYS.c.from_seq, KEYS.c.to_seq)
            rows = look.execute(select(*columns).where(KEYS.c.tag == self.tag_of(subject)).order_by(KEYS.c.from_seq))
            return [Named(*row) for row in rows]

    def subject_of(self, pseudonym: str) -> Subject | None:
        """Who it is; None: there is no such pseudonym, or its key is gone."""
        with self._reading() as look:
            found = look.execute(select(KEYS.c.secret).where(KEYS.c.pseudonym == pseudonym)).scalar_one_or_none()
        return None if found is None else subject_from(self.unwrapped(found, pseudonym)[SECRET:])

    def is_under(self, master: bytes) -> bool:
        """Whether this is its master key."""
        with suppress(InvalidTag):
            Wrapping(master).verify(self._check)
            return True
        return False

    def rekey(self, master: bytes, reason: str, step: Callable[[str], None]) -> int:
        """Put everything under another master key, in one transaction; how many keys.

        Raises:
            EnvironmentFault: a key is not what it is named by; nothing was changed.
        """
        wrapping = Wrapping(master)
        with self._writing() as work:
            rows = work.execute(select(KEYS.c.pseudonym, KEYS.c.secret)).all()
            for row in rows:
                secret = self.unwrapped(row.secret, row.pseudonym)
                if pseudonym_of(secret[:SECRET], subject_from(secret[SECRET:])) != row.pseudonym:
                    raise EnvironmentFault(f"the key of {row.pseudonym} in {shown(self.url)} was changed: restore it")
                wrapped = wrapping.encrypt(secret, row.pseudonym.encode())
                held = KEYS.c.pseudonym == row.pseudonym
                work.execute(KEYS.update().where(held).values(secret=wrapped, tag=wrapping.tag(secret[SECRET:])))
            step("keys")
            check = wrapping.check()
            work.execute(STORE.update().values(check=check, generation=STORE.c.generation + 1))
            keystore_log.append(work, "rekeyed", keys=len(rows), reason=reason)
            step("log")
        self._wrapping, self._check = wrapping, check
        step("committed")
        self.finish()
        return len(rows)

    # ---- officers --------------------------------------------------------------------------------------------------

    def seal_to(self, officers: Sequence[Officer], needed: int, reason: str) -> int:
        """Seal every identity to these officers anew, and to nobody else; how many there are."""
        with self._writing() as work:
            work.execute(OFFICERS.delete())
            for place, one in enumerate(officers):
                document = keystore_log.canonical_text(one.document())
                work.execute(OFFICERS.insert().values(fingerprint=one.fingerprint, place=place, document=document))
            work.execute(STORE.update().values(needed=needed))
            work.execute(SHARES.delete())
            rows = work.execute(select(KEYS.c.pseudonym, KEYS.c.secret).where(KEYS.c.kind != SESSION)).all()
            for row in rows:
                who = self.unwrapped(row.secret, row.pseudonym)[SECRET:]
                self._seal(work, row.pseudonym, who, list(officers), needed)
            said = [one.document() | {"fingerprint": one.fingerprint} for one in officers]
            keystore_log.append(work, "sealed", officers=said, needed=needed, keys=len(rows), reason=reason)
        self.finish()
        return len(rows)

    def _seal(self, work: Connection, pseudonym: str, who: bytes, officers: list[Officer], needed: int) -> None:
        if not officers:
            return
        key = secrets.token_bytes(SECRET)
        sealed = AESGCM(key).encrypt(bytes(NONCE), who, pseudonym.encode())
        work.execute(KEYS.update().where(KEYS.c.pseudonym == pseudonym).values(sealed=sealed))
        shares = split(key, len(officers), needed, secrets.token_bytes((needed - 1) * SECRET))
        for (x, share), one in zip(shares.items(), officers, strict=True):
            box = seal_box(one.box_key, share, share_purpose(pseudonym))
            work.execute(SHARES.insert().values(pseudonym=pseudonym, officer=one.fingerprint, x=x, box=box))

    def officers(self) -> tuple[list[Officer], int]:
        """Those that identities are sealed to, and how many of them have to agree."""
        with self._reading() as look:
            return self._officers(look), int(look.execute(select(STORE.c.needed)).scalar_one())

    @staticmethod
    def _officers(look: Connection) -> list[Officer]:
        rows = look.execute(select(OFFICERS.c.document).order_by(OFFICERS.c.place)).scalars()
        try:
            return [officer_from(row) for row in rows]
        except SealFault as fault:
            raise EnvironmentFault(f"an officer in the key store was changed: {fault}; seal anew") from fault

    def sealed_identity(self, pseudonym: str) -> tuple[bytes, dict[str, tuple[int, bytes]]] | None:
        """The sealed identity, and by officer the place and the box of his share; None: there is none."""
        with self._reading() as look:
            sealed = look.execute(select(KEYS.c.sealed).where(KEYS.c.pseudonym == pseudonym)).scalar_one_or_none()
            rows = look.execute(select(SHARES).where(SHARES.c.pseudonym == pseudonym)).all()
        return None if sealed is None or not rows else (sealed, {row.officer: (row.x, row.box) for row in rows})

    def log(self, what: str, **values: Any) -> None:
        """Append a line to the log. It is on the disk when this returns."""
        with self._writing() as work:
            keystore_log.append(work, what, **values)

    def lines(self) -> list[str]:
        """The whole log."""
        with self._reading() as look:
            return keystore_log.lines(look)

    def counts(self) -> dict[str, Any]:
        """What is in it, without naming anybody."""
        with self._reading() as look:
            live = select(func.count()).where(KEYS.c.to_seq == LIVE)
            keys = look.execute(live.where(KEYS.c.kind != SESSION)).scalar_one()
            sessions = look.execute(live.where(KEYS.c.kind == SESSION)).scalar_one()
            ending = look.execute(select(func.count()).where(KEYS.c.to_seq < LIVE)).scalar_one()
            erased = look.execute(select(func.count()).select_from(TOMBSTONES)).scalar_one()
            followers = {
                row.name: {"applied_seq": row.applied_seq, "sealed_seq": row.sealed_seq}
                for row in look.execute(select(FOLLOWERS).order_by(FOLLOWERS.c.name))
            }
        said = {"store": self.store_id, "keys": keys, "sessions": sessions}
        return {**said, "ending": ending, "erased": erased, "followers": followers}

    # ---- below -----------------------------------------------------------------------------------------------------

    def _make(self) -> None:
        with self._writing() as work:
            METADATA.create_all(work)
            if work.execute(select(func.count()).select_from(STORE)).scalar_one():
                return
            work.execute(
                STORE.insert().values(
                    one=1, store_id=str(uuid4()), version=VERSION, check=self.wrapping.check(), generation=1,
                    needed=0, used_through=0, erased_through=0,
                )
            )  # fmt: skip
            keystore_log.append(work, "made")

    @property
    def wrapping(self) -> Wrapping:
        """Of its master key.

        Raises:
            EnvironmentFault: it was opened without.
        """
        if self._wrapping is None:
            raise EnvironmentFault("this needs the master key of the key store: name its file (--master-key)")
        return self._wrapping

    def tag_of(self, subject: Subject) -> str:
        """By which a client's keys are found."""
        return self.wrapping.tag(subject.text.encode())

    def unwrapped(self, secret: bytes, pseudonym: str) -> bytes:
        """A client's key and who he is, of a row of keys."""
        try:
            return self.wrapping.decrypt(secret, pseudonym.encode())
        except InvalidTag:
            raise self._other_master() from None

    def _other_master(self) -> EnvironmentFault:
        text = f"the key store in {shown(self.url)} is under another master key, or was changed"
        return EnvironmentFault(f"{text}; name the one that it was made with, or was changed for (--master-key)")

    def _fitting(self, check: bytes, *ones: Wrapping | None) -> Wrapping:
        for one in ones:
            with suppress(InvalidTag):
                if one is not None:
                    one.verify(check)
                    return one
        raise self._other_master()

    def _same_master(self, look: Connection) -> None:
        """Whoever has another master key would find no keys, and make others."""
        if self._check and look.execute(select(STORE.c.check)).scalar_one() != self._check:
            raise MasterKeyChanged(
                f"the master key of the key store in {shown(self.url)} was changed; start this again with the new one"
            )

    @contextmanager
    def _writing(self, *, soft: bool = False) -> Iterator[Connection]:
        """One transaction, and nobody else writes. `soft`: it may be lost with the power, with all that followed."""
        with self._faults(), self._engine.connect() as work:
            sqlite = self._engine.dialect.name == "sqlite"
            if sqlite:
                work.exec_driver_sql(f"PRAGMA synchronous={'NORMAL' if soft else 'FULL'}")
                work.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                work.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
                if soft:
                    work.execute(text("SET LOCAL synchronous_commit = off"))
            self._same_master(work)
            yield work
            work.commit()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._faults(), self._engine.connect() as look:
            self._same_master(look)
            yield look

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            said = getattr(error, "orig", None) or error
            if isinstance(error, OperationalError | InterfaceError) and self._engine.dialect.name != "sqlite":
                raise KeyStoreAway(f"the key store in {shown(self.url)} does not answer: {said}") from error
            raise EnvironmentFault(disk_text("use", f"the key store in {shown(self.url)}", said)) from error
