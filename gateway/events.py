"""What happens to a gateway's machine, and what it wants done. Values alone."""

from collections.abc import Sequence
from dataclasses import field
from typing import Final

from lockstep.gateway.disconnects import Watch
from lockstep.gateway.reports import Routed
from lockstep.gateway.resumption import EventId, Resumption
from lockstep.gateway.sessions import Admission, Opened, Refused, Session
from lockstep.runtime.budget import Allowance
from lockstep.runtime.downlink import Fetch
from lockstep.stream.messages import Receipt, Release, Submit
from lockstep.stream.records import Commands, Events
from lockstep.stream.values import frozen

# ---- what happens ------------------------------------------------------------------------------------------------


@frozen
class Started:
    """The cluster's committed seq and epoch are known: live delivery begins behind it.

    `own_last_no`: the last number of `own_session_id` that was executed; 0 unless a life had no intake log.
    """

    committed_seq: int
    epoch: int
    own_last_no: int = 0


@frozen
class Came:
    """Messages of one poll of the links, in the order of their arrival."""

    messages: Sequence[Receipt | Release]


@frozen
class Ticked:
    """Some milliseconds are over."""


@frozen
class Flushed:
    """What was admitted may leave; see `GatewayMachine.flush_due_ns`."""


@frozen
class SendFailed:
    """The link to the sequencer did not take a message."""


@frozen
class Said:
    """A sequencer says on its own liveness link in which epoch it knows the cluster to be, and whether it leads."""

    sequencer: int
    epoch: int
    leads: bool = True


@frozen
class Fetched:
    """The answer to `Effects.fetch`."""

    events: Events
    through_seq: int


@frozen
class NotFetched:
    """No engine has what `Effects.fetch` asked for; see `Downlink.on_fetch_failed`, and `left_behind`."""

    diverged: bool = False
    gone: bool = False
    first_seq: int = 0


@frozen
class HelloSaid:
    """A client opens a stream, whose token `stream` is. Answered by `Effects.opened`.

    `connection` 0: it has no number. `last_seen`: the last event that the client knows, delivered under `last_epoch`
    (0: not known). What the cluster has to hear of the stream leaves before its first command, or with the next tick.
    """

    session_id: int
    client: str
    stream: int
    next_no: int
    cancel_on_disconnect_ms: int = 0
    connection: int = 0
    last_seen: EventId = (0, 0)
    last_epoch: int = 0


@frozen
class StreamClosed:
    """A stream ended, in whichever way."""

    session_id: int
    stream: int


@frozen
class Resumed:
    """Older events that are delivered to a resuming client: what they answer, it will never send again."""

    routed: Routed


@frozen
class SessionNeeded:
    """A single call speaks for this session, whose next number is `next_no` if it is not known here.

    Answered by `Effects.session`.
    """

    session_id: int
    client: str
    next_no: int


@frozen
class Submitted:
    """Commands of one session, numbered one after the other. Answered by `Effects.admission`.

    `admin`: their client's entitlement; without it an administrative command among them is refused. So every one that
    stands in the intake log has this gateway's word.
    """

    session: Session
    records: Commands = field(repr=False)
    admin: bool = False
    allowance: Allowance | None = None
    """How many of them are within the client's budget; None: all."""


@frozen
class Offered:
    """A message of a stream brings commands from this number on. Answered by `Effects.admission`; None: read it."""

    session: Session
    first_no: int


Event = (
    Started
    | Came
    | Ticked
    | Flushed
    | SendFailed
    | Said
    | Fetched
    | NotFetched
    | HelloSaid
    | StreamClosed
    | Resumed
    | SessionNeeded
    | Offered
    | Submitted
)


# ---- what is to be done ------------------------------------------------------------------------------------------


@frozen
class OpenedStream(Opened):
    """A stream owns its session now: what is delivered from here on is live to it, all before is its resumption's."""

    resumption: Resumption


@frozen
class Effects:
    """What is to be done, in the order of the fields; the first three only answer."""

    opened: OpenedStream | Refused | None = None
    session: Session | Refused | None = None
    admission: Admission | None = None
    store: tuple[tuple[int, Commands], ...] = field(default=(), repr=False)
    """(key, commands) for the intake log, before they are sent."""
    watched: tuple[Watch, ...] = ()
    """Sessions with cancel on disconnect that have changed, for the intake log, in the same write."""
    sends: tuple[Submit, ...] = field(default=(), repr=False)
    """For `sequencer`."""
    sequencer: int = 0
    forget_through: int = 0
    """The intake log may drop entries up to this key; 0: none."""
    events: Events | None = field(default=None, repr=False)
    """Newly committed events, each delivered once, in order."""
    routed: Routed | None = field(default=None, repr=False)
    """`events` by session."""
    left: tuple[int, ...] = ()
    """Sessions whose streams here are to be ended: their client has opened a later connection elsewhere."""
    fetch: Fetch | None = None
    """Committed events to ask an engine for, and whether those that were delivered are its history."""
    new_reign: bool = False


NOTHING: Final = Effects()
