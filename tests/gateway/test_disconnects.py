"""Cancel on disconnect, as the gateway decides it: what it says of which session, when, and what it keeps of that."""

import numpy as np
import pytest

from lockstep.gateway import disconnects
from lockstep.gateway.disconnects import Watch
from lockstep.gateway.events import Came, Flushed, HelloSaid, Started, StreamClosed, Submitted, Ticked
from lockstep.gateway.machine import GatewayMachine, Settings
from lockstep.gateway.sessions import Opened, Refused, own_session_id
from lockstep.stream.codes import Code
from lockstep.stream.messages import Receipt, Release
from lockstep.stream.records import COMMAND, EVENT, SETTING_EVENT, CommandKind, EventKind

A, B, MS = 10, 11, 1_000_000
OPENED, CLOSED = int(CommandKind.SESSION_OPENED), int(CommandKind.SESSION_CLOSED)


class Rig:
    """A machine with a leader, a clock, and an intake log in a dict."""

    def __init__(self, incarnation=9, watched=()):
        self.now_ms = 0
        self.machine = GatewayMachine(Settings(gateway=3, incarnation=incarnation))
        self.machine.restore((), watched)
        self.watched = {watch.session_id: watch for watch in watched}
        self.said = []
        self.left = []
        self.tokens = 0
        self.seq = 0

    def lead(self):
        receipt = Receipt(
            sender=1,
            epoch=1,
            reign=1,
            next_link_no=1,
            credit=10_000,
            committed_seq=0,
            incarnation=self.machine.settings.incarnation,
            opens=True,
            rewinds=False,
        )
        self._perform(self.machine.step(Came([receipt]), self.now_ms * MS))

    def start(self):
        self.machine.step(Started(0, 1), 0)
        self.lead()
        return self

    def hello(self, session_id, grace_ms, connection=None):
        """A Hello, with a number higher than all before if it needs one and none is given; the stream's token."""
        self.tokens += 1
        number = connection if connection is not None else self.tokens if grace_ms else 0
        opened = self.machine.step(
            HelloSaid(session_id, "", self.tokens, 1, cancel_on_disconnect_ms=grace_ms, connection=number), 0
        ).opened
        assert isinstance(opened, Opened)
        return self.tokens

    def answer(self, session_id, connection, gateway, *, no=1, says=3):
        """The cluster says who has the session now, to what gateway `says` said of it."""
        self.seq += 1
        event = np.zeros(1, dtype=SETTING_EVENT)
        event["seq"], event["kind"] = self.seq, EventKind.SESSION_OPENED
        event["session_id"], event["session_no"] = own_session_id(says, self.machine.settings.incarnation), no
        event["of_session"], event["connection"], event["value"] = session_id, connection, gateway
        release = Release(1, 1, 1, self.seq, self.seq, 0, event.view(EVENT))
        self._perform(self.machine.step(Came([release]), self.now_ms * MS))

    def lose(self, session_id, token):
        self.machine.step(StreamClosed(session_id, token), self.now_ms * MS)

    def submit(self, session_id, count=1):
        records = np.zeros(count, dtype=COMMAND)
        session = self.machine.sessions.get(session_id)
        assert session is not None
        records["kind"], records["session_id"], records["gateway"] = CommandKind.NEW_ORDER, session_id, 3
        records["session_no"] = np.arange(session.expected, session.expected + count)
        self.machine.step(Submitted(session, records), self.now_ms * MS)
        self._perform(self.machine.step(Flushed(), self.now_ms * MS))

    def tick(self, ms=0):
        """Let so much time pass; what was said since the last call: (kind, session)."""
        self.now_ms += ms
        self.lead()
        self._perform(self.machine.step(Ticked(), self.now_ms * MS))
        said, self.said = self.said, []
        return said

    def _perform(self, effects):
        self.left += effects.left
        for watch in effects.watched:
            if watch.grace_ms:
                self.watched[watch.session_id] = watch
            else:
                del self.watched[watch.session_id]
        for _key, records in effects.store:
            own = records["session_id"] == self.machine.own_session_id
            assert (records["gateway"][own] == 3).all()
            self.said += [
                (int(row["kind"]), int(row["order_id"]) if mine else int(row["session_id"]))
                for row, mine in zip(records, own, strict=True)
            ]


@pytest.fixture
def rig():
    return Rig().start()


def test_session_without_it_is_never_spoken_of(rig):
    token = rig.hello(A, 0)
    rig.lose(A, token)
    assert rig.tick(10_000_000) == []
    assert rig.watched == {}


