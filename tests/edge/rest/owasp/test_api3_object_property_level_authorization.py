"""API3:2023 Broken Object Property Level Authorization: no field is set that is not the caller's to set, or shown."""

import pytest

from lockstep.edge.rest.inputs import body_schema
from tests.edge.rest.owasp.conftest import BODIES

FOREIGN = [
    "account", "session_id", "order_id", "tag", "flags", "epoch", "seq", "leaves_lots", "status", "fee", "owner",
    "admin", "unlimited_cash", "block", "gateway", "received_ns", "__proto__", "constructor",
]  # fmt: skip


@pytest.mark.parametrize("field", FOREIGN)
def test_fields_that_are_not_the_callers_are_refused(alice, field):
    for name, path in (("NewOrder", "orders"), ("ReplaceOrder", "orders/5/replace"), ("MassCancel", "mass-cancel")):
        assert field not in body_schema(name)["properties"]
        body = {**BODIES[name], field: 3}
        answer = alice.ask("POST", f"/v1/accounts/1/{path}", body, key=f"api3-{name}")
        assert (answer.status, answer.json["field"]) == (400, f"/{field}"), answer


def test_an_order_is_of_the_account_in_the_path_and_of_a_session_of_its_client(alice):
    placed = alice.place("api3-own", price="20").json
    assert placed["reports"][0]["account"] == 1
    live = alice.get(f"/v1/accounts/1/orders/{placed['order_id']}").json
    assert int(live["session_id"]) >> 32 == 1


def test_a_maker_is_told_an_order_id_of_its_taker_and_nothing_else(alice, bob):
    sold = bob.place("api3-sell", account=3, side="sell", price="30").json
    taken = alice.place("api3-buy", price="30", tif="ioc").json
    report = bob.get(f"/v1/accounts/3/orders/{sold['order_id']}/history?min_seq={taken['seq']}").json["reports"][-1]
    assert report["counterparty_order_id"] == taken["order_id"]
    assert report["account"] == 3
    assert not {"counterparty_account", "counterparty_session", "maker_account", "client"} & set(report)
    trade = alice.get("/v1/instruments/ACME/trades?limit=1").json["trades"][0]
    assert "account" not in " ".join(trade)
