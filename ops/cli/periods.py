"""Times on the command line: from when, before when."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click


class Time(click.ParamType[int]):
    """A time: ISO 8601 (UTC where it names no zone), or nanoseconds since 1970."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value)
        if text.isdecimal() and len(text) > 8:
            return int(text)
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            self.fail(
                f"{text!r} is no time; write 2026-11-30, 2026-11-30T14:00:00, or nanoseconds since 1970", param, ctx
            )
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return int(moment.timestamp()) * 10**9 + moment.microsecond * 1000


def period_options(function: Callable[..., Any]) -> Callable[..., Any]:
    function = click.option("--to", "to_ns", type=Time(), default="0000000000", help="Before this time.")(function)
    return click.option("--from", "from_ns", type=Time(), default="0000000000", help="From this time on.")(function)
