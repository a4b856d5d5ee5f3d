"""Secrets as they are stored: scrypt (RFC 7914) with a salt of its own each, and its cost beside the result."""

import base64
import hmac
import secrets
from hashlib import scrypt, sha256
from typing import Final

KEY_PREFIX: Final = "lk1."
_COST: Final = (1 << 14, 8, 1)
"""n, r, p: 16 MiB, and about 50 ms of one core, for what is chance already."""
_PASSWORD_COST: Final = (1 << 17, 8, 1)
"""For what people choose: OWASP's password storage cheat sheet."""
_MAX_MEMORY: Final = 256 << 20
_BYTES: Final = 32


def make_key(number: int) -> tuple[str, str]:
    """An API key of a principal's client number, and its id. 256 bits of chance; shown once and never stored."""
    made = secrets.token_hex(6)
    return f"{KEY_PREFIX}{number}.{made}.{secrets.token_urlsafe(_BYTES)}", made


def key_id(token: str) -> str:
    """The id in an API key; empty: it has none."""
    fields = token.split(".")
    return fields[2] if len(fields) == 4 and token.startswith(KEY_PREFIX) else ""


def key_number(token: str) -> int:
    """The client number in an API key; 0: it has none."""
    fields = token.split(".")
    known = len(fields) == 4 and token.startswith(KEY_PREFIX) and fields[1].isdecimal()
    return int(fields[1]) if known else 0


def hash_secret(secret: str, *, chosen_by_people: bool = False) -> str:
    """What is stored of a secret."""
    n, r, p = _PASSWORD_COST if chosen_by_people else _COST
    salt = secrets.token_bytes(16)
    digest = scrypt(secret.encode(), salt=salt, n=n, r=r, p=p, maxmem=_MAX_MEMORY, dklen=_BYTES)
    return f"scrypt${n}${r}${p}${_text(salt)}${_text(digest)}"


def matches(secret: str, stored: str) -> bool:
    """Whether a secret is the one. Takes as long as it took to make; call it in a thread."""
    kind, n, r, p, salt, digest = stored.split("$")
    assert kind == "scrypt", f"a hash of an unknown kind: {kind}"
    found = scrypt(secret.encode(), salt=_bytes(salt), n=int(n), r=int(r), p=int(p), maxmem=_MAX_MEMORY, dklen=_BYTES)
    return hmac.compare_digest(found, _bytes(digest))


def fingerprint(secret: str) -> bytes:
    """By which a secret that was verified is known again in memory."""
    return sha256(secret.encode()).digest()


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)
