"""Turns at the engines: few at once, each client in turn, and none lost with who gave up."""

import asyncio

import pytest

from lockstep.runtime import turns as module
from lockstep.runtime.turns import TooManyWait, Turns


def test_clients_take_turns_however_many_calls_one_has():
    async def scenario():
        turns, order, inside = Turns(2), [], []

        async def read(client, number):
            async with turns.of(client):
                inside.append(client)
                assert len(inside) <= 2
                order.append((client, number))
                await asyncio.sleep(0.001)
                inside.remove(client)

        async with asyncio.TaskGroup() as group:
            for number in range(8):
                group.create_task(read("greedy", number))
            await asyncio.sleep(0)
            group.create_task(read("modest", 0))
        return order

    order = asyncio.run(scenario())
    assert sorted(order) == [*(("greedy", number) for number in range(8)), ("modest", 0)]
    assert order.index(("modest", 0)) <= 4


def test_who_gives_up_while_waiting_or_as_its_turn_comes_takes_no_turn_with_it():
    async def scenario():
        turns = Turns(1)
        entered = asyncio.Event()

        async def read(hold=0.0):
            async with turns.of("one"):
                entered.set()
                await asyncio.sleep(hold)

        first = asyncio.create_task(read(0.02))
        await entered.wait()
        waiting, next_one = asyncio.create_task(read()), asyncio.create_task(read(1))
        await asyncio.sleep(0)
        waiting.cancel()
        await first
        # The turn has just been given to the next one, which does not know yet.
        next_one.cancel()
        await asyncio.wait([waiting, next_one])
        async with asyncio.timeout(1), turns.of("two"):
            return True

    assert asyncio.run(scenario())


def test_there_is_an_end_to_who_may_wait(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "MAX_WAITING", 1)

    async def scenario():
        turns = Turns(1)
        async with turns.of("one"):
            waiting = asyncio.create_task(turns.of("two").__aenter__())
            await asyncio.sleep(0)
            with pytest.raises(TooManyWait):
                async with turns.of("three"):
                    pass
        await waiting

    asyncio.run(scenario())
