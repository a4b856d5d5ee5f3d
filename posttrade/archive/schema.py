"""Tables of an archive: the catalogue of all tiers, and the records of the hot one, a table for each day."""

from typing import Any, Final

from sqlalchemy import BigInteger, Column, Connection, Index, MetaData, String, Table, Text, event, text

VERSION: Final = 1
HOT, WARM, COLD = "hot", "warm", "cold"
METADATA: Final = MetaData()
_P: Final = "archive_"

SETTINGS: Final = Table(
    f"{_P}settings", METADATA, Column("name", String(40), primary_key=True), Column("value", Text, nullable=False)
)
"""Version, how far the trail is loaded, the newest day manifest, where the cold tier is."""

DAYS: Final = Table(
    f"{_P}days", METADATA,
    Column("day", String(10), primary_key=True),
    Column("tier", String(4), nullable=False),
)  # fmt: skip
"""In which tier a day's records are: the one that is read, whatever lies elsewhere."""

PARTS: Final = Table(
    f"{_P}parts", METADATA,
    Column("part", BigInteger, primary_key=True, autoincrement=False),
    Column("day", String(10), nullable=False),
    Column("instrument", BigInteger, nullable=False),
    Column("records", BigInteger, nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("line_bytes", BigInteger, nullable=False),  # of its records as they were sealed
    Column("file", Text, nullable=False, server_default=""),
    Column("file_bytes", BigInteger, nullable=False, server_default="0"),
    Column("sha256", String(64), nullable=False, server_default=""),
    Column("root", String(64), nullable=False, server_default=""),
    Column("version_id", Text, nullable=False, server_default=""),  # of the object in the cold tier
)  # fmt: skip
"""What a day has of one instrument: rows of the day's table, then a file, then an object."""
Index(f"{_P}parts_day", PARTS.c.day, PARTS.c.instrument, unique=True)

SUBJECTS: Final = Table(
    f"{_P}subjects", METADATA,
    Column("subject", BigInteger, primary_key=True, autoincrement=False),
    Column("name", String(64), nullable=False, unique=True),
)  # fmt: skip
HOLDERS: Final = Table(
    f"{_P}holders", METADATA,
    Column("subject", BigInteger, primary_key=True, autoincrement=False),
    Column("part", BigInteger, primary_key=True, autoincrement=False),
    Column("records", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)  # fmt: skip
"""The index by client: which parts have records that concern him, and how many."""

TEXTS: Final = Table(
    f"{_P}texts", METADATA,
    Column("text", BigInteger, primary_key=True, autoincrement=False),
    Column("words", Text, nullable=False),
)  # fmt: skip
"""Each text that any record has, once."""
MENTIONS: Final = Table(
    f"{_P}mentions", METADATA,
    Column("text", BigInteger, primary_key=True, autoincrement=False),
    Column("part", BigInteger, primary_key=True, autoincrement=False),
    Column("records", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)  # fmt: skip

SUMMARIES: Final = Table(
    f"{_P}summaries", METADATA,
    Column("day", String(10), primary_key=True),
    Column("instrument", BigInteger, primary_key=True, autoincrement=False),
    Column("symbol", String(32), nullable=False),
    Column("orders", BigInteger, nullable=False),
    Column("trades", BigInteger, nullable=False),
    Column("volume", BigInteger, nullable=False),
    Column("refusals", BigInteger, nullable=False),
)  # fmt: skip
REFUSALS: Final = Table(
    f"{_P}refusals", METADATA,
    Column("day", String(10), primary_key=True),
    Column("instrument", BigInteger, primary_key=True, autoincrement=False),
    Column("code", String(64), primary_key=True),
    Column("refusals", BigInteger, nullable=False),
)  # fmt: skip
WORDS: Final = f"{_P}words"
"""SQLite's full-text index (FTS5) of TEXTS; PostgreSQL has an index of its own on the column."""


def _index_words(_target: Any, connection: Connection, **_more: Any) -> None:
    if connection.dialect.name == "sqlite":
        connection.execute(text(f"CREATE VIRTUAL TABLE {WORDS} USING fts5(words, content='')"))
    else:
        column = "to_tsvector('simple', words)"
        connection.execute(text(f"CREATE INDEX {WORDS} ON {TEXTS.name} USING gin ({column})"))


event.listen(TEXTS, "after_create", _index_words)


def day_tables(day: str) -> tuple[Table, Table]:
    """(records, which of them concern whom) of one day in the hot tier: a partition, dropped as a whole."""
    metadata, name = MetaData(), day.replace("-", "")
    records = Table(
        f"{_P}hot_{name}", metadata,
        Column("part", BigInteger, primary_key=True, autoincrement=False),
        Column("seq", BigInteger, primary_key=True, autoincrement=False),
        Column("number", BigInteger, primary_key=True, autoincrement=False),
        Column("line", Text, nullable=False),
        sqlite_with_rowid=False,
    )  # fmt: skip
    holders = Table(
        f"{_P}hot_{name}_of", metadata,
        Column("subject", BigInteger, primary_key=True, autoincrement=False),
        Column("part", BigInteger, primary_key=True, autoincrement=False),
        Column("seq", BigInteger, primary_key=True, autoincrement=False),
        Column("number", BigInteger, primary_key=True, autoincrement=False),
        sqlite_with_rowid=False,
    )  # fmt: skip
    return records, holders
