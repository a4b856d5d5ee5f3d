"""Certificates: what was proven of a range of the history, signed, so that a third party can verify it alone.

A certificate is JSON. Its `body` holds only what can be computed again from the journals (digests of the chain before
and after the range, counts, digests of fills, balances and state) and what was compared while it was made. The
signature is Ed25519 over the body's canonical bytes (sorted keys, no spaces). The public key is inside, so whoever
verifies must know its fingerprint from elsewhere if the signer's identity matters to him.
"""

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from lockstep.reconciler.checks import Fills, fill_sum, fills_of
from lockstep.reconciler.twin import Executed, Start
from lockstep.runtime.process import EnvironmentFault
from lockstep.stream.digest import GENESIS, Digest
from lockstep.stream.records import CommandKind

VERSION: Final = 1
_FIRST_CONTROL: Final = int(CommandKind.EPOCH_START)


class CertificateFault(ValueError):
    """The file is no certificate, or its signature is wrong."""


@dataclass(slots=True)
class RangeFigures:
    """What is counted of a range of the history while it is executed."""

    after_seq: int = 0
    start_digest: Digest = GENESIS
    seq: int = 0
    digest: Digest = GENESIS
    batches: int = 0
    commands: int = 0
    orders_and_admin: int = 0
    events: int = 0
    fills: int = 0
    fills_sum: int = 0
    epochs: list[tuple[int, int]] = field(default_factory=list)
    """(epoch, first seq in the range) of every epoch in it."""

    @classmethod
    def after(cls, start: Start) -> "RangeFigures":
        """An empty range behind a position."""
        return cls(start.seq, start.digest, start.seq, start.digest)

    def add(self, done: Executed) -> Fills:
        """Count one batch; its fills."""
        batch = done.batch
        if not self.epochs or batch.epoch > self.epochs[-1][0]:
            self.epochs.append((batch.epoch, batch.first_seq))
        fills = fills_of(done.events)
        self.seq, self.digest = batch.last_seq, done.digest
        self.batches += 1
        self.commands += batch.count
        self.orders_and_admin += int((batch.records["kind"] < _FIRST_CONTROL).sum())
        self.events += len(done.events)
        self.fills += len(fills)
        self.fills_sum = (self.fills_sum + fill_sum(fills)) % (1 << 128)
        return fills

    def figures(self) -> dict[str, Any]:
        """As they stand in a certificate: everything here follows from the journal."""
        return {
            "from_seq": self.after_seq + 1,
            "to_seq": self.seq,
            "start_digest": self.start_digest.hex(),
            "end_digest": self.digest.hex(),
            "epochs": [{"epoch": epoch, "first_seq": seq} for epoch, seq in self.epochs],
            "batches": self.batches,
            "commands": self.commands,
            "orders_and_admin": self.orders_and_admin,
            "events": self.events,
            "fills": self.fills,
            "fills_digest": f"{self.fills_sum:032x}",
        }

    def to_json(self) -> str:
        """For a checkpoint."""
        return json.dumps(self.figures())

    @classmethod
    def from_json(cls, text: str) -> "RangeFigures":
        """Twin of `to_json`."""
        known = json.loads(text)
        return cls(
            known["from_seq"] - 1,
            Digest(bytes.fromhex(known["start_digest"])),
            known["to_seq"],
            Digest(bytes.fromhex(known["end_digest"])),
            known["batches"],
            known["commands"],
            known["orders_and_admin"],
            known["events"],
            known["fills"],
            int(known["fills_digest"], 16),
            [(entry["epoch"], entry["first_seq"]) for entry in known["epochs"]],
        )


def balances_digest(amounts: Mapping[tuple[int, int], int]) -> str:
    """Digest over all balances that are not 0, in order of account and instrument."""
    digest = hashlib.blake2b(digest_size=16)
    for (account, instrument), amount in sorted(amounts.items()):
        if amount:
            digest.update(f"{account},{instrument},{amount};".encode())
    return digest.hexdigest()


def state_figures(state_digest: bytes, amounts: Mapping[tuple[int, int], int]) -> dict[str, str]:
    """What a certificate says of the state at its end."""
    return {"state_digest": state_digest.hex(), "balances_digest": balances_digest(amounts)}


# ---- signing -------------------------------------------------------------------------------------------------------


def load_key(path: Path) -> Ed25519PrivateKey:
    """The signing key of a PEM file, which is made, for its owner's eyes only, if it does not exist.

    Raises:
        EnvironmentFault: it can't be read or written, or holds another kind of key.
    """
    try:
        if not path.exists():
            return _make_key(path)
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise EnvironmentFault(f"signing key {path} can't be used: {error}; see key_file in [reconciler]") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise EnvironmentFault(f"{path} holds no Ed25519 key; remove it (a new one is made), or name another key_file")
    return key


def _make_key(path: Path) -> Ed25519PrivateKey:
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
    return key


def fingerprint(public_key: bytes) -> str:
    """SHA-256 of the raw public key, in hexadecimal digits."""
    return hashlib.sha256(public_key).hexdigest()


def sign(body: Mapping[str, Any], key: Ed25519PrivateKey) -> str:
    """A certificate's text."""
    public = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    document = {
        "lockstep_certificate": VERSION,
        "body": dict(body),
        "public_key": base64.b64encode(public).decode(),
        "fingerprint": fingerprint(public),
        "signature": base64.b64encode(key.sign(_canonical(body))).decode(),
    }
    return json.dumps(document, indent=2) + "\n"


def _canonical(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate whose signature was found right."""

    body: dict[str, Any]
    fingerprint: str


def read_certificate(text: str) -> Certificate:
    """Read a certificate and check its signature.

    Raises:
        CertificateFault: it is none, of another version, or was changed after it was signed.
    """
    try:
        document = json.loads(text)
        version = document["lockstep_certificate"]
        if version != VERSION:
            raise CertificateFault(f"certificate of version {version}; this program reads version {VERSION}")
        body = document["body"]
        public = base64.b64decode(document["public_key"], validate=True)
        signature = base64.b64decode(document["signature"], validate=True)
        Ed25519PublicKey.from_public_bytes(public).verify(signature, _canonical(body))
    except InvalidSignature as error:
        raise CertificateFault("the signature is wrong: the certificate was changed after it was signed") from error
    except CertificateFault:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise CertificateFault(
            "this is no certificate of a reconciler; name a file of its folder `certificates`"
        ) from error
    return Certificate(body, fingerprint(public))
