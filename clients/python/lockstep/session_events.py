"""What goes into the session machine and what comes out: plain values, no I/O."""

import base64
import json
from dataclasses import dataclass
from typing import Final

from google.protobuf.message import DecodeError

from lockstep.admin import AdminCommand, decode_admin, encode_admin
from lockstep.arguments import U64, integer
from lockstep.columns import CommandColumns, ReportColumns, decode_command_batch
from lockstep.errors import ProtocolFault
from lockstep.wire.v1 import columns_pb2

MAX_INDEX: Final = 2**32 - 1


@dataclass(frozen=True, slots=True, order=True)
class ReportId:
    """Position of a report row in a session's history. Rows come in strictly ascending order of it."""

    seq: int = 0
    index: int = 0
    leg: int = 0


@dataclass(frozen=True, slots=True)
class Parcel:
    """Numbered commands, kept until they are answered: `count` rows from `first_no` on."""

    first_no: int
    body: CommandColumns | AdminCommand

    @property
    def count(self) -> int:
        """Commands in it."""
        return self.body.count if isinstance(self.body, CommandColumns) else 1

    @property
    def end_no(self) -> int:
        """Number after the last."""
        return self.first_no + self.count

    def part(self, start_no: int, stop_no: int) -> "Parcel":
        """The commands numbered [start_no, stop_no)."""
        if isinstance(self.body, CommandColumns):
            return Parcel(start_no, self.body.slice(start_no - self.first_no, stop_no - self.first_no))
        return self

    def encode(self) -> bytes:
        """As a serialised `SessionRequest`."""
        if isinstance(self.body, CommandColumns):
            return self.body.encode(self.first_no)
        return encode_admin(self.body, self.first_no)


