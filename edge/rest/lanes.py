"""Which idempotency keys were used, and which command each stands for: a fold over the events of sessions. Pure.

A client's keys go to one of its sixteen *lanes* by a hash: sessions of its own, which doors alone use. A key is put
down there first, as a note (`OrderEntry.Note`), and its command has the number behind the note. Both are numbers of the
session, so that the engines decide who has them (docs/adr/0023):

1. A door puts a key down under number n only if it knows what all lower numbers were used for, and none of them is this
   key. If another door has had n meanwhile, the reply shows the other's note, and the door looks again.
2. It sends the key's command under n + 1, and nothing else, after it has seen the key under n.
3. Where a command does not come behind its note (its door died), any door may use the number up with a *filler*. Then
   the key is free again, and what comes late under n + 1 has no effect.

So of two doors, or of one before and after its death, one at most has the command of a key executed, once, and whoever
has read the lane's events has the same keys and the same outcomes.
"""

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, Final

from lockstep.stream.codes import NOT_EXECUTED, Code
from lockstep.stream.records import EventKind, Events
from lockstep.stream.values import frozen

LANES: Final = 16
KEPT_KEYS: Final = 65_536
"""Of one lane, the latest ones: a key is known until its lane has had so many later ones."""
_FIRST_LANE: Final = 0x5245_5300
"""Lower half of a lane's session id: "RES"."""
_TOP: Final = 1 << 63
_HIGH_BITS: Final = 31
_REQUEST_BITS: Final = 32
_PERSON: Final = b"lockstep-rest"
_DUPLICATE: Final = int(EventKind.DUPLICATE)
_FIRST_CONTROL: Final = 192
LAST_INDEX: Final = 2**32 - 1
EventKey = tuple[int, int]


class NotTheLanes(Exception):
    """Events that can't follow what is known of the lane: the history is another one. Read it anew."""


@frozen
class Name:
    """What is put down for a key: 95 bits of the key, 32 of the request that it was used for."""

    lane: int
    """0 to 15."""
    key: int
    request: int

    @property
    def high(self) -> int:
        """The note's first half."""
        return _TOP | (self.key >> 64) << _REQUEST_BITS | self.request

    @property
    def low(self) -> int:
        """Its second half."""
        return self.key & (1 << 64) - 1


FILLER: Final = (_TOP, 0)
"""A note that is no key's."""


def name_of(key: str, request: bytes) -> Name:
    """`key`: as the client sent it. `request`: what tells it from requests that ask for something else."""
    digest = blake2b(key.encode(), digest_size=16, person=_PERSON).digest()
    key_bits = int.from_bytes(digest[:12], "big") >> 96 - 64 - _HIGH_BITS
    asked = int.from_bytes(blake2b(request, digest_size=4, person=_PERSON).digest(), "big")
    # Never all zeros, which is the filler's.
    return Name(digest[15] % LANES, key_bits or 1, asked)


def session_of(client_number: int, lane: int) -> int:
    """The session that is a client's lane."""
    return client_number << 32 | _FIRST_LANE | lane


@frozen
class Use:
    """What a key was used for. `seq` 0: its command has not been seen yet."""

    number: int
    request: int
    seq: int


class Lane:
    """One session, as far as its events are known.

    Invariant: all numbers below `next_no` are known, and a key is in `_uses` once at the most.
    """

    def __init__(self) -> None:
        self.next_no = 1
        """The lowest number of which nothing is known."""
        self.through: EventKey = (0, 0)
        """All events up to this one are in."""
        self.pending: Name | None = None
        """The key that was put down last, if its command has not been seen; its number is `next_no`."""
        self._uses: dict[int, Use] = {}

    def __len__(self) -> int:
        """Keys that are known."""
        return len(self._uses)

    def find(self, key: int) -> Use | None:
        """What the key stands for; None: it was not used, or so many keys ago that it is known no more."""
        return self._uses.get(key)

    def take(self, events: Events, through: EventKey) -> None:
        """Events of the session, in order, all that there are up to `through`.

        Raises:
            NotTheLanes: see there.
        """
        for number, seq, high, low, code in _outcomes(events):
            self.on_outcome(number, seq, high, low, code)
        self.through = max(self.through, through)

    def skip_to(self, events: Events) -> None:
        """What was before these events was cut from every journal: nothing is known of it, and the keys are free."""
        first = next(iter(_outcomes(events)), None)
        if first is not None:
            self.next_no = max(self.next_no, first[0])

    def on_outcome(self, number: int, seq: int, high: int, low: int, code: int) -> None:
        """The command of a number was executed, or its name noted.

        Raises:
            NotTheLanes: a number is missing between what is known and this one.
        """
        if number < self.next_no:
            return
        if number > self.next_no:
            raise NotTheLanes(f"number {number} came, {self.next_no} is the next")
        noted = _name(high, low) if code == Code.NOTED else None
        pending, self.pending = self.pending, None
        self.next_no += 1
        self.through = max(self.through, (seq, LAST_INDEX))
        if pending is not None:
            if code != Code.NOTED:
                self._uses[pending.key] = Use(number, pending.request, seq)
                return
            del self._uses[pending.key]
        if noted is not None and noted.key not in self._uses:
            self.pending = noted
            self._uses[noted.key] = Use(number + 1, noted.request, 0)
            self._forget()

    def _forget(self) -> None:
        """A key and its command take two numbers, so the bound is the same at every door, whatever was free again."""
        oldest = self.next_no - 2 * KEPT_KEYS
        while True:
            key = next(iter(self._uses))
            if self._uses[key].number > oldest:
                return
            del self._uses[key]


def _name(high: int, low: int) -> Name | None:
    """What a note says; None: the filler, or nothing of a door's."""
    if not high & _TOP or (high, low) == FILLER:
        return None
    return Name(0, (high & ~_TOP) >> _REQUEST_BITS << 64 | low, high & (1 << _REQUEST_BITS) - 1)


def _outcomes(events: Events) -> Iterator[tuple[int, int, int, int, int]]:
    """(number, seq, order id, client order id, code) of what each number was used for, in order."""
    kinds, codes = events["kind"], events["code"]
    wanted = (events["session_no"] != 0) & (kinds != _DUPLICATE) & (kinds < _FIRST_CONTROL)
    for code in NOT_EXECUTED:
        wanted &= codes != code
    rows = events[wanted]
    columns: list[list[Any]] = [
        rows[name].tolist() for name in ("session_no", "seq", "order_id", "client_order_id", "code")
    ]
    last = 0
    for number, seq, high, low, code in zip(*columns, strict=True):
        if number != last:
            yield number, seq, high, low, code
        last = number
