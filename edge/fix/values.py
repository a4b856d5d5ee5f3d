"""What a session machine takes, keeps and gives: profile, numbers, events, effects. And its states, as a table."""

import struct
from dataclasses import replace
from enum import Enum
from typing import Final

from lockstep.edge.fix.dictionary import Dictionary
from lockstep.edge.fix.schedule import ALWAYS, Schedule
from lockstep.edge.fix.times import NS
from lockstep.edge.fix.wire import MAX_MESSAGE, Field, Message
from lockstep.stream.values import frozen

GREETING_NS: Final = 10 * NS
"""For the first Logon to come, or to be answered."""
CHECKING_NS: Final = 60 * NS
"""For a Logon to be looked at, and the session's numbers to be read."""
LOGOUT_NS: Final = 10 * NS
"""For a Logout to be answered."""
MAX_NUMBER: Final = 10**15
"""As far as a SequenceReset may lead: numbers that can be read (18 digits) do not run out behind it."""
CHUNK: Final = 256
"""Numbers of a resend that are fetched at once."""
TEST_ID: Final = b"TEST"


class State(Enum):
    """Of a connection."""

    GREETING = "greeting"
    """For the first Logon to come."""
    CHECKING = "checking"
    """For the Logon to be looked at."""
    LOGGING_ON = "logging on"
    """For the own Logon to be answered (initiator)."""
    OPEN = "open"
    LEAVING = "leaving"
    """For the own Logout to be answered."""
    OVER = "over"


class Befell(Enum):
    """What moves it."""

    CALLED = "it logs on itself"
    LOGON = "a Logon came"
    NO_LOGON = "what came is no Logon for here"
    ACCEPTED = "the Logon was accepted"
    REFUSED = "the Logon was refused"
    FAULT = "its side can't go on"
    LEAVE = "its side logs out"
    LEFT = "the other side logged out"
    SILENCE = "the other side was silent for too long"
    TOO_LONG = "it took too long"
    ENDED = "the connection ended"


MOVES: Final[dict[tuple[State, Befell], State]] = {
    (State.GREETING, Befell.LOGON): State.CHECKING,
    (State.GREETING, Befell.CALLED): State.LOGGING_ON,
    (State.GREETING, Befell.NO_LOGON): State.OVER,
    (State.GREETING, Befell.TOO_LONG): State.OVER,
    (State.GREETING, Befell.ENDED): State.OVER,
    (State.CHECKING, Befell.ACCEPTED): State.OPEN,
    (State.CHECKING, Befell.REFUSED): State.OVER,
    (State.CHECKING, Befell.TOO_LONG): State.OVER,
    (State.CHECKING, Befell.ENDED): State.OVER,
    (State.LOGGING_ON, Befell.ACCEPTED): State.OPEN,
    (State.LOGGING_ON, Befell.REFUSED): State.OVER,
    (State.LOGGING_ON, Befell.NO_LOGON): State.OVER,
    (State.LOGGING_ON, Befell.TOO_LONG): State.OVER,
    (State.LOGGING_ON, Befell.ENDED): State.OVER,
    (State.OPEN, Befell.LEAVE): State.LEAVING,
    (State.OPEN, Befell.FAULT): State.LEAVING,
    (State.OPEN, Befell.LEFT): State.OVER,
    (State.OPEN, Befell.SILENCE): State.OVER,
    (State.OPEN, Befell.ENDED): State.OVER,
    (State.LEAVING, Befell.LEFT): State.OVER,
    (State.LEAVING, Befell.TOO_LONG): State.OVER,
    (State.LEAVING, Befell.ENDED): State.OVER,
}


# ---- what is given ---------------------------------------------------------------------------------------------------


@frozen
class Profile:
    """How one side of a session behaves. `comp_id`: its own name. `peer`: the other's; an acceptor learns it."""

    dictionary: Dictionary
    comp_id: bytes
    peer: bytes = b""
    initiates: bool = False
    heartbeat_s: int = 30
    """That an initiator asks for."""
    heartbeats_s: tuple[int, int] = (1, 3_600)
    """The least and the most that an acceptor accepts. 0: the session may have no heartbeats."""
    window_ns: int = 120 * NS
    """SendingTime may differ from the clock by so much."""
    reset_on_logon: bool = False
    """Both numbers start at one with each Logon. For others who keep no numbers; messages are lost by it."""
    negotiates: bool = False
    """An initiator names the number it expects (789), and no ResendRequest is needed."""
    credentials: tuple[Field, ...] = ()
    """Fields of an initiator's Logon."""
    schedule: Schedule = ALWAYS
    hold: int = 1_000
    """Messages that wait for missing ones. Those beyond come again with the missing ones."""
    hold_bytes: int = 64 * MAX_MESSAGE


