"""UTC timestamps of FIX. Pure: the calendar is arithmetic."""

import re
from functools import lru_cache
from typing import Final

NS: Final = 1_000_000_000
_TIMESTAMP: Final = re.compile(rb"(\d{4})(\d\d)(\d\d)-(\d\d):(\d\d):(\d\d)(?:\.(\d{3}|\d{6}|\d{9}))?")
_DAY_S: Final = 86_400
_ERA: Final = 146_097
"""Days of 400 years."""
_EPOCH: Final = 719_468
"""Days from 0000-03-01 to 1970-01-01."""
_DAYS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@lru_cache(maxsize=1_024)
def timestamp_ns(text: bytes) -> int | None:
    """Nanoseconds since 1970; None if it is no UTCTimestamp. A leap second counts as the second before it."""
    found = _TIMESTAMP.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    if not (1970 <= year <= 9999 and 1 <= month <= 12 and 1 <= day <= _DAYS[month - 1]):
        return None
    if month == 2 and day == 29 and (year % 4 or (not year % 100 and year % 400)):
        return None
    if hour > 23 or minute > 59 or second > 60:
        return None
    seconds = _days(year, month, day) * _DAY_S + hour * 3_600 + minute * 60 + min(second, 59)
    fraction = found[7] or b"0"
    return seconds * NS + int(fraction.ljust(9, b"0"))


@lru_cache(maxsize=1_024)
def timestamp(now_ns: int) -> bytes:
    """With milliseconds, which every version of FIX since 4.2 reads. The last ones are remembered."""
    seconds, rest = divmod(now_ns, NS)
    days, second = divmod(seconds, _DAY_S)
    date = (*_civil(days), second // 3_600, second // 60 % 60, second % 60, rest // 1_000_000)
    return b"%04d%02d%02d-%02d:%02d:%02d.%03d" % date


def _days(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01. Years begin in March here, so that a leap day comes last."""
    year -= month <= 2
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return year * 365 + year // 4 - year // 100 + year // 400 + of_year - _EPOCH


def _civil(days: int) -> tuple[int, int, int]:
    """The date that is so many days from 1970-01-01."""
    eras, of_era = divmod(days + _EPOCH, _ERA)
    year = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // (_ERA - 1)) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    day = of_year - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    return eras * 400 + year + (month <= 2), month, day
