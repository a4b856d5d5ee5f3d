"""API keys, passwords and signed logins: who is let in, and when no more."""

import asyncio
import base64
import json
import time
from dataclasses import replace
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lockstep.runtime import tokens
from lockstep.runtime.access.cluster_key import Holder, mint
from lockstep.runtime.access.jwt_login import LEEWAY_S, JwtKeys, load_keys
from lockstep.runtime.access.registry import Credential, Registry, changed, create, grant, revoke
from lockstep.runtime.access.roles import Role
from lockstep.runtime.access.secret_hash import hash_secret, key_id, key_number, make_key, matches
from lockstep.runtime.faults import EnvironmentFault
from lockstep.runtime.tokens import Entitlements, TooManyLogins, Unauthenticated, Unverified
from lockstep.runtime.topology import Principal

KEY = b"k" * 32
TOKEN, KEY_ID = make_key(7)
OWN, ISSUER = ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())


def pem(private) -> str:
    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def made(*edits) -> Registry:
    registry = Registry()
    for edit in edits:
        registry = changed(registry, edit, by="ada", what="", now_ns=1)
    return registry


DESK = made(
    create("desk", ["trader"], [1, 2], 7),
    grant("desk", Credential(KEY_ID, "key", hash_secret(TOKEN))),
    grant("desk", Credential("kid-1", "public-key", pem(OWN))),
    grant("desk", Credential("user-DESK", "password", hash_secret("secret"), user="DESK")),
)


@pytest.fixture
def known() -> Entitlements:
    found = Entitlements(
        (Principal("static", "static-token", 1),),
        key=KEY,
        cluster="c",
        issuers=JwtKeys([("issuer-1", ISSUER.public_key())]),
    )
    found.replace(DESK)
    return found


def identify(known: Entitlements, token: str) -> Principal:
    return asyncio.run(known.identify(f"Bearer {token}"))


def signed(private=OWN, kid: str | None = "kid-1", algorithm: str = "EdDSA", **claims: object) -> str:
    now = int(time.time())
    body = {"sub": "desk", "aud": "c", "iat": now, "exp": now + 300} | claims
    body = {name: value for name, value in body.items() if value is not None}
    return jwt.encode(body, private, algorithm=algorithm, headers={"kid": kid} if kid else {})


# ---- API keys -------------------------------------------------------------------------------------------------------


def test_a_key_says_its_number_and_id_and_is_stored_as_a_hash_with_salt():
    assert (key_number(TOKEN), key_id(TOKEN)) == (7, KEY_ID)
    first, second = hash_secret(TOKEN), hash_secret(TOKEN)
    assert first != second
    assert TOKEN.rpartition(".")[2] not in first
    assert matches(TOKEN, first)
    assert not matches(TOKEN + "x", first)


def test_a_key_is_hashed_once_and_then_known_at_once(known: Entitlements):
    with pytest.raises(Unverified):
        known.authenticate(f"Bearer {TOKEN}")
    found = identify(known, TOKEN)
    assert (found.name, found.number, found.accounts) == ("desk", 7, (1, 2))
    assert known.authenticate(f"Bearer {TOKEN}") is found
    assert known.authenticate("Bearer static-token").name == "static", "as before"


def test_a_change_of_somebody_else_makes_nobody_prove_a_secret_again(known: Entitlements):
    found = identify(known, TOKEN)
    known.replace(changed(DESK, create("other", ["auditor"], []), by="a", what="", now_ns=1))
    assert known.authenticate(f"Bearer {TOKEN}") == found
    known.replace(changed(DESK, revoke("desk", KEY_ID), by="a", what="", now_ns=1))
    with pytest.raises(Unauthenticated):
        known.authenticate(f"Bearer {TOKEN}")


def test_many_calls_that_show_a_good_key_at_once_wait_for_one_hash(known: Entitlements, monkeypatch):
    hashed = []

    def count(secret: str, stored: str) -> bool:
        hashed.append(secret)
        return matches(secret, stored)

    monkeypatch.setattr(tokens, "matches", count)

    async def run() -> list[Principal]:
        return await asyncio.gather(*(known.identify(f"Bearer {TOKEN}") for _ in range(50)))

    assert {one.name for one in asyncio.run(run())} == {"desk"}
    assert len(hashed) == 1
    for number in range(3 * tokens.GUESSES_AT_ONCE):
        # Each is a change that makes it prove its secret again: what is right is no guess.
        (entry,) = DESK.entries
        known.replace(replace(DESK, version=number + 9, entries=(replace(entry, accounts=(number,)),)))
        assert identify(known, TOKEN).accounts == (number,)


