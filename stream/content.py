"""What a session's number stands for: 64 bits of a command's content, the same in every engine.

An engine keeps them with the outcome of each of a session's latest numbers (docs/engine.md, *Used numbers*), so that a
number that comes again with other content is refused instead of answered with the outcome of something else.

Content is what an engine reads of a command to carry it out. Not content are the number itself, what the way adds (the
gateway and its clock), the client's `tag`, and the fields that the command's kind does not use: one client may send a
cancel with its instrument, another way of sending the same has no place for it. A REFUSED command has no content: what
the client said could not be passed on, and whether it can be may differ between two gateways.

The value is a sum, modulo 2^64, over the content of the record's sixteen 64-bit words: each is folded (`x ^ x >> 32`,
so that its high bits count as much as the low ones) and multiplied by its factor. Folding can be undone and factors are
odd, so two contents that differ in one word never have the same value. Factors are SplitMix64 from `_SEED` on.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from lockstep.stream.records import COMMAND, KINDS, CommandKind, Commands

NO_CONTENT: Final = 0
"""Of a command that has none; it is compared with nothing."""
_WORDS: Final = 16
_U64: Final = 2**64 - 1
_SEED: Final = 0x4C4F_434B_5354_4550  # "LOCKSTEP"
_GOLDEN: Final = 0x9E37_79B9_7F4A_7C15
_REFUSED: Final = int(CommandKind.REFUSED)
_WAY: Final = ("gateway", "session_id", "session_no", "received_ns", "tag")
_FIRST_ADMIN: Final = 64


def splitmix(at: int) -> int:
    """The `at`-th number of SplitMix64."""
    value = (_SEED + at * _GOLDEN) & _U64
    value = (value ^ value >> 30) * 0xBF58_476D_1CE4_E5B9 & _U64
    value = (value ^ value >> 27) * 0x94D0_49BB_1331_11EB & _U64
    return value ^ value >> 31


def _mask_of(fields: tuple[str, ...]) -> NDArray[np.uint64]:
    """The bits of these fields in the words of a record."""
    record = np.zeros(1, dtype=COMMAND)
    for name in fields:
        record[name] = -1 if COMMAND[name].kind == "i" else np.iinfo(COMMAND[name]).max
    return np.frombuffer(record.tobytes(), dtype="<u8")


_MASKS: Final = np.empty((256, _WORDS), dtype=np.uint64)
"""By kind."""
_MASKS[:] = _mask_of(tuple(name for name in COMMAND.names or () if name not in _WAY))
for _kind, (_layout, _uses) in KINDS.items():
    # Of all other kinds everything is content but `_WAY`.
    if _kind < _FIRST_ADMIN and _kind != _REFUSED:
        _MASKS[_kind] = _mask_of(("kind", *_uses))
_FACTORS: Final = np.array([splitmix(word + 1) | 1 for word in range(_WORDS)], dtype=np.uint64)
_START: Final = np.uint64(splitmix(_WORDS + 1))


def contents_of(commands: Commands) -> NDArray[np.uint64]:
    """The content of each command; NO_CONTENT where it has none."""
    words = np.frombuffer(commands.tobytes(), dtype="<u8").reshape(-1, _WORDS)
    kinds = (words[:, 0] & np.uint64(0xFF)).astype(np.uint8)
    content = words & _MASKS[kinds]
    content ^= content >> np.uint64(32)
    found: NDArray[np.uint64] = content.dot(_FACTORS) + _START
    refused = kinds == _REFUSED
    if refused.any():
        found[refused] = NO_CONTENT
    return found
