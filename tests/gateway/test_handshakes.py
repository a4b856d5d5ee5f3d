"""Admission of sessions: a bounded number at once, and a time for each of the others."""

import heapq
import random

import pytest

from lockstep.gateway.handshakes import Handshakes

MS = 1_000_000


def test_as_many_as_fit_begin_at_once_and_the_next_when_one_is_done() -> None:
    handshakes = Handshakes(2)
    assert [handshakes.begin(token, 0) for token in (1, 2)] == [0, 0]
    assert handshakes.begin(3, 0) > 0
    handshakes.end(1, 4 * MS)
    assert handshakes.begin(3, 4 * MS) == 0
    assert (handshakes.under_way, handshakes.turned_away) == (2, 1)


def test_those_who_are_turned_away_are_told_different_times_at_the_pace_of_the_handshakes() -> None:
    handshakes = Handshakes(10)
    for token in range(10):
        handshakes.begin(token, 0)
    for token in range(10):
        handshakes.end(token, 100 * MS)
    for token in range(10, 20):
        handshakes.begin(token, 100 * MS)
    delivered = [handshakes.begin(token, 100 * MS) for token in range(20, 120)]
    assert delivered == sorted(delivered)
    pace_ms = (delivered[-1] - delivered[0]) / 99
    assert 5 < pace_ms < 10, "ten at a time, somewhat under 100 ms each"


def test_nobody_is_told_to_stay_away_for_longer_than_the_bound() -> None:
    handshakes = Handshakes(1, latest_ns=300 * MS)
    handshakes.begin(0, 0)
    assert max(handshakes.begin(token, 0) for token in range(1, 10_000)) == 300


def test_client_that_reads_slowly_holds_its_place_for_a_while_only() -> None:
    handshakes = Handshakes(1, longest_ns=1000 * MS)
    assert handshakes.begin(1, 0) == 0
    assert handshakes.begin(2, 999 * MS) > 0
    assert handshakes.begin(3, 1000 * MS) == 0
    handshakes.end(1, 1001 * MS)
    assert handshakes.under_way == 1, "who lost its place does not give away another's"


@pytest.mark.parametrize("seed", range(5))
def test_thousand_clients_that_come_at_once_are_all_served_and_never_more_than_the_bound_at_a_time(seed: int) -> None:
    dice, handshakes = random.Random(seed), Handshakes(64)
    ends, comes = 0, 1
    events = [(dice.randrange(10 * MS), comes, client) for client in range(1000)]
    heapq.heapify(events)
    served, tries, most = 0, 0, 0
    while events:
        now_ns, kind, client = heapq.heappop(events)
        if kind == ends:
            handshakes.end(client, now_ns)
            served += 1
            continue
        tries += 1
        retry_ms = handshakes.begin(client, now_ns)
        most = max(most, handshakes.under_way)
        if retry_ms:
            heapq.heappush(events, (now_ns + retry_ms * dice.randrange(MS, 2 * MS), comes, client))
        else:
            heapq.heappush(events, (now_ns + dice.randrange(20 * MS, 200 * MS), ends, client))
    assert (served, most) == (1000, 64)
    assert now_ns < 6_000 * MS, "1 000 of 64 at a time, 110 ms each, take 1.7 s"
    assert tries < 8_000
