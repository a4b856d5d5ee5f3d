"""Records of the stream: what is journaled, digested or sent between processes, and bounds of what may stand in them.

Layouts and enums are written once, in `proto/records.toml` and `proto/enums.toml`, from which `layouts`, `enums`, the
native core's headers and docs/records.md are generated; everybody takes them from here. All records are fixed size and
little endian, so that a batch of them is one NumPy array, one slice of memory and one journal value, and no process on
the hot path touches a single order in Python unless it has to decide about it.

Units: `*_ticks` are integer multiples of an instrument's tick, `*_lots` integer multiples of its lot, `*_micros` are
millionths of the currency unit, `*_ns` are nanoseconds since the Unix epoch (stamped time). No field is a float.

Several layouts share the 128 bytes of a command, and the 160 of an event; `kind` says which one is meant.

Growth rule: a new field takes reserved bytes or a new overlay; a field never moves. Anything else raises
`LAYOUT_VERSION`, which every batch carries, and the versions of the messages that carry records.
"""

from collections.abc import Sequence
from typing import Final, NewType

import numpy as np
from numpy.typing import NDArray

from lockstep.stream.enums import AccountFlag as AccountFlag
from lockstep.stream.enums import AccountStatus as AccountStatus
from lockstep.stream.enums import AckPolicy as AckPolicy
from lockstep.stream.enums import CommandKind as CommandKind
from lockstep.stream.enums import EventFlag as EventFlag
from lockstep.stream.enums import EventKind as EventKind
from lockstep.stream.enums import LimitState as LimitState
from lockstep.stream.enums import MassCancelFlag as MassCancelFlag
from lockstep.stream.enums import OddLotDisplay as OddLotDisplay
from lockstep.stream.enums import OddLots as OddLots
from lockstep.stream.enums import OrderFlag as OrderFlag
from lockstep.stream.enums import OrderType as OrderType
from lockstep.stream.enums import Phase as Phase
from lockstep.stream.enums import ReplaceFlag as ReplaceFlag
from lockstep.stream.enums import SelfTradePrevention as SelfTradePrevention
from lockstep.stream.enums import ShortSaleAction as ShortSaleAction
from lockstep.stream.enums import Side as Side
from lockstep.stream.enums import TimeInForce as TimeInForce
from lockstep.stream.enums import TradeBar as TradeBar
from lockstep.stream.layouts import ADMIN as ADMIN
from lockstep.stream.layouts import BANDS as BANDS
from lockstep.stream.layouts import COMMAND as COMMAND
from lockstep.stream.layouts import CONTROL as CONTROL
from lockstep.stream.layouts import CONTROL_EVENT as CONTROL_EVENT
from lockstep.stream.layouts import DEFINITION_EVENT as DEFINITION_EVENT
from lockstep.stream.layouts import EVENT as EVENT
from lockstep.stream.layouts import EVENT_LAYOUTS as EVENT_LAYOUTS
from lockstep.stream.layouts import KINDS as KINDS
from lockstep.stream.layouts import LIMITS as LIMITS
from lockstep.stream.layouts import LOTS as LOTS
from lockstep.stream.layouts import MARKET as MARKET
from lockstep.stream.layouts import ORDER_EVENT as ORDER_EVENT
from lockstep.stream.layouts import RESTRICTION as RESTRICTION
from lockstep.stream.layouts import RULES as RULES
from lockstep.stream.layouts import SETTING as SETTING
from lockstep.stream.layouts import SETTING_EVENT as SETTING_EVENT
from lockstep.stream.layouts import THROTTLE as THROTTLE
from lockstep.stream.layouts import TRANSFER as TRANSFER
from lockstep.stream.members import MAX_MEMBER as MAX_MEMBER

LAYOUT_VERSION: Final = 1

Epoch = NewType("Epoch", int)
Seq = NewType("Seq", int)

REMEMBERED_NUMBERS: Final = 8192
"""For so many of a session's latest numbers an engine knows the original outcome and the content: as many as a gateway
ever lets be unanswered at once, so that a key answers for whatever a client may be unsure of (docs/adr/0013)."""

# Bounds of what a gateway lets into the stream. Products of two of them still fit 63 bits.
MAX_PRICE_TICKS: Final = 2**40 - 1
MAX_QUANTITY_LOTS: Final = 2**31 - 1
I64_MAX: Final = 2**63 - 1

Commands = NDArray[np.void]
"""A one-dimensional array of dtype COMMAND (or an overlay of it)."""
Events = NDArray[np.void]
"""A one-dimensional array of dtype EVENT (or an overlay of it)."""


def no_commands() -> Commands:
    """An empty command array."""
    return np.empty(0, dtype=COMMAND)


def no_events() -> Events:
    """An empty event array."""
    return np.empty(0, dtype=EVENT)


def join_records(parts: Sequence[NDArray[np.void]]) -> NDArray[np.void]:
    """One read-only array of the rows of several contiguous ones of the same dtype, of which there is at least one.

    `np.concatenate` does the same a hundred times slower: for structured dtypes it works out the common one each time.
    """
    if len(parts) == 1:
        return parts[0]
    return np.frombuffer(b"".join(part.data for part in parts), dtype=parts[0].dtype)


def members_to_bits(members: tuple[int, ...]) -> int:
    """Bit set of engine member ids.

    Raises:
        ValueError: a member id is outside 1..63.
    """
    bits = 0
    for member in members:
        if not 1 <= member <= MAX_MEMBER:
            raise ValueError(f"engine member id {member} is outside 1..{MAX_MEMBER}")
        bits |= 1 << member
    return bits


def bits_to_members(bits: int) -> tuple[int, ...]:
    """Engine member ids of a bit set, ascending."""
    return tuple(member for member in range(1, MAX_MEMBER + 1) if bits >> member & 1)
