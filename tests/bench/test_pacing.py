"""Waiting for times that are no whole milliseconds."""

import asyncio
import time

import uvloop

from lockstep.bench.pacing import Pacer


async def turns(count, step_ns):
    pacer = Pacer()
    start_ns = time.monotonic_ns()
    early = 0
    for turn in range(1, count + 1):
        due_ns = start_ns + turn * step_ns
        await pacer.until(due_ns)
        early += time.monotonic_ns() < due_ns
    pacer.close()
    return early, time.monotonic_ns() - start_ns


def test_nobody_is_woken_early_and_the_pace_is_kept():
    for run in (asyncio.run, uvloop.run):
        early, took_ns = run(turns(50, 400_000))
        assert early == 0
        assert took_ns >= 20_000_000


def test_a_time_that_is_past_costs_one_turn_of_the_loop_and_no_wait():
    async def late():
        pacer = Pacer()
        seen: list[str] = []
        asyncio.get_running_loop().call_soon(seen.append, "turn")
        await pacer.until(time.monotonic_ns() - 1)
        pacer.close()
        return seen

    assert asyncio.run(late()) == ["turn"]
