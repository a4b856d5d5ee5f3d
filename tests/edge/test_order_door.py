"""What doors for orders keep of connections and sessions, and how much."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lockstep.edge import order_door
from lockstep.edge.fix import door as fix
from lockstep.edge.order_door import OrderDoor
from lockstep.edge.soup import door as soup
from lockstep.stream.records import DEFINITION_EVENT, EVENT, SETTING_EVENT, EventKind


class Link:
    """A connection, as far as the door looks at it."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    def end(self, why: str) -> None:
        self.ended.append(why)


SESSION = 5 << 32 | 1


@pytest.fixture(params=(soup, fix), ids=("soup", "fix"))
def door(request: pytest.FixtureRequest) -> OrderDoor[Any, Any]:
    disconnects = SimpleNamespace(connection_here=lambda session: 2**50 if session == SESSION + 1 else 0)
    shell: Any = SimpleNamespace(
        member=SimpleNamespace(id=2, name="gateway-2"), stopping=False, machine=SimpleNamespace(disconnects=disconnects)
    )
    made: OrderDoor[Any, Any] = request.param.Door(shell, "127.0.0.1:1")
    return made


def opened(session: int, connection: int, gateway: int):
    row = np.zeros(1, dtype=SETTING_EVENT)
    row["kind"], row["of_session"] = EventKind.SESSION_OPENED, session
    row["connection"], row["value"] = connection, gateway
    return row.view(EVENT)


def test_no_more_connections_are_taken_in_than_there_is_room_for(door):
    links = [Link() for _ in range(door._bounds.connections + 1)]
    for number, link in enumerate(links[:-1]):
        assert door.take_in(link, f"host {number % 8}")
        assert door.knows(link, f"client {number % 16}")
    assert not door.take_in(links[-1], "host 9")
    assert door.counters[door._turned_away] == 1
    door.let_go(links[0], "host 0", "client 0")
    assert door.take_in(links[-1], "host 9")


def test_of_those_that_only_connect_the_oldest_makes_room_and_who_is_known_stays(door):
    known = Link()
    assert door.take_in(known, "a")
    assert door.knows(known, "alice")
    most = door._bounds.unknown
    links = [Link() for _ in range(2 * most)]
    for number, link in enumerate(links):
        assert door.take_in(link, f"host {number % 8}")
    assert [bool(link.ended) for link in links] == [True] * most + [False] * most
    assert not known.ended


def test_connections_of_one_host_and_of_one_client_are_bounded_and_counted_back(door):
    links = [Link() for _ in range(door._bounds.of_host)]
    for number, link in enumerate(links):
        assert door.take_in(link, "a")
        assert door.knows(link, f"client {number % 8}")
    late = Link()
    assert not door.take_in(late, "a")
    assert door.take_in(late, "b")
    mine = [Link() for _ in range(door._bounds.of_client)]
    for link in mine:
        assert door.take_in(link, "b")
        assert door.knows(link, "alice")
    assert not door.knows(late, "alice")
    door.let_go(mine[0], "b", "alice")
    assert door.knows(late, "alice")
    for link in (*links, *mine[1:], late):
        client = f"client {links.index(link) % 8}" if link in links else "alice"
        door.let_go(link, "a" if link in links else "b", client)
        door.let_go(link, "a" if link in links else "b", client)
    assert not door._of
    assert not door._unknown


def test_a_gateway_that_is_being_stopped_takes_none_in(door):
    door.shell.stopping = True
    assert not door.take_in(Link(), "a")


def test_a_connection_number_is_above_all_that_were_heard_of(door):
    assert door.next_connection(SESSION) < 2**45, "milliseconds"
    door.on_events(opened(SESSION, 2**48, 1))
    door.on_events(opened(SESSION, 7, 1))
    assert door.next_connection(SESSION) == 2**48 + 1
    assert door.next_connection(SESSION + 1) == 2**50 + 1, "what the intake log knows of"


def test_a_link_is_told_of_its_own_announcement_alone(door):
    told: list[int] = []
    link: Any = SimpleNamespace(connection_no=30, on_announced=lambda: told.append(30))
    door.by_session[SESSION] = link
    for session, connection, gateway in ((SESSION, 29, 2), (SESSION, 30, 1), (SESSION + 1, 30, 2), (SESSION, 31, 2)):
        door.on_events(opened(session, connection, gateway))
    assert not told
    door.on_events(opened(SESSION, 30, 2))
    assert told == [30]


def test_instruments_are_known_as_they_are_defined(door):
    """OUCH has room for eight letters; FIX takes any."""
    row = np.zeros(1, dtype=DEFINITION_EVENT)
    row["kind"], row["instrument"], row["name"] = EventKind.INSTRUMENT_DEFINED, 9, b"ACME"
    row["tick_micros"], row["lot_units"] = 10_000, 1
    door.on_events(row.view(EVENT))
    row["instrument"], row["name"] = 10, b"NINE-LETTERS"
    door.on_events(row.view(EVENT))
    if isinstance(door, soup.Door):
        assert len(door._instruments) == 1
    else:
        assert isinstance(door, fix.Door)
        assert len(door.symbols) == 2


def test_what_is_kept_of_sessions_is_bounded(door, monkeypatch):
    monkeypatch.setattr(order_door, "_KEPT_NUMBERS", 3)
    for session in range(10):
        door.on_connection(session, 1)
        door.logins_of(session)
    assert len(door._connections) == len(door._logins) == 3
    assert door.logins_of(9) is door.logins_of(9)
