"""What an archive is asked: records of a client over all tiers, with what that costs said first; search by words."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lockstep.posttrade.archive.archive import Archive
from lockstep.posttrade.archive.catalogue import Part
from lockstep.posttrade.archive.faults import ArchiveFault
from lockstep.posttrade.archive.rows import NoRecord, Record, number_of, record_from, text_of
from lockstep.posttrade.archive.schema import COLD, HOT, WARM
from lockstep.posttrade.audit.records import stamp_text


@dataclass(frozen=True, slots=True)
class Question:
    """Which records."""

    subjects: tuple[str, ...] | None = None
    """Pseudonyms; of a trail that has none `account 42`; None: whomever they concern."""
    from_ns: int = 0
    to_ns: int = 0
    """0: to the end."""
    instrument: int | None = None
    words: str = ""
    """Only records whose text has all of these."""

    @property
    def days(self) -> tuple[str, str]:
        """The first and the last day that it is about."""
        last = stamp_text(self.to_ns - 1)[:10] if self.to_ns else ""
        return stamp_text(self.from_ns)[:10] if self.from_ns else "", last


@dataclass(frozen=True, slots=True)
class Cost:
    """What an answer takes, by tier: known from the catalogue alone."""

    tier: str
    days: int
    files: int
    bytes: int
    """To be read: whole files and objects; of the hot tier the records themselves."""
    records: int
    """That concern whom it is about, in the days that it is about."""
    requests: int
    """To the object store."""


def plan_of(archive: Archive, question: Question) -> list[tuple[Part, int, str]]:
    """(part, records in it, tier) of all that has to be read, in the order of days."""
    tiers = archive.catalogue.tiers()
    if question.words:
        texts = list(archive.catalogue.texts_with(question.words))
        found = archive.catalogue.parts(question.days, question.instrument, None, texts)
        if question.subjects is not None:
            concerned = archive.catalogue.parts(question.days, question.instrument, question.subjects)
            held = {part.part for part, _ in concerned}
            found = [(part, count) for part, count in found if part.part in held]
    else:
        found = archive.catalogue.parts(question.days, question.instrument, question.subjects)
    return [(part, count, tier_of(tiers, part.day)) for part, count in found]


def tier_of(tiers: dict[str, str], day: str) -> str:
    """Of a day that the catalogue has something of.

    Raises:
        ArchiveFault: the catalogue says none that there is.
    """
    tier = tiers.get(day)
    if tier not in (HOT, WARM, COLD):
        text = "restore the catalogue from a backup, or make the archive anew from the trail"
        raise ArchiveFault(f"the catalogue says that {day} is in a tier {tier!r:.40}, which there is not; {text}")
    return tier


def check_day(archive: Archive, day: str, instrument: int | None) -> None:
    """That the catalogue has all that was signed of a day, or of an instrument on it.

    Raises:
        ArchiveFault: it lacks something, or the day's manifest is not the one that was signed.
    """
    signed = archive.signed_day(day)
    if signed is None:
        return
    held = {part.instrument for part, _ in archive.catalogue.parts((day, day), instrument)}
    for number, entry in signed.files.items():
        if instrument in (None, number) and number not in held:
            text = "an answer without it would not be whole: restore the catalogue from a backup, or make it anew"
            raise ArchiveFault(f"the catalogue lacks {entry['file']}, which was signed; {text}")


def costs_of(plan: Sequence[tuple[Part, int, str]]) -> list[Cost]:
    """By tier, those that have something."""
    found = []
    for tier in dict.fromkeys(tier for _, _, tier in plan):
        rows = [(part, count) for part, count, other in plan if other == tier]
        size = sum(part.line_bytes * count // part.records if tier == HOT else part.file_bytes for part, count in rows)
        found.append(
            Cost(
                tier, len({part.day for part, _ in rows}), 0 if tier == HOT else len(rows), size,
                sum(count for _, count in rows), len(rows) if tier == COLD else 0,
            )
        )  # fmt: skip
    return found


def answer(archive: Archive, question: Question) -> Iterator[Record]:
    """The records, in the order of the history. A day's are in memory at once, no more.

    Raises:
        ArchiveFault: a file, an object, or what the catalogue says of it is not what was signed: none of it is given.
    """
    begin, end = stamp_text(question.from_ns), stamp_text(question.to_ns) if question.to_ns else ""
    wanted = words_of(question.words)
    plan = plan_of(archive, question)
    planned = {part.day for part, _, _ in plan}
    # Where an index chooses, days that it does not name are not read, as long as the catalogue knows them.
    known = archive.catalogue.tiers() if question.subjects is not None or question.words else {}
    for day in archive.signed_days().between(*question.days):
        if day not in planned and day not in known:
            check_day(archive, day, question.instrument)
    at = 0
    while at < len(plan):
        day = plan[at][0].day
        check_day(archive, day, question.instrument)
        found: list[Record] = []
        while at < len(plan) and plan[at][0].day == day:
            part, _, tier = plan[at]
            found += _records(archive, part, tier, question.subjects)
            at += 1
        for record in sorted(found, key=lambda one: (one["seq"], number_of(one))):
            within = begin <= record["processed"] and (not end or record["processed"] < end)
            if within and (not wanted or wanted <= words_of(text_of(record))):
                yield record


def words_of(text: str) -> set[str]:
    """As the full-text index cuts them: letters and digits, whatever their case."""
    return {word.upper() for word in re.findall(r"[^\W_]+", text)}


def _records(archive: Archive, part: Part, tier: str, subjects: tuple[str, ...] | None) -> list[Record]:
    try:
        if tier == HOT:
            archive.check_part(part, tier)
            return [record_from(line) for line in archive.catalogue.hot_lines(part, subjects)]
        from lockstep.posttrade.archive.parquet import records_in

        return records_in(archive.content(part, tier), subjects)
    except NoRecord as fault:
        text = "`lockstep audit verify-archive --trail` names what was changed"
        raise ArchiveFault(f"{part.day} instrument {part.instrument} ({tier}): {fault}; {text}") from fault


def mentions(archive: Archive, question: Question) -> list[dict[str, Any]]:
    """Which texts have these words, and in how many records of which days and instruments; no record is read."""
    texts = archive.catalogue.texts_with(question.words)
    found = []
    for number, words in sorted(texts.items(), key=lambda one: one[1]):
        parts = archive.catalogue.parts(question.days, question.instrument, None, [number])
        if parts:
            found.append(
                {
                    "text": words,
                    "records": sum(count for _, count in parts),
                    "first_day": parts[0][0].day,
                    "last_day": parts[-1][0].day,
                    "instruments": sorted({part.instrument for part, _ in parts}),
                }
            )
    return found
