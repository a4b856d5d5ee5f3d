"""Officers: the people of whom enough together may open who a pseudonym is; their keys, and what they consent to.

An officer has one secret of 32 bytes; an X25519 key, to which shares are sealed, and an Ed25519 key, with which he
signs what he consents to, are derived from it (HKDF, RFC 5869). The public keys are handed over; the secret stays
with the officer.

A sealed box is for one X25519 key: an ephemeral key, its shared secret through HKDF-SHA256, AES-256-GCM. What it is
for goes into the key's derivation, so a box can't be passed off as one for something else.
"""

import base64
import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from lockstep.posttrade.audit.manifest import canonical
from lockstep.runtime.faults import EnvironmentFault, os_error_text

SECRET: Final = 32
_NONCE: Final = bytes(12)
"""A key is used for one message alone: each box derives its own."""
_NAME_LENGTH: Final = 64


class SealFault(ValueError):
    """It can't be opened, or is none. The text says what to do."""


@dataclass(frozen=True, slots=True)
class Officer:
    """What everybody may know of one."""

    name: str
    box_key: bytes
    """X25519."""
    sign_key: bytes
    """Ed25519."""

    @property
    def fingerprint(self) -> str:
        """Names both keys."""
        return hashlib.sha256(self.box_key + self.sign_key).hexdigest()

    def document(self) -> dict[str, str]:
        """As it is handed over."""
        return {"name": self.name, "ed25519": _text(self.sign_key), "x25519": _text(self.box_key)}


def officer_from(raw: bytes | str) -> Officer:
    """What an officer handed over.

    Raises:
        SealFault: it is none.
    """
    try:
        said = json.loads(raw)
        found = Officer(str(said["name"]), _bytes(said["x25519"]), _bytes(said["ed25519"]))
        X25519PublicKey.from_public_bytes(found.box_key)
        Ed25519PublicKey.from_public_bytes(found.sign_key)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SealFault(
            f"it has no public keys of an officer: {error}; `lockstep audit officer` writes them"
        ) from error
    if not 0 < len(found.name) <= _NAME_LENGTH or not found.name.isprintable():
        raise SealFault(f"an officer's name has 1 to {_NAME_LENGTH} printable characters")
    return found


class OfficerKey:
    """An officer's own: opens what is sealed to it, signs what it consents to."""

    def __init__(self, name: str, secret: bytes) -> None:
        assert len(secret) == SECRET, "an officer's secret has 32 bytes"
        self._secret = secret
        self._box = X25519PrivateKey.from_private_bytes(derived(secret, b"officer x25519"))
        self._sign = Ed25519PrivateKey.from_private_bytes(derived(secret, b"officer ed25519"))
        self.officer = Officer(
            name, self._box.public_key().public_bytes_raw(), self._sign.public_key().public_bytes_raw()
        )

    def open(self, box: bytes, purpose: bytes) -> bytes:
        """See `open_box`."""
        return open_box(self._box, box, purpose)

    def sign(self, body: dict[str, Any]) -> str:
        """Signature of a body, as text."""
        return _text(self._sign.sign(canonical(body)))

    def save(self, path: Path) -> None:
        """Write it, readable by its owner alone.

        Raises:
            EnvironmentFault: there is something already, or the disk refuses.
        """
        content = canonical({"name": self.officer.name, "officer_secret": _text(self._secret)})
        write_secret(path, content)


def officer_key_from(path: Path) -> OfficerKey:
    """What `OfficerKey.save` has written.

    Raises:
        EnvironmentFault: it can't be read, or is none.
    """
    try:
        said = json.loads(path.read_bytes())
        return OfficerKey(str(said["name"]), _bytes(said["officer_secret"]))
    except OSError as error:
        raise EnvironmentFault(os_error_text(error)) from error
    except (ValueError, KeyError, TypeError, AssertionError, RecursionError) as error:
        raise EnvironmentFault(f"{path} is no officer's key: {error}; `lockstep audit officer` makes one") from error


def signed_by(officer: Officer, body: dict[str, Any], signature: str) -> bool:
    """Whether this officer has signed this body."""
    try:
        Ed25519PublicKey.from_public_bytes(officer.sign_key).verify(_bytes(signature), canonical(body))
    except (InvalidSignature, ValueError):
        return False
    return True


def seal_box(public: bytes, content: bytes, purpose: bytes) -> bytes:
    """Seal it for one X25519 key: the ephemeral public key, and what is encrypted."""
    own = X25519PrivateKey.generate()
    ephemeral = own.public_key().public_bytes_raw()
    key = _box_key(own.exchange(X25519PublicKey.from_public_bytes(public)), ephemeral, public, purpose)
    return ephemeral + AESGCM(key).encrypt(_NONCE, content, purpose)


def open_box(private: X25519PrivateKey, box: bytes, purpose: bytes) -> bytes:
    """What `seal_box` has sealed.

    Raises:
        SealFault: it is for another key, or for something else, or was changed.
    """
    ephemeral, content = box[:SECRET], box[SECRET:]
    try:
        shared = private.exchange(X25519PublicKey.from_public_bytes(ephemeral))
        key = _box_key(shared, ephemeral, private.public_key().public_bytes_raw(), purpose)
        return AESGCM(key).decrypt(_NONCE, content, purpose)
    except (InvalidTag, ValueError) as error:
        raise SealFault("it is not sealed to this key, or was changed; use the key that it was sealed to") from error


def _box_key(shared: bytes, ephemeral: bytes, public: bytes, purpose: bytes) -> bytes:
    return derived(shared, b"box " + ephemeral + public + purpose)


def derived(secret: bytes, purpose: bytes) -> bytes:
    """A key of 32 bytes for one purpose."""
    return HKDF(hashes.SHA256(), SECRET, None, b"lockstep audit " + purpose).derive(secret)


def write_secret(path: Path, content: bytes) -> None:
    """Make a file that its owner alone can read.

    Raises:
        EnvironmentFault: there is something already, or the disk refuses.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise EnvironmentFault(f"{path} is there already, and is not overwritten: name another file") from None
    except OSError as error:
        raise EnvironmentFault(os_error_text(error)) from error


def known_among(officers: Iterable[Officer], fingerprint: str) -> Officer | None:
    """The one with this fingerprint."""
    return next((one for one in officers if one.fingerprint == fingerprint), None)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
