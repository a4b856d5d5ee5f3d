"""API1:2023 Broken Object Level Authorization: each operation that takes an id, by two principals."""

import pytest

from tests.edge.rest.owasp.conftest import EVERY, WITH_ACCOUNT, WITH_ORDER, request


@pytest.fixture(scope="module")
def order(bob):
    """Of account 3, which is bob's."""
    placed = bob.place("api1", account=3, price="20")
    assert placed.status == 201, placed
    return placed.json["order_id"]


def test_every_operation_that_takes_an_id_is_in_the_matrix():
    with_ids = [one for one in EVERY if any(x in one.path for x in ("{account}", "{order_id}"))]
    assert with_ids == WITH_ACCOUNT
    assert all(one in WITH_ACCOUNT for one in WITH_ORDER)


@pytest.mark.parametrize("operation", WITH_ACCOUNT, ids=lambda one: one.name)
def test_an_account_of_another_client_is_403_and_nothing_is_said_of_it(alice, bob, order, operation):
    answer = request(alice, operation, account=3, order=order, key="api1-matrix")
    assert (answer.status, answer.json["code"]) == (403, "NOT_ENTITLED")
    assert set(answer.json) == {"type", "title", "status", "detail", "code", "number", "remedy"}
    absent = request(alice, operation, account=77, order=order, key="api1-matrix")
    assert absent.status == 403, "whether there is such an account is nobody's business either"
    assert bob.get(f"/v1/accounts/3/orders/{order}").json["status"] == "live"


@pytest.mark.parametrize("operation", WITH_ORDER, ids=lambda one: one.name)
def test_an_order_of_another_account_is_not_reached_through_ones_own(alice, bob, order, operation):
    answer = request(alice, operation, account=1, order=order, key=f"api1-own-{operation.name}")
    assert (answer.status, answer.json["code"]) == (404, "UNKNOWN_ORDER")
    live = bob.get(f"/v1/accounts/3/orders/{order}").json
    assert (live["status"], live["price"], live["leaves_lots"]) == ("live", "20", 1)


def test_lists_hold_ones_own_alone(alice, bob):
    assert {one["account"] for one in alice.get("/v1/accounts").json["accounts"]} == {1, 2}
    assert {one["account"] for one in bob.get("/v1/accounts?cursor=0").json["accounts"]} == {3}
    assert alice.get("/v1/accounts?cursor=2").json["accounts"] == []


def test_a_key_of_another_client_gives_nothing_of_its_outcome(alice, bob):
    mine = alice.place("api1-key", price="20")
    theirs = bob.place("api1-key", account=3, price="20")
    assert {mine.status, theirs.status} == {201}
    assert mine.json["order_id"] != theirs.json["order_id"]
