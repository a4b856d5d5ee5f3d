"""What happens to a feed's machine, and what it wants done. Values alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from lockstep.marketdata.feed_beginning import Start
from lockstep.marketdata.feed_subscriptions import Wanted
from lockstep.runtime.downlink import Fetch
from lockstep.stream.messages import Release
from lockstep.stream.records import Events

# ---- what happens ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Started:
    """Where the fold begins is known."""

    start: Start


@dataclass(frozen=True, slots=True)
class Came:
    """RELEASE frames of one poll of the links, in the order of their arrival."""

    releases: Sequence[Release]


@dataclass(frozen=True, slots=True)
class Fetched:
    """The answer to `Effects.fetch`."""

    events: Events
    through_seq: int


@dataclass(frozen=True, slots=True)
class NotFetched:
    """No engine has what was asked for; see `Downlink.on_fetch_failed`."""

    diverged: bool = False
    gone: bool = False
    first_seq: int = 0


@dataclass(frozen=True, slots=True)
class Said:
    """A sequencer says on its own liveness link in which epoch it knows the cluster to be."""

    epoch: int


@dataclass(frozen=True, slots=True)
class BandLearnt:
    """The command at `seq` has set an instrument's band."""

    instrument: int
    seq: int
    band_ppm: int


@dataclass(frozen=True, slots=True)
class Ticked:
    """`FeedMachine.due_ns` has come, or some milliseconds are over."""


@dataclass(frozen=True, slots=True)
class ReaderEntered:
    """A connection begins. `Effects.refused` says if it may not."""

    reader: int


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A reader asks for more. `Effects.refused` says why it can't be had."""

    reader: int
    wanted: Wanted


@dataclass(frozen=True, slots=True)
class Unsubscribed:
    """A reader asks for less: a feed of these instruments, or of all."""

    reader: int
    feed: int
    instruments: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Pinged:
    """A reader wants to know that it is heard."""

    reader: int
    number: int


@dataclass(frozen=True, slots=True)
class Blocked:
    """Who writes to a reader takes no more now."""

    reader: int


@dataclass(frozen=True, slots=True)
class Ready:
    """Who writes to a reader takes more again."""

    reader: int


@dataclass(frozen=True, slots=True)
class ReaderLeft:
    """A connection has ended, in whichever way."""

    reader: int


Event = (
    Started
    | Came
    | Fetched
    | NotFetched
    | Said
    | BandLearnt
    | Ticked
    | ReaderEntered
    | Subscribed
    | Unsubscribed
    | Pinged
    | Blocked
    | Ready
    | ReaderLeft
)


# ---- what is to be done ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something is not done, and when it may be tried again (0: not)."""

    code: int
    text: str
    retry_after_ms: int = 0


@dataclass(frozen=True, slots=True)
class Effects:
    """What is to be done, in the order of the fields; the first one only answers."""

    refused: Refusal | None = None
    frames: Sequence[tuple[int, bytes]] = field(default=(), repr=False)
    """(Reader, frame), in the order in which they are written."""
    closings: tuple[tuple[int, Refusal], ...] = ()
    """Readers whose connections are to be ended, with the reason."""
    datagrams: Sequence[bytes] = field(default=(), repr=False)
    """Of the line, in order."""
    fetch: Fetch | None = None
    """Committed events to ask an engine for, and whether those that were reported are its history."""
    bands: tuple[tuple[int, int], ...] = ()
    """(Instrument, seq) of commands whose bands are to be read in a journal."""


NOTHING: Final = Effects()
