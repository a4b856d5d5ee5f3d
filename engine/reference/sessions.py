"""*Order of a command* 2: sessions number their commands 1, 2, 3 ..., and the engine executes each number once.

The next number is executed; a lower one is a repetition, answered with a pointer to the original outcome, or refused if
its content is another than then; a higher one is refused, because something before it is missing. Refused commands take
their number as well: a gateway that resends after a takeover must not have its refusals executed the second time.
"""

from array import array
from typing import Final, NamedTuple

import numpy as np

from lockstep.stream.content import NO_CONTENT
from lockstep.stream.records import REMEMBERED_NUMBERS

_PAIR: Final = np.dtype([("seq", "<u8"), ("content", "<u8")])


class Outcome(NamedTuple):
    """Of a number: the seq at which it was executed, and the content of its command."""

    seq: int
    content: int


FORGOTTEN: Final = Outcome(seq=0, content=NO_CONTENT)


class Session:
    """`last_no` is the last number executed. Of the latest `REMEMBERED_NUMBERS` the seq and the content are kept.

    Number n stands at place (n - 1) % REMEMBERED_NUMBERS of both arrays.
    """

    __slots__ = ("_contents", "_seqs", "last_no")

    def __init__(self) -> None:
        self.last_no = 0
        # Arrays of machine numbers: a tenth of the memory of lists of ints, which matters at two per number.
        self._seqs = array("Q")
        self._contents = array("Q")

    def advance(self, seq: int, content: int) -> None:
        """The next number was executed."""
        place = self.last_no % REMEMBERED_NUMBERS
        self.last_no += 1
        if place == len(self._seqs):
            self._seqs.append(seq)
            self._contents.append(content)
        else:
            self._seqs[place] = seq
            self._contents[place] = content

    def outcome(self, session_no: int) -> Outcome:
        """Of number `session_no` (<= last_no); FORGOTTEN if it is too old, or 0."""
        if not session_no or self.last_no - session_no >= REMEMBERED_NUMBERS:
            return FORGOTTEN
        place = (session_no - 1) % REMEMBERED_NUMBERS
        return Outcome(self._seqs[place], self._contents[place])

    def outcomes(self) -> bytes:
        """What is kept, oldest first: (seq u64, content u64) each, little endian."""
        pairs = np.empty(len(self._seqs), dtype=_PAIR)
        pairs["seq"], pairs["content"] = self._seqs, self._contents
        oldest = self.last_no % len(pairs)
        return np.concatenate([pairs[oldest:], pairs[:oldest]]).tobytes()

    @classmethod
    def restore(cls, last_no: int, outcomes: bytes) -> "Session":
        """The session that has these `outcomes()`: those of min(last_no, REMEMBERED_NUMBERS) numbers."""
        pairs = np.frombuffer(outcomes, dtype=_PAIR)
        pairs = np.roll(pairs, last_no % len(pairs))
        session = cls()
        session.last_no = last_no
        session._seqs.frombytes(pairs["seq"].astype(np.uint64).tobytes())
        session._contents.frombytes(pairs["content"].astype(np.uint64).tobytes())
        return session