_NUMBERS: Final = struct.Struct("<QQQQQ")


@frozen
class Numbers:
    """All that has to be kept of a session between two connections. Numbers are at least 1."""

    next_in: int = 1
    next_out: int = 1
    wanted: int = 0
    """Messages below it were requested again, and have not all come while it is above `next_in`."""
    life: int = 0
    """How often the numbers started at one again. A message is known by (session, life, MsgSeqNum)."""
    since_ns: int = 0
    """When they last did."""

    def after_one_more(self) -> "Numbers":
        """With `next_out` given to a message. For what happens while the session has no connection."""
        return replace(self, next_out=self.next_out + 1)

    def packed(self) -> bytes:
        """For a store: 40 bytes."""
        return _NUMBERS.pack(self.next_in, self.next_out, self.wanted, self.life, self.since_ns)

    @staticmethod
    def unpacked(data: bytes) -> "Numbers":
        """What was packed. Raises `ValueError` for anything else."""
        if len(data) != _NUMBERS.size:
            raise ValueError(f"numbers of a session have {_NUMBERS.size} bytes, not {len(data)}")
        numbers = Numbers(*_NUMBERS.unpack(data))
        if numbers.next_in < 1 or numbers.next_out < 1:
            raise ValueError("numbers of a session start at 1")
        return numbers


# ---- events ----------------------------------------------------------------------------------------------------------


@frozen
class Called:
    """An initiator has a connection, and these are its numbers."""

    numbers: Numbers


@frozen
class Came:
    """Bytes came."""

    data: bytes


@frozen
class Accepted:
    """A `Claim` was found good; the session has these numbers, and no other connection."""

    numbers: Numbers


@frozen
class Refused:
    """A `Claim` was refused. With numbers, a Logout gives the text as reason; without, the connection just ends."""

    text: str
    numbers: Numbers | None = None


@frozen
class Send:
    """An application message to the other side. `fields`: all but those of the session layer; the header's come first.

    `ref`: what it can be made from again.
    """

    kind: bytes
    fields: tuple[Field, ...]
    ref: int = 0


@frozen
class Regenerated:
    """An application message that was sent under `number`, made again. `sent_ns`: when it was sent first."""

    number: int
    kind: bytes
    fields: tuple[Field, ...]
    sent_ns: int


@frozen
class Fetched:
    """Answer to a `Fetch` with the same `life` and `begin`: all application messages of `begin` to `end`, in order.

    `end` may lie before what was asked for, or, where there are none, behind it.
    """

    life: int
    begin: int
    end: int
    messages: tuple[Regenerated, ...]


@frozen
class Leave:
    """Its side wants to log out."""

    text: str = ""


@frozen
class Dropped:
    """The connection is gone."""


@frozen
class Ticked:
    """Some time is over."""


type Event = Called | Came | Accepted | Refused | Send | Fetched | Leave | Dropped | Ticked


# ---- effects ---------------------------------------------------------------------------------------------------------


@frozen
class Claim:
    """Who a Logon says it comes from, to be looked at by whoever knows names and keys."""

    begin: bytes
    sender: bytes
    target: bytes
    sender_sub: bytes
    number: bytes
    sending_time: bytes
    username: bytes
    password: bytes
    raw_data: bytes
    """RawData (96): a signature, where the venue's clients sign."""

    @property
    def signed(self) -> bytes:
        """What a signature has to be of: MsgType, SenderCompID, TargetCompID, MsgSeqNum, SendingTime, as they came."""
        return b"\x01".join((b"A", self.sender, self.target, self.number, self.sending_time))


@frozen
class Fetch:
    """Application messages that were sent under `begin` to `end` are to be made again, from (session, life, number)."""

    life: int
    begin: int
    end: int


@frozen
class Effects:
    """What is to be done, in the order of the fields."""

    numbers: Numbers | None = None
    """To be kept, together with `numbered`, before anything is sent; and together with what `deliver` leads to."""
    numbered: tuple[tuple[int, int], ...] = ()
    """(MsgSeqNum, ref) of application messages."""
    send: bytes = b""
    claim: Claim | None = None
    """To be looked at; answered by `Accepted` or `Refused`."""
    opened: bool = False
    """The session is open from here on."""
    deliver: tuple[Message, ...] = ()
    """Application messages: each once, in order, valid by the dictionary."""
    fetch: Fetch | None = None
    """Answered by `Fetched`, sooner or later. There is one at a time."""
    close: bool = False
    """Once everything is written."""
    why: tuple[str, ...] = ()
    """For the log."""


NOTHING: Final = Effects()
