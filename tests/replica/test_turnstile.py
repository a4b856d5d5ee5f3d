"""Reads of history take turns, a slice each, with pauses between that leave the interpreter to the main loop."""

import asyncio
import threading
import time
from contextlib import aclosing
from dataclasses import dataclass

import pytest

from lockstep.replica.turnstile import SHARE, SLICE_NS, Lane, Turnstile


@dataclass
class Reply:
    no: int
    size: int = 0

    def ByteSize(self):  # noqa: N802
        return self.size


def burn(ns):
    until_ns = time.thread_time_ns() + ns
    while time.thread_time_ns() < until_ns:
        pass


@pytest.fixture
def paused():
    return []


@pytest.fixture
def turnstile(paused):
    """Whose pauses are noted and not made."""

    def sleep(pause_s):
        paused.append(pause_s)
        return 0.0

    made = Turnstile(sleep)
    yield made
    made.close()


async def take(turnstile, read, *, caller="a", lane=Lane.HISTORY):
    async with aclosing(turnstile.replies(lane, caller, read)) as replies:
        return [reply async for reply in replies]


def test_a_read_gives_its_replies_in_order_and_a_slice_ends_where_its_time_does(turnstile, paused):
    slices = []

    def read(used_up):
        for no in range(3):
            slices.append(time.thread_time_ns())
            assert not used_up()
            burn(SLICE_NS + 100_000)
            assert used_up()
            yield None
            yield Reply(no)

    assert [reply.no for reply in asyncio.run(take(turnstile, read))] == [0, 1, 2]
    assert len(slices) == 3
    # Of thread time, so that a busy machine changes nothing.
    assert len(paused) == 7, "three slices that were used up, three replies, and the end"
    assert all(pause_s >= (SHARE - 1) * SLICE_NS / 1e9 for pause_s in paused[0::2][:3])


def test_nobody_is_kept_from_anything_while_the_loop_has_nothing_to_do(paused):
    calm = [True, False]

    def sleep(pause_s):
        paused.append(pause_s)
        return 0.0

    made = Turnstile(sleep, calm=lambda: calm.pop(0))
    assert len(asyncio.run(take(made, lambda _: iter([Reply(1, 1 << 20)])))) == 1
    made.close()
    assert paused[0] == 0
    assert paused[1] > 0


def test_what_is_sent_costs_time_as_what_is_computed_does(turnstile, paused):
    asyncio.run(take(turnstile, lambda _: iter([Reply(1, 1 << 20)])))
    assert paused[0] - paused[1] > (SHARE - 1) * 0.003


def test_a_pause_is_made_before_the_next_slice_of_whomever():
    turnstile = Turnstile()

    def read(_used_up):
        burn(4_000_000)
        yield Reply(1)

    async def both():
        began_s = time.monotonic()
        await asyncio.gather(take(turnstile, read, caller="a"), take(turnstile, read, caller="b"))
        return time.monotonic() - began_s

    took_s = asyncio.run(both())
    turnstile.close()
    assert took_s > (SHARE - 1) * 0.004


def test_one_slice_runs_at_a_time_and_a_caller_with_many_delays_another_by_one(turnstile):
    order, inside = [], []

    def read(caller):
        def steps(_used_up):
            inside.append(caller)
            assert len(inside) == 1
            order.append(caller)
            time.sleep(0.01)
            inside.remove(caller)
            yield from ()

        return steps

    async def all_of_them():
        await asyncio.gather(
            *(take(turnstile, read(caller), caller=caller) for caller in ("x", "a", "a", "a", "a", "b"))
        )

    asyncio.run(all_of_them())
    assert order == ["x", "a", "b", "a", "a", "a"]


def test_lanes_have_turns_of_their_own():
    """Half a second of old history is under way, with its pause, and what is recent comes at once."""
    turnstile = Turnstile()

    def long(_used_up):
        burn(60_000_000)
        yield Reply(1)
        yield Reply(2)

    async def both():
        old = asyncio.create_task(take(turnstile, long))
        await asyncio.sleep(0.1)
        began_s = time.monotonic()
        await take(turnstile, lambda _: iter([Reply(3)]), lane=Lane.RECENT)
        took_s = time.monotonic() - began_s
        return took_s, old.done(), await old

    took_s, done, replies = asyncio.run(both())
    turnstile.close()
    assert took_s < 0.3
    assert not done
    assert len(replies) == 2


def test_a_caller_that_goes_ends_its_read_where_it_is_and_leaves_the_turn_to_others(turnstile):
    ended = threading.Event()
    begun = threading.Event()

    def endless(_used_up):
        try:
            while True:
                begun.set()
                time.sleep(0.01)
                yield None
        finally:
            ended.set()

    async def scenario():
        gone = asyncio.create_task(take(turnstile, endless, caller="gone"))
        await asyncio.to_thread(begun.wait, 5)
        waiting = asyncio.create_task(take(turnstile, endless, caller="waits"))
        await asyncio.sleep(0.05)
        gone.cancel()
        waiting.cancel()
        await asyncio.gather(gone, waiting, return_exceptions=True)
        return await take(turnstile, lambda _: iter([Reply(7)]))

    assert [reply.no for reply in asyncio.run(scenario())] == [7]
    assert ended.wait(5)


def test_a_read_that_breaks_says_so_and_leaves_the_turn_to_others(turnstile):
    def broken(_used_up):
        yield Reply(1)
        raise ValueError("broken")

    async def scenario():
        with pytest.raises(ValueError, match="broken"):
            await take(turnstile, broken)
        return await take(turnstile, lambda _: iter([Reply(7)]))

    assert [reply.no for reply in asyncio.run(scenario())] == [7]
