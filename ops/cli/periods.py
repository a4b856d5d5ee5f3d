"""Times on the command line: from when, before when."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import click

_LATEST_NS: Final = 2**63 - 1
_MOST_DIGITS: Final = 24
"""More than any time has that is taken."""


class Time(click.ParamType[int]):
    """ISO 8601 (UTC where it names no zone), or nanoseconds since 1970: up to 2262, where 64 bits end."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value)
        if text.isdecimal() and len(text) > 8:
            return self._bounded(int(text[:_MOST_DIGITS]), text, param, ctx)
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            self.fail(
                f"{text!r} is no time; write 2026-11-30, 2026-11-30T14:00:00, or nanoseconds since 1970", param, ctx
            )
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return self._bounded(int(moment.timestamp()) * 10**9 + moment.microsecond * 1000, text, param, ctx)

    def _bounded(self, time_ns: int, text: str, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if not 0 <= time_ns <= _LATEST_NS:
            self.fail(f"{text[:40]!r} is out of range; write a time from 1970 to 2262", param, ctx)
        return time_ns


def period_options(function: Callable[..., Any]) -> Callable[..., Any]:
    function = click.option("--to", "to_ns", type=Time(), default="0000000000", help="Before this time.")(function)
    return click.option("--from", "from_ns", type=Time(), default="0000000000", help="From this time on.")(function)
