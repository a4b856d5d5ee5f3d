"""Searches of history take turns, a slice each, with pauses between that leave the interpreter to the main loop."""

import threading
import time

from lockstep.replica.turnstile import SHARE, SLICE_NS, Turnstile


def burn(ns):
    until_ns = time.thread_time_ns() + ns
    while time.thread_time_ns() < until_ns:
        pass


def test_a_slice_is_used_up_after_its_time_and_is_followed_by_a_pause_of_some_times_that():
    slept = []
    turnstile = Turnstile(slept.append)
    with turnstile.slice(1) as used_up:
        assert not used_up()
        burn(SLICE_NS + 100_000)
        assert used_up()
    with turnstile.slice(1):
        pass
    (pause_s,) = slept
    # Measured against the wall clock, which a busy machine lets run on meanwhile; so only the most can be told.
    assert 0 < pause_s <= (SHARE - 1) * 0.05


def test_one_slice_runs_at_a_time_and_a_caller_with_many_delays_another_by_one():
    turnstile = Turnstile(lambda _s: None)
    order, inside = [], []
    begin = threading.Event()

    def search(caller):
        with turnstile.slice(caller):
            inside.append(caller)
            assert len(inside) == 1
            order.append(caller)
            inside.remove(caller)

    def hold():
        with turnstile.slice(0):
            begin.wait(5)

    holder = threading.Thread(target=hold)
    holder.start()
    threads = []
    for count, caller in enumerate((1, 1, 1, 1, 2), start=1):
        threads.append(threading.Thread(target=search, args=(caller,)))
        threads[-1].start()
        until_s = time.monotonic() + 5
        while len(turnstile._waiting) < count and time.monotonic() < until_s:
            time.sleep(0.001)
    begin.set()
    for thread in (holder, *threads):
        thread.join(5)
    assert order == [1, 2, 1, 1, 1]


def test_a_search_that_breaks_leaves_the_turn_to_others():
    turnstile = Turnstile(lambda _s: None)
    try:
        with turnstile.slice(1):
            raise ValueError
    except ValueError:
        pass
    with turnstile.slice(2) as used_up:
        assert not used_up()