def test_lost_session_is_closed_after_its_time_and_once(rig):
    token = rig.hello(A, 500)
    assert rig.tick() == [(OPENED, A)]
    assert rig.watched == {A: Watch(A, 500, 1)}
    assert rig.tick(10_000) == []
    rig.lose(A, token)
    assert rig.tick(499) == []
    assert rig.tick(1) == [(CLOSED, A)]
    assert rig.watched == {}
    assert rig.tick(10_000) == []


def test_what_is_said_is_numbered_in_the_gateways_own_session():
    rig = Rig()
    rig.machine.step(Started(0, 1, own_last_no=4), 0)
    rig.lead()
    for session_id in (A, B):
        rig.hello(session_id, 500)
    effects = rig.machine.step(Ticked(), 0)
    ((_key, records),) = effects.store
    assert records["session_id"].tolist() == [rig.machine.own_session_id] * 2
    assert records["session_no"].tolist() == [5, 6]
    assert [len(sent.records) for sent in effects.sends] == [2]


def test_session_is_opened_before_its_first_command_leaves(rig):
    rig.hello(A, 500)
    rig.submit(A)
    assert rig.tick() == [(OPENED, A), (int(CommandKind.NEW_ORDER), A)]


def test_session_that_comes_back_in_time_is_not_closed(rig):
    token = rig.hello(A, 500)
    rig.lose(A, token)
    rig.tick(400)
    rig.hello(A, 500)
    assert rig.tick(10_000) == [(OPENED, A)]


def test_stream_that_lost_its_session_to_another_does_not_count(rig):
    first = rig.hello(A, 500)
    rig.hello(A, 500)
    rig.lose(A, first)
    assert rig.tick(10_000) == [(OPENED, A)]


def test_each_hello_is_said_because_the_session_may_have_been_elsewhere(rig):
    token = rig.hello(A, 500)
    assert rig.tick() == [(OPENED, A)]
    rig.lose(A, token)
    rig.hello(A, 700)
    assert rig.tick() == [(OPENED, A)]
    assert rig.watched == {A: Watch(A, 700, 2)}


def test_hello_without_it_ends_it(rig):
    token = rig.hello(A, 500)
    rig.tick()
    rig.lose(A, token)
    token = rig.hello(A, 0)
    rig.lose(A, token)
    assert rig.tick(10_000) == []
    assert rig.watched == {}


def test_numbered_hello_without_it_is_announced_and_not_watched(rig):
    """The session may have been closed: it takes no orders before a later connection of it is opened."""
    token = rig.hello(A, 0, connection=7)
    assert rig.tick() == [(OPENED, A)]
    assert rig.watched == {}
    rig.lose(A, token)
    assert rig.tick(10_000) == []


def test_numbered_hello_without_it_ends_it_and_is_announced(rig):
    token = rig.hello(A, 500, connection=7)
    rig.tick()
    rig.lose(A, token)
    token = rig.hello(A, 0, connection=8)
    assert rig.tick() == [(OPENED, A)]
    rig.lose(A, token)
    assert rig.tick(10_000) == []
    assert rig.watched == {}


def test_without_a_leader_it_waits_and_the_client_may_still_come_back():
    rig = Rig()
    rig.machine.step(Started(0, 1), 0)
    token = rig.hello(A, 500)
    rig.machine.step(Ticked(), 0)
    assert rig.watched == {}
    rig.lose(A, token)
    rig.now_ms = 600
    rig.machine.step(Ticked(), 600 * MS)
    token = rig.hello(A, 500)
    assert rig.tick() == [(OPENED, A)]
    assert rig.watched == {A: Watch(A, 500, 2)}


def test_next_life_gives_every_session_its_whole_time_from_when_it_serves(rig):
    rig.hello(A, 500)
    rig.hello(B, 500)
    rig.tick()
    again = Rig(incarnation=10, watched=rig.watched.values())
    again.now_ms = 90_000
    assert again.tick() == []
    again.start()
    assert again.tick() == []
    again.hello(B, 500, connection=3)
    assert again.tick(499) == [(OPENED, B)]
    assert again.tick(1) == [(CLOSED, A)]
    assert again.watched == {B: Watch(B, 500, 3)}


def test_numbers_of_single_calls_and_of_its_own_words_do_not_collide(rig):
    """Both are of the gateway's own session."""
    rig.hello(A, 500)
    rig.submit(rig.machine.own_session_id)
    assert rig.tick() == [(int(CommandKind.NEW_ORDER), 0), (OPENED, A)]
    assert rig.machine.sessions.get(rig.machine.own_session_id).expected == 3


