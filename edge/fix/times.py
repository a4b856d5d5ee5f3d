"""UTC timestamps of FIX. Pure."""

import re
from calendar import timegm
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

NS: Final = 1_000_000_000
_TIMESTAMP: Final = re.compile(rb"(\d{4})(\d\d)(\d\d)-(\d\d):(\d\d):(\d\d)(?:\.(\d{3}|\d{6}|\d{9}))?")
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
    seconds = timegm((year, month, day, hour, minute, min(second, 59), 0, 0, 0))
    fraction = found[7] or b"0"
    return seconds * NS + int(fraction.ljust(9, b"0"))


@lru_cache(maxsize=1_024)
def timestamp(now_ns: int) -> bytes:
    """With milliseconds, which every version of FIX since 4.2 reads. The last ones are remembered."""
    seconds, rest = divmod(now_ns, NS)
    at = datetime.fromtimestamp(seconds, UTC)
    return b"%b.%03d" % (at.strftime("%Y%m%d-%H:%M:%S").encode(), rest // 1_000_000)
