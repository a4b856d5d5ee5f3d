"""API5:2023 Broken Function Level Authorization: the door has no administration, and none is reached through it."""

import pytest

from tests.edge.rest.owasp.conftest import EVERY, WITH_ACCOUNT, request


def test_no_operation_administers():
    words = ("define", "adjust", "phase", "limit", "fee", "switch", "fence", "failover", "snapshot", "policy")
    assert not [one.name for one in EVERY if any(word in one.name.lower() for word in words)]


@pytest.mark.parametrize(
    "path", ["admin", "accounts/1/cash", "instruments/1/phase", "cluster/failover", "metrics", "sessions"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_what_others_guess_is_not_there(alice, method, path):
    assert alice.ask(method, f"/v1/{path}", {} if method != "GET" else None, key="x").status == 404


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", ["/v1/accounts", "/v1/accounts/1", "/v1/accounts/1/orders", "/v1/cluster"])
def test_other_methods_do_nothing(alice, method, path):
    assert alice.ask(method, path).status == 405


@pytest.mark.parametrize("operation", WITH_ACCOUNT, ids=lambda one: one.name)
def test_account_0_which_means_everybody_elsewhere_is_none(alice, operation):
    assert request(alice, operation, account=0).status == 400


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-Original-URL", "X-Forwarded-User"])
def test_headers_that_other_servers_believe_change_nothing(alice, header):
    answer = alice.get("/v1/accounts", **{header.replace("-", "_"): "DELETE"})
    assert [one["account"] for one in answer.json["accounts"]] == [1, 2]
