"""Records as tuples: `struct` layouts of the dtypes in `lockstep.stream.records`.

Reading a NumPy record field by field costs more than matching the order that it holds, so the engine unpacks whole
records with precompiled structs (about 0.2 us each).
"""

import struct
from collections.abc import Callable
from typing import Final

import numpy as np

from lockstep.stream.records import (
    ADMIN,
    COMMAND,
    CONTROL,
    CONTROL_EVENT,
    DEFINITION_EVENT,
    EVENT,
    ORDER_EVENT,
    SETTING,
    SETTING_EVENT,
    TRANSFER,
)

_LETTERS: Final = {"u1": "B", "u2": "H", "u4": "I", "u8": "Q", "i8": "q"}


def struct_of(layout: np.dtype[np.void]) -> struct.Struct:
    """The same fields; text and reserved bytes as `bytes`."""
    fields = [layout[name].str[1:] for name in layout.names or ()]
    return struct.Struct("<" + "".join(_LETTERS.get(kind) or f"{kind[1:]}s" for kind in fields))


COMMAND_ROW: Final = struct_of(COMMAND)
"""LIMITS, RULES and MARKET have the same shape: their values are 13 to 20 of a Row."""
ADMIN_ROW: Final = struct_of(ADMIN)
SETTING_ROW: Final = struct_of(SETTING)
TRANSFER_ROW: Final = struct_of(TRANSFER)
CONTROL_ROW: Final = struct_of(CONTROL)

EVENT_ROW: Final = struct_of(EVENT)
ORDER_EVENT_ROW: Final = struct_of(ORDER_EVENT)
CONTROL_EVENT_ROW: Final = struct_of(CONTROL_EVENT)
DEFINITION_EVENT_ROW: Final = struct_of(DEFINITION_EVENT)
SETTING_EVENT_ROW: Final = struct_of(SETTING_EVENT)

Row = tuple[int, ...]
"""One COMMAND record: the dtype's fields in their order."""
Emit = Callable[[bytes], None]
"""Takes one encoded EVENT record; the engine's list of results."""

KIND: Final = 0
SESSION_ID: Final = 7
SESSION_NO: Final = 8
"""Positions in a Row of what the dispatcher reads."""