def test_a_secret_that_was_changed_while_it_was_hashed_is_nobodys(known: Entitlements, monkeypatch):
    (entry,) = DESK.entries
    other = tuple(replace(one, secret=hash_secret("other")) if one.id == KEY_ID else one for one in entry.credentials)
    after = replace(DESK, version=DESK.version + 1, entries=(replace(entry, credentials=other),))

    def slow(secret: str, stored: str) -> bool:
        known.replace(after)
        return matches(secret, stored)

    monkeypatch.setattr(tokens, "matches", slow)
    with pytest.raises(Unauthenticated):
        identify(known, TOKEN)


def test_letters_that_no_token_has_are_nobodys(known: Entitlements):
    for odd in ("\udcff", "\u00e9", "lk1.7.\udcff"):
        with pytest.raises(Unauthenticated):
            identify(known, odd)


def test_a_process_that_has_just_started_sends_nobody_away_before_it_knows_who_is_stored():
    fresh = Entitlements((), anonymous=False, key=KEY, cluster="c")

    async def come() -> Principal:
        asyncio.get_running_loop().call_later(0.05, fresh.replace, DESK)
        return await fresh.identify(f"Bearer {TOKEN}")

    assert asyncio.run(come()).name == "desk"


def test_the_figures_thread_hashes_by_itself(known: Entitlements):
    assert known.authenticate_slowly(f"Bearer {TOKEN}").name == "desk"
    with pytest.raises(Unauthenticated):
        known.authenticate_slowly(f"Bearer {TOKEN}x")


@pytest.mark.parametrize(
    "token",
    [TOKEN + "x", TOKEN[:-1], TOKEN.replace(KEY_ID, "0" * 12), "lk1.7..", "lk1.", "lk1.7.x"],
    ids=lambda _token: "key",  # another one in each process of a parallel run
)
def test_a_wrong_key_is_nobodys(known: Entitlements, token: str):
    with pytest.raises(Unauthenticated):
        identify(known, token)


def test_guessing_is_bounded_and_what_was_verified_goes_on(known: Entitlements):
    identify(known, TOKEN)
    hashed = []

    def count(secret: str, stored: str) -> bool:
        hashed.append(secret)
        return False

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tokens, "matches", count)
        patched.setattr(time, "monotonic_ns", lambda: 10**12)
        for number in range(100):
            with pytest.raises(Unauthenticated):
                identify(known, f"{TOKEN}{number}")
    assert len(hashed) <= tokens.GUESSES_AT_ONCE
    assert known.authenticate(f"Bearer {TOKEN}").name == "desk"


def test_a_revoked_key_is_nobodys_at_once_and_what_it_has_open_is_ended(known: Entitlements):
    principal, ended = identify(known, TOKEN), []
    unwatch = known.watch(principal, lambda: ended.append(1))
    known.watch(known.authenticate("Bearer static-token"), lambda: ended.append(2))
    known.replace(changed(DESK, create("other", ["auditor"], []), by="a", what="", now_ns=1))
    assert not ended, "others change"
    known.replace(changed(DESK, revoke("desk", KEY_ID), by="a", what="", now_ns=1))
    known.end_over()
    assert ended == [1], "once"
    with pytest.raises(Unauthenticated):
        identify(known, TOKEN)
    unwatch()
    unwatch()
    known.replace(Registry(version=9))
    assert ended == [1]


def test_who_has_other_roles_now_logs_in_again(known: Entitlements):
    principal, ended = identify(known, TOKEN), []
    known.watch(principal, lambda: ended.append(1))
    (entry,) = DESK.entries
    known.replace(replace(DESK, entries=(replace(entry, roles=("auditor",)),)))
    assert ended
    assert identify(known, TOKEN).rights == {Role.AUDITOR}


