"""The server's side of one SoupBinTCP connection, from its first byte to its end. Pure.

Its states are a table. What comes behind the login, and what is told to the client, concerns this machine as signs of
life alone: both are read and written natively (`native/codec.hpp`).
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from lockstep.edge.soup import packets
from lockstep.edge.soup.packets import BadLogin, Login, login_of

HEARTBEAT_NS: Final = 1_000_000_000
"""A heartbeat goes out when nothing did for so long."""
DEAD_NS: Final = 15_000_000_000
"""A client that was silent for so long is gone."""
LOGIN_NS: Final = 10_000_000_000
"""For the login to come."""
OPENING_NS: Final = 60_000_000_000
"""For the session to be brought up to date: as long as it takes an engine to search its whole history."""


class State(Enum):
    """Of a connection."""

    GREETING = "greeting"
    """For the login to come whole."""
    OPENING = "opening"
    """For the session to be opened in the cluster."""
    OPEN = "open"
    OVER = "over"


class Befell(Enum):
    """What moves it."""

    LOGIN = "a login came"
    ACCEPTED = "the session is open"
    REJECTED = "the login was rejected"
    NO_LOGIN = "what came is no login"
    TOO_LONG = "it took too long"
    SILENCE = "its client was silent for too long"
    ENDED = "one of the two ended it"


MOVES: Final[dict[tuple[State, Befell], State]] = {
    (State.GREETING, Befell.LOGIN): State.OPENING,
    (State.GREETING, Befell.NO_LOGIN): State.OVER,
    (State.GREETING, Befell.TOO_LONG): State.OVER,
    (State.GREETING, Befell.ENDED): State.OVER,
    (State.OPENING, Befell.ACCEPTED): State.OPEN,
    (State.OPENING, Befell.REJECTED): State.OVER,
    (State.OPENING, Befell.TOO_LONG): State.OVER,
    (State.OPENING, Befell.ENDED): State.OVER,
    (State.OPEN, Befell.SILENCE): State.OVER,
    (State.OPEN, Befell.ENDED): State.OVER,
}


# ---- what happens ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Came:
    """Bytes came. Before the login they are all that came; later their content does not matter."""

    greeting: bytes = b""


@dataclass(frozen=True, slots=True)
class Wrote:
    """Something was written to the client."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The session is open, and the next message to the client has this number."""

    session: int
    sequence: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """The login is not accepted."""

    reason: bytes
    text: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The gateway ends it, or the client has logged out (no text)."""

    text: str = ""


@dataclass(frozen=True, slots=True)
class Ticked:
    """Some time is over. `deaf`: nothing of the client is read at the moment, so that its silence says nothing."""

    deaf: bool = False


Event = Came | Wrote | Accepted | Rejected | Ended | Ticked


@dataclass(frozen=True, slots=True)
class Effects:
    """What is to be done, in the order of the fields."""

    login: Login | None = None
    """To be looked at; answered by `Accepted` or `Rejected`."""
    used: int = 0
    """Bytes of the greeting that the login took."""
    send: bytes = b""
    close: bool = False
    """Once everything is written."""
    why: str = ""
    """For the log."""


NOTHING: Final = Effects()


class Connection:
    """See the module. Invariant: nothing is sent once it is over."""

    def __init__(self, now_ns: int) -> None:
        self.state = State.GREETING
        self._since_ns = self._heard_ns = self._said_ns = now_ns

    def step(self, event: Event, now_ns: int) -> Effects:
        """Take one event, at a time of a monotonic clock. What comes when it is over does nothing."""
        if self.state is State.OVER:
            return NOTHING
        match event:
            case Came():
                self._heard_ns = now_ns
                return self._on_greeting(event, now_ns) if self.state is State.GREETING else NOTHING
            case Wrote():
                self._said_ns = now_ns
                return NOTHING
            case Accepted():
                self._move(Befell.ACCEPTED)
                self._heard_ns = self._said_ns = now_ns
                return Effects(send=packets.accepted(event.session, event.sequence))
            case Rejected():
                self._move(Befell.REJECTED)
                return Effects(send=packets.rejected(event.reason), close=True, why=event.text)
            case Ended():
                self._move(Befell.ENDED)
                return Effects(send=packets.debug(event.text) if event.text else b"", close=True, why=event.text)
            case Ticked():
                return self._on_time(event, now_ns)

    def _on_greeting(self, came: Came, now_ns: int) -> Effects:
        try:
            found = login_of(came.greeting)
        except BadLogin as error:
            self._move(Befell.NO_LOGIN)
            return Effects(send=packets.rejected(packets.NOT_AUTHORIZED), close=True, why=str(error))
        if found is None:
            return NOTHING
        self._move(Befell.LOGIN)
        self._since_ns = now_ns
        login, used = found
        return Effects(login=login, used=used)

    def _on_time(self, ticked: Ticked, now_ns: int) -> Effects:
        if self.state is State.GREETING and now_ns - self._since_ns >= LOGIN_NS:
            self._move(Befell.TOO_LONG)
            return Effects(close=True, why="no login came")
        if self.state is State.OPENING and now_ns - self._since_ns >= OPENING_NS:
            self._move(Befell.TOO_LONG)
            text = "the session could not be brought up to date in time"
            return Effects(send=packets.rejected(packets.NO_SUCH_SESSION), close=True, why=text)
        if self.state is not State.OPEN:
            return NOTHING
        if ticked.deaf:
            self._heard_ns = now_ns
        if now_ns - self._heard_ns >= DEAD_NS:
            self._move(Befell.SILENCE)
            return Effects(close=True, why="nothing came for 15 s, not even a heartbeat")
        if now_ns - self._said_ns >= HEARTBEAT_NS:
            self._said_ns = now_ns
            return Effects(send=packets.HEARTBEAT)
        return NOTHING

    def _move(self, befell: Befell) -> None:
        self.state = MOVES[self.state, befell]
