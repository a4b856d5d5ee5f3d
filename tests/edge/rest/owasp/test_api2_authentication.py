"""API2:2023 Broken Authentication: no operation without a known token, and tokens are not guessed at leisure."""

import base64
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lockstep.edge.rest.door import LOGIN_BURST, LOGINS_PER_S
from lockstep.runtime.tokens import Entitlements
from tests.edge.rest.owasp.conftest import EVERY, request
from tests.edge.rest.test_bounds import served
from tests.runtime.access.test_tokens import DESK, ISSUER, OWN, signed, unsigned

JWT_NONE = (
    ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
        for part in ({"alg": "none", "typ": "JWT"}, {"sub": "alice", "exp": 4102444800})
    )
    + "."
)
WRONG = [
    "Bearer", "Bearer ", "Bearer wrong", "Bearer alice-token-", "Bearer alice", "Basic YWxpY2U6YWxpY2UtdG9rZW4=",
    "alice-token", f"Bearer {JWT_NONE}", "Bearer alice-token, bob-token", "Bearer null", "Bearer ALICE-TOKEN",
]  # fmt: skip


NOW = int(time.time())
FORGED = {
    "none": unsigned(alg="none", kid="kid-1"),
    "no signature": unsigned(alg="EdDSA", kid="kid-1"),
    "an HMAC by the public key": jwt.api_jws.PyJWS().encode(
        json.dumps({"sub": "desk", "aud": "c", "iat": NOW, "exp": NOW + 60}).encode(),
        OWN.public_key().public_bytes_raw(), algorithm="HS256", headers={"kid": "kid-1"},
    ),
    "another kind of key": signed(ISSUER, "kid-1", "ES256"),
    "another key": signed(Ed25519PrivateKey.generate()),
    "another audience": signed(aud="another"),
    "no audience": signed(aud=None),
    "over": signed(exp=NOW - 3600, iat=NOW - 3700),
    "no end": signed(exp=None),
    "too long a life": signed(exp=NOW + 86_400),
    "no kid": signed(kid=None),
    "an unknown kid": signed(kid="unknown"),
    "a path as kid": signed(kid="../../etc/passwd"),
    "another's sub": signed(sub="root"),
}  # fmt: skip


def test_no_forged_jwt_is_taken_and_an_honest_one_is():
    """The whole table is in tests/runtime/access/test_tokens.py; here: that the door believes none, and says so."""

    async def test(site: Any) -> None:
        known = Entitlements((), anonymous=False, key=b"k" * 32, cluster="c")
        known.replace(DESK)
        site.shell.entitlements = known

        async def status(token: str) -> tuple[int, str | None]:
            async with site.http.get("/v1/cluster", headers={"Authorization": f"Bearer {token}"}) as answer:
                return answer.status, answer.headers.get("WWW-Authenticate")

        assert await status(signed()) == (200, None)
        assert {why: await status(token) for why, token in FORGED.items()} == dict.fromkeys(FORGED, (401, "Bearer"))
        assert await status(signed()) == (200, None)

    served(test)


@pytest.mark.parametrize("operation", EVERY, ids=lambda one: one.name)
def test_no_operation_is_open(nobody, operation):
    answer = request(nobody, operation)
    assert (answer.status, answer.json["code"]) == (401, "UNAUTHENTICATED")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("said", WRONG)
def test_what_is_no_known_token_is_refused(nobody, said):
    assert nobody.get("/v1/accounts", Authorization=said).status == 401


def test_a_token_in_the_address_or_the_body_does_not_count(nobody):
    for name in ("token", "access_token", "authorization"):
        assert nobody.get(f"/v1/accounts?{name}=alice-token").status == 401
    assert nobody.ask("POST", "/v1/accounts/1/orders", {"token": "alice-token"}, key="x").status == 401


def test_guessing_is_slowed_down_and_those_with_a_token_do_not_notice(nobody, alice):
    begin_s = time.monotonic()
    answers = [nobody.get("/v1/cluster", Authorization=f"Bearer guess-{number}") for number in range(LOGIN_BURST + 300)]
    passed_s = time.monotonic() - begin_s
    assert {one.status for one in answers} <= {401, 429}
    # A machine on which three hundred questions take six seconds may ask them all.
    assert [one.status for one in answers].count(401) <= LOGIN_BURST + LOGINS_PER_S * passed_s + 1
    assert all("Retry-After" in one.headers for one in answers if one.status == 429)
    assert alice.get("/v1/cluster").status == 200


def test_no_answer_holds_a_token(nobody, alice):
    for answer in (nobody.get("/v1/accounts", Authorization="Bearer secret-guess"), alice.get("/v1/cluster")):
        said = answer.raw.decode() + str(answer.headers)
        assert "secret-guess" not in said
        assert "alice-token" not in said
