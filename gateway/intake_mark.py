"""How many writes an intake log has seen, in a file of its own: two slots of 32 bytes, written in turn and in place.

Not synced, like the log: it counts only while the host has not gone down.
"""

import os
import struct
from pathlib import Path
from typing import Final

from crc32c import crc32c

from lockstep.runtime.boot import boot_id

_BODY: Final = struct.Struct("<Q16s")
_CRC: Final = struct.Struct("<I")
_SLOT: Final = 32


class IntakeMark:
    """The file. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self._boot = boot_id()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        raw = os.pread(self._file, 2 * _SLOT, 0)
        self.writes = max(self._read(raw[:_SLOT]), self._read(raw[_SLOT:]))
        """As it was when the file was opened; 0 if it says nothing about this boot."""

    def put(self, writes: int) -> None:
        """Note that the log has seen so many."""
        body = _BODY.pack(writes, self._boot)
        os.pwrite(self._file, _CRC.pack(crc32c(body)) + body, writes % 2 * _SLOT)

    def close(self) -> None:
        """Close it."""
        os.close(self._file)

    def _read(self, slot: bytes) -> int:
        body = slot[_CRC.size : _CRC.size + _BODY.size]
        if len(body) < _BODY.size or slot[: _CRC.size] != _CRC.pack(crc32c(body)):
            return 0
        writes, boot = _BODY.unpack(body)
        return int(writes) if boot == self._boot != bytes(16) else 0
