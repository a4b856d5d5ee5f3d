"""What a sequencer's state machine hears and what it answers: the seam between `machine` and `shell`.

Events carry facts, never commands to the machine; effects are orders to the shell, never facts. All values are frozen.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from lockstep.sequencer.config_record import ConfigRecord
from lockstep.stream.batch import Batch
from lockstep.stream.delivery_mark import NOTHING_DELIVERED, DeliveryMark
from lockstep.stream.messages import Ack, Receipt, Stream, Submit
from lockstep.stream.records import AckPolicy
from lockstep.stream.values import frozen


class Down(StrEnum):
    """Why a watched peer counts as down."""

    EOF = "eof"
    """Its liveness link ended: it crashed or closed."""
    HANG = "hang"
    """Its liveness link is silent beyond the deadline."""
    UNREACHED = "unreached"
    """It was never reached since this process has started."""


class EpochCause(IntEnum):
    """Why an epoch began: `cause` of EPOCH_START."""

    BOOTSTRAP = 1
    SEQUENCER_LOST = 2
    SEQUENCER_RESTARTED = 3
    PRIMARY_LOST = 4
    STANDBY_LOST = 5
    SWITCHOVER = 6
    ACK_POLICY_CHANGED = 7
    DATA_LOSS_ACCEPTED = 8
    """An operator made an engine primary that may lack committed commands."""
    MEMBER_FENCED = 9
    REPLICA_DIVERGED = 10
    """Most in-sync engines agree, another has computed something else and was removed."""


@frozen
class ClocksRead:
    """What this host's wall clock says, and what those of others have said since the last time, in Unix ns."""

    wall_ns: int
    others: tuple[tuple[str, int], ...] = ()
    """(process, time) of other sequencers and engines."""


@frozen
class ConfigSeen:
    """The config key, read or watched. `record` is None where it does not exist."""

    record: ConfigRecord | None
    mod_revision: int


@frozen
class ConfigUnreadable:
    """What stands in the config key is no config record."""

    why: str
    mod_revision: int
    last_good: ConfigRecord | None
    """The newest record that stood there before, if etcd still knows it."""


@frozen
class CasWon:
    """The swap was applied; its write has this revision."""

    attempt: str
    mod_revision: int


@frozen
class CasLost:
    """The swap was not applied; this is what stands there instead."""

    attempt: str
    record: ConfigRecord | None
    mod_revision: int


@frozen
class CasAmbiguous:
    """The swap may or may not have been applied, or may be later."""

    attempt: str


@frozen
class StoreDown:
    """The swap was not applied and will not be: no etcd member could be reached."""

    attempt: str


@frozen
class PresenceSeen:
    """Whether another sequencer's leased key is in etcd."""

    sequencer: int
    present: bool


@frozen
class EngineUp:
    """An engine answers on its liveness link; `epoch` is the highest it has promised."""

    engine: int
    epoch: int


@frozen
class EnginePromised:
    """An engine says on its own liveness link which epoch it has promised. Only it itself is believed there: an ACK
    in its name may be anybody's."""

    engine: int
    epoch: int


@frozen
class GatewaySaid:
    """A gateway says on its own liveness link which life of it this is; 0: the link is down, so it says nothing."""

    gateway: int
    incarnation: int
    delivered: DeliveryMark = NOTHING_DELIVERED


@frozen
class EngineDown:
    """An engine's liveness link is down."""

    engine: int
    reason: Down


@frozen
class EngineStalled:
    """An engine that answers stood still: no heartbeat of it came for so long, and that is over."""

    engine: int
    for_ns: int


@frozen
class SequencerUp:
    """Another sequencer answers on its liveness link."""

    sequencer: int
    epoch: int


@frozen
class SequencerDown:
    """Another sequencer's liveness link is down."""

    sequencer: int
    reason: Down


@frozen
class SequencerMute:
    """Another sequencer says that its media driver is lost (it can send nothing), or is back."""

    sequencer: int
    mute: bool


@frozen
class DriverDown:
    """This host's media driver is lost: no frame comes or goes."""


@frozen
class DriverUp:
    """This process is attached to a live media driver again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FenceAnswered:
    """An engine's answer to `Fence(epoch)`."""

    engine: int
    epoch: int
    accepted: bool
    promised: int
    tip_epoch: int = 0
    tip_seq: int = 0
    tip_digest: bytes = b""
    committed_seq: int = 0
    timestamp_ns: int = 0
    blank: bool = False
    """Its journal is new and no part of this cluster's history: what it held is gone."""
    journal: int = 0
    """Identity of its journal; 0: unknown."""


@frozen
class FenceFailed:
    """No answer to `Fence(epoch)`; it may have been obeyed all the same."""

    engine: int
    epoch: int
    reason: str


@frozen
class JournalFetched:
    """The journaled batches that were asked for, in order."""

    engine: int
    epoch: int
    batches: tuple[Batch, ...]


@frozen
class JournalFetchFailed:
    """The batches could not be had."""

    engine: int
    epoch: int
    reason: str


@frozen
class SubmitReceived:
    """A SUBMIT frame from a gateway."""

    frame: Submit


@frozen
class AckReceived:
    """An ACK frame from an engine."""

    frame: Ack


@frozen
class SwitchPrimaryRequested:
    """An operator wants another primary. `to` 0: the sequencer chooses."""

    request: int
    to: int


@frozen
class FailoverModeRequested:
    """An operator switches automatic failover off or on."""

    request: int
    automatic: bool


@frozen
class AckPolicyRequested:
    """An operator wants another acknowledgement policy."""

    request: int
    policy: AckPolicy


@frozen
class MemberFenceRequested:
    """An operator wants an engine out for good, or (`fenced` false) let in again."""

    request: int
    member: int
    fenced: bool


