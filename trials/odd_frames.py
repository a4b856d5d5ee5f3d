"""Frames with valid CRCs and odd fields, made of honest ones: what a broken or hostile neighbour may send."""

from dataclasses import replace
from random import Random
from typing import Final

import numpy as np

from lockstep.stream.frames import Frame
from lockstep.stream.records import Commands

_HEADER: Final = ("epoch", "first_seq", "timestamp_ns", "committed_seq", "aux", "flags", "sender")
_EDGES: Final = (
    0, 1, 2, 63, 255, 2**16 - 1, 2**31 - 1, 2**32 - 1, 2**47, 2**48 - 1, 2**48, 2**62 - 1, 2**62, 2**63 - 1, 2**63,
    2**64 - 1,
)  # fmt: skip
_STEPS: Final = (-500, -5, -1, 1, 2, 3, 5, 50, 500)
_LIMITS: Final = {"sender": 16, "flags": 16}


def make_odd(honest: Frame, dice: Random, *, records: bool = True) -> Frame:
    """The frame with one to three fields of its header, or of its records, set to something else that fits them."""
    changed: dict[str, int] = {}
    for _ in range(dice.randint(1, 3)):
        name = dice.choice(_HEADER)
        number = dice.choice(_EDGES) if dice.random() < 0.6 else getattr(honest, name) + dice.choice(_STEPS)
        bits = _LIMITS.get(name, 63 if name == "timestamp_ns" else 64)
        changed[name] = number % 2**bits
    odd = replace(honest, **changed)  # type: ignore[arg-type]
    if records and honest.count and dice.random() < 0.5:
        odd = replace(odd, records=odd_records(honest, dice))
    return odd


def odd_records(honest: Frame, dice: Random) -> Commands:
    """Its records with a few bytes set to others, mostly to none or all bits."""
    raw = bytearray(honest.records.tobytes())
    for _ in range(dice.randint(1, 6)):
        at, width = dice.randrange(len(raw)), dice.choice((1, 2, 4, 8))
        fill = dice.choice((b"\x00", b"\xff", b"\x7f", b"\x80", bytes([dice.randrange(256)])))
        raw[at : at + width] = (fill * width)[: len(raw) - at]
    return np.frombuffer(bytes(raw), dtype=honest.records.dtype)
