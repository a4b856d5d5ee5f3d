"""All that a gateway decides, in one pure machine: sessions, the way to the sequencer, the way back.

The shell tells it what came (commands, frames, fetched events, the time) and does what `Effects` say. There is no
clock, socket, thread or store in here; the same machine runs in a simulated cluster.

Commands that come between two calls of `flush` leave together: one entry in the intake log and one frame for up to
`MAX_FRAME` of them, whichever sessions they belong to.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from lockstep.gateway.downlink import Delivery, Downlink, Fetch
from lockstep.gateway.reports import Routed, route
from lockstep.gateway.sessions import Admission, Session, SessionTable
from lockstep.gateway.uplink import Uplink
from lockstep.stream.codes import Code
from lockstep.stream.frames import Frame, FrameType
from lockstep.stream.records import Commands, Events, join_records

MAX_FRAME: Final = 1024


@dataclass(frozen=True, slots=True)
class Settings:
    """What the topology fixes for this gateway."""

    gateway: int
    incarnation: int
    session_credit: int = 20_000
    max_commands: int = 65_536
    resend_ns: int = 250_000_000
    rewind_ns: int = 20_000_000


@dataclass(frozen=True, slots=True)
class Effects:
    """What is to be done, in the order of the fields."""

    store: tuple[tuple[int, Commands], ...] = field(default=(), repr=False)
    """(key, commands) for the intake log, before they are sent."""
    sends: tuple[Frame, ...] = field(default=(), repr=False)
    """SUBMIT frames for `sequencer`."""
    sequencer: int = 0
    forget_through: int = 0
    """The intake log may drop entries up to this key; 0: none."""
    events: Events | None = field(default=None, repr=False)
    """Newly committed events, each delivered once, in order."""
    routed: Routed | None = field(default=None, repr=False)
    """`events` by session."""
    fetch: Fetch | None = None
    """Committed events to ask an engine for."""
    new_reign: bool = False


NOTHING: Final = Effects()


class GatewayMachine:
    """See the module. Before `start` nothing is served: no event is known to be the next one."""

    def __init__(self, settings: Settings, *, first_key: int = 1) -> None:
        self.settings = settings
        self.sessions = SessionTable(credit=settings.session_credit)
        self.uplink = Uplink(
            settings.gateway,
            settings.incarnation,
            max_commands=settings.max_commands,
            resend_ns=settings.resend_ns,
            rewind_ns=settings.rewind_ns,
            first_key=first_key,
        )
        self.downlink: Downlink | None = None
        self._outbox: list[tuple[Session, Commands]] = []
        self._outbox_commands = 0

    @property
    def frame_full(self) -> bool:
        """What waits for `flush` fills a frame."""
        return self._outbox_commands >= MAX_FRAME

    @property
    def delivered_seq(self) -> int:
        """The last seq whose events were delivered; 0 before `start`."""
        return 0 if self.downlink is None else self.downlink.delivered_seq

    @property
    def epoch(self) -> int:
        """The highest epoch under which events were released."""
        return 0 if self.downlink is None else self.downlink.epoch

    def start(self, committed_seq: int, epoch: int) -> None:
        """The cluster's committed seq at the moment: live delivery begins behind it."""
        self.downlink = Downlink(committed_seq)
        self.downlink.epoch = epoch

    def restore(self, stored: Iterable[tuple[int, Commands]]) -> None:
        """What the intake log of the former life still holds."""
        self.uplink.restore(stored, self.sessions)

    def why_closed(self, now_ns: int) -> Code | None:
        """Why no command is taken in now; None if they are."""
        return Code.UNAVAILABLE if self.downlink is None else self.uplink.closed(now_ns)

    def submit(self, session: Session, records: Commands, now_ns: int) -> Admission:
        """Take in commands of one session, numbered one after the other, as far as numbering and room allow."""
        room = self.uplink.room() - self._outbox_commands
        first_no = int(records["session_no"][0])
        admission = self.sessions.admit(
            session, first_no, len(records), room=max(0, room), closed=self.why_closed(now_ns)
        )
        start = admission.repeated + admission.dropped
        if admission.repeated:
            self._put(session, records[: admission.repeated])
        if admission.taken:
            self._put(session, records[start : start + admission.taken])
        return admission

    def _put(self, session: Session, records: Commands) -> None:
        self._outbox.append((session, records))
        self._outbox_commands += len(records)

    def flush(self, now_ns: int) -> Effects:
        """Commands taken in since the last call go out."""
        del now_ns
        if not self._outbox:
            return NOTHING
        outbox, self._outbox, self._outbox_commands = self._outbox, [], 0
        store = []
        for pieces in _cut(outbox):
            arrays = [records for _session, records in pieces]
            joined = join_records(arrays)
            highest: dict[int, tuple[Session, int]] = {}
            for session, records in pieces:
                number = int(records["session_no"][-1])
                known = highest.get(session.session_id)
                highest[session.session_id] = (session, number if known is None else max(number, known[1]))
            entry = self.uplink.enqueue(joined, tuple(highest.values()))
            store.append((entry.key, joined))
        return self._with_sends(store=tuple(store))

    def _with_sends(
        self,
        *,
        store: tuple[tuple[int, Commands], ...] = (),
        events: Events | None = None,
        routed: Routed | None = None,
        fetch: Fetch | None = None,
        new_reign: bool = False,
    ) -> Effects:
        # Before the start an answer could pass unseen, behind which a command would wait for ever.
        sends = () if self.downlink is None else self.uplink.plan_sends()
        leader = self.uplink.leader
        return Effects(
            store=store,
            sends=sends,
            sequencer=0 if leader is None else leader.sequencer,
            forget_through=self.uplink.forget_answered(),
            events=events,
            routed=routed,
            fetch=fetch,
            new_reign=new_reign,
        )

    def on_frames(self, frames: Sequence[Frame], now_ns: int) -> Effects:
        """RECEIPT and RELEASE frames of one poll, in the order of their arrival. Others are ignored."""
        parts: list[Events] = []
        fetch: Fetch | None = None
        new_reign = False
        for came in frames:
            if came.type is FrameType.RECEIPT:
                new_reign |= self.uplink.on_receipt(came, now_ns)
            elif came.type is FrameType.RELEASE and self.downlink is not None:
                delivery = self.downlink.on_release(came)
                parts.extend(delivery.events)
                fetch = fetch or delivery.fetch
        return self._deliver(Delivery(tuple(parts), fetch), new_reign)

    def on_fetched(self, events: Events, through_seq: int) -> Effects:
        """The answer to `Effects.fetch`."""
        assert self.downlink is not None, "events were fetched before the start"
        return self._deliver(self.downlink.on_fetched(events, through_seq), False)

    def on_resumed(self, routed: Routed) -> None:
        """Older events that a resuming client is told: what they answer, it will never send again."""
        self.sessions.on_answers(routed.sessions, routed.answered)

    def on_fetch_failed(self) -> None:
        """No engine answered; the next RELEASE tells of the gap again."""
        if self.downlink is not None:
            self.downlink.on_fetch_failed()

    def _deliver(self, delivery: Delivery, new_reign: bool) -> Effects:
        if not delivery.events:
            return self._with_sends(fetch=delivery.fetch, new_reign=new_reign)
        events = join_records(delivery.events)
        routed = route(events)
        if routed is not None:
            self.sessions.on_answers(routed.sessions, routed.answered)
            for session_id, number in routed.out_of_order:
                self.sessions.on_out_of_order(session_id, number)
        return self._with_sends(events=events, routed=routed, fetch=delivery.fetch, new_reign=new_reign)

    def on_tick(self, now_ns: int) -> Effects:
        """Call it every few milliseconds."""
        self.uplink.on_tick(now_ns)
        return self._with_sends()


def _cut(outbox: list[tuple[Session, Commands]]) -> Iterable[list[tuple[Session, Commands]]]:
    """The outbox in runs of at most MAX_FRAME commands, in order."""
    run: list[tuple[Session, Commands]] = []
    free = MAX_FRAME
    for session, records in outbox:
        while len(records) > free:
            if free:
                run.append((session, records[:free]))
            yield run
            records, run, free = records[free:], [], MAX_FRAME
        run.append((session, records))
        free -= len(records)
    yield run
