"""Tables of the key store: what pseudonyms are made with, kept apart from the trail, in SQLite or PostgreSQL."""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    event,
    text,
)

VERSION: Final = 1
LIVE: Final = 2**62
"""`to_seq` of a key that is in use: no seq reaches it."""
METADATA: Final = MetaData()
_P: Final = "audit_keys_"

STORE: Final = Table(
    f"{_P}store", METADATA,
    Column("one", BigInteger, primary_key=True, autoincrement=False),
    Column("store_id", String(36), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("check", LargeBinary, nullable=False),  # a known text under the master key
    Column("generation", BigInteger, nullable=False),  # raised when a key ends: then nobody may use what he remembers
    Column("needed", BigInteger, nullable=False),  # so many officers open an identity
    Column("used_through", BigInteger, nullable=False),  # the furthest seq of followers that are gone
    Column("erased_through", BigInteger, nullable=False),  # the highest seq at which a key that is gone was in use
)  # fmt: skip
"""One row."""

KEYS: Final = Table(
    f"{_P}keys", METADATA,
    Column("pseudonym", String(32), primary_key=True),
    Column("tag", String(64), nullable=False),  # whose it is, to be found by whoever has the master key alone
    Column("kind", String(16), nullable=False),  # account or client
    Column("from_seq", BigInteger, nullable=False),
    Column("to_seq", BigInteger, nullable=False),
    Column("place", String(64), nullable=False),  # where it was first used, in the history
    Column("secret", LargeBinary, nullable=False),  # the client's key and who he is, under the master key
    Column("sealed", LargeBinary),  # who he is, under an envelope's key
    UniqueConstraint("tag", "to_seq"),
)  # fmt: skip

SHARES: Final = Table(
    f"{_P}shares", METADATA,
    Column("pseudonym", String(32), primary_key=True),
    Column("officer", String(64), primary_key=True),
    Column("x", BigInteger, nullable=False),
    Column("box", LargeBinary, nullable=False),  # a share of the envelope's key, sealed to the officer
)  # fmt: skip

TOMBSTONES: Final = Table(
    f"{_P}tombstones", METADATA,
    Column("place", String(64), primary_key=True),
    Column("pseudonym", String(32), nullable=False),
    Column("to_seq", BigInteger, nullable=False),
)  # fmt: skip
"""Of clients whose key is gone: where a pseudonym is first used, which the trail shows as well, and no more."""

FOLLOWERS: Final = Table(
    f"{_P}followers", METADATA,
    Column("name", String(500), primary_key=True),
    Column("applied_seq", BigInteger, nullable=False),  # as far as it may have used keys
    Column("sealed_seq", BigInteger, nullable=False),  # it never asks again for what is up to here
)  # fmt: skip

OFFICERS: Final = Table(
    f"{_P}officers", METADATA,
    Column("fingerprint", String(64), primary_key=True),
    Column("place", BigInteger, nullable=False),
    Column("document", Text, nullable=False),
)  # fmt: skip

LOG: Final = Table(
    f"{_P}log", METADATA,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("line", Text, nullable=False),
)  # fmt: skip
"""What was done with keys: each line has the hash of the one before."""

Index(f"{_P}keys_tag", KEYS.c.tag)


def _only_append(_target: Any, connection: Connection, **_more: Any) -> None:
    """The database refuses to change or remove a line; who owns it can take that away, and the chain shows it."""
    if connection.dialect.name == "sqlite":
        for what in ("UPDATE", "DELETE"):
            connection.execute(
                text(
                    f"CREATE TRIGGER {LOG.name}_{what.lower()} BEFORE {what} ON {LOG.name} "
                    "BEGIN SELECT RAISE(ABORT, 'the log of the key store is append-only'); END"
                )
            )
        return
    connection.execute(
        text(
            f"CREATE FUNCTION {LOG.name}_refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'the log of the key store is append-only'; END $$"
        )
    )
    connection.execute(
        text(
            f"CREATE TRIGGER {LOG.name}_only_append BEFORE UPDATE OR DELETE OR TRUNCATE ON {LOG.name} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {LOG.name}_refuse()"
        )
    )


event.listen(LOG, "after_create", _only_append)
