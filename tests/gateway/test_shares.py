"""Who gets how much of the way to the sequencer when more is offered than it takes."""

import pytest

from lockstep.gateway.sessions import OWN_STREAM, Admission, Session, SessionTable
from lockstep.gateway.shares import ALWAYS, Retries, Shares
from lockstep.stream.codes import Code

MS = 1_000_000
ROOM = 10_000


def fill(shares: Shares, client: str, total: int = ROOM, piece: int = 500) -> int:
    """Admit of one principal whatever it is allowed; how much it holds then."""
    while taken := min(piece, shares.room(client, free_of(shares, total))):
        shares.change(client, taken)
    return shares.held(client)


def free_of(shares: Shares, total: int) -> int:
    return total - sum(shares.held(client) for client in ("greedy", "other", "modest"))


def test_one_that_takes_all_it_can_leaves_a_fifth() -> None:
    assert fill(Shares(), "greedy") == pytest.approx(ROOM * 4 / 5, abs=2)


def test_two_share_alike_and_leave_room_for_a_third() -> None:
    shares = Shares()
    fill(shares, "greedy")
    fill(shares, "other")
    for _ in range(200):
        # What is answered of one is admitted of whoever asks first: the greedy one here.
        for client in ("greedy", "other"):
            shares.change(client, -min(100, shares.held(client)))
        fill(shares, "greedy")
        fill(shares, "other")
    assert shares.held("greedy") == pytest.approx(shares.held("other"), rel=0.15)
    assert shares.room("modest", free_of(shares, ROOM)) >= 0.7 * ROOM / 9


def test_what_is_left_is_there_for_whoever_holds_little_even_if_it_is_one() -> None:
    shares = Shares()
    assert shares.room("modest", 1) == 1
    assert shares.room("modest", 0) == 0
    shares.change("modest", ALWAYS)
    assert shares.room("modest", 1) == 0


def test_a_count_below_zero_is_a_broken_invariant() -> None:
    shares = Shares()
    shares.change("modest", 3)
    with pytest.raises(AssertionError, match="modest"):
        shares.change("modest", -4)


def test_those_that_are_refused_come_again_one_after_the_other() -> None:
    retries = Retries()
    assert [retries.next_ms(0) for _ in range(3)] == [5, 7, 9]
    assert retries.next_ms(100 * MS) == 5, "those before had their turn"
    waits = [retries.next_ms(100 * MS) for _ in range(2000)]
    assert waits == sorted(waits)
    assert waits[-1] == 2000, "and nobody waits for longer"


@pytest.fixture
def table() -> SessionTable:
    made = SessionTable(credit=100)
    for session_id, client in ((1, "greedy"), (2, "greedy"), (3, "modest")):
        made.open(session_id, client, session_id, 1)
    return made


def admit(table: SessionTable, session_id: int, count: int, room: int) -> Admission:
    session = table.get(session_id)
    assert session is not None
    return table.admit(session, session.expected, count, room=room, closed=None, now_ns=0)


def test_sessions_of_one_principal_share_its_room(table: SessionTable) -> None:
    assert admit(table, 1, 100, room=150).taken == 100
    second = admit(table, 2, 100, room=50)
    assert second.taken == 20, "100 held and 50 free: 120 and 30"
    assert second.refused is not None
    assert second.refused.code is Code.BUSY
    assert admit(table, 3, 30, room=30).taken == 30, "who holds nothing gets what is left"


def test_what_is_answered_is_held_no_longer(table: SessionTable) -> None:
    admit(table, 1, 100, room=150)
    table.on_answers([1], [100])
    assert table.shares.held("greedy") == 0
    admit(table, 1, 10, room=150)
    table.open(1, "greedy", 9, 112)
    assert table.shares.held("greedy") == 0, "its client has counted them as answered"


def test_a_session_of_the_intake_log_counts_for_whoever_comes_for_it(table: SessionTable) -> None:
    restored = table.ensure(9, "", 1)
    assert isinstance(restored, Session)
    restored.expected = 51
    table.count(restored)
    assert table.shares.held("") == 50
    table.open(9, "modest", 9, 1)
    assert (table.shares.held(""), table.shares.held("modest")) == (0, 50)


def test_the_gateways_own_session_is_not_held_back_by_its_share() -> None:
    table = SessionTable(credit=1000)
    own = table.add_own(7, 1)
    assert own.stream == OWN_STREAM
    assert table.admit(own, 1, 500, room=500, closed=None, now_ns=0).taken == 500


def test_without_room_a_message_is_refused_before_it_is_read(table: SessionTable) -> None:
    session = table.get(3)
    assert session is not None
    assert table.refuse_unread(session, 1, room=10, now_ns=0) is None
    unread = table.refuse_unread(session, 1, room=0, now_ns=0)
    assert unread is not None
    assert unread.refused is not None
    assert (unread.refused.from_no, unread.refused.code) == (1, Code.BUSY)
    assert table.refuse_unread(session, 8, room=10, now_ns=0) == Admission(), "what was on its way behind it"
    assert table.refuse_unread(session, 1, room=10, now_ns=0) is None, "it comes again and there is room"


def test_a_gap_and_a_repetition_are_read_first(table: SessionTable) -> None:
    session = table.get(3)
    assert session is not None
    admit(table, 3, 5, room=10)
    assert table.refuse_unread(session, 9, room=0, now_ns=0) is None
    assert table.refuse_unread(session, 2, room=0, now_ns=0) is None
