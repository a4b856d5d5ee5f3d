"""What an archive's catalogue says beside its parts, read to be checked: the indexes, tables of days, and leftovers."""

from collections import Counter
from typing import Any, Final

from sqlalchemy import Table, func, inspect, select, text

from lockstep.posttrade.archive.catalogue import Catalogue
from lockstep.posttrade.archive.counting import PartKey
from lockstep.posttrade.archive.schema import (
    HOLDERS,
    MENTIONS,
    PARTS,
    REFUSALS,
    SUBJECTS,
    SUMMARIES,
    TEXTS,
    WORDS,
    day_tables,
)

_HOT: Final = "archive_hot_"


def holders_of(catalogue: Catalogue, part: int) -> Counter[str]:
    """How many records of a part the index by client has, by pseudonym."""
    return _counts(catalogue, HOLDERS, SUBJECTS, "subject", "name", part)


def mentions_of(catalogue: Catalogue, part: int) -> Counter[str]:
    """How many records of a part the index by words has, by text."""
    return _counts(catalogue, MENTIONS, TEXTS, "text", "words", part)


def _counts(catalogue: Catalogue, table: Table, names: Table, column: str, name: str, part: int) -> Counter[str]:
    joined = table.outerjoin(names, table.c[column] == names.c[column])
    query = select(names.c[name], table.c[column], table.c.records).select_from(joined).where(table.c.part == part)
    found: Counter[str] = Counter()
    with catalogue.reading() as look:
        for said, number, records in look.execute(query):
            found[f"number {number}, which has no name" if said is None else str(said)] += records
    return found


def hot_holders(catalogue: Catalogue, day: str, part: int) -> set[tuple[str, int, int]]:
    """(pseudonym, seq, number) of each record of a part that the hot tier knows to concern somebody."""
    _, holders = day_tables(day)
    joined = holders.outerjoin(SUBJECTS, SUBJECTS.c.subject == holders.c.subject)
    columns = SUBJECTS.c.name, holders.c.seq, holders.c.number
    with catalogue.reading() as look:
        rows = look.execute(select(*columns).select_from(joined).where(holders.c.part == part))
        return {(str(name), seq, number) for name, seq, number in rows}


def hot_tables(catalogue: Catalogue) -> set[str]:
    """Tables of days that are there."""
    with catalogue.reading() as look:
        return {name for name in inspect(look).get_table_names() if name.startswith(_HOT)}


def tables_of(day: str) -> set[str]:
    """Those that a day has in the hot tier."""
    return {table.name for table in day_tables(day)}


def strangers(catalogue: Catalogue, hot_days: list[str]) -> list[tuple[str, int]]:
    """(table, rows in it) that belong to no part that there is."""
    tables = [HOLDERS, MENTIONS, *(table for day in hot_days for table in day_tables(day))]
    found = []
    with catalogue.reading() as look:
        for table in tables:
            held = select(PARTS.c.part)
            count = look.execute(select(func.count()).select_from(table).where(table.c.part.not_in(held))).scalar_one()
            if count:
                found.append((table.name, int(count)))
    return found


def summed(catalogue: Catalogue) -> set[PartKey]:
    """Days and instruments that summaries, or refusals by code, are kept of."""
    with catalogue.reading() as look:
        return {
            (str(row.day), row.instrument)
            for table in (SUMMARIES, REFUSALS)
            for row in look.execute(select(table.c.day, table.c.instrument).distinct())
        }


def unsearched(catalogue: Catalogue) -> list[str]:
    """Texts that the full-text index does not find by their own words. PostgreSQL keeps its index itself."""
    if not catalogue.sqlite:
        return []
    query: Any = text(f"SELECT count(*) FROM {WORDS} WHERE rowid = :text AND {WORDS} MATCH :words")  # noqa: S608
    found = []
    with catalogue.reading() as look:
        for row in look.execute(select(TEXTS)).all():
            quoted = " ".join('"' + word.replace('"', '""') + '"' for word in str(row.words).split())
            if not look.execute(query, {"text": row.text, "words": quoted}).scalar_one():
                found.append(str(row.words))
    return found
