"""Pauses, and how long a silent gateway is waited for."""

from lockstep.backoff import Patience, pause_s, spread


def test_spread_looks_like_chance_from_session_to_session_and_from_turn_to_turn() -> None:
    for values in (
        [spread(session_id, 3) for session_id in range(1 << 40, (1 << 40) + 2000)],
        [spread(77, turn) for turn in range(2000)],
    ):
        assert all(0 <= value < 1_000_000 for value in values)
        tenths = [sum(value // 100_000 == tenth for value in values) for tenth in range(10)]
        assert min(tenths) > 140
        assert max(tenths) < 260
    assert spread(77, 5) == spread(77, 5)


def test_pause_doubles_up_to_its_bound_and_half_of_it_is_chance() -> None:
    assert [pause_s(0.01, 0.2, tries, 1.0) for tries in (0, 1, 4, 5, 500)] == [0.01, 0.02, 0.16, 0.2, 0.2]
    assert pause_s(0.01, 0.2, 5, 0.0) == 0.1


def test_silent_gateway_is_given_up_soon_the_first_time_and_later_each_time_after_up_to_a_bound() -> None:
    patience = Patience(10.0)
    given = [patience.ping_ms]
    for now_s in (11.0, 14.0, 21.0, 40.0):
        patience.on_silence(now_s)
        given.append(patience.ping_ms)
    assert given == [(500, 500), (1000, 2000), (2000, 5000), (2000, 5000), (2000, 5000)]


def test_many_streams_of_one_connection_that_was_given_up_count_once() -> None:
    patience = Patience(0.0)
    assert [patience.on_silence(1.2 + stream / 1000) for stream in range(1000)].count(True) == 1
    assert patience.ping_ms == (1000, 2000)
    assert not Patience(0.0).on_silence(0.9), "no connection made at 0 can have been silent for so long"
