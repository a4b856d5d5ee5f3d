"""The schedule: segments of the market, their calendars, and the phases of their days, from a TOML file. Pure.

What a file may say, with an example, is in docs/trading-day.md. Everything is checked here but what needs a calendar
(`plan.py`).
"""

import datetime as dt
import itertools
import re
import tomllib
import zoneinfo
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from lockstep.day.marks import MAX_SEGMENT, RESTORE
from lockstep.runtime.faults import BadInput
from lockstep.stream.enums import Phase
from lockstep.stream.values import frozen

ALL: Final = "all"
"""In place of a list of instruments: those that no other segment names."""
ANCHORS: Final = ("open", "close", "break_start", "break_end")
"""What the calendar says of each day."""
PHASES: Final = {
    "pre_open": Phase.PRE_OPEN,
    "opening_auction": Phase.OPENING_AUCTION,
    "continuous": Phase.CONTINUOUS,
    "intraday_auction": Phase.VOLATILITY_AUCTION,
    "closing_auction": Phase.CLOSING_AUCTION,
    "closed": Phase.CLOSED,
}
_LARGEST: Final = 1 << 20
"""Bytes of a schedule file."""
_MOST_SEGMENTS: Final = 256
_MOST_INSTRUMENTS: Final = 65_536
_MOST_DATES: Final = 4_096
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_ANCHORED: Final = re.compile(rf"({'|'.join(ANCHORS)})(?:([+-])((?:\d{{1,3}}[hms])+))?")
_PART: Final = re.compile(r"(\d{1,3})([hms])")
_UNITS: Final = {"h": 3_600, "m": 60, "s": 1}


class ScheduleFault(BadInput):
    """The schedule can't be used. The text names the file, the place and the remedy."""


@frozen
class When:
    """A time of each day."""

    anchor: str
    """One of `ANCHORS`; empty: a time of the clock on the wall."""
    offset_s: int
    """Behind the anchor, or since midnight."""

    def __str__(self) -> str:
        """As a file says it."""
        hours, minutes, seconds = abs(self.offset_s) // 3_600, abs(self.offset_s) // 60 % 60, abs(self.offset_s) % 60
        if not self.anchor:
            return f"{hours:02}:{minutes:02}" + (f":{seconds:02}" if seconds else "")
        parts = "".join(f"{n}{unit}" for n, unit in ((hours, "h"), (minutes, "m"), (seconds, "s")) if n)
        return self.anchor + (f"{'-' if self.offset_s < 0 else '+'}{parts}" if parts else "")


@frozen
class Step:
    """A phase and when it begins."""

    phase: Phase
    word: str
    """The phase as the file says it."""
    when: When
    half_days: bool
    """Whether it is there on half days, too."""


@frozen
class Segment:
    """Instruments with one calendar and one schedule."""

    name: str
    number: int
    """For ever: it is in the sessions by which the stream knows the segment's days."""
    calendar: str
    """Name in exchange-calendars, such as XNYS."""
    time_zone: str
    """Empty: the calendar's."""
    instruments: tuple[str, ...]
    """Symbols; empty: those that no other segment names."""
    steps: tuple[Step, ...]
    """The first begins the day, the last, `CLOSED`, ends it."""
    closures: tuple[dt.date, ...] = ()
    """Days that the calendar has and that are none here."""
    early_closes: tuple[tuple[dt.date, int], ...] = ()
    """Days that end earlier than the calendar says: when, in seconds since midnight."""


@frozen
class Schedule:
    """All segments, by number."""

    segments: tuple[Segment, ...]

    def segment_of(self, symbol: str) -> Segment | None:
        """Whose day an instrument has; None: nobody's."""
        named = next((one for one in self.segments if symbol in one.instruments), None)
        return named or next((one for one in self.segments if not one.instruments), None)


