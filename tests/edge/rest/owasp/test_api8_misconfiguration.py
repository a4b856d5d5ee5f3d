"""API8:2023 Security Misconfiguration: headers, origins, what errors tell, what the server says of itself."""

import pytest


def test_answers_are_not_sniffed_and_not_shared(alice, nobody):
    for answer in (alice.get("/v1/accounts"), nobody.get("/v1/accounts"), alice.get("/v1/none"), nobody.get("/docs")):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-cache"
        assert answer.headers["Server"] == "lockstep"
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1", "http://127.0.0.1.evil.example"]
)
def test_pages_of_other_hosts_are_refused(alice, origin):
    assert alice.get("/v1/accounts", Origin=origin).status == 403
    assert alice.ask("POST", "/v1/accounts/1/mass-cancel", {}, key="api8", Origin=origin).status == 403
    assert alice.ask("OPTIONS", "/v1/accounts", Origin=origin).status in (403, 405), "no preflight succeeds"


def test_pages_of_this_host_are_served(alice):
    assert alice.get("/v1/accounts", Origin=alice.base).status == 200


@pytest.mark.parametrize(
    "path",
    ["/v1/%00", "/v1/..%2f..%2fetc/passwd", "/docs/../openapi.json%00", "/v1/accounts/%ff", "/v1/instruments/%ff"],
)
def test_odd_addresses_tell_nothing(alice, path):
    answer = alice.get(path)
    assert 400 <= answer.status < 500, answer
    assert b"Traceback" not in answer.raw
    assert b"/lockstep/" not in answer.raw


def test_the_viewer_runs_no_script_but_its_own(nobody):
    policy = nobody.get("/docs").headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
