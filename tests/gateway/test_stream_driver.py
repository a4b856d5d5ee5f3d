"""Session streams by their driver: what is fetched for a client that reads slowly, and what the next number is."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lockstep.gateway import stream_driver
from lockstep.gateway.client_stream import ClientStream
from lockstep.gateway.driver import GatewayDriver
from lockstep.gateway.events import Came, Said, Started
from lockstep.gateway.machine import GatewayMachine, Settings
from lockstep.gateway.sessions import Admission
from lockstep.runtime.budget import Budgets
from lockstep.runtime.inquiry import BEGAN, Answered, Call, EventSearch, Failed, Fault, Inquiry, Todo
from lockstep.runtime.topology import Principal
from lockstep.stream.codes import Code
from lockstep.stream.delivery_mark import DeliveryMark
from lockstep.stream.records import EVENT, CommandKind, EventKind
from lockstep.v1 import common_pb2, orders_pb2, replication_pb2
from lockstep.wire.v1 import columns_pb2
from tests.gateway.test_machine import receipt

SESSION = 1 << 32 | 7
MS = 1_000_000


class Mark:
    """Keeps nothing."""

    uuid = ""
    delivered = DeliveryMark()

    def begin(self, uuid: str, delivered: DeliveryMark) -> None:
        self.uuid, self.delivered = uuid, delivered

    def advance(self, delivered: DeliveryMark) -> None:
        self.delivered = max(self.delivered, delivered)


class Timer:
    def cancel(self) -> None:
        pass


class World:
    """Ports by hand: the time stands until it is moved, and calls are answered by the test."""

    def __init__(self) -> None:
        self.now = 1_000 * MS
        self.due: list[tuple[int, Callable[[], None]]] = []
        self.asked: list[tuple[Inquiry, Callable[[Todo], bool]]] = []
        self.open: list[tuple[Call, Inquiry, Callable[[Todo], bool]]] = []
        settings = Settings(
            gateway=1, incarnation=1, session_credit=64, max_commands=64, resend_ns=10 * MS, rewind_ns=10 * MS
        )
        self.driver = GatewayDriver(GatewayMachine(settings), self, Mark(), engines=(1, 2), max_batch=64)  # type: ignore[arg-type]
        self.driver.machine.step(Started(100, 3), 0)

    def now_ns(self) -> int:
        return self.now

    def at(self, due_ns: int, action: Callable[[], None]) -> Timer:
        self.due.append((due_ns, action))
        return Timer()

    def ask(self, inquiry: Inquiry, heard: Callable[[Todo], bool], client: str | None = None) -> None:
        del client
        self._do(inquiry.step(BEGAN, self.now), inquiry, heard)

    def _do(self, todo: Todo, inquiry: Inquiry, heard: Callable[[Todo], bool]) -> None:
        if (todo.pages or todo.over) and not heard(todo):
            return
        self.open += [(call, inquiry, heard) for call in todo.calls]

    def pass_time(self, ms: int) -> None:
        self.now += ms * MS
        due, self.due = [one for one in self.due if one[0] <= self.now], [one for one in self.due if one[0] > self.now]
        for _, action in due:
            action()

    def answer(self, reply: Any) -> Call:
        """The oldest call is answered; a fault as its failure."""
        call, inquiry, heard = self.open.pop(0)
        event = Failed(call.engine, reply, "no") if isinstance(reply, Fault) else Answered(call.engine, reply)
        self._do(inquiry.step(event, self.now), inquiry, heard)
        return call

    def note(self, text: str, **values: Any) -> None:
        del text, values

    def wall_ns(self) -> int:
        return self.now

    def on_submit(self, admission: Admission) -> None:
        del admission


@pytest.fixture
def world() -> World:
    return World()


def opened(world: World, **hello: Any) -> ClientStream:
    stream = world.driver.streams.open("client", orders_pb2.Hello(session_id=SESSION, next_no=1, **hello))
    assert isinstance(stream, ClientStream)
    world.pass_time(0)
    return stream


def counted(last_no: int, seq: int = 100) -> replication_pb2.QueryReply:
    return replication_pb2.QueryReply(stamp=common_pb2.Stamp(epoch=3, seq=seq), session_last_no=last_no)


def page(first: int, last: int, *, paused: bool) -> list[replication_pb2.FetchEventsReply]:
    events = np.zeros(last - first + 1, dtype=EVENT)
    events["seq"] = np.arange(first, last + 1)
    events["kind"], events["session_id"] = int(EventKind.ACCEPTED), SESSION
    events["session_no"] = events["seq"]
    return [replication_pb2.FetchEventsReply(epoch=3, events=events.tobytes(), through_seq=last, paused=paused)]


def delivered(stream: ClientStream) -> list[columns_pb2.SessionResponse]:
    return [columns_pb2.SessionResponse.FromString(raw) for raw in stream.take(3, 100)]


def test_no_more_is_fetched_than_a_slow_client_reads(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_driver, "ROWS_AHEAD", 10)
    stream = opened(world)
    world.answer(counted(90))
    assert stream.past_known.is_set()
    world.answer(page(1, 40, paused=True))
    assert (world.open, stream.resumption.waits_for_room) == ([], True)
    world.pass_time(60_000)
    assert world.open == [], "a client may take its time"
    delivered(stream)
    world.driver.streams.on_drained(stream)
    call = world.answer(page(41, 100, paused=False))
    assert isinstance(call.request, replication_pb2.FetchEventsRequest)
    assert (call.request.after.seq, stream.resuming) == (40, False)
    world.driver.streams.on_drained(stream)
    assert (world.open, stream.pending_rows, stream.end) == ([], 60, None)


def test_a_client_that_left_is_fetched_nothing_more(world: World) -> None:
    stream = opened(world)
    world.answer(counted(90))
    world.driver.streams.close(stream)
    world.answer(page(1, 40, paused=True))
    assert (world.open, world.driver.streams.handshakes.under_way) == ([], 0)


def test_who_asks_is_told_the_next_number_behind_all_reports_by_an_engine_that_is_not_behind(world: World) -> None:
    stream = opened(world, asks_next_no=True)
    world.answer(counted(0))
    delivered(stream)
    world.answer(counted(4, seq=99))
    assert delivered(stream) == []
    world.answer(counted(5))
    (said,) = delivered(stream)
    number = orders_pb2.NextNumber.FromString(said.next_number)
    assert (number.next_no, number.executed_no) == (6, 5)
    assert world.driver.streams.handshakes.under_way == 0


def test_who_asks_for_a_number_that_no_engine_can_tell_has_to_come_again(world: World) -> None:
    stream = opened(world, asks_next_no=True)
    world.answer(counted(0))
    for _ in range(70):
        assert stream.end is None
        for _ in range(2):
            world.answer(Fault.UNAVAILABLE)
        world.pass_time(50)
        if stream.end is not None:
            break
    assert stream.end is not None
    assert "how far the session has come is not known now" in stream.end.text
    assert world.now <= (1_000 + 3_200) * MS


def test_searches_are_begun_where_the_client_left_off(world: World) -> None:
    opened(world, last_seen=common_pb2.EventId(seq=70, index=2), last_epoch=3)
    ((call, inquiry, _),) = world.open
    assert isinstance(inquiry, EventSearch)
    assert isinstance(call.request, replication_pb2.FetchEventsRequest)
    assert (call.request.after.seq, call.request.after.index, call.request.to_seq) == (70, 2, 100)


def test_welcome_waits_for_the_epoch_that_the_client_was_told_and_nothing_comes_before_it(world: World) -> None:
    stream = opened(world, last_seen=common_pb2.EventId(seq=70, index=2), last_epoch=4)
    assert delivered(stream) == []
    assert world.driver.machine.downlink is not None
    world.driver.machine.downlink.epoch = 4
    world.pass_time(10)
    assert [said.WhichOneof("message") for said in delivered(stream)] == ["welcome"]


def test_a_stream_that_is_taken_over_before_its_welcome_only_ends_and_says_why(world: World) -> None:
    first = opened(world, last_seen=common_pb2.EventId(seq=70, index=2), last_epoch=4)
    opened(world)
    assert first.end is not None
    assert (delivered(first), first.end.code) == ([], Code.SESSION_TAKEN_OVER)


def test_a_gateway_that_stays_behind_ends_the_stream_without_a_welcome(world: World) -> None:
    stream = opened(world, last_seen=common_pb2.EventId(seq=70, index=2), last_epoch=4)
    for _ in range(310):
        world.pass_time(10)
    assert stream.end is not None
    assert (delivered(stream), stream.end.code) == ([], Code.UNAVAILABLE)


def test_epoch_that_nobody_stands_by_ends_the_streams_that_were_told_of_it(world: World) -> None:
    stream = opened(world)
    machine = world.driver.machine
    assert machine.downlink is not None
    machine.downlink.epoch = 4
    world.driver.streams.open("client", orders_pb2.Hello(session_id=SESSION + 1))
    machine.downlink.said = 3
    for _ in range(30):
        assert stream.end is None
        world.now += 10 * MS
        world.driver.on_tick()
        if machine.epoch == 3:
            break
    assert machine.epoch == 3
    assert stream.end is not None
    assert (stream.end.code, "stand by epoch 4" in stream.end.text) == (Code.UNAVAILABLE, True)


def test_commands_beyond_the_budget_come_again_and_cancels_have_some_left(world: World) -> None:
    alice = Principal(name="client", number=1, budget_per_s=10)
    world.driver._budgets = Budgets(1)
    machine = world.driver.machine
    machine.step(Said(1, 3, leads=True), world.now)
    machine.step(Came((receipt(reign=3),)), world.now)
    stream = opened(world)
    world.answer(counted(0))

    def send(first: int, kinds: list[CommandKind]) -> orders_pb2.Refusal | None:
        """What is refused of such commands."""
        words = [f"COMMAND_KIND_{kind.name}" for kind in kinds]
        one: Any = [1]
        batch = orders_pb2.CommandBatch(
            first_no=first, count=len(kinds), kind=words, side=one, order_type=one, tif=one, account=one,
            instrument=one, client_order_id=one, price_ticks=one, quantity_lots=one,
        )  # fmt: skip
        raw = orders_pb2.SessionRequest(batch=batch).SerializeToString()
        stream.take(3, 100)
        world.driver.streams.on_message(stream, raw, alice, None)
        said = [columns_pb2.SessionResponse.FromString(one) for one in stream.take(3, 100)]
        refused = [orders_pb2.Refusal.FromString(one.refusal) for one in said if one.refusal]
        return refused[0] if refused else None

    order, cancel = CommandKind.NEW_ORDER, CommandKind.CANCEL
    assert machine.why_closed(world.now) is None
    refused = send(1, [order] * 30)
    assert refused is not None
    # 18 of 20: two are for cancels.
    assert (refused.from_no, int(refused.code), refused.retryable) == (19, int(Code.BUSY), True)
    assert "budget" in refused.text
    assert 100 <= refused.retry_after_ms <= 150
    assert send(19, [cancel, cancel, order]) is not None
    assert machine.sessions.get(SESSION).expected == 21  # type: ignore[union-attr]
    world.now += refused.retry_after_ms * MS
    refused = send(21, [order])
    assert refused is not None, "the cancels have used up what comes in that time"
    world.now += refused.retry_after_ms * MS
    assert send(21, [order]) is None
