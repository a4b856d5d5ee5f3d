"""Logins by JSON Web Token (RFC 7519), of two kinds:

* signed by a principal itself, with a key whose public half it has registered: how machines log in without a secret
  that anybody else holds. It lives for minutes.
* signed by an issuer whose keys stand in a JWKS file (RFC 7517): `sub` names a principal. It lives for a day at most.

The algorithms are pinned, and each key's own kind decides (RFC 8725): a token can't choose. Roles and accounts are
those that the principal has here; nothing in the token gives any.
"""

import json
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from lockstep.runtime.access.registry import Credential, Entry, Registry
from lockstep.runtime.faults import EnvironmentFault
from lockstep.runtime.topology import Principal

BEGINNING: Final = "eyJ"
"""Of every JWT: `{"` in base64."""
ISSUED: Final = "jwt:"
"""How the credential of an issuer's token begins."""
LEEWAY_S: Final = 30
"""For clocks that differ: a token is good, and what it opened stays open, for so long behind its `exp`."""
OWN_LIFE_S: Final = 600
ISSUED_LIFE_S: Final = 24 * 3600
_MAX_KEYS: Final = 64
_MAX_FILE: Final = 1 << 18


class NoSuchLogin(ValueError):
    """The token lets nobody in; the text says why."""


PublicKey = Ed25519PublicKey | EllipticCurvePublicKey


class JwtKeys:
    """Public keys of issuers, by key id."""

    def __init__(self, keys: Iterable[tuple[str, PublicKey]]) -> None:
        self.by_id = dict(keys)


def load_keys(path: Path) -> JwtKeys:
    """The keys of a JWKS file.

    Raises:
        EnvironmentFault: it can't be read, or holds a key of another kind than Ed25519 or P-256.
    """
    try:
        raw = path.read_bytes()[: _MAX_FILE + 1]
        rows = json.loads(raw)["keys"]
        if len(raw) > _MAX_FILE or not 0 < len(rows) <= _MAX_KEYS:
            raise ValueError(f"1 to {_MAX_KEYS} keys")
        return JwtKeys((str(row["kid"]), _of_jwk(row)) for row in rows)
    except (OSError, ValueError, KeyError, TypeError, jwt.PyJWTError) as error:
        raise EnvironmentFault(
            f"jwks_file {path}: {error!r}; it holds a JWKS of Ed25519 or P-256 public keys, each with its kid"
        ) from error


def _of_jwk(row: dict[str, Any]) -> PublicKey:
    if "d" in row:
        raise ValueError("a private key: leave out d")
    return checked(jwt.PyJWK.from_dict(row, algorithm=_ALGORITHM_OF_CURVE[row["crv"]]).key)


_ALGORITHM_OF_CURVE: Final = {"Ed25519": "EdDSA", "P-256": "ES256"}


def checked(key: object) -> PublicKey:
    """A public key that logins may be signed with.

    Raises:
        ValueError: it is of another kind.
    """
    if isinstance(key, Ed25519PublicKey) or (
        isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1)
    ):
        return key
    raise ValueError("only Ed25519 and P-256 public keys")


def key_of_pem(pem: str) -> PublicKey:
    """A registered key.

    Raises:
        ValueError: it is none, or of another kind.
    """
    return checked(load_pem_public_key(pem.encode()))


def _algorithm_of(key: PublicKey) -> str:
    return "EdDSA" if isinstance(key, Ed25519PublicKey) else "ES256"


def verify(token: str, registry: Registry, issuers: JwtKeys, audience: str) -> Principal:
    """Whose token it is; `until_ns` says until when.

    Raises:
        NoSuchLogin: it lets nobody in.
    """
    try:
        key_id = jwt.get_unverified_header(token).get("kid")
    except jwt.PyJWTError:
        raise NoSuchLogin("the token is no JWT") from None
    if not isinstance(key_id, str):
        raise NoSuchLogin("the JWT names no kid")
    own = _registered(key_id, registry)
    key = issuers.by_id.get(key_id) if own is None else key_of_pem(own[1].secret)
    if key is None:
        raise NoSuchLogin("the JWT's kid is of no key that is known here")
    claims = _claims(token, key, audience, OWN_LIFE_S if own is not None else ISSUED_LIFE_S)
    until_ns = int((claims["exp"] + LEEWAY_S) * 1e9)
    if own is not None:
        entry, credential = own
        if claims["sub"] != entry.name:
            raise NoSuchLogin("the JWT's sub is not whose key it is signed with")
        return replace(entry.principal(credential), until_ns=until_ns)
    for entry in registry.entries:
        if entry.name == claims["sub"]:
            return replace(entry.principal(f"{ISSUED}{key_id}"), until_ns=until_ns)
    raise NoSuchLogin("the JWT's sub is no principal of this cluster: lockstep access create")


def _registered(key_id: str, registry: Registry) -> tuple[Entry, Credential] | None:
    now_ns = time.time_ns()
    for entry in registry.entries:
        for credential in entry.credentials:
            if credential.id == key_id and credential.kind == "public-key" and not 0 < credential.until_ns <= now_ns:
                return entry, credential
    return None


def _claims(token: str, key: PublicKey, audience: str, longest_s: int) -> dict[str, Any]:
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[_algorithm_of(key)],
            audience=audience,
            leeway=LEEWAY_S,
            options={"require": ["exp", "iat", "sub", "aud"], "strict_aud": True},
        )
    except jwt.PyJWTError as error:
        raise NoSuchLogin(f"the JWT is not taken: {error}") from None
    except (ValueError, TypeError, OverflowError):
        raise NoSuchLogin("the JWT's claims can't be read") from None
    # PyJWT takes digits in a string for a number.
    if not all(isinstance(claims[name], int | float) for name in ("exp", "iat")):
        raise NoSuchLogin("the JWT's exp and iat are no numbers")
    if not 0 < claims["exp"] - claims["iat"] <= longest_s:
        raise NoSuchLogin(f"the JWT lives longer than {longest_s} s: make it anew more often")
    return claims
