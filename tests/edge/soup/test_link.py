"""One connection, with the gateway's driver stood in for: what waits, for what, and what goes on then."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lockstep.edge.soup import link
from lockstep.edge.soup.connection import State
from lockstep.edge.soup.door import Door
from lockstep.edge.soup.link import Link
from lockstep.edge.soup.opening import WINDOW
from lockstep.edge.soup.stream import SoupStream
from lockstep.gateway.client_stream import StreamEnd
from lockstep.gateway.resumption import Resumption
from lockstep.gateway.sessions import Refused, Session
from lockstep.runtime.tokens import Entitlements
from lockstep.runtime.topology import Client
from lockstep.stream.codes import Code
from lockstep.stream.records import EVENT, SETTING_EVENT, EventKind
from tests.edge.soup.ouch_messages import enter, messages, packet, packets, unsequenced
from tests.edge.soup.venue import Venue
from tests.everybody import NO_TRAIL, PLAIN

SESSION = 1 << 32 | 1
LOGIN = packet(b"L", b"1     " + b" " * 20 + b"1".rjust(20))


class Wire:
    """The transport."""

    def get_extra_info(self, _name: str) -> tuple[str, int]:
        return ("127.0.0.1", 1)

    def __init__(self) -> None:
        self.written, self.reads, self.closed = b"", True, False

    def set_write_buffer_limits(self, high: int) -> None: ...

    def write(self, raw: bytes) -> None:
        self.written += raw

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def close(self) -> None:
        self.closed = True

    abort = close

    def take(self) -> bytes:
        written, self.written = self.written, b""
        return written


class Gateway:
    """Numbers as `sessions.py` does; executes when it is told to. Timers come when they are asked to."""

    def __init__(self) -> None:
        self.venue = Venue()
        self.session = Session(SESSION, "", expected=1, answered=0)
        self.streams: list[SoupStream] = []
        self.refuses: list[Refused] = []
        self.under_way: list[Any] = []
        self.submitted: list[Any] = []
        self.timers: list[Any] = []
        machine = SimpleNamespace(
            sessions={SESSION: self.session}, disconnects=SimpleNamespace(connection_here=lambda _id: 0)
        )
        driver = SimpleNamespace(
            machine=machine, why_not_serving=lambda: None, submit=self.submit,
            streams=SimpleNamespace(open=self.open, close=lambda _stream: None, on_drained=lambda _stream: None),
        )  # fmt: skip
        shell: Any = SimpleNamespace(
            driver=driver, machine=machine, member=SimpleNamespace(id=3, name="gateway-3"), stopping=False,
            entitlements=Entitlements(()), trail=NO_TRAIL, entrance=PLAIN, guarded=lambda action: action(), at=self.at,
        )  # fmt: skip
        self.door = Door(shell, "127.0.0.1:1")
        self.door.ready = True
        self.door._instruments.define(1, b"ACME", 10_000, 1)
        self.link, self.wire = Link(self.door), Wire()
        wire: Any = self.wire
        self.link.connection_made(wire)

    def at(self, _due_ns: int, action: Any) -> None:
        self.timers.append(action)

    def run(self) -> None:
        while self.timers:
            self.timers.pop(0)()

    def open(self, _client: str, _hello: Any, make: Any) -> SoupStream:
        self.streams.append(make(1, SESSION, Resumption(0), columnar=False))
        return self.streams[-1]

    def submit(self, _session_id: int, records: Any, *, admin: bool, client: Any) -> Refused | None:
        assert not admin
        assert client is not None
        self.submitted.append(records)
        if self.refuses:
            return self.refuses.pop(0)
        assert records["session_no"][0] == self.session.expected
        self.session.expected += len(records)
        self.under_way.append(records)
        return None

    def execute(self) -> None:
        """All that is under way, and its reports."""
        while self.under_way:
            records = self.under_way.pop(0)
            self.venue.apply(records)
            self.session.answered = int(records["session_no"][-1])
            for rows in self.venue.rows.pop(SESSION, []):
                self.streams[-1].put_live(rows)

    def log_in(self) -> None:
        self.link.data_received(LOGIN)
        self.streams[-1].release_live()
        self.run()
        self.announce()
        self.execute()
        self.run()

    def announce(self) -> None:
        """SESSION_OPENED comes back."""
        row = np.zeros(1, dtype=SETTING_EVENT)
        row["kind"], row["of_session"], row["value"] = EventKind.SESSION_OPENED, SESSION, 3
        row["connection"] = self.link.connection_no
        self.door.on_events(row.view(EVENT))


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def opened(gateway) -> Gateway:
    gateway.log_in()
    accepted, start = packets(gateway.wire.take())
    assert (accepted[0], start[0]) == (b"A", b"S")
    return gateway


def test_orders_that_come_with_the_login_are_read_once_the_session_is_sealed(gateway):
    gateway.link.data_received(LOGIN + unsequenced(enter("EARLY")))
    gateway.streams[-1].release_live()
    gateway.run()
    assert not gateway.submitted
    gateway.announce()
    assert [len(records) for records in gateway.submitted] == [WINDOW], "the seal"
    gateway.run()
    assert len(gateway.submitted) == 1
    gateway.execute()
    gateway.run()
    assert [len(records) for records in gateway.submitted] == [WINDOW, 1]
    assert gateway.submitted[1]["session_no"].tolist() == [WINDOW + 1]


def test_no_more_is_read_than_may_be_under_way_and_the_rest_when_some_is_answered(opened):
    opened.link.data_received(unsequenced(*(enter(f"T{at}", price=900_000) for at in range(WINDOW + 50))))
    assert opened.session.unanswered == WINDOW - 1, "each may need two"
    assert not opened.wire.reads
    opened.execute()
    opened.run()
    opened.execute()
    opened.run()
    assert opened.wire.reads
    assert [one["token"].strip() for one in messages(opened.wire.take())] == [f"T{at}" for at in range(WINDOW + 50)]


def test_what_is_not_admitted_is_given_again_as_it_is(opened):
    opened.refuses = [Refused(WINDOW + 1, Code.BUSY, 5), Refused(WINDOW + 1, Code.UNAVAILABLE, 50)]
    opened.link.data_received(unsequenced(enter("A", price=900_000)))
    assert not opened.wire.reads
    opened.link.data_received(unsequenced(enter("B", price=900_000)))
    opened.run()
    given = opened.submitted[1:]
    assert given[0].tobytes() == given[1].tobytes() == given[2].tobytes()
    opened.execute()
    opened.run()
    opened.execute()
    opened.run()
    assert opened.wire.reads
    assert [one["token"].strip() for one in messages(opened.wire.take())] == ["A", "B"]


def test_rows_wait_while_the_client_does_not_read(opened):
    opened.link.pause_writing()
    opened.link.data_received(unsequenced(enter("A", price=900_000)))
    opened.execute()
    opened.run()
    assert opened.wire.take() == b""
    assert opened.streams[-1].pending_rows == 1
    opened.link.resume_writing()
    opened.run()
    assert [one["token"].strip() for one in messages(opened.wire.take())] == ["A"]


def test_nothing_is_numbered_once_the_stream_has_ended(opened):
    """A later connection is known elsewhere; bytes of this one may come in the same turn."""
    given = len(opened.submitted)
    status: Any = None
    opened.streams[-1].end = StreamEnd(status, "a later connection", Code.STALE_CONNECTION)
    opened.link.data_received(unsequenced(enter("LATE")))
    assert len(opened.submitted) == given
    opened.streams[-1].on_change()
    opened.run()
    assert opened.link.machine.state is State.OVER
    assert opened.wire.closed
    assert list(packets(opened.wire.take())) == [(b"+", b"another connection has logged in to this session")]


def test_a_clock_that_was_ahead_elsewhere_is_overtaken(gateway):
    gateway.link.data_received(LOGIN)
    first = gateway.link.connection_no
    gateway.door.on_connection(SESSION, first + 10_000)
    status: Any = None
    gateway.streams[-1].end = StreamEnd(status, "a later connection", Code.STALE_CONNECTION)
    gateway.streams[-1].on_change()
    gateway.run()
    assert len(gateway.streams) == 2
    assert gateway.link.connection_no == first + 10_001
    assert gateway.link.machine.state is State.OPENING


def test_a_door_holds_no_more_tokens_than_it_may(opened, monkeypatch):
    monkeypatch.setattr(link, "MAX_TOKENS_IN_ALL", 2)
    opened.link.data_received(unsequenced(enter("A", price=900_000), enter("B", price=900_000)))
    opened.execute()
    opened.run()
    assert opened.door.tokens == 2
    opened.wire.take()
    opened.link.data_received(unsequenced(enter("C", price=900_000)))
    opened.execute()
    opened.run()
    said = list(packets(opened.wire.take()))
    assert said[-1][0] == b"+"
    assert opened.wire.closed
    assert opened.door.tokens == 0, "they are not held any more"


def test_a_wrong_password_is_rejected_after_a_while(gateway):
    gateway.door.shell.entitlements = Entitlements((Client("desk", "token", 5, soup_user="1", soup_password="right"),))
    gateway.link.data_received(LOGIN)
    assert (gateway.wire.written, len(gateway.timers)) == (b"", 1)
    gateway.run()
    assert (gateway.wire.take(), gateway.wire.closed) == (packet(b"J", b"A"), True)
    assert not gateway.streams


def test_a_connection_that_does_not_take_its_last_words_is_cut_off(opened):
    opened.link.end("going")
    opened.wire.closed = False
    opened.link.on_tick(opened.link._cut_ns - 1)
    assert not opened.wire.closed
    opened.link.on_tick(opened.link._cut_ns)
    assert opened.wire.closed
