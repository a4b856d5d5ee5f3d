"""The times that an operator writes, such as 18:30 or +90s. Pure: the present is an argument, and carries its zone.

A local time is a date and a time of day in a zone whose offset changes: what it means is looked up for *that* day, and
never reckoned with the offset of today. Where clocks are put forward some local times don't exist, where they are put
back some come twice; both are refused, because an operator who wrote one of them meant something else, or may have.
"""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours"}
_FAR: Final = timedelta(days=7)
_SECOND: Final = timedelta(seconds=1)
_HOW: Final = "write 18:30, 18:30:05, 2026-01-31T18:30, 2026-01-31T18:30+01:00 or +90s"


class TimeFault(ValueError):
    """It is no time, or not one to wait for; the text says what is expected."""


def parse_time(text: str, now: datetime) -> datetime:
    """The next such time after `now` (which carries its zone), in that zone.

    Raises:
        TimeFault: it can't be read, is past, more than a week away, comes twice or not at all in that zone.
    """
    zone = now.tzinfo
    if zone is None:
        raise ValueError("the present needs a zone")
    delay = re.fullmatch(r"\+(\d{1,6})([smh]?)", text, re.ASCII)
    clock = re.fullmatch(r"(\d{1,2}):(\d{2})(?::(\d{2}))?", text, re.ASCII)
    present = now.astimezone(UTC)
    try:
        if delay is not None:
            moment = present + timedelta(**{_UNITS[delay[2] or "s"]: int(delay[1])})
        elif clock is not None:
            hour, minute, second = int(clock[1]), int(clock[2]), int(clock[3] or 0)
            moment = _next(now.replace(hour=hour, minute=minute, second=second, microsecond=0), present, text)
        else:
            then = datetime.fromisoformat(text)
            moment = then.astimezone(UTC) if then.tzinfo is not None else _only(then.replace(tzinfo=zone), text)
    except TimeFault:
        raise
    except (ValueError, OverflowError, OSError):
        raise TimeFault(f"{text!r} is not a time: {_HOW}") from None
    if moment < present:
        raise TimeFault(f"{text!r} is past: it is {shown(now)} now")
    if moment - present > _FAR:
        raise TimeFault(f"{text!r} is more than a week away")
    return moment.astimezone(zone)


def shown(moment: datetime) -> str:
    """A time with the offset that is in force then, such as 2026-10-26 09:00:00 CET (UTC+01:00)."""
    name, offset = moment.tzname() or "", f"UTC{moment:%:z}"
    zone = "UTC" if name == "UTC" else f"{name} ({offset})" if name.isalpha() else offset
    return f"{moment:%Y-%m-%d %H:%M:%S} {zone}"


def _next(today: datetime, present: datetime, text: str) -> datetime:
    """A time of day: today's, or if that is over tomorrow's."""
    found = _moments(today)
    if not found and today.replace(tzinfo=None) > present.astimezone(today.tzinfo).replace(tzinfo=None):
        return _only(today, text)
    ahead = [moment for moment in found if moment > present]
    if not ahead:
        # Wall-clock arithmetic: the same time of day, however long the night is.
        return _only(today.replace(fold=0) + timedelta(days=1), text)
    return _only(today, text)


def _only(local: datetime, text: str) -> datetime:
    found = _moments(local)
    if len(found) == 1:
        return found[0]
    day = f"{local:%Y-%m-%d %H:%M:%S}"
    if not found:
        before = shown(_before_gap(local))
        raise TimeFault(f"{text!r}: there is no {day} here, clocks are put forward over it at {before}; {_HOW}")
    first, second = (moment.astimezone(local.tzinfo) for moment in found)
    choices = " or ".join(f"{local:%Y-%m-%dT%H:%M:%S}{moment:%:z}" for moment in (first, second))
    raise TimeFault(f"{text!r}: {day} comes twice here, because clocks are put back: write {choices}")


def _moments(local: datetime) -> list[datetime]:
    """The moments (UTC, ascending) at which clocks in its zone show this local time: one, two, or none."""
    found = set()
    for fold in (0, 1):
        moment = local.replace(fold=fold).astimezone(UTC)
        if moment.astimezone(local.tzinfo).replace(tzinfo=None, fold=0) == local.replace(tzinfo=None, fold=0):
            found.add(moment)
    return sorted(found)


def _before_gap(local: datetime) -> datetime:
    """The last second before clocks are put forward over a local time."""
    offsets = sorted(local.replace(fold=fold).utcoffset() or timedelta() for fold in (0, 1))
    low = (local.replace(tzinfo=UTC) - offsets[1]).replace(tzinfo=UTC)
    high = (local.replace(tzinfo=UTC) - offsets[0]).replace(tzinfo=UTC)
    while high - low > _SECOND:
        middle = low + (high - low) // 2
        if middle.astimezone(local.tzinfo).utcoffset() == offsets[0]:
            low = middle
        else:
            high = middle
    return low.replace(microsecond=0).astimezone(local.tzinfo)


class LocalZone(tzinfo):
    """The zone of this host, as the C library has it: TZ in each of its forms, else /etc/localtime.

    Its rules are asked for the day in question. `datetime.astimezone()` alone gives the offset of one moment for ever.
    """

    def utcoffset(self, dt: datetime | None) -> timedelta | None:
        """Offset in force at a local time (`fold` chooses of two)."""
        return None if dt is None else dt.replace(tzinfo=None).astimezone().utcoffset()

    def tzname(self, dt: datetime | None) -> str | None:
        """Abbreviation in force at a local time."""
        return None if dt is None else dt.replace(tzinfo=None).astimezone().tzname()

    def dst(self, dt: datetime | None) -> timedelta | None:
        """Not known to the C library in this form."""
        del dt
        return None

    def fromutc(self, dt: datetime) -> datetime:
        """A moment, given as UTC, in local time; of two that look alike the second has `fold` 1."""
        exact = dt.replace(tzinfo=UTC).astimezone()
        local = exact.replace(tzinfo=self, fold=0)
        return local if local.utcoffset() == exact.utcoffset() else local.replace(fold=1)


_POSIX: Final = re.compile(
    r"(?:[A-Za-z]{3,}|<[A-Za-z0-9+-]{3,}>)[+-]?\d{1,3}(?::\d{2}){0,2}"
    r"(?:(?:[A-Za-z]{3,}|<[A-Za-z0-9+-]{3,}>)(?:[+-]?\d{1,3}(?::\d{2}){0,2})?(?:,[JM0-9./:+-]+,[JM0-9./:+-]+)?)?"
)


def check_zone(name: str | None, known: frozenset[str] | set[str], *, is_file: bool) -> None:
    """Refuse a TZ that the C library would take for UTC without a word.

    Args:
        name: the environment's TZ; None: not set.
        known: names of the time zone database.
        is_file: whether TZ names a file.

    Raises:
        TimeFault: it is no zone.
    """
    zone = (name or "").removeprefix(":")
    if not zone or zone in known or is_file or (name and not name.startswith(":") and _POSIX.fullmatch(zone)):
        return
    raise TimeFault(
        f"the environment's TZ={name!r} is no time zone here, so a local time can't be read: correct it, install the "
        "time zone database, or write the offset (2026-01-31T18:30+01:00) or a delay (+90s)"
    )