def load_schedule(path: Path) -> Schedule:
    """The schedule in a file.

    Raises:
        ScheduleFault: it can't be read, or says something that is no schedule.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST + 1)
        text = raw.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ScheduleFault(f"{path}: {said}; give the schedule of the trading day (docs/trading-day.md)") from None
    if len(raw) > _LARGEST:
        raise ScheduleFault(f"{path}: more than {_LARGEST} bytes are no schedule")
    return parse_schedule(text, origin=str(path))


def parse_schedule(text: str, *, origin: str) -> Schedule:
    """The schedule in a text; `origin` names it in errors.

    Raises:
        ScheduleFault: see `load_schedule`.
    """
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ScheduleFault(f"{origin}: not TOML: {str(error).splitlines()[0]}; correct it there") from None
    except ValueError:
        # A number of more digits than Python reads.
        raise ScheduleFault(f"{origin}: not TOML: a number of thousands of digits; write a shorter one") from None
    try:
        return _schedule(document)
    except _Wrong as wrong:
        raise ScheduleFault(f"{origin}: {wrong}") from None


class _Wrong(Exception):
    """What is wrong, and the remedy, without the file."""


def _schedule(document: dict[str, Any]) -> Schedule:
    _only(document, ("segment",), "the file")
    rows = document.get("segment")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise _Wrong("it has no segment; write one as [[segment]], with its phases as [[segment.phase]] below it")
    if len(rows) > _MOST_SEGMENTS:
        raise _Wrong(f"{len(rows)} segments are more than {_MOST_SEGMENTS}")
    segments = tuple(sorted((_segment(row, at) for at, row in enumerate(rows, 1)), key=lambda one: one.number))
    _once("number", (str(one.number) for one in segments))
    _once("name", (one.name for one in segments))
    _once("instrument", (symbol for one in segments for symbol in one.instruments))
    if sum(not one.instruments for one in segments) > 1:
        raise _Wrong(f'two segments have instruments = "{ALL}"; one segment alone takes those that no other names')
    return Schedule(segments)


def _once(what: str, values: Iterable[str]) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise _Wrong(f"{what} {value} is there twice; an instrument has one day, a segment one name and number")
        seen.add(value)


def _only(row: dict[str, Any], keys: tuple[str, ...], place: str) -> None:
    for key in row:
        if key not in keys:
            raise _Wrong(f"{place} has the unknown key {key!r}; there are: {', '.join(keys)}")


def _take[T](row: dict[str, Any], key: str, kind: type[T], place: str, fits: Callable[[T], bool], want: str) -> T:
    if key not in row:
        raise _Wrong(f"{place} has no {key}; give {want}")
    value = row[key]
    if not isinstance(value, kind) or isinstance(value, bool) != (kind is bool) or not fits(value):
        raise _Wrong(f"{key} of {place} is {value!r}; give {want}")
    return value


_SEGMENT_KEYS: Final = (
    "name", "number", "calendar", "time_zone", "instruments", "phase", "closures", "early_closes",
)  # fmt: skip


def _segment(row: dict[str, Any], at: int) -> Segment:
    place = f"segment {row['name']!r}" if isinstance(row.get("name"), str) else f"segment {at}"
    _only(row, _SEGMENT_KEYS, place)
    name = _take(
        row, "name", str, place, lambda it: bool(_NAME.fullmatch(it)), "1 to 32 of a-z, 0-9, _ and -, a letter first"
    )
    number = _take(
        row, "number", int, place, lambda it: 0 < it <= MAX_SEGMENT, f"a number from 1 to {MAX_SEGMENT}, for ever"
    )
    calendar = _take(row, "calendar", str, place, bool, "a calendar of exchange-calendars, such as XNYS")
    zone = _take({"time_zone": ""} | row, "time_zone", str, place, _is_zone, "a time zone such as Europe/London")
    closures, early = _closures(row, place), _early_closes(row, place)
    for date, _ in early:
        if date in closures:
            raise _Wrong(f"{date} of {place} is in closures and in early_closes; leave it out of one of them")
    return Segment(
        name, number, calendar, zone, _instruments(row, place), _steps(row, place), closures, early,
    )  # fmt: skip


def _is_zone(name: str) -> bool:
    try:
        return not name or bool(zoneinfo.ZoneInfo(name))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False


def _instruments(row: dict[str, Any], place: str) -> tuple[str, ...]:
    if row.get("instruments") == ALL:
        return ()
    want = f'a list of symbols, or "{ALL}": those that no other segment names'
    found = _take(row, "instruments", list, place, lambda it: 0 < len(it) <= _MOST_INSTRUMENTS, want)
    for symbol in found:
        if (
            not isinstance(symbol, str)
            or not 1 <= len(symbol) <= 32
            or not symbol.isascii()
            or not symbol.isprintable()
        ):
            raise _Wrong(f"{symbol!r} in {place} is no symbol: 1 to 32 printable characters of ASCII")
    return tuple(found)


def _closures(row: dict[str, Any], place: str) -> tuple[dt.date, ...]:
    found = _take({"closures": []} | row, "closures", list, place, _is_dates, "a list of dates, such as [2027-03-05]")
    return tuple(sorted(found))


def _is_dates(values: Iterable[object]) -> bool:
    values = list(values)
    return len(values) <= _MOST_DATES and all(type(value) is dt.date for value in values)


def _early_closes(row: dict[str, Any], place: str) -> tuple[tuple[dt.date, int], ...]:
    want = "a table of dates and times, such as { 2027-03-05 = 13:00:00 }"
    found = _take({"early_closes": {}} | row, "early_closes", dict, place, lambda it: len(it) <= _MOST_DATES, want)
    closes = []
    for date, time in found.items():
        try:
            closes.append((dt.date.fromisoformat(date), _seconds_of(time)))
        except (ValueError, TypeError):
            raise _Wrong(f"{date} = {time} in early_closes of {place} is no date and time; give {want}") from None
    return tuple(sorted(closes))


def _seconds_of(time: object) -> int:
    """Since midnight."""
    if isinstance(time, str):
        time = dt.time.fromisoformat(time)
    if not isinstance(time, dt.time) or time.tzinfo or time.microsecond:
        raise ValueError(time)
    return time.hour * 3_600 + time.minute * 60 + time.second


def _steps(row: dict[str, Any], place: str) -> tuple[Step, ...]:
    rows = row.get("phase")
    if not isinstance(rows, list) or not 2 <= len(rows) <= RESTORE or not all(isinstance(one, dict) for one in rows):
        raise _Wrong(f"{place} has not 2 to {RESTORE} phases; write each as [[segment.phase]]")
    steps = tuple(_step(one, f"phase {at} of {place}") for at, one in enumerate(rows, 1))
    if steps[-1].phase is not Phase.CLOSED or any(step.phase is Phase.CLOSED for step in steps[:-1]):
        raise _Wrong(f"{place} does not end with its one closed phase; every day has to end, and once")
    if not (steps[0].half_days and steps[-1].half_days):
        raise _Wrong(f'the first and the last phase of {place} begin and end its days: neither has half_days = "skip"')
    if any(step.when.anchor.startswith("break") for step in (steps[0], steps[-1])):
        raise _Wrong(f"a day of {place} can't begin or end with a break, which not every day has; name another time")
    for at, (before, step) in enumerate(itertools.pairwise(steps), 2):
        if before.phase is step.phase:
            raise _Wrong(f"phases {at - 1} and {at} of {place} are both {step.word}; leave one of them out")
    return steps


def _step(row: dict[str, Any], place: str) -> Step:
    _only(row, ("phase", "at", "half_days"), place)
    word = _take(row, "phase", str, place, PHASES.__contains__, f"one of {', '.join(PHASES)}")
    half = _take(
        {"half_days": "keep"} | row, "half_days", str, place, ("keep", "skip").__contains__, '"keep" or "skip"'
    )
    return Step(PHASES[word], word, _when(row, place), half == "keep")


def _when(row: dict[str, Any], place: str) -> When:
    want = f'a time of the day such as "14:30", or one of {", ".join(ANCHORS)}, with or without a distance: "close-10m"'
    value = row.get("at")
    anchored = _ANCHORED.fullmatch(value) if isinstance(value, str) else None
    if anchored:
        anchor, sign, distance = anchored.groups()
        offset_s = sum(int(count) * _UNITS[unit] for count, unit in _PART.findall(distance or ""))
        return When(anchor, -offset_s if sign == "-" else offset_s)
    try:
        return When("", _seconds_of(value))
    except ValueError:
        shown = "missing" if value is None else repr(value)
        raise _Wrong(f"at of {place} is {shown}; give {want}") from None
