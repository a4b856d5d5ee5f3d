"""What records need of instruments, as it lies beside a trail: `instruments.json`.

The newest manifest names the hash of what the file says up to the end of its segment. The file may be ahead of it, by
what was not sealed any more. Where it is missing, or a manifest of before names none, sealed records say the same.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Any, Final

from lockstep.posttrade.audit import manifest
from lockstep.posttrade.audit.records import Instruments, micros_of

INSTRUMENTS: Final = "instruments.json"
_DEFINED: Final = "INSTRUMENT_DEFINED"


def known_bytes(instruments: Instruments) -> bytes:
    """The file's content."""
    return manifest.canonical(
        {str(number): [*instruments.known[number], instruments.defined[number]] for number in sorted(instruments.known)}
    )


def known_hash(instruments: Instruments) -> str:
    """What a manifest names it by."""
    return hashlib.sha256(known_bytes(instruments)).hexdigest()


def known_from(raw: bytes, last_seq: int) -> Instruments:
    """What the file says up to a seq.

    Raises:
        ValueError: it can't be read.
    """
    made = Instruments()
    try:
        for number, (tick, lot, symbol, seq) in json.loads(raw).items():
            if seq <= last_seq:
                made.known[int(number)] = tick, lot, symbol
                made.defined[int(number)] = seq
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"it can't be read: {error}") from error
    return made


def learn_sealed(instruments: Instruments, records: Iterable[dict[str, Any]]) -> None:
    """Take every definition of these records."""
    for record in records:
        if record["kind"] != _DEFINED or record["instrument"] in instruments.known:
            continue
        tick = micros_of(record.get("tick", "0"))
        instruments.known[record["instrument"]] = tick, record.get("lot_units", 0), record.get("symbol", "")
        instruments.defined[record["instrument"]] = record["seq"]
