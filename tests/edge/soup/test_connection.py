"""The SoupBinTCP side of a connection, and what a login asks for."""

import pytest

from lockstep.edge.soup import connection as soup
from lockstep.edge.soup.connection import DEAD_NS, HEARTBEAT_NS, LOGIN_NS, MOVES, OPENING_NS, Befell, Connection, State
from lockstep.edge.soup.logins import CURRENT, principal_of
from lockstep.edge.soup.packets import BadLogin, Login, login_of
from lockstep.runtime.tokens import OPEN_CLIENT, Entitlements, Unauthenticated
from lockstep.runtime.topology import Client
from lockstep.stream.records import SelfTradePrevention
from tests.edge.soup.ouch_messages import packet


def login_packet(user="DESK1", password="secret", session="", sequence="1"):
    parts = ((user, 6), (password, 10), (session, 10), (sequence, 20))
    return packet(b"L", b"".join(text.encode().ljust(size) for text, size in parts))


def opened(now_ns=0):
    machine = Connection(now_ns)
    machine.step(soup.Came(login_packet()), now_ns)
    machine.step(soup.Accepted(1, 1), now_ns)
    return machine


def test_login_is_read_once_it_is_whole():
    raw = login_packet(session="20261129", sequence="77")
    assert all(login_of(raw[:size]) is None for size in range(len(raw)))
    assert login_of(raw + b"more") == (Login("DESK1", "secret", 20261129, 77), 49)
    assert "secret" not in repr(login_of(raw))


def test_fields_of_a_login_may_be_filled_up_on_either_side_and_blank_is_zero():
    raw = packet(b"L", b"DESK1     secret" + b"       123" + b"                   5")
    assert login_of(raw) == (Login("DESK1", "secret", 123, 5), 49)
    assert login_of(login_packet(sequence="")) == (Login("DESK1", "secret", 0, 0), 49)


@pytest.mark.parametrize(
    "raw",
    [
        packet(b"R"),
        packet(b"U", b"O" * 49),
        packet(b"L", b"short"),
        b"GET / HTTP/1.1\r\n",
        login_packet(session="today"),
        login_packet(session="4294967296"),
        login_packet(sequence="-1"),
        login_packet(sequence="1" * 20),
        login_packet(user="A\0B"),
    ],
)
def test_what_is_no_login_is_rejected_and_closed(raw):
    with pytest.raises(BadLogin):
        login_of(raw)
    effects = Connection(0).step(soup.Came(raw), 0)
    assert (effects.send, effects.close) == (packet(b"J", b"A"), True)


def test_an_accepted_login_names_session_and_number_right_aligned():
    machine = Connection(0)
    assert machine.step(soup.Came(login_packet()), 1).login == Login("DESK1", "secret", 0, 1)
    effects = machine.step(soup.Accepted(20261129, 12), 2)
    assert effects.send == packet(b"A", b"  20261129" + b"                  12")
    assert machine.state is State.OPEN


def test_a_rejected_login_has_its_reason_and_ends():
    machine = Connection(0)
    machine.step(soup.Came(login_packet()), 1)
    effects = machine.step(soup.Rejected(b"S", "why"), 2)
    assert (effects.send, effects.close, effects.why) == (packet(b"J", b"S"), True, "why")
    assert machine.step(soup.Accepted(1, 1), 3) == soup.NOTHING, "it is over"


def test_heartbeats_go_out_when_nothing_else_does():
    machine = opened()
    assert machine.step(soup.Ticked(), HEARTBEAT_NS - 1) == soup.NOTHING
    assert machine.step(soup.Ticked(), HEARTBEAT_NS).send == packet(b"H")
    assert machine.step(soup.Ticked(), HEARTBEAT_NS + 5) == soup.NOTHING
    machine.step(soup.Wrote(), 2 * HEARTBEAT_NS)
    assert machine.step(soup.Ticked(), 3 * HEARTBEAT_NS - 1) == soup.NOTHING


def test_a_client_that_says_nothing_is_gone_unless_nobody_listens():
    machine = opened()
    machine.step(soup.Came(), 5)
    assert not machine.step(soup.Ticked(), DEAD_NS + 4).close
    assert machine.step(soup.Ticked(), DEAD_NS + 5).close
    deaf = opened()
    assert not deaf.step(soup.Ticked(deaf=True), DEAD_NS).close
    assert not deaf.step(soup.Ticked(), 2 * DEAD_NS - 1).close


def test_a_login_has_its_time_and_so_has_the_opening():
    assert Connection(0).step(soup.Ticked(), LOGIN_NS).close
    machine = Connection(0)
    machine.step(soup.Came(login_packet()), 7)
    assert machine.step(soup.Ticked(), OPENING_NS + 6) == soup.NOTHING
    effects = machine.step(soup.Ticked(), OPENING_NS + 7)
    assert (effects.send, effects.close) == (packet(b"J", b"S"), True)


def test_the_gateway_says_why_it_ends_a_connection_and_a_logout_is_not_answered():
    assert opened().step(soup.Ended("going"), 1) == soup.Effects(send=packet(b"+", b"going"), close=True, why="going")
    assert opened().step(soup.Ended(), 1) == soup.Effects(close=True)


def test_every_state_can_end_and_what_stands_in_no_row_stops_the_process():
    assert all((state, Befell.ENDED) in MOVES for state in State if state is not State.OVER)
    with pytest.raises(KeyError):
        Connection(0).step(soup.Accepted(1, 1), 0)


# ---- who logs in -------------------------------------------------------------------------------------------------

DESK = Client("desk", "token", 5, (3, 4), soup_user="DESK1", soup_password="secret", soup_self_trade="decrement")
SILENT = Client("other", "token2", 6)


def test_a_listed_client_has_its_number_its_first_account_and_its_prevention():
    found = principal_of(Login("DESK1", "secret", 9, 1), Entitlements((DESK, SILENT)))
    assert (found.client, found.session_id, found.session, found.account) == (DESK, 5 << 32 | 9, 9, 3)
    assert found.self_trade is SelfTradePrevention.DECREMENT
    assert principal_of(Login("DESK1", "secret", 0, 1), Entitlements((DESK,))).session == CURRENT


@pytest.mark.parametrize(("user", "password"), [("DESK1", "wrong"), ("", ""), ("NOBODY", "secret"), ("desk", "token")])
def test_others_are_not_let_in(user, password):
    with pytest.raises(Unauthenticated):
        principal_of(Login(user, password, 0, 1), Entitlements((DESK, SILENT)))


def test_an_open_cluster_knows_users_by_number_or_makes_one_of_their_name():
    everybody = Entitlements(())
    seven = principal_of(Login("7", "", 0, 1), everybody)
    assert (seven.client, seven.session_id, seven.account) == (OPEN_CLIENT, 7 << 32 | 1, 7)
    named = principal_of(Login("ALICE", "", 0, 1), everybody)
    assert named.account == 1
    assert named.session_id == principal_of(Login("ALICE", "x", 0, 5), everybody).session_id
    with pytest.raises(Unauthenticated):
        principal_of(Login("", "", 0, 1), everybody)
