"""API6:2023 Unrestricted Access to Sensitive Business Flows: orders are given once, and not too fast."""

import threading

from lockstep.runtime.budget import SECONDS_AT_ONCE, Budget, Cost


def test_an_order_that_is_sent_a_hundred_times_is_one(alice):
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(alice.place("api6", price="20"))) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done = [one for one in answers if one.status == 201]
    assert {one.status for one in answers} <= {201, 429}
    assert len({one.raw for one in done}) == 1


def test_the_budget_is_exact_over_any_span():
    budget = Budget(500 * Cost.KEYED)
    admitted = sum(budget.take(Cost.KEYED, step * 250_000, cancels=True) == 0 for step in range(40_000))
    assert 500 * (SECONDS_AT_ONCE + 10) - 1 <= admitted <= 500 * (SECONDS_AT_ONCE + 10)


def test_the_exchanges_own_limits_hold_at_this_door(alice):
    poor = alice.place("api6-poor", quantity_lots=2**31 - 1)
    assert (poor.status, poor.json["code"]) == (409, "INSUFFICIENT_CASH")
