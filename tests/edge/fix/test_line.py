"""Over a line that loses, garbles and breaks, each application message is delivered exactly once, in order."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.edge.fix.dictionary import Dictionary, fix_44, fix_50sp2
from lockstep.edge.fix.values import State

from .line import Line

ACTIONS = ("send", "flow", "garble", "regenerate", "connect", "cut", "late", "tick", "die")
STEPS = st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 1), st.integers(1, 6)), max_size=40)


def act(line: Line, action: str, side: int, amount: int) -> None:
    host = line.host(side)
    match action:
        case "send":
            for _ in range(amount):
                host.send(line.now_ns)
        case "die":
            host.send(line.now_ns, dies=True)
            line.cut()
        case "flow" | "garble":
            line.flow(side, amount, garble=action == "garble")
        case "regenerate":
            line.regenerate(side)
        case "connect":
            line.connect()
        case "cut":
            line.cut()
        case "late":
            line.come_late()
        case _:
            line.tick(amount * 7)


def check(line: Line) -> None:
    for side in (0, 1):
        host, other = line.host(side), line.host(1 - side)
        assert other.delivered == list(range(1, host.sent + 1)), "exactly once, in order"
        assert max(host.unmarked.values(), default=0) <= 1, "sent again without being marked as repeated"
        assert host.numbers.life == 0, "no numbers were reset"


@pytest.mark.parametrize("dictionary", [fix_44, fix_50sp2])
@pytest.mark.parametrize("negotiates", [False, True], ids=["asks", "negotiates"])
@settings(max_examples=40)
@given(steps=STEPS)
def test_each_message_is_delivered_once_in_order(
    dictionary: Callable[[], Dictionary],
    negotiates: bool,
    steps: list[tuple[str, int, int]],
) -> None:
    line = Line(dictionary(), negotiates=negotiates)
    line.connect()
    for action, side, amount in steps:
        act(line, action, side, amount)
    assert line.heal() < 200, "not all came"
    check(line)


def test_messages_of_a_disconnected_session_come_marked_after_the_next_logon() -> None:
    line = Line(fix_44(), negotiates=False)
    line.connect()
    line.heal()
    line.cut()
    for _ in range(20):
        line.acceptor.send(line.now_ns)
    line.connect()
    assert line.heal() < 60
    check(line)
    assert line.acceptor.marked == 20


def test_negotiated_numbers_need_no_resend_request() -> None:
    line = Line(fix_44(), negotiates=True)
    for _ in range(20):
        line.acceptor.send(line.now_ns)
        line.initiator.send(line.now_ns)
    line.connect()
    written: list[bytes] = []
    for _ in range(60):
        for side in (0, 1):
            written += line.host(side).out
            line.flow(side, 100)
            line.regenerate(side)
    check(line)
    assert not [part for part in written if b"\x0135=2\x01" in part]


def test_session_that_was_lost_with_its_process_goes_on_without_a_reset() -> None:
    line = Line(fix_50sp2(), negotiates=False)
    line.connect()
    for _ in range(5):
        line.acceptor.send(line.now_ns, dies=True)
        line.cut()
        line.connect()
        line.heal()
    check(line)
    assert line.acceptor.session is not None
    assert line.acceptor.session.state is State.OPEN
