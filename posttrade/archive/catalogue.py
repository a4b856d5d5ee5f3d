"""The catalogue of an archive and its hot tier: one SQL database, SQLite in the archive or PostgreSQL by URL.

Loading a segment is one transaction: its records in the day's table, the index by client, texts, totals, and how far
the trail is loaded. So each record is there once, wherever the loading was killed. A day that moves on changes its tier
and loses its table in one transaction, too: a query reads a day from the one tier that the catalogue names.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, Table, create_engine, event, func, inspect, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from lockstep.posttrade.archive.counting import PartKey, PartRows, counted
from lockstep.posttrade.archive.faults import ArchiveFault
from lockstep.posttrade.archive.rows import record_from
from lockstep.posttrade.archive.schema import (
    DAYS,
    HOLDERS,
    HOT,
    MENTIONS,
    METADATA,
    PARTS,
    REFUSALS,
    SETTINGS,
    SUBJECTS,
    SUMMARIES,
    TEXTS,
    VERSION,
    WORDS,
    day_tables,
)
from lockstep.posttrade.audit.keystore_place import key_store_url, shown
from lockstep.posttrade.audit.manifest import NOTHING
from lockstep.posttrade.audit.sealed import SealedSegment
from lockstep.runtime.faults import EnvironmentFault, disk_text

FILE: Final = "archive.db"
_NO_TABLE: Final = "42P01"
"""How PostgreSQL says that."""
_ASKED: Final = 500
"""Values in one list of a query."""


@dataclass(frozen=True, slots=True)
class Part:
    """What a day has of one instrument."""

    part: int
    day: str
    instrument: int
    records: int
    first_seq: int
    last_seq: int
    line_bytes: int
    file: str
    file_bytes: int
    sha256: str
    root: str
    version_id: str


class Catalogue:
    """See the module. One process writes at a time (`held.hold_directory`).

    Raises:
        EnvironmentFault: there is none, or it can't be used.
    """

    def __init__(self, directory: Path, url: str | None = None, *, make: bool = False) -> None:
        whole = key_store_url(url or directory / FILE)
        self._engine = _engine_of(whole)
        self.sqlite = whole.startswith("sqlite")
        self._place = shown(url) if url else str(directory / FILE)
        with self._faults():
            if make:
                with self.writing() as work:
                    METADATA.create_all(work)
                    if self.setting(work, "version") is None:
                        self.put(work, "version", str(VERSION))
            elif (self.sqlite and not (directory / FILE).exists()) or not inspect(self._engine).has_table(DAYS.name):
                raise EnvironmentFault(f"there is no archive in {self._place}: `lockstep audit load` makes one")
            with self.reading() as look:
                version = self.setting(look, "version")
        if version != str(VERSION):
            raise EnvironmentFault(f"the archive {self._place} has version {version}, this program {VERSION}")

    def close(self) -> None:
        """Release it."""
        self._engine.dispose()

    # ---- settings ----------------------------------------------------------------------------------------------------

    def setting(self, look: Connection, name: str) -> str | None:
        """One value; None: it was never put."""
        found = look.execute(select(SETTINGS.c.value).where(SETTINGS.c.name == name)).scalar_one_or_none()
        return None if found is None else str(found)

    def put(self, work: Connection, name: str, value: str) -> None:
        """Set one value."""
        self._upsert(work, SETTINGS, ("name",), {"name": name, "value": value}, ("value",), add=False)

    def loaded(self) -> tuple[int, str]:
        """(number, hash) of the manifest up to which the trail is loaded."""
        return self._place_of("loaded")

    def moved(self) -> tuple[int, str]:
        """(number, hash) of the newest day manifest."""
        return self._place_of("moved")

    def _place_of(self, name: str) -> tuple[int, str]:
        """Number and hash of a manifest, as a setting has them.

        Raises:
            ArchiveFault: they are none.
        """
        with self.reading() as look:
            found = self.setting(look, name)
        if found is None:
            return 0, NOTHING
        try:
            number, sealed = json.loads(found)
            if type(number) is int and number > 0 and 2 * len(bytes.fromhex(sealed)) == len(NOTHING):
                return number, sealed
        except (ValueError, TypeError, RecursionError):
            pass
        text = "it has to be number and hash of a manifest: restore the catalogue, or make the archive anew"
        raise ArchiveFault(f"the setting {name!r} of the archive {self._place} is {found!r:.80}; {text}")

    # ---- loading -------------------------------------------------------------------------------------------------

    def load(self, segment: SealedSegment) -> int:
        """Take a segment that follows what is loaded; how many records it has.

        Raises:
            NoRecord: one is none.
        """
        pairs = [(line, record_from(line)) for line in segment.lines]
        with self.writing() as work:
            for key, rows in sorted(counted(pairs).items()):
                self._add(work, key, rows)
            self.put(work, "loaded", json.dumps([segment.body["number"], segment.hash]))
        return len(pairs)

    def _add(self, work: Connection, key: PartKey, rows: PartRows) -> None:
        day = key[0]
        self._open_day(work, day)
        part = self._part(work, key, rows)
        subjects = self._numbers(work, SUBJECTS, "subject", "name", rows.holders)
        texts = self._numbers(work, TEXTS, "text", "words", rows.texts)
        records, holders = day_tables(day)
        work.execute(
            records.insert(),
            [
                {"part": part, "seq": seq, "number": number, "line": line.decode("ascii")}
                for seq, number, line, _ in rows.lines
            ],
        )
        concerned = [
            {"subject": subjects[name], "part": part, "seq": seq, "number": number}
            for seq, number, _, names in rows.lines
            for name in sorted(names)
        ]
        if concerned:
            work.execute(holders.insert(), concerned)
        for table, column, counts, numbers in (
            (HOLDERS, "subject", rows.holders, subjects),
            (MENTIONS, "text", rows.texts, texts),
        ):
            found = [{column: numbers[name], "part": part, "records": count} for name, count in counts.items()]
            self._upsert(work, table, (column, "part"), found, ("records",))
        self._total(work, key, rows)

    def _open_day(self, work: Connection, day: str) -> None:
        tier = work.execute(select(DAYS.c.tier).where(DAYS.c.day == day)).scalar_one_or_none()
        if tier is None:
            work.execute(DAYS.insert().values(day=day, tier=HOT))
            for table in day_tables(day):
                table.create(work)
        elif tier != HOT:
            raise EnvironmentFault(f"{day} is {tier} already, and the trail has more of it: begin a new archive")

    def _part(self, work: Connection, key: PartKey, rows: PartRows) -> int:
        day, instrument = key
        first, last = rows.lines[0][0], rows.lines[-1][0]
        size = sum(len(line) for _, _, line, _ in rows.lines)
        held = (PARTS.c.day == day) & (PARTS.c.instrument == instrument)
        part = work.execute(select(PARTS.c.part).where(held)).scalar_one_or_none()
        if part is None:
            part = (work.execute(select(func.max(PARTS.c.part))).scalar_one() or 0) + 1
            values = {"part": part, "day": day, "instrument": instrument, "first_seq": first, "last_seq": last}
            work.execute(PARTS.insert().values(**values, records=len(rows.lines), line_bytes=size))
        else:
            more = {"records": PARTS.c.records + len(rows.lines), "line_bytes": PARTS.c.line_bytes + size}
            work.execute(PARTS.update().where(held).values(**more, last_seq=last))
        return int(part)

    def _numbers(self, work: Connection, table: Table, column: str, name: str, wanted: Iterable[str]) -> dict[str, int]:
        """The number of each name; those that are new get one."""
        names = sorted(wanted)
        found: dict[str, int] = {}
        for at in range(0, len(names), _ASKED):
            rows = work.execute(
                select(table.c[name], table.c[column]).where(table.c[name].in_(names[at : at + _ASKED]))
            )
            found |= {row[0]: int(row[1]) for row in rows}
        new = [one for one in names if one not in found]
        if new:
            begin = (work.execute(select(func.max(table.c[column]))).scalar_one() or 0) + 1
            added = [{column: begin + at, name: one} for at, one in enumerate(new)]
            work.execute(table.insert(), added)
            if table is TEXTS and self.sqlite:
                work.execute(text(f"INSERT INTO {WORDS} (rowid, words) VALUES (:text, :words)"), added)  # noqa: S608
            found |= {str(one[name]): int(str(one[column])) for one in added}
        return found

    def _total(self, work: Connection, key: PartKey, rows: PartRows) -> None:
        day, instrument = key
        totals = rows.totals
        counts = {"orders": totals.orders, "trades": totals.trades, "volume": totals.volume}
        row = {"day": day, "instrument": instrument, "symbol": totals.symbol, **counts}
        row["refusals"] = totals.refusals.total()
        self._upsert(work, SUMMARIES, ("day", "instrument"), row, (*counts, "refusals"))
        refused = [
            {"day": day, "instrument": instrument, "code": code, "refusals": count}
            for code, count in totals.refusals.items()
        ]
        self._upsert(work, REFUSALS, ("day", "instrument", "code"), refused, ("refusals",))

    def _upsert(
        self,
        work: Connection,
        table: Table,
        keys: Sequence[str],
        rows: Any,
        columns: Sequence[str],
        *,
        add: bool = True,
    ) -> None:
        """Insert rows; where one is there, add to its columns, or set them."""
        if not rows:
            return
        made = (sqlite.insert if self.sqlite else postgresql.insert)(table)
        put = {name: table.c[name] + made.excluded[name] if add else made.excluded[name] for name in columns}
        work.execute(made.on_conflict_do_update(index_elements=list(keys), set_=put), rows)

    # ---- reading -------------------------------------------------------------------------------------------------

    def tiers(self) -> dict[str, str]:
        """By day, in order: its tier."""
        with self.reading() as look:
            return {row.day: row.tier for row in look.execute(select(DAYS).order_by(DAYS.c.day))}

    def parts(
        self, days: tuple[str, str] = ("", ""), instrument: int | None = None, subjects: Sequence[str] | None = None,
        texts: Sequence[int] | None = None,
    ) -> list[tuple[Part, int]]:  # fmt: skip
        """Parts from a day on and before or on another ("": open), and how many records of each are concerned."""
        columns = [PARTS.c[name] for name in Part.__dataclass_fields__]
        concerned: Any = PARTS.c.records
        query = select(*columns)
        if subjects is not None:
            held = HOLDERS.join(SUBJECTS, HOLDERS.c.subject == SUBJECTS.c.subject)
            concerned = func.sum(HOLDERS.c.records)
            joined = PARTS.join(held, PARTS.c.part == HOLDERS.c.part)
            query = select(*columns, concerned).select_from(joined).where(SUBJECTS.c.name.in_(subjects))
        elif texts is not None:
            concerned = func.sum(MENTIONS.c.records)
            joined = PARTS.join(MENTIONS, PARTS.c.part == MENTIONS.c.part)
            query = select(*columns, concerned).select_from(joined).where(MENTIONS.c.text.in_(texts))
        else:
            query = select(*columns, concerned.label("concerned"))
        if subjects is not None or texts is not None:
            query = query.group_by(*columns)
        if days[0]:
            query = query.where(PARTS.c.day >= days[0])
        if days[1]:
            query = query.where(PARTS.c.day <= days[1])
        if instrument is not None:
            query = query.where(PARTS.c.instrument == instrument)
        with self.reading() as look:
            rows = look.execute(query.order_by(PARTS.c.day, PARTS.c.instrument)).all()
        return [(_part_of(row[:-1]), int(row[-1])) for row in rows]

    def hot_lines(self, part: Part, subjects: Sequence[str] | None = None) -> list[bytes]:
        """Records of a part in the hot tier, in order: all, or those that concern somebody."""
        records, holders = day_tables(part.day)
        query = select(records.c.line).where(records.c.part == part.part)
        if subjects is not None:
            concerned = (
                select(holders.c.seq, holders.c.number)
                .join(SUBJECTS, SUBJECTS.c.subject == holders.c.subject)
                .where(SUBJECTS.c.name.in_(subjects), holders.c.part == part.part)
                .distinct()
                .subquery()
            )
            same = (records.c.seq == concerned.c.seq) & (records.c.number == concerned.c.number)
            query = select(records.c.line).join(concerned, same).where(records.c.part == part.part)
        with self.reading() as look:
            found = look.execute(query.order_by(records.c.seq, records.c.number)).scalars()
            return [str(line).encode(errors="surrogatepass") for line in found]

    def hot_records(self, day: str) -> dict[int, int]:
        """How many records a day has in the hot tier, by part."""
        records, _ = day_tables(day)
        with self.reading() as look:
            query = select(records.c.part, func.count()).group_by(records.c.part)
            return {int(part): int(count) for part, count in look.execute(query)}

    def texts_with(self, words: str) -> dict[int, str]:
        """Texts that have all of these words, by number."""
        with self.reading() as look:
            if self.sqlite:
                quoted = " ".join('"' + word.replace('"', '""') + '"' for word in words.split())
                rows = look.execute(text(f"SELECT rowid FROM {WORDS} WHERE words MATCH :words"), {"words": quoted})  # noqa: S608
                numbers = [int(row[0]) for row in rows]
                found = look.execute(select(TEXTS).where(TEXTS.c.text.in_(numbers)))
            else:
                match = func.to_tsvector(text("'simple'"), TEXTS.c.words).op("@@")
                found = look.execute(select(TEXTS).where(match(func.plainto_tsquery(text("'simple'"), words))))
            return {int(row.text): str(row.words) for row in found}

    def summaries(self, days: tuple[str, str], instrument: int | None) -> list[dict[str, Any]]:
        """Per day and instrument: orders, trades, volume, refusals, and refusals by code."""
        with self.reading() as look:
            codes: dict[PartKey, Counter[str]] = {}
            for row in look.execute(_between(select(REFUSALS), REFUSALS, days, instrument)):
                codes.setdefault((row.day, row.instrument), Counter())[row.code] = row.refusals
            query = _between(select(SUMMARIES), SUMMARIES, days, instrument)
            rows = look.execute(query.order_by(SUMMARIES.c.day, SUMMARIES.c.instrument)).all()
        found = [dict(row._mapping) for row in rows]  # noqa: SLF001 - SQLAlchemy's public name of it
        return [
            one | {"by_code": dict(sorted(codes.get((one["day"], one["instrument"]), {}).items()))} for one in found
        ]

    # ---- moves ---------------------------------------------------------------------------------------------------

    def switch(self, day: str, tier: str, parts: Sequence[dict[str, Any]], number: int, sealed: str) -> None:
        """From now on a day is in another tier, whose files a signed manifest of this number and hash names."""
        with self.writing() as work:
            before = work.execute(select(DAYS.c.tier).where(DAYS.c.day == day)).scalar_one()
            for one in parts:
                values = {name: value for name, value in one.items() if name != "part"}
                work.execute(PARTS.update().where(PARTS.c.part == one["part"]).values(**values))
            work.execute(DAYS.update().where(DAYS.c.day == day).values(tier=tier))
            self.put(work, "moved", json.dumps([number, sealed]))
            if before == HOT:
                for table in day_tables(day):
                    table.drop(work)

    # ---- below ---------------------------------------------------------------------------------------------------

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction."""
        with self._faults(), self._engine.connect() as work:
            if self.sqlite:
                work.exec_driver_sql("BEGIN IMMEDIATE")
            yield work
            work.commit()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """To look."""
        with self._faults(), self._engine.connect() as look:
            yield look

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            said = getattr(error, "orig", None) or error
            if "no such table" in str(said) or getattr(said, "sqlstate", "") == _NO_TABLE:
                text = "if a move goes on just now, ask again; else restore it, or make the archive anew from the trail"
                raise ArchiveFault(f"the archive {self._place} lacks a table ({said}); {text}") from error
            raise EnvironmentFault(disk_text("use", f"the archive {self._place}", said)) from error


def _part_of(row: Sequence[Any]) -> Part:
    for value, (name, kind) in zip(row, Part.__annotations__.items(), strict=True):
        if type(value) is not kind:
            text = "restore the catalogue from a backup, or make the archive anew from the trail"
            raise ArchiveFault(f"the catalogue has {value!r:.40} as {name} of part {row[0]!r:.40}; {text}")
    return Part(*row)


def _between(query: Any, table: Table, days: tuple[str, str], instrument: int | None) -> Any:
    if days[0]:
        query = query.where(table.c.day >= days[0])
    if days[1]:
        query = query.where(table.c.day <= days[1])
    return query if instrument is None else query.where(table.c.instrument == instrument)


def _engine_of(url: str) -> Engine:
    if not url.startswith("sqlite"):
        return create_engine(url, pool_size=2, max_overflow=0, connect_args={"connect_timeout": 20})
    engine = create_engine(url, connect_args={"timeout": 20, "isolation_level": None})

    def settings(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL").close()

    event.listen(engine, "connect", settings)
    return engine