def test_more_sessions_than_it_can_watch_are_refused_retryably(rig, monkeypatch):
    monkeypatch.setattr(disconnects, "MAX_WATCHED", 1)
    rig.hello(A, 500)
    refused = rig.machine.step(HelloSaid(B, "", 77, 1, cancel_on_disconnect_ms=500, connection=77), 0).opened
    assert isinstance(refused, Refused)
    assert refused.code is Code.BUSY
    assert rig.machine.sessions.get(B) is None
    rig.hello(A, 500)
    rig.hello(B, 0)


def test_what_is_said_names_the_connection(rig):
    token = rig.hello(A, 500, connection=70)
    (opened,) = rig.machine.step(Ticked(), 0).store[0][1]
    rig.lose(A, token)
    (closed,) = rig.machine.step(Ticked(), 500 * MS).store[0][1]
    assert [(int(row["kind"]), int(row["client_order_id"])) for row in (opened, closed)] == [(OPENED, 70), (CLOSED, 70)]


def test_hello_of_an_earlier_connection_does_not_take_the_session_from_a_later_one(rig):
    rig.hello(A, 500, connection=8)
    for late in (7, 8):
        refused = rig.machine.step(HelloSaid(A, "", 77, 1, cancel_on_disconnect_ms=500, connection=late), 0).opened
        assert isinstance(refused, Refused)
        assert refused.code is Code.STALE_CONNECTION
    assert rig.machine.sessions.get(A).stream == 1
    assert rig.tick() == [(OPENED, A)]


def test_connection_of_the_former_life_counts():
    again = Rig(watched=[Watch(A, 500, 8)]).start()
    refused = again.machine.step(HelloSaid(A, "", 77, 1, cancel_on_disconnect_ms=500, connection=8), 0).opened
    assert isinstance(refused, Refused)
    again.hello(A, 500, connection=9)
    assert again.tick(10_000) == [(OPENED, A)]


def test_stream_that_its_client_has_left_is_ended_and_never_closed(rig):
    rig.hello(A, 500, connection=8)
    rig.tick()
    rig.answer(A, 9, 4)
    assert rig.left == [A]
    rig.lose(A, 1)
    assert rig.tick(10_000) == []
    assert rig.watched == {}


@pytest.mark.parametrize("grace_ms", [0, 500])
def test_stream_whose_client_has_gone_on_at_another_gateway_is_ended(rig, grace_ms):
    token = rig.hello(A, grace_ms, connection=8)
    rig.tick()
    rig.answer(A, 8, 3)
    rig.answer(A, 7, 4, says=4)
    rig.answer(B, 9, 4, no=2, says=4)
    assert rig.left == []
    rig.answer(A, 9, 4, no=3, says=4)
    assert rig.left == [A]
    rig.lose(A, token)
    assert rig.tick(10_000) == []
    assert rig.watched == {}


def test_number_of_a_stream_that_does_not_want_it_counts_while_it_is_open(rig):
    token = rig.hello(A, 0, connection=8)
    for late in (7, 8):
        refused = rig.machine.step(HelloSaid(A, "", 77, 1, connection=late), 0).opened
        assert isinstance(refused, Refused)
        assert refused.code is Code.STALE_CONNECTION
    rig.lose(A, token)
    # What the cluster knows of it is heard when it was said.
    rig.hello(A, 0, connection=7)
    rig.tick()
    rig.answer(A, 8, 3)
    assert rig.left == [A]


def test_number_that_another_gateway_has_is_no_connection_of_this_one(rig):
    rig.hello(A, 500, connection=8)
    rig.tick()
    rig.answer(A, 8, 4)
    assert rig.left == [A]


def test_answer_about_an_earlier_connection_leaves_the_later_one_alone(rig):
    rig.hello(A, 500, connection=8)
    rig.tick()
    token = rig.hello(A, 500, connection=9)
    rig.tick()
    rig.answer(A, 8, 3)
    rig.answer(A, 9, 3, no=2)
    assert rig.left == []
    rig.lose(A, token)
    assert rig.tick(500) == [(CLOSED, A)]


def test_no_command_goes_before_the_word_that_the_session_is_here():
    """There may be room for the command and none for the gateway's own session."""
    rig = Rig()
    rig.machine.sessions = type(rig.machine.sessions)(credit=1)
    rig.start()
    rig.submit(rig.machine.own_session_id)
    rig.hello(A, 500)
    rig.submit(A)
    assert rig.tick() == [(int(CommandKind.NEW_ORDER), 0)]
    rig.answer(B, 1, 3)
    rig.submit(A)
    assert rig.tick() == [(OPENED, A), (int(CommandKind.NEW_ORDER), A)]
