"""Discarded tails of journals: the archives that `Journal.truncate` writes, read back batch by batch."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from lockstep.stream.batch import Batch, LayoutError, decode_batch

SUFFIX: Final = ".batches"
_LENGTH: Final = struct.Struct("<I")


def archived_batches(path: Path) -> Iterator[Batch]:
    """The batches in the order of the journal that they were cut from.

    Raises:
        LayoutError: the file is damaged or cut short.
        OSError: it can't be read.
    """
    with path.open("rb") as file:
        while head := file.read(_LENGTH.size):
            length = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else 0
            raw = file.read(length)
            if not length or len(raw) < length:
                raise LayoutError("the file is cut short")
            yield decode_batch(raw)
