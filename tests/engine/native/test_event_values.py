"""Events as values hold what the array holds, whatever happened."""

from collections.abc import Callable
from dataclasses import fields
from types import SimpleNamespace
from typing import Any

from lockstep.engine import Events, each_event
from lockstep.engine.events import CLASSES


def test_events_as_values_say_what_the_array_says(
    pair: Any, make_stream: Callable[..., Any], decode_events: Callable[[Events], list[SimpleNamespace]]
) -> None:
    """On a random flow: all fields of all events, and every class."""
    classes = set()
    for seed in range(3):
        events = pair.apply(make_stream(3_000, seed, first_seq=pair.reference.last_seq + 1))
        for value, expected in zip(each_event(events), decode_events(events), strict=True):
            classes.add(type(value))
            for field in fields(value):
                said, wanted = getattr(value, field.name), getattr(expected, field.name)
                assert said == (wanted.decode("ascii", "backslashreplace") if field.name == "name" else wanted)
    assert classes == set(CLASSES.values())
