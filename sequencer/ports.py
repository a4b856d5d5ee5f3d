"""What the sequencer's driver needs of the world: clocks, links, liveness, etcd, calls to engines, people.

Two worlds supply it: the process (`shell.py`) and the simulation (`trials/simulation/sequencer_host.py`).
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from lockstep.sequencer import events as ev
from lockstep.stream.delivery_mark import DeliveryMark
from lockstep.stream.messages import Ack, Receipt, Stream, Submit
from lockstep.stream.values import frozen
from lockstep.v1 import replication_pb2


@frozen
class EngineBeat:
    """What an engine's heartbeats say by now."""

    engine: int
    promised: int
    """The highest epoch that it has promised; 0: none was heard."""
    stalled_ns: int = 0
    """How long it has stood still since this process began to watch it, in all."""


@frozen
class SequencerBeat:
    """What another sequencer's heartbeats say by now."""

    sequencer: int
    mute: bool
    """Its media driver is lost."""


@frozen
class GatewayBeat:
    """What a gateway's heartbeats say by now, or its end."""

    gateway: int
    incarnation: int
    """0: its connection has ended."""
    delivered: DeliveryMark


Beat = EngineBeat | SequencerBeat | GatewayBeat


class Ports(Protocol):
    """Called by the driver, in its own loop alone. What has a body here may be left out."""

    def now_ns(self) -> int:
        """The monotonic clock."""

    def wall_ns(self) -> int:
        """The host's wall clock."""

    def happenings(self) -> Iterable[ev.Event]:
        """What has come of calls, of etcd, of operators, of the media driver, and of liveness links, in that order."""

    def poll(self, on_ack: Callable[[Ack], None], on_submit: Callable[[Submit], None]) -> int:
        """The frames that have come, acknowledgements first: they make room for what is submitted. How many."""

    def clocks(self) -> tuple[tuple[str, int], ...]:
        """(Process, Unix ns) that heartbeats of engines and sequencers since the last call say."""

    def beats(self) -> Iterable[Beat]:
        """Of those whose heartbeats are heard, and of gateways that have ended."""

    def send_stream(self, engines: tuple[int, ...], frame: Stream) -> None:
        """A STREAM frame to engines."""

    def send_receipt(self, gateway: int, frame: Receipt) -> None:
        """A RECEIPT frame."""

    def drop_queued(self, engine: int) -> None:
        """What waits on the link to an engine whose connection has ended is of no use to its next life."""
        return

    def warm(self, engine: int) -> None:
        """Have a connection to an engine before it is needed."""
        return

    def swap(self, cas: ev.Cas) -> None:
        """Start a compare-and-swap; ends in CasWon, CasLost, CasAmbiguous or StoreDown."""

    def read_config(self) -> None:
        """Start a read; ends in ConfigSeen, however long that takes."""

    def fence(self, engine: int, request: replication_pb2.FenceRequest, order: ev.FenceOrder) -> None:
        """Start the call; ends in `driver.fence_answered` or FenceFailed."""

    def fetch_journal(self, engine: int, request: replication_pb2.FetchJournalRequest, order: ev.FetchOrder) -> None:
        """Start the call; ends in JournalFetched or JournalFetchFailed."""

    def answer(self, answer: ev.OperatorAnswer) -> None:
        """To an operator."""
        return

    def record(self, line: ev.EpochOpened) -> None:
        """Into the history for people, at leisure."""
        return

    def note(self, note: ev.Note) -> None:
        """For people."""
