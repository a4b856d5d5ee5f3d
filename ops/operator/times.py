"""The times that an operator writes, such as 18:30 or +90s. Pure: the present is an argument."""

import re
from datetime import datetime, timedelta
from typing import Final

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours"}
_FAR: Final = timedelta(days=7)


class TimeFault(ValueError):
    """It is no time, or not one to wait for; the text says what is expected."""


def parse_time(text: str, now: datetime) -> datetime:
    """The next such time after `now` (which carries its zone).

    Raises:
        TimeFault: it can't be read, is past, or more than a week away.
    """
    delay = re.fullmatch(r"\+(\d{1,6})([smh]?)", text)
    if delay is not None:
        return _checked(text, now + timedelta(**{_UNITS[delay[2] or "s"]: int(delay[1])}), now)
    clock = re.fullmatch(r"(\d{1,2}):(\d{2})(?::(\d{2}))?", text)
    try:
        if clock is not None:
            then = now.replace(hour=int(clock[1]), minute=int(clock[2]), second=int(clock[3] or 0), microsecond=0)
            return then if then > now else then + timedelta(days=1)
        then = datetime.fromisoformat(text)
    except ValueError:
        raise TimeFault(f"{text!r} is not a time: write 18:30, 18:30:05, 2026-01-31T18:30 or +90s") from None
    return _checked(text, then if then.tzinfo is not None else then.replace(tzinfo=now.tzinfo), now)


def _checked(text: str, then: datetime, now: datetime) -> datetime:
    if then < now:
        raise TimeFault(f"{text!r} is past: it is {now:%Y-%m-%d %H:%M:%S} now")
    if then - now > _FAR:
        raise TimeFault(f"{text!r} is more than a week away")
    return then