def decode_parcel(message: bytes) -> Parcel:
    """Twin of `Parcel.encode`."""
    if columns_pb2.SessionRequest.FromString(message).WhichOneof("message") == "batch":
        return Parcel(*decode_command_batch(message))
    return Parcel(*decode_admin(message))


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything that another process needs to go on with a session: keep `to_json()` wherever you like.

    `next_no` is the number after the last in `unanswered`; those are sent again first, which executes each of them
    once at the most.
    """

    session_id: int
    next_no: int = 1
    last_seen: ReportId = ReportId()
    epoch: int = 0
    unanswered: tuple[Parcel, ...] = ()
    connection: int = 0
    """Number of the last connection; see `SessionMachine.number_connection`."""

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(
            {
                "version": 1,
                "session_id": self.session_id,
                "next_no": self.next_no,
                "last_seen": [self.last_seen.seq, self.last_seen.index, self.last_seen.leg],
                "epoch": self.epoch,
                "unanswered": [base64.b64encode(parcel.encode()).decode() for parcel in self.unanswered],
                "connection": self.connection,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> "Checkpoint":
        """Twin of `to_json`.

        Raises:
            ValueError: this is not a checkpoint, or of another version, or it is damaged.
        """
        try:
            fields = json.loads(text)
            if fields["version"] != 1:
                raise ValueError(f"session checkpoint of version {fields['version']}; this package reads version 1")
            checkpoint = cls(
                integer("session_id", fields["session_id"], 1, U64),
                integer("next_no", fields["next_no"], 1, U64),
                _report_id(*fields["last_seen"]),
                integer("epoch", fields["epoch"], 0, U64),
                tuple(decode_parcel(base64.b64decode(saved, validate=True)) for saved in fields["unanswered"]),
                integer("connection", fields.get("connection", 0), 0, U64 // 2),
            )
        except (KeyError, TypeError, ValueError, RecursionError, ProtocolFault, DecodeError) as error:
            raise ValueError(f"not a session checkpoint ({error!r}); open a new session instead") from error
        ends = (*(parcel.first_no for parcel in checkpoint.unanswered[1:]), checkpoint.next_no)
        if any(parcel.end_no != end for parcel, end in zip(checkpoint.unanswered, ends, strict=False)):
            raise ValueError("not a session checkpoint (its commands are not numbered in a row); open a new session")
        return checkpoint


def _report_id(seq: object, index: object, leg: object) -> ReportId:
    return ReportId(
        integer("seq", seq, 0, U64), integer("index", index, 0, MAX_INDEX), integer("leg", leg, 0, MAX_INDEX)
    )


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """Bounds and pauses of a session. Times are nanoseconds."""

    max_unanswered: int = 16_384
    """Commands numbered and not answered at the most; beyond it nothing is taken."""
    batch_rows: int = 512
    """Rows that are sent at once without waiting for more (the gateway's own limit holds as well)."""
    linger_ns: int = 1_000_000
    """How long a command waits for company."""
    most_under_way: int = 4
    """Messages under way at which further commands wait for an answer, or for `batch_rows` of them: messages then grow
    with the load, instead of becoming more."""
    welcome_ns: int = 1_000_000_000
    """How long a gateway may take to say Welcome before the next address is tried; doubled with each that did not, so
    that gateways which are merely slow get time for the work that they have begun."""
    welcome_most_ns: int = 8_000_000_000
    backoff_first_ns: int = 10_000_000
    """Pause before the first try after a break, doubled with each further one."""
    backoff_most_ns: int = 200_000_000
    """Its bound while an outage may be a failover or a restart; beyond `short_tries` it goes on to double."""
    short_tries: int = 10
    backoff_long_ns: int = 2_000_000_000
    """Its bound for good."""
    hold_first_ns: int = 1_000_000
    """Pause after a retryable refusal, doubled with each further one while nothing is answered."""
    hold_most_ns: int = 100_000_000
    settle_ns: int = 100_000_000
    """How long a gateway that does not say how far a session had come brings nothing until it is believed to have
    brought all."""
    cancel_on_disconnect_ms: int = 0
    """Milliseconds without an open stream after which the gateway cancels the session's orders; 0: never."""

    def pause_ns(self, failed_tries: int, jitter_ppm: int) -> int:
        """Before the next connection after so many failed ones in a row. Half of it is chance."""
        whole_ns = min(self.backoff_first_ns << min(failed_tries, 20), self.backoff_most_ns)
        if failed_tries >= self.short_tries:
            whole_ns = min(whole_ns << min(failed_tries - self.short_tries + 1, 20), self.backoff_long_ns)
        return whole_ns // 2 + whole_ns * jitter_ppm // 2_000_000


@dataclass(frozen=True, slots=True)
class Opened:
    """The owner wants the session to run."""


@dataclass(frozen=True, slots=True)
class Ticked:
    """The time in `SessionMachine.deadline_ns` has come (or may have)."""


@dataclass(frozen=True, slots=True)
class Welcomed:
    """The gateway admitted the session."""

    conn: int
    epoch: int
    credit: int
    max_batch: int
    next_number_follows: bool = False


@dataclass(frozen=True, slots=True)
class NextNumberReported:
    """The gateway has brought all reports up to the Hello, and expects this number next."""

    conn: int
    next_no: int
    executed_no: int = -1
    """Highest number that the engines had executed by then; -1: it did not say."""


@dataclass(frozen=True, slots=True)
class Reported:
    """Reports arrived."""

    conn: int
    batch: ReportColumns


@dataclass(frozen=True, slots=True)
class RefusalArrived:
    """The gateway did not take commands."""

    conn: int
    from_no: int
    code: int
    text: str
    retryable: bool
    retry_after_ms: int


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """The connection is gone. `jitter_ppm` (0..999 999) is the dice for the pause."""

    conn: int
    reason: str
    jitter_ppm: int
    fatal_code: int = 0
    """Why it is of no use to try again; 0: it is."""
    retry_after_ms: int = 0
    """How long the gateway asked to stay away."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The owner wants no more of it. What is unanswered stays unanswered."""


SessionEvent = Opened | Ticked | Welcomed | NextNumberReported | Reported | RefusalArrived | StreamEnded | Closed


@dataclass(frozen=True, slots=True)
class Connect:
    """Open a stream to address `address` (an index, to be taken modulo their number) and say Hello."""

    conn: int
    address: int
    session_id: int
    last_seen: ReportId
    next_no: int
    cancel_on_disconnect_ms: int = 0
    last_epoch: int = 0
    """Epoch under which `last_seen` was delivered; 0: nothing was."""
    asks_next_no: bool = False
    """Have the gateway say which number it expects next, once all earlier reports are there."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The session is over, for this reason."""

    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Effects:
    """What the driver has to do, in this order."""

    disconnect: int = 0
    """Give this connection up (cancel it, read nothing more from it); 0: none."""
    connect: Connect | None = None
    send: tuple[Parcel, ...] = ()
    """Write these on the current connection, in order."""
    reports: ReportColumns | None = None
    """Hand these to the owner."""
    answered: bool = False
    """`SessionMachine.first_unanswered` moved: there is room again."""
    failure: Failure | None = None


NOTHING: Final = Effects()


@dataclass(slots=True)
class Counters:
    """What happened besides the plain flow, for people."""

    connections: int = 0
    refusals: int = 0
    rows: int = 0
    repeated_rows: int = 0
    """Report rows that had been seen."""
    duplicate_answers: int = 0
    """DUPLICATE rows for commands that were answered already: the trace of a resend, not handed out."""
    stale_epochs: int = 0
    late_messages: int = 0
    """Messages of a connection that was abandoned."""