@frozen
class ForceFailoverRequested:
    """An operator wants this engine alone in sync, and accepts that commands may be lost."""

    request: int
    to: int


OperatorRequest = (
    SwitchPrimaryRequested | FailoverModeRequested | AckPolicyRequested | MemberFenceRequested | ForceFailoverRequested
)


@frozen
class Tick:
    """Time has passed, or a cycle of polling has ended: stamp what has come in and do what is due."""


Event = (
    ConfigSeen | ConfigUnreadable | CasWon | CasLost | CasAmbiguous | StoreDown | PresenceSeen | EngineUp
    | EnginePromised | GatewaySaid | EngineDown | EngineStalled | SequencerUp | SequencerDown | SequencerMute
    | DriverDown | DriverUp | ClocksRead | FenceAnswered | FenceFailed | JournalFetched | JournalFetchFailed
    | SubmitReceived | AckReceived | OperatorRequest | Tick
)  # fmt: skip


@frozen
class Cas:
    """Write `record` if the config key's mod revision is `expected_mod_revision` (0: it must not exist)."""

    record: ConfigRecord
    expected_mod_revision: int


@frozen
class FenceOrder:
    """Send Fence(epoch) to an engine."""

    engine: int
    epoch: int
    uuid: str
    settled: bool = True
    """The cluster has been opened once: a blank journal has lost what it held."""


@frozen
class FetchOrder:
    """Fetch the journal's batches `from_seq..to_seq` from an engine."""

    engine: int
    epoch: int
    from_seq: int
    to_seq: int


@frozen
class StreamSend:
    """Send a STREAM frame to these engines."""

    engines: tuple[int, ...]
    frame: Stream


@frozen
class ReceiptSend:
    """Send a RECEIPT frame to a gateway."""

    gateway: int
    frame: Receipt


@frozen
class OperatorAnswer:
    """Outcome of an operator's request. `refused` is empty where it was done."""

    request: int
    refused: str = ""
    primary: int = 0
    epoch: int = 0
    seq: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochOpened:
    """One line of the cluster's history."""

    epoch: int
    first_seq: int
    """Seq of its EPOCH_START."""
    timestamp_ns: int
    cause: EpochCause
    sequencer: int
    primary: int
    in_sync: tuple[int, ...]
    gap_ns: int
    """From the first evidence of the loss to the stamping; 0 where nothing was lost."""


class Level(StrEnum):
    """How loud a note is."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@frozen
class Note:
    """One line for the log: what happened, with fields."""

    level: Level
    what: str
    fields: tuple[tuple[str, int | str], ...] = ()


@frozen
class Effects:
    """Orders to the shell, to be carried out in the order of the fields."""

    streams: tuple[StreamSend, ...] = ()
    """First: an epoch's record goes out before anything that speaks of it. In this order per engine."""
    receipts: tuple[ReceiptSend, ...] = ()
    cas: Cas | None = None
    """At most one swap is under way at a time."""
    read_config: bool = False
    """Read the config key and report it as `ConfigSeen`, after an ambiguous swap."""
    fences: tuple[FenceOrder, ...] = ()
    fetch: FetchOrder | None = None
    answers: tuple[OperatorAnswer, ...] = ()
    history: tuple[EpochOpened, ...] = ()
    """To be written down for people, at leisure."""
    notes: tuple[Note, ...] = ()


NOTHING = Effects()


class Outbox:
    """Collects the effects of one step."""

    __slots__ = (
        "answers", "cas", "fences", "fetch", "history", "notes", "read_config", "receipts", "streams", "touched",
    )  # fmt: skip

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin a new step."""
        self.streams: list[StreamSend] = []
        self.receipts: list[ReceiptSend] = []
        self.cas: Cas | None = None
        self.read_config = False
        self.fences: list[FenceOrder] = []
        self.fetch: FetchOrder | None = None
        self.answers: list[OperatorAnswer] = []
        self.history: list[EpochOpened] = []
        self.notes: list[Note] = []
        self.touched = False

    def stream(self, engines: tuple[int, ...], frame: Stream) -> None:
        """Order a STREAM frame."""
        self.streams.append(StreamSend(engines, frame))
        self.touched = True

    def receipt(self, gateway: int, frame: Receipt) -> None:
        """Order a RECEIPT frame."""
        self.receipts.append(ReceiptSend(gateway, frame))
        self.touched = True

    def swap(self, cas: Cas) -> None:
        """Order the swap. A second one in a step is a broken invariant."""
        assert self.cas is None, "two swaps in one step"
        self.cas = cas
        self.touched = True

    def read(self) -> None:
        """Order a read of the config."""
        self.read_config = True
        self.touched = True

    def fence(self, order: FenceOrder) -> None:
        """Order a fence."""
        self.fences.append(order)
        self.touched = True

    def fetch_journal(self, order: FetchOrder) -> None:
        """Order a fetch."""
        self.fetch = order
        self.touched = True

    def answer(self, answer: OperatorAnswer) -> None:
        """Answer an operator's request."""
        self.answers.append(answer)
        self.touched = True

    def opened(self, line: EpochOpened) -> None:
        """Write a line of history."""
        self.history.append(line)
        self.touched = True

    def note(self, what: str, level: Level = Level.INFO, **fields: int | str) -> None:
        """Log a line."""
        self.notes.append(Note(level, what, tuple(fields.items())))
        self.touched = True

    def effects(self) -> Effects:
        """What was collected."""
        if not self.touched:
            return NOTHING
        return Effects(
            tuple(self.streams),
            tuple(self.receipts),
            self.cas,
            self.read_config,
            tuple(self.fences),
            self.fetch,
            tuple(self.answers),
            tuple(self.history),
            tuple(self.notes),
        )
