"""Records as tuples: `struct` layouts of the dtypes in `lockstep.stream.records`.

Reading a NumPy record field by field costs more than matching the order that it holds, so the engine unpacks whole
records with precompiled structs (about 0.2 us each). The dtypes stay the only definition of a layout: a test holds
these formats equal to them, field by field.
"""

import struct
from collections.abc import Callable
from typing import Final

COMMAND_ROW: Final = struct.Struct("<6BHQQIIQQ9qQ")
"""LIMITS, RULES and MARKET have the same shape: their values are 13 to 20 of a Row."""
ADMIN_ROW: Final = struct.Struct("<6BHQQIIQQ32s5qQ")
SETTING_ROW: Final = struct.Struct("<6BHQQIIQQBB6sqq40sqQ")
TRANSFER_ROW: Final = struct.Struct("<6BHQQIIQQI4sq48sqQ")
CONTROL_ROW: Final = struct.Struct("<6BHQQIIQQQQHHHHB7s4Q16s")

EVENT_ROW: Final = struct.Struct("<QIBBHIIQQQQqqqQQQIIqqqqqq")
ORDER_EVENT_ROW: Final = struct.Struct("<QIBBHIIQQQQqqq8sqQ4BIqq8sqqq")
CONTROL_EVENT_ROW: Final = struct.Struct("<QIBBHQQHHHH80sq32s")
DEFINITION_EVENT_ROW: Final = struct.Struct("<QIBBHIIQQ32sqqqq4sI8sq32s")
SETTING_EVENT_ROW: Final = struct.Struct("<QIBBHIIQQqqqqQQ20sI8sq32s")

Row = tuple[int, ...]
"""One COMMAND record: the dtype's fields in their order."""
Emit = Callable[[bytes], None]
"""Takes one encoded EVENT record; the engine's list of results."""

KIND: Final = 0
SESSION_ID: Final = 7
SESSION_NO: Final = 8
"""Positions in a Row of what the dispatcher reads."""
