"""What a master key does in a key store: tags by which keys are found, and the encryption that they lie under."""

import hashlib
import hmac
import os
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lockstep.posttrade.audit.officers import derived

NONCE: Final = 12
CHECKED: Final = b"lockstep audit key store"
"""A text that every key store has under its master key."""
_ABOUT: Final = b"check"


class Wrapping:
    """Of one master key."""

    def __init__(self, master: bytes) -> None:
        self._aead = AESGCM(derived(master, b"keys"))
        self._tags = derived(master, b"tags")

    def tag(self, who: bytes) -> str:
        """By which the keys of a client are found."""
        return hmac.new(self._tags, who, hashlib.sha256).hexdigest()

    def encrypt(self, content: bytes, about: bytes) -> bytes:
        """`content`, to be read again with the same `about` alone."""
        nonce = os.urandom(NONCE)
        return nonce + self._aead.encrypt(nonce, content, about)

    def decrypt(self, content: bytes, about: bytes) -> bytes:
        """What was encrypted.

        Raises:
            InvalidTag: with another key, about something else, or it was changed.
        """
        return self._aead.decrypt(content[:NONCE], content[NONCE:], about)

    def check(self) -> bytes:
        """What a key store under this master key has as its `check`."""
        return self.encrypt(CHECKED, _ABOUT)

    def verify(self, check: bytes) -> None:
        """That a key store is under this master key.

        Raises:
            InvalidTag: it is not.
        """
        self.decrypt(check, _ABOUT)