def test_a_key_ends_when_its_time_is_over(known: Entitlements, monkeypatch: pytest.MonkeyPatch):
    until_ns = time.time_ns() + 3_600_000_000_000
    known.replace(
        made(create("m", ["monitor"], [], 7), grant("m", Credential(KEY_ID, "key", hash_secret(TOKEN), 0, until_ns)))
    )
    principal, ended = identify(known, TOKEN), []
    known.watch(principal, lambda: ended.append(1))
    known.end_over()
    assert not ended
    monkeypatch.setattr(time, "time", lambda: until_ns / 1e9 + 1)
    monkeypatch.setattr(time, "time_ns", lambda: until_ns + 1)
    known.end_over()
    assert ended
    with pytest.raises(Unauthenticated, match="time is over"):
        identify(known, TOKEN)


def test_the_binary_doors_password_is_hashed_too(known: Entitlements):
    assert known.stores_user("DESK")
    assert asyncio.run(known.identify_soup_user("DESK", "secret")).name == "desk"
    with pytest.raises(Unauthenticated):
        asyncio.run(known.identify_soup_user("DESK", "wrong"))
    with pytest.raises(Unauthenticated):
        identify(known, "secret")


@pytest.fixture
def desks() -> Entitlements:
    clients = (Principal("a", "t1", 1, soup_user="A", soup_password="right"), Principal("b", "t2", 2, soup_user="B"))
    return Entitlements(clients)


def log_in(known: Entitlements, user: str, password: str, host: str) -> str:
    try:
        return asyncio.run(known.identify_soup_user(user, password, host)).name
    except TooManyLogins:
        return "too many"
    except Unauthenticated:
        return "nobody"


@pytest.mark.parametrize("user", ["A", "DESK"], ids=["configured", "stored"])
def test_guesses_at_the_binary_doors_password_are_bounded_and_keep_nobody_out_who_was_there(
    known: Entitlements, desks: Entitlements, monkeypatch: pytest.MonkeyPatch, user: str
):
    found, right = (desks, "right") if user == "A" else (known, "secret")
    monkeypatch.setattr(time, "monotonic_ns", lambda: 10**12)
    monkeypatch.setattr(tokens, "matches", lambda secret, _stored: secret == "secret")
    name = log_in(found, user, right, "10.0.0.1")
    assert name in ("a", "desk")
    said = [log_in(found, user, f"guess {number}", "10.0.0.9") for number in range(50)]
    assert said.count("nobody") == tokens.GUESSES_AT_ONCE
    assert set(said[tokens.GUESSES_AT_ONCE :]) == {"too many"}
    assert log_in(found, user, right, "10.0.0.9") == "too many", (
        "what is guessed then does not show whether it is right"
    )
    assert log_in(found, user, right, "10.0.0.1") == name, "it has logged in from there before"
    monkeypatch.setattr(time, "monotonic_ns", lambda: 10**12 + 10**9)
    assert log_in(found, user, right, "10.0.0.9") == name
    found.replace(DESK)
    assert log_in(found, user, "wrong", "10.0.0.9") in ("nobody", "too many")


def test_who_has_no_password_at_the_binary_door_is_let_in_by_none(desks: Entitlements):
    for user, password in (("B", ""), ("", ""), ("C", "")):
        assert log_in(desks, user, password, "h") == "nobody"


# ---- signed logins --------------------------------------------------------------------------------------------------


def test_a_login_signed_with_the_registered_key_is_the_principals(known: Entitlements):
    found = identify(known, signed())
    assert (found.name, found.number, found.accounts, found.credential) == ("desk", 7, (1, 2), "kid-1")


def test_an_issuers_token_names_a_principal_and_gives_it_nothing(known: Entitlements):
    token = signed(ISSUER, "issuer-1", "ES256", roles=["administrator"], accounts=[], admin=True, number=99)
    found = identify(known, token)
    assert (found.name, found.rights, found.accounts, found.number) == ("desk", frozenset((Role.TRADER,)), (1, 2), 7)
    ended: list[int] = []
    known.watch(found, lambda: ended.append(1))
    known.replace(DESK)
    assert not ended
    known.replace(Registry())
    assert ended


