"""All that a gateway decides, in one pure machine: sessions, the way to the sequencer, the way back.

The driver reports what happens (`events.py`) and does what `Effects` say. There is no clock, socket, thread or store
in here; the same machine runs in a simulated cluster.

Commands that come between two `Flushed` leave together: one entry in the intake log and one message for up to
`MAX_FRAME` of them, whichever sessions they belong to.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import numpy as np

from lockstep.gateway.disconnects import Announcement, Disconnects, Watch
from lockstep.gateway.events import (
    NOTHING,
    Came,
    Effects,
    Event,
    Fetched,
    Flushed,
    HelloSaid,
    NotFetched,
    Offered,
    OpenedStream,
    Resumed,
    Said,
    SendFailed,
    SessionNeeded,
    Started,
    StreamClosed,
    Submitted,
    Ticked,
)
from lockstep.gateway.reports import Routed, route
from lockstep.gateway.resumption import Resumption
from lockstep.gateway.sessions import Admission, Refused, Session, SessionTable, own_session_id
from lockstep.gateway.uplink import Uplink
from lockstep.runtime.budget import Allowance
from lockstep.runtime.downlink import Delivery, Downlink, Fetch, LeftBehind
from lockstep.stream.arrival import has_administration
from lockstep.stream.codes import Code
from lockstep.stream.content import NO_CONTENT, contents_of
from lockstep.stream.messages import Receipt
from lockstep.stream.records import COMMAND, SETTING_EVENT, Commands, EventKind, Events, join_records
from lockstep.stream.values import frozen

MAX_FRAME: Final = 1024
FRAME_PATIENCE_NS: Final = 4_000_000
LONGEST_PATIENCE_NS: Final = 15_000_000
_FULL_RETRY_MS: Final = 1000


@frozen
class Settings:
    """What the topology fixes for this gateway."""

    gateway: int
    incarnation: int
    session_credit: int = 8_192
    max_commands: int = 32_768
    resend_ns: int = 250_000_000
    rewind_ns: int = 20_000_000


class GatewayMachine:
    """See the module. Before `Started` nothing is served: no event is known to be the next one.

    Invariants, looked at after each step: the epoch may be taken back, what was delivered never; the outbox counts what
    it holds; there is a session of its own once there is a way back.
    """

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
        self.disconnects = Disconnects()
        self._own: Session | None = None
        self._outbox: list[tuple[Session, Commands]] = []
        self._outbox_commands = 0
        self._flushed_ns = 0
        self._delivered_before = 0

    def step(self, event: Event, now_ns: int) -> Effects:
        """Take one event, at a time of a monotonic clock."""
        effects = self._on(event, now_ns)
        delivered = self.delivered_seq
        assert delivered >= self._delivered_before, f"delivered up to {self._delivered_before}, now {delivered}"
        assert bool(self._outbox) is bool(self._outbox_commands), "the outbox miscounts"
        assert (self._own is None) is (self.downlink is None), "a way back and no session of its own, or the reverse"
        self._delivered_before = delivered
        return effects

    def _on(self, event: Event, now_ns: int) -> Effects:
        match event:
            case Submitted():
                return Effects(admission=self._submit(event, now_ns))
            case Offered():
                return Effects(admission=self._refuse_unread(event, now_ns))
            case Came():
                return self._on_messages(event, now_ns)
            case Flushed():
                return self._flush(now_ns)
            case Ticked():
                return self._on_ticked(now_ns)
            case Fetched():
                assert self.downlink is not None, "events were fetched before the start"
                return self._deliver(self.downlink.on_fetched(event.events, event.through_seq), False)
            case HelloSaid():
                return Effects(opened=self._open(event))
            case SessionNeeded():
                return Effects(session=self.sessions.ensure(event.session_id, event.client, event.next_no))
            case _:
                self._learn(event, now_ns)
                return NOTHING

    def _learn(self, event: Event, now_ns: int) -> None:
        """What asks for nothing at once."""
        match event:
            case Started():
                self._start(event)
            case StreamClosed():
                if self.sessions.detach(event.session_id, event.stream):
                    self.disconnects.on_lost(event.session_id, now_ns)
            case Resumed():
                self.sessions.on_answers(event.routed.sessions, event.routed.answered)
            case SendFailed():
                self.uplink.on_send_failed(now_ns)
            case Said():
                self.uplink.on_said(event.sequencer, event.epoch, event.leads)
                if self.downlink is not None:
                    self.downlink.said = max(self.downlink.said, event.epoch)
            case NotFetched():
                assert self.downlink is not None, "events were fetched before the start"
                self.downlink.on_fetch_failed(
                    now_ns, diverged=event.diverged, gone=event.gone, first_seq=event.first_seq
                )

    @property
    def flush_due_ns(self) -> int:
        """When what waits should leave, with `Flushed`; 0: nothing waits, or at once.

        A frame wakes four processes and costs two synced writes, whatever it holds. So the next one leaves when those
        under way are answered, and waits no longer than this for each of them: a lone order never waits, and the busier
        the cluster, the fewer and larger its frames.
        """
        if not self._outbox or self._outbox_commands >= MAX_FRAME:
            return 0
        return self._flushed_ns + min(FRAME_PATIENCE_NS * self.uplink.frames_under_way, LONGEST_PATIENCE_NS)

    @property
    def delivered_seq(self) -> int:
        """The last seq whose events were delivered; 0 before `Started`."""
        return 0 if self.downlink is None else self.downlink.delivered_seq

    @property
    def epoch(self) -> int:
        """The highest epoch under which events were released, as clients hear it."""
        return 0 if self.downlink is None else self.downlink.shown_epoch

    @property
    def left_behind(self) -> LeftBehind | None:
        """Why it can't go on, if it can't."""
        return None if self.downlink is None else self.downlink.left_behind

    @property
    def own_session_id(self) -> int:
        """The session of what this gateway says by itself, and of calls that bring no number of their own."""
        return own_session_id(self.settings.gateway, self.settings.incarnation)

    def _start(self, started: Started) -> None:
        self.downlink = Downlink(started.committed_seq, started.epoch)
        self.downlink.said = self.uplink.highest_said
        self._own = self.sessions.add_own(self.own_session_id, started.own_last_no + 1)
        self._delivered_before = started.committed_seq

    def restore(self, stored: Iterable[tuple[int, Commands]], watched: Iterable[Watch] = ()) -> None:
        """What the intake log of the former life still holds: commands, and sessions with cancel on disconnect."""
        self.uplink.restore(stored, self.sessions)
        self.disconnects.restore(watched)

    def _open(self, hello: HelloSaid) -> OpenedStream | Refused:
        session_id, connection = hello.session_id, hello.connection
        if hello.cancel_on_disconnect_ms and self.disconnects.is_full(session_id):
            return Refused(hello.next_no, Code.BUSY, _FULL_RETRY_MS)
        if connection and self.disconnects.is_stale(session_id, connection):
            return Refused(hello.next_no, Code.STALE_CONNECTION)
        opened = self.sessions.open(session_id, hello.client, hello.stream, hello.next_no)
        if isinstance(opened, Refused):
            return opened
        self.disconnects.on_hello(session_id, hello.cancel_on_disconnect_ms, connection)
        resumption = Resumption(self.delivered_seq, seen=hello.last_seen, delivered_epoch=hello.last_epoch)
        return OpenedStream(opened.previous_stream, opened.credit, resumption)

    def why_closed(self, now_ns: int) -> Code | None:
        """Why no command is admitted now; None if they are."""
        return Code.UNAVAILABLE if self.downlink is None else self.uplink.closed(now_ns)

    def _submit(self, submitted: Submitted, now_ns: int) -> Admission:
        """Admit commands as far as numbering and room allow."""
        session, records = submitted.session, submitted.records
        if not submitted.admin and has_administration(records):
            return Admission(refused=Refused(session.expected, Code.NOT_ENTITLED))
        if session is self._own:
            return self._take_in(session, records, now_ns, self.why_closed(now_ns), submitted.allowance)
        self._announce(now_ns)
        unsaid = Code.BUSY if self.disconnects.is_unsaid(session.session_id) else None
        return self._take_in(session, records, now_ns, self.why_closed(now_ns) or unsaid, submitted.allowance)

    def _refuse_unread(self, offered: Offered, now_ns: int) -> Admission | None:
        """Only for want of room: whoever is refused for another reason is to hear that one."""
        if self.why_closed(now_ns) is not None:
            return None
        return self.sessions.refuse_unread(offered.session, offered.first_no, room=self._room(), now_ns=now_ns)

    def _room(self) -> int:
        """Commands for which there is room on the way to the sequencer."""
        return max(0, self.uplink.room() - self._outbox_commands)

    def _take_in(
        self,
        session: Session,
        records: Commands,
        now_ns: int,
        closed: Code | None,
        allowance: Allowance | None = None,
    ) -> Admission:
        room, first_no = self._room(), int(records["session_no"][0])
        admission = self.sessions.admit(
            session, first_no, len(records), room=room, closed=closed, now_ns=now_ns, allowance=allowance
        )
        start = admission.repeated + admission.dropped
        if admission.repeated:
            self._put(session, records[: admission.repeated])
        if admission.dropped and closed is None:
            altered = self._altered(session, records[admission.repeated : start])
            # For the engine to refuse. Where there is no room for them, the answer of the first stands for them too.
            count = len(altered)
            if 0 < count <= room - admission.repeated - admission.taken:
                self._put(session, altered)
                admission = replace(admission, repeated=admission.repeated + count, dropped=admission.dropped - count)
        if admission.taken:
            self._put(session, records[start : start + admission.taken])
        return admission

    def _altered(self, session: Session, repeated: Commands) -> Commands:
        """Those whose number is under way with other content; what is merely sent again needs no second answer."""
        sent = self.uplink.under_way(session.session_id)
        sent += [records for owner, records in self._outbox if owner is session]
        known: dict[int, int] = {}
        for records in sent:
            for number, one in zip(records["session_no"].tolist(), contents_of(records).tolist(), strict=True):
                # The first of a number is the one that will have it.
                known.setdefault(number, one)
        altered = np.zeros(len(repeated), dtype=bool)
        for at, (number, one) in enumerate(
            zip(repeated["session_no"].tolist(), contents_of(repeated).tolist(), strict=True)
        ):
            first = known.get(number, NO_CONTENT)
            altered[at] = one != first and NO_CONTENT not in (one, first)
        found: Commands = repeated[altered]
        return found

    def _put(self, session: Session, records: Commands) -> None:
        self._outbox.append((session, records))
        self._outbox_commands += len(records)

    def _announce(self, now_ns: int) -> bool:
        """Admit what the gateway itself has to say of sessions, as far as there is room; whether it was anything."""
        planned = self.disconnects.plan(now_ns)
        if not planned or self._own is None:
            return False
        records = _announcement_records(planned, self._own, self.settings.gateway)
        taken = self._take_in(self._own, records, now_ns, self.why_closed(now_ns)).taken
        for announcement in planned[:taken]:
            self.disconnects.on_taken(announcement)
        return taken > 0

    def _flush(self, now_ns: int) -> Effects:
        """Commands admitted since the last time go out."""
        self._flushed_ns = now_ns
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
        return self._with_sends(store=tuple(store), watched=self.disconnects.take_changes())

    def _with_sends(
        self,
        *,
        store: tuple[tuple[int, Commands], ...] = (),
        watched: tuple[Watch, ...] = (),
        events: Events | None = None,
        routed: Routed | None = None,
        left: tuple[int, ...] = (),
        fetch: Fetch | None = None,
        new_reign: bool = False,
    ) -> Effects:
        # Before the start an answer could pass unseen, behind which a command would wait for ever.
        sends = () if self.downlink is None else self.uplink.plan_sends()
        leader = self.uplink.leader
        return Effects(
            store=store,
            watched=watched,
            sends=sends,
            sequencer=0 if leader is None else leader.sequencer,
            forget_through=self.uplink.forget_answered(),
            events=events,
            routed=routed,
            left=left,
            fetch=fetch,
            new_reign=new_reign,
        )

    def _on_messages(self, came: Came, now_ns: int) -> Effects:
        parts: list[Events] = []
        fetch: Fetch | None = None
        new_reign = False
        for message in came.messages:
            if isinstance(message, Receipt):
                new_reign |= self.uplink.on_receipt(message, now_ns)
            elif self.downlink is not None:
                delivery = self.downlink.on_release(message)
                parts.extend(delivery.events)
                fetch = fetch or delivery.fetch
        return self._deliver(Delivery(tuple(parts), fetch), new_reign)

    def _deliver(self, delivery: Delivery, new_reign: bool) -> Effects:
        if not delivery.events:
            return self._with_sends(fetch=delivery.fetch, new_reign=new_reign)
        events = join_records(delivery.events)
        routed = route(events)
        left = self._left(events) if self.disconnects.numbers_are_known else ()
        if routed is not None:
            self.sessions.on_answers(routed.sessions, routed.answered)
            for session_id, number in routed.out_of_order:
                self.sessions.on_out_of_order(session_id, number)
        return self._with_sends(events=events, routed=routed, left=left, fetch=delivery.fetch, new_reign=new_reign)

    def _left(self, events: Events) -> tuple[int, ...]:
        """Sessions of which a later connection than the one here is known, opened here too late or elsewhere."""
        said = events["kind"] == EventKind.SESSION_OPENED
        if not said.any():
            return ()
        here = self.settings.gateway
        rows = np.frombuffer(events[said].tobytes(), dtype=SETTING_EVENT)
        return tuple(
            int(row["of_session"])
            for row in rows
            if self.disconnects.on_said(
                int(row["of_session"]), has_it=int(row["value"]) == here, connection=int(row["connection"])
            )
        )

    def _on_ticked(self, now_ns: int) -> Effects:
        self.uplink.on_tick(now_ns)
        if self.downlink is not None:
            self.downlink.on_time(now_ns)
        if self.why_closed(now_ns) is None:
            self.disconnects.begin(now_ns)
            if self._announce(now_ns):
                return self._flush(now_ns)
        # A session may have gone without a command: then nothing else writes that down.
        return self._with_sends(watched=() if self._outbox else self.disconnects.take_changes())


def _announcement_records(planned: list[Announcement], own: Session, gateway: int) -> Commands:
    """As the next commands of the gateway's own session."""
    records = np.zeros(len(planned), dtype=COMMAND)
    records["kind"] = [announcement.kind for announcement in planned]
    records["gateway"] = gateway
    records["session_id"] = own.session_id
    records["session_no"] = np.arange(own.expected, own.expected + len(planned))
    records["order_id"] = [announcement.session_id for announcement in planned]
    records["client_order_id"] = [announcement.connection for announcement in planned]
    return records


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
