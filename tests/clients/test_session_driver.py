"""The session's driver over ports that write down what they are called for."""

from typing import Any, cast

import pytest

from lockstep import Checkpoint, CommandRow, EventKind, ProtocolFault
from lockstep.columns import ReportColumns
from lockstep.session_driver import SessionDriver
from lockstep.session_events import Failure, Parcel, SessionLimits
from lockstep.session_machine import NEVER, SessionMachine, State
from lockstep.session_ports import Ports
from lockstep.v1 import common_pb2, orders_pb2

MS = 1_000_000
WALL_MS = 1_000_000_000


class Written(Ports):
    """A world that does nothing but write down."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.ns = 0
        self.due_ns = NEVER
        self.rolled = 0

    def names(self) -> list[str]:
        """What was done since the last time."""
        calls, self.calls = self.calls, []
        return [name for name, _ in calls]

    def now_ns(self) -> int:
        return self.ns

    def wall_ns(self) -> int:
        return WALL_MS * MS

    def jitter_ppm(self) -> int:
        self.rolled += 1
        return 500_000

    def wake_at(self, due_ns: int) -> None:
        self.due_ns = due_ns

    def arm_soon(self) -> None:
        self.calls.append(("arm_soon", None))

    def connect(self, conn: int, address: int, hello: bytes) -> None:
        self.calls.append(("connect", (conn, address, orders_pb2.SessionRequest.FromString(hello).hello)))

    def disconnect(self, conn: int) -> None:
        self.calls.append(("disconnect", conn))

    def send(self, parcels: tuple[Parcel, ...]) -> None:
        self.calls.append(("send", parcels))

    def deliver(self, batch: ReportColumns) -> None:
        self.calls.append(("deliver", batch))

    def log_sent(self, parcels: tuple[Parcel, ...]) -> None:
        self.calls.append(("log_sent", parcels))

    def log_reported(self, batch: ReportColumns) -> None:
        self.calls.append(("log_reported", batch))

    def on_failed(self, failure: Failure) -> None:
        self.calls.append(("on_failed", failure))

    def on_step(self, *, answered: bool) -> None:
        self.calls.append(("answered" if answered else "stepped", None))


def row(number: int) -> CommandRow:
    return CommandRow(kind=1, side=1, client_order_id=number, quantity_lots=1)


def welcome(*, epoch: int = 1, follows: bool = False) -> bytes:
    said = orders_pb2.Welcome(stamp=common_pb2.Stamp(epoch=epoch), next_number_follows=follows)
    return orders_pb2.SessionResponse(welcome=said).SerializeToString()


def accepted(seq: int, number: int, *, epoch: int = 1) -> bytes:
    kind = cast(Any, int(EventKind.ACCEPTED))
    batch = orders_pb2.ReportBatch(
        stamp=common_pb2.Stamp(epoch=epoch), count=1, seq=[seq], session_no=[number], kind=[kind]
    )
    return orders_pb2.SessionResponse(report_batch=batch).SerializeToString()


def new(checkpoint: Checkpoint | None = None, *, taken_up: bool = False) -> tuple[SessionDriver, Written]:
    ports = Written()
    limits = SessionLimits(batch_rows=4, max_unanswered=8)
    driver = SessionDriver(SessionMachine(checkpoint or Checkpoint(77), limits, taken_up=taken_up), ports)
    driver.open()
    return driver, ports


def opened() -> tuple[SessionDriver, Written]:
    driver, ports = new()
    driver.on_message(1, welcome())
    ports.calls.clear()
    return driver, ports


def test_opening_connects_with_a_hello_that_says_where_the_session_stands() -> None:
    _, ports = new(Checkpoint(77, next_no=9, epoch=4), taken_up=True)
    (_, (conn, address, hello)), *_rest = ports.calls
    assert (conn, address) == (1, 0)
    assert (hello.session_id, hello.next_no, hello.last_epoch, hello.columnar) == (77, 9, 4, True)
    assert (hello.connection, hello.asks_next_no) == (WALL_MS, True)


def test_each_hello_of_a_numbered_session_has_a_higher_number_though_the_clock_stands() -> None:
    driver, ports = new(Checkpoint(77, connection=WALL_MS - 1))
    (_, (_, _, hello)), *_rest = ports.calls
    assert hello.connection == WALL_MS
    driver.on_message(1, welcome())
    ports.calls.clear()
    driver.on_ended(1, "gone")
    ports.ns = ports.due_ns
    driver.on_time()
    (hello,) = (said[2] for name, said in ports.calls if name == "connect")
    assert hello.connection == WALL_MS + 1


def test_what_is_sent_and_handed_out_is_written_down_before() -> None:
    driver, ports = opened()
    driver.submit(row(1))
    ports.ns = 5 * MS
    driver.on_time()
    assert ports.names() == ["arm_soon", "log_sent", "send", "stepped"]
    driver.on_message(1, accepted(3, 1))
    assert ports.names() == ["log_reported", "deliver", "answered"]


def test_number_is_told_before_the_timer_is_asked_for_and_only_an_earlier_deadline_asks() -> None:
    driver, ports = opened()
    numbers: list[int] = []

    def numbered(number: int) -> None:
        numbers.append(number)
        ports.calls.append(("numbered", number))

    assert driver.submit(row(1), numbered) == 1
    assert ports.names() == ["numbered", "arm_soon"]
    driver.submit(row(2), numbers.append)
    assert (numbers, ports.names()) == ([1, 2], [])
    driver.arm()
    assert ports.due_ns == SessionLimits().linger_ns


def test_piece_for_which_there_is_no_room_gets_no_number() -> None:
    driver, _ = opened()
    for number in range(8):
        driver.submit(row(number))
    numbers: list[int] = []
    assert driver.submit(row(9), numbers.append) is None
    assert numbers == []


def test_report_of_a_lower_epoch_gives_its_connection_up_and_the_timer_is_set_for_the_next() -> None:
    driver, ports = opened()
    driver.on_message(1, accepted(3, 0, epoch=7))
    ports.calls.clear()
    driver.on_message(1, accepted(4, 0, epoch=6))
    assert ports.calls[0] == ("disconnect", 1)
    assert ports.names() == ["disconnect", "stepped"]
    assert 0 < ports.due_ns < NEVER


def test_end_of_a_connection_that_was_given_up_rolls_no_dice_and_changes_nothing() -> None:
    driver, ports = opened()
    driver.on_ended(1, "gone")
    due_ns, ports.due_ns = ports.due_ns, 0
    ports.calls.clear()
    driver.on_ended(1, "gone", fatal_code=9)
    driver.on_ended(0, "gone")
    assert (ports.calls, ports.due_ns, ports.rolled) == ([], 0, 1)
    assert due_ns > 0
    assert driver.machine.state is State.WAITING


def test_end_for_good_fails_the_session_with_the_gateways_words() -> None:
    driver, ports = opened()
    driver.on_ended(1, "you may not", fatal_code=11)
    assert ("on_failed", Failure(11, "you may not")) in ports.calls
    assert ports.due_ns == NEVER


@pytest.mark.parametrize(("executed_no", "ended"), [(None, False), (0, True)])
def test_gateway_that_does_not_say_how_much_was_executed_says_nothing_against_a_checkpoint(
    executed_no: int | None, *, ended: bool
) -> None:
    driver, _ = new(Checkpoint(77, next_no=5), taken_up=True)
    driver.on_message(1, welcome(follows=True))
    reported = orders_pb2.NextNumber(next_no=5, executed_no=executed_no)
    driver.on_message(1, orders_pb2.SessionResponse(next_number=reported).SerializeToString())
    assert driver.machine.ended is ended


def test_message_of_a_newer_gateway_is_passed_over_and_garbage_is_a_fault() -> None:
    driver, ports = opened()
    driver.on_message(1, b"")
    assert ports.calls == []
    for garbage in (b"\xff\xff\xff", b"\x0a\x05ab"):
        with pytest.raises(ProtocolFault):
            driver.on_message(1, garbage)
    assert driver.machine.state is State.OPEN


def test_session_taken_up_at_an_older_gateway_may_number_when_that_has_been_quiet() -> None:
    driver, ports = new(taken_up=True)
    driver.on_message(1, welcome())
    settle_ns = SessionLimits().settle_ns
    assert ports.due_ns == settle_ns
    ports.ns = settle_ns // 2
    driver.on_message(1, accepted(3, 1))
    ports.ns = settle_ns
    driver.on_time()
    assert not driver.machine.may_number, "it brought something half of the time ago"
    ports.ns = ports.due_ns
    assert ports.ns == settle_ns // 2 + settle_ns
    driver.on_time()
    assert driver.machine.may_number
    assert driver.submit(row(1)) == 2
