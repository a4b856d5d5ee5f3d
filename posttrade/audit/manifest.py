"""Manifests: what stands in a segment of the audit trail, signed, each naming the one before it.

A manifest is canonical JSON (sorted keys, no blanks). Its body follows from the stream alone, but for the program's
version and the key; Ed25519 signatures are deterministic, so the same trail with the same key has the same bytes.
"""

import base64
import errno
import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from lockstep.runtime.faults import EnvironmentFault

VERSION: Final = 1
_SEGMENT: Final = {
    "number": int, "previous": str, "segment": str, "sha256": str, "root": str, "records": int, "first_seq": int,
    "last_seq": int,
}  # fmt: skip
_OPENING: Final = {"seq": int, "sha256": str}
NOTHING: Final = "0" * 64
"""Stands for the manifest before the first one."""


class ManifestFault(ValueError):
    """It is no manifest, or its signature is wrong. The text says which."""


def manifest_name(number: int) -> str:
    """Of the number-th manifest, from 1."""
    return f"manifest-{number:010d}.json"


def manifest_number(name: str) -> int | None:
    """Of a manifest's file; None: no manifest has this name."""
    digits = name.removeprefix("manifest-").removesuffix(".json")
    number = int(digits) if digits.isascii() and digits.isdigit() else 0
    return number if number and manifest_name(number) == name else None


def bytes_of(path: Path, *, follow: bool = True) -> bytes:
    """What a file of a trail holds. Somebody else may have made it: what is no regular file is not waited for.

    `follow`: a link to one counts as one.

    Raises:
        OSError: it is not there, can't be read, or is a pipe, a device or the like.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ELOOP and not follow:
            raise OSError(errno.EINVAL, "it is a link, and no regular file", str(path)) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def canonical(content: dict[str, Any]) -> bytes:
    """The bytes that are signed and hashed."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def fingerprint_of(public: bytes) -> str:
    """Of a key, to be given through another channel."""
    return hashlib.sha256(public).hexdigest()


def hash_of(manifest: bytes) -> str:
    """What the next manifest names it by."""
    return hashlib.sha256(manifest).hexdigest()


def default_key(directory: Path) -> Path:
    """Where the key of a trail lies unless somebody names another place: beside the trail, never in it.

    Whoever is given the trail, to look at or to keep, is not given what it could be sealed anew with.
    """
    whole = directory.resolve()
    return whole.with_name(f"{whole.name}.key.pem")


def old_key(directory: Path) -> Path:
    """Where it lay before."""
    return directory / "key.pem"


def signing_key(path: Path, *, make: bool = True) -> Ed25519PrivateKey:
    """The key in a file, readable by its owner alone. `make`: make it, if it is missing: for a trail that is empty.

    Raises:
        EnvironmentFault: it is missing, can't be read, or is none.
    """
    try:
        if not path.exists():
            if not make:
                raise EnvironmentFault(
                    f"the key {path} is missing, and there is a trail that it signed: restore it, or name where it is "
                    "(--key-file); a trail with another key needs another directory"
                )
            _make(path)
        found = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError) as error:
        raise EnvironmentFault(f"the key {path} can't be used: {error}; restore it, or name another") from error
    if not isinstance(found, Ed25519PrivateKey):
        raise EnvironmentFault(f"the key {path} is not of Ed25519; name another")
    return found


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    part = path.with_name(path.name + ".new")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def sign(body: dict[str, Any], key: Ed25519PrivateKey) -> bytes:
    """A manifest with this body."""
    public = key.public_key().public_bytes_raw()
    return _whole(body, public, key.sign(canonical(body)))


def _whole(body: dict[str, Any], public: bytes, signature: bytes) -> bytes:
    return canonical(
        {
            "body": body,
            "public_key": base64.b64encode(public).decode(),
            "signature": base64.b64encode(signature).decode(),
        }
    )


def read_sealed(raw: bytes) -> tuple[dict[str, Any], str]:
    """`read`, of a segment: whatever key has signed it, its body has what one has.

    Raises:
        ManifestFault: it has not.
    """
    body, fingerprint = read(raw)
    opening = body.get("opening")
    for said, kinds in ((body, _SEGMENT), (opening, _OPENING) if opening is not None else (body, {})):
        for name, kind in kinds.items():
            if not isinstance(said, dict) or type(said.get(name)) is not kind:
                raise ManifestFault(f"it is no manifest of a segment: it has no {name}, or one of another kind")
    if Path(body["segment"]).name != body["segment"]:
        raise ManifestFault("it is no manifest of a segment: its segment lies elsewhere")
    return body, fingerprint


def read(raw: bytes) -> tuple[dict[str, Any], str]:
    """(body, fingerprint of the key that signed it).

    Raises:
        ManifestFault: it is none, or the signature is wrong.
    """
    try:
        content = json.loads(raw)
        body = content["body"]
        public = base64.b64decode(content["public_key"], validate=True)
        signature = base64.b64decode(content["signature"], validate=True)
        if not isinstance(body, dict) or body["version"] != VERSION:
            raise ManifestFault(f"it is not of version {VERSION}")
        Ed25519PublicKey.from_public_bytes(public).verify(signature, canonical(body))
        if raw != _whole(body, public, signature):
            # The hash that names a manifest is of bytes: others that say the same are another manifest.
            raise ManifestFault("its bytes are not the ones that were sealed")
    except InvalidSignature:
        raise ManifestFault("its signature is wrong") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ManifestFault(f"it is no manifest: {error}") from error
    return body, fingerprint_of(public)