@pytest.mark.parametrize(
    "token",
    [
        lambda: signed(),
        lambda: signed(ISSUER, "issuer-1", "ES256"),
        lambda: mint(KEY, "c", Holder("ada", Role.OPERATOR), int(time.time())),
    ],
    ids=["its own", "an issuer's", "an operator's"],
)
def test_what_a_token_opened_ends_with_it(known: Entitlements, monkeypatch: pytest.MonkeyPatch, token):
    shown = token()
    principal, ended = identify(known, shown), []
    known.watch(principal, lambda: ended.append(1))
    known.replace(replace(DESK, version=9))
    assert not ended, "a change of somebody else ends nothing"
    until_ns = principal.until_ns
    assert 0 < until_ns - time.time_ns() <= 48 * 3600 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: until_ns - 1)
    known.end_over()
    assert not ended
    monkeypatch.setattr(time, "time_ns", lambda: until_ns)
    known.end_over()
    assert ended == [1]


def test_a_login_lets_in_and_stays_for_as_long_behind_its_end(known: Entitlements):
    """Clocks differ; a token that still lets in must not end a moment later what it opened."""
    now = int(time.time())
    principal = identify(known, signed(iat=now - 100, exp=now - LEEWAY_S // 2))
    assert principal.until_ns == (now - LEEWAY_S // 2 + LEEWAY_S) * 10**9


def unsigned(**header: str) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    now = int(time.time())
    return f"{part(header)}.{part({'sub': 'desk', 'aud': 'c', 'iat': now, 'exp': now + 60})}."


OTHER = ed25519.Ed25519PrivateKey.generate()
NOW = int(time.time())


@pytest.mark.parametrize(
    "token",
    [
        unsigned(alg="none", kid="kid-1"),
        unsigned(alg="EdDSA", kid="kid-1"),
        # The public key as the secret of an HMAC: the token must not choose the algorithm.
        jwt.api_jws.PyJWS().encode(
            json.dumps({"sub": "desk", "aud": "c", "iat": NOW, "exp": NOW + 60}).encode(),
            b"0" * 64, algorithm="HS256", headers={"kid": "kid-1"},
        ),
        signed(ISSUER, "kid-1", "ES256"),
        signed(rsa.generate_private_key(65537, 2048), "issuer-1", "RS256"),
        signed(OTHER),
        signed(kid=None),
        signed(kid="unknown"),
        signed(kid="../../etc/passwd"),
        signed(aud="another"),
        signed(aud=None),
        signed(aud=["c", "another"]),
        signed(exp=NOW - 3600, iat=NOW - 3700),
        signed(exp=None),
        signed(iat=None),
        signed(iat=NOW + 3600, exp=NOW + 3700),
        signed(nbf=NOW + 3600),
        signed(exp=NOW + 86_400),
        signed(exp=10**30),
        signed(exp=str(NOW + 60)),
        signed(iat=str(NOW)),
        signed(sub=None),
        signed(sub="root"),
        signed(ISSUER, "issuer-1", "ES256", sub="nobody"),
        signed(ISSUER, "issuer-1", "ES256", exp=NOW + 30 * 86_400),
        signed()[:-4] + "AAAA",
        "eyJ", "eyJ..", "eyJhbGciOiJFZERTQSJ9", "eyJ" + "a" * 4000,
    ],
    ids=lambda _token: "token",
)  # fmt: skip
def test_no_other_token_is_taken(known: Entitlements, token: str):
    with pytest.raises(Unauthenticated):
        identify(known, token)


def test_issuers_keys_come_from_a_file(tmp_path: Path):
    row = {**json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(OWN.public_key())), "kid": "a"}
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [row]}))
    assert list(load_keys(tmp_path / "jwks.json").by_id) == ["a"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"keys": []}',
        '{"keys": [{"kty": "oct", "k": "AAAA", "kid": "a"}]}',
        json.dumps({"keys": [json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(OWN.public_key()))]}),
        json.dumps({"keys": [{**json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(OWN)), "kid": "a"}]}),
    ],
    ids=lambda _text: "keys",
)
def test_a_file_of_other_keys_is_an_error(tmp_path: Path, text: str):
    (tmp_path / "jwks.json").write_text(text)
    with pytest.raises(EnvironmentFault, match="JWKS"):
        load_keys(tmp_path / "jwks.json")
