"""What the session of a phase change says: whose day it is, which day, and which change of it. Pure.

Each change of a segment's day has a session of its own, whose id is made of the segment's number, the business date and
the change's place in the schedule. So a PHASE_CHANGED of the stream says by itself, to whoever reads it, without
calendar and schedule: this instrument's 2024-11-29 has begun, or has ended (docs/trading-day.md, *In the stream*).
"""

import datetime as dt
from typing import Final

from lockstep.stream.values import frozen

START: Final = 0
"""Of the change that begins a day."""
RESTORE: Final = 30
"""Of what gives back a phase that an operator had set while a change was under way."""
END: Final = 31
"""Of the change that ends a day, whatever else is in the schedule."""
MAX_SEGMENT: Final = 2**12 - 1
_DAY_ZERO: Final = dt.date(2000, 1, 1).toordinal()
_LAST_DAY: Final = 2**15 - 1
FIRST_DATE: Final = dt.date.fromordinal(_DAY_ZERO)
LAST_DATE: Final = dt.date.fromordinal(_DAY_ZERO + _LAST_DAY)


@frozen
class Mark:
    """One change of one day of one segment."""

    segment: int
    """Number of the segment, 1 to `MAX_SEGMENT`."""
    date: dt.date
    """The business date, `FIRST_DATE` to `LAST_DATE`."""
    code: int
    """Place in the schedule: `START`, 1 to 29, `RESTORE`, `END`."""

    def session_id(self, client_number: int) -> int:
        """The session of a client whose command number 1, 2, 3 ... are the instruments' changes."""
        days = self.date.toordinal() - _DAY_ZERO
        assert 0 < self.segment <= MAX_SEGMENT, f"segment {self.segment}"
        assert 0 <= days <= _LAST_DAY, f"business date {self.date}"
        assert 0 <= self.code <= END, f"code {self.code}"
        return client_number << 32 | self.segment << 20 | days << 5 | self.code


def mark_of(session_id: int) -> Mark | None:
    """Twin of `Mark.session_id`; None: no change of a day has such a session."""
    segment = session_id >> 20 & MAX_SEGMENT
    if not segment:
        return None
    return Mark(segment, dt.date.fromordinal(_DAY_ZERO + (session_id >> 5 & _LAST_DAY)), session_id & END)
