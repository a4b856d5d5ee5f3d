"""Calls of a method have places; whoever keeps its call waiting gives its own to others, and nobody else does."""

import asyncio

import pytest

from lockstep.runtime import places as module
from lockstep.runtime.places import GIVES_WAY_AFTER_S, Limit, Place, Places

LONG = GIVES_WAY_AFTER_S


def waiting(place: Place | None, since_s: float, given_up: list[str], name: str) -> Place:
    assert place is not None
    place.waits_since_s = since_s
    place.give_up = lambda: given_up.append(name)
    return place


def test_there_are_so_many_and_one_that_is_left_is_free_again():
    places = Places(Limit(2, 2))
    first = places.take("a", 0)
    assert first is not None
    assert places.take("b", 0) is not None
    assert places.take("c", 100) is None, "both are at work, however long"
    places.leave(first)
    places.leave(first)
    assert places.take("c", 100) is not None
    assert len(places) == 2


def test_a_caller_has_no_more_than_its_share_and_leaves_the_rest_to_others():
    places = Places(Limit(4, 2))
    assert [places.take("a", 0) is not None for _ in range(3)] == [True, True, False]
    assert places.take("b", 0) is not None


def test_the_one_that_waits_longest_gives_its_place_to_others_but_not_at_once():
    places = Places(Limit(3, 3))
    given_up: list[str] = []
    waiting(places.take("a", 0), 1.0, given_up, "later")
    waiting(places.take("b", 0), 0.5, given_up, "first")
    assert places.take("c", 0) is not None
    assert places.take("d", 0.5 + LONG - 0.01) is None
    assert not given_up
    assert places.take("d", 0.5 + LONG) is not None
    assert given_up == ["first"]
    assert places.take("d", 1.0 + LONG) is not None
    assert given_up == ["first", "later"]
    assert places.take("d", 1_000) is None, "who is served keeps its place"


def test_a_caller_at_its_limit_takes_from_its_own_calls_alone():
    places = Places(Limit(8, 2))
    given_up: list[str] = []
    waiting(places.take("a", 0), 0, given_up, "other's")
    waiting(places.take("b", 0), 5, given_up, "own")
    assert places.take("b", 5) is not None
    assert places.take("b", 5 + LONG) is not None
    assert given_up == ["own"]


def test_who_finds_no_place_waits_a_moment_and_connections_take_turns():
    async def scenario():
        places, order = Places(Limit(1, 1)), []

        async def call(caller):
            place = await places.enter(caller)
            assert place is not None
            order.append(caller)
            await asyncio.sleep(0.01)
            places.leave(place)

        await asyncio.gather(*(call(caller) for caller in ("x", "a", "b", "c")))
        assert len(places) == 0
        return order

    assert asyncio.run(scenario()) == ["x", "a", "b", "c"]


def test_who_waits_gets_the_place_of_who_comes_to_wait_too_long(monkeypatch):
    monkeypatch.setattr(module, "GIVES_WAY_AFTER_S", 0.2)

    async def scenario():
        places = Places(Limit(1, 1))
        given_up: list[str] = []
        now_s = asyncio.get_running_loop().time()
        waiting(await places.enter("a"), now_s, given_up, "idle")
        assert await places.enter("b") is not None
        return given_up, asyncio.get_running_loop().time() - now_s

    given_up, took_s = asyncio.run(scenario())
    assert given_up == ["idle"]
    assert took_s >= 0.2


def test_nobody_waits_for_ever_nor_too_many_nor_behind_calls_of_its_own(monkeypatch):
    monkeypatch.setattr(module, "WAIT_S", 0.2)
    monkeypatch.setattr(module, "MAX_WAITING", 2)

    async def scenario():
        places = Places(Limit(1, 1))
        assert await places.enter("a") is not None
        assert await asyncio.wait_for(places.enter("a"), 0.1) is None
        first, second = (asyncio.create_task(places.enter(caller)) for caller in "bc")
        await asyncio.sleep(0)
        assert await asyncio.wait_for(places.enter("d"), 0.1) is None
        return await first, await second

    assert asyncio.run(scenario()) == (None, None)


@pytest.mark.parametrize("granted", [False, True])
def test_who_goes_while_it_waits_leaves_no_place_taken(granted):
    async def scenario():
        places = Places(Limit(1, 1))
        place = await places.enter("a")
        assert place is not None
        gone = asyncio.create_task(places.enter("b"))
        await asyncio.sleep(0)
        if granted:
            places.leave(place)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        if not granted:
            places.leave(place)
        assert len(places) == 0
        assert await asyncio.wait_for(places.enter("c"), 1) is not None

    asyncio.run(scenario())
