"""Frames with valid CRCs and odd fields, made of honest ones: what a broken or hostile neighbour may send."""

from dataclasses import replace
from random import Random
from typing import Any, Final

import numpy as np

from lockstep.stream.batch import Batch, stamp_batch
from lockstep.stream.messages import LAYOUTS, Ack, Message, Receipt, Release, Stream, Submit

_EDGES: Final = (
    0, 1, 2, 63, 255, 2**16 - 1, 2**31 - 1, 2**32 - 1, 2**47, 2**48 - 1, 2**48, 2**62 - 1, 2**62, 2**63 - 1, 2**63,
    2**64 - 1,
)  # fmt: skip
_STEPS: Final = (-500, -5, -1, 1, 2, 3, 5, 50, 500)
_BITS: Final = {"bool": 1, "u16": 16, "u64": 64, "i64": 63}
_BATCH_FIELDS: Final = (("epoch", "u64"), ("first_seq", "u64"), ("timestamp_ns", "i64"))
_RECORDS: Final[dict[type, str]] = {Submit: "records", Ack: "entries", Release: "events"}


def make_odd[M: Message](honest: M, dice: Random, *, records: bool = True) -> M:
    """The message with one to three of its fields, or of its records, set to something else that fits them."""
    fields = (("sender", "u16"), *LAYOUTS[type(honest)].fields)
    batch_fields = _BATCH_FIELDS if isinstance(honest, Stream) else ()
    changed: dict[str, Any] = {}
    in_batch: dict[str, int] = {}
    for _ in range(dice.randint(1, 3)):
        name, type_ = dice.choice(fields + batch_fields)
        held, into = (honest.batch, in_batch) if isinstance(honest, Stream) and (name, type_) in batch_fields else (
            honest, changed)  # fmt: skip
        number = dice.choice(_EDGES) if dice.random() < 0.6 else int(getattr(held, name)) + dice.choice(_STEPS)
        number %= 2 ** _BITS[type_]
        into[name] = bool(number) if type_ == "bool" else number
    odd_content = records and dice.random() < 0.5
    if isinstance(honest, Stream):
        changed["batch"] = _odd_batch(honest.batch, in_batch, dice if odd_content else None)
    elif odd_content and not isinstance(honest, Receipt) and honest.count:
        name = _RECORDS[type(honest)]
        changed[name] = odd_records(getattr(honest, name), dice)
    return replace(honest, **changed)


def _odd_batch(honest: Batch, changed: dict[str, int], dice: Random | None) -> Batch:
    """A batch that nobody stamped, with a CRC that is right."""
    stamp = {name: getattr(honest, name) for name, _ in _BATCH_FIELDS} | changed
    records = odd_records(honest.records, dice) if dice is not None and honest.count else honest.records
    return stamp_batch(records, **stamp)


def odd_records(records: Any, dice: Random) -> Any:
    """The records with a few bytes set to others, mostly to none or all bits."""
    raw = bytearray(records.tobytes())
    for _ in range(dice.randint(1, 6)):
        at, width = dice.randrange(len(raw)), dice.choice((1, 2, 4, 8))
        fill = dice.choice((b"\x00", b"\xff", b"\x7f", b"\x80", bytes([dice.randrange(256)])))
        raw[at : at + width] = (fill * width)[: len(raw) - at]
    return np.frombuffer(bytes(raw), dtype=records.dtype)
