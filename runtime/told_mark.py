"""How far a gateway has told its clients, in a file of its own: two slots of 64 bytes, written in turn and in place.

Written before clients are told, once for each burst, and not synced: it survives the death of the process, not that of
the host. Whoever continues a cluster's data directory reads it as well.
"""

import os
import struct
from pathlib import Path
from typing import Final

from crc32c import crc32c

from lockstep.runtime.faults import EnvironmentFault, disk_text
from lockstep.stream.told import Told

_BODY: Final = struct.Struct("<QQQ36s")
"""Count, epoch, seq, cluster uuid as text."""
_CRC: Final = struct.Struct("<I")
_SLOT: Final = 64


def told_path(data_dir: Path) -> Path:
    """Where it lies in a gateway's data directory."""
    return data_dir / "told"


def read_told(data_dir: Path) -> tuple[str, Told]:
    """The cluster's uuid and how far its clients were told; empty if nothing is known.

    Raises:
        OSError: it can't be read.
    """
    try:
        raw = told_path(data_dir).read_bytes()
    except FileNotFoundError:
        return "", Told()
    _count, uuid, told = _newest(raw)
    return uuid, told


class ToldMark:
    """The file, open for writing. Raises EnvironmentFault."""

    def __init__(self, data_dir: Path) -> None:
        self._path = told_path(data_dir)
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._count, self.uuid, self.told = _newest(os.pread(self._file, 2 * _SLOT, 0))
        except OSError as error:
            raise EnvironmentFault(disk_text("open", self._path, error)) from error

    def begin(self, uuid: str, told: Told) -> None:
        """What was told before means nothing any more, or is part of this."""
        self.uuid, self.told = uuid, told
        self._put()

    def advance(self, told: Told) -> None:
        """Clients are about to be told so much."""
        if told > self.told:
            self.told = told
            self._put()

    def close(self) -> None:
        """Close it."""
        os.close(self._file)

    def _put(self) -> None:
        self._count += 1
        body = _BODY.pack(self._count, self.told.epoch, self.told.seq, self.uuid.encode())
        try:
            os.pwrite(self._file, _CRC.pack(crc32c(body)) + body, self._count % 2 * _SLOT)
        except OSError as error:
            raise EnvironmentFault(disk_text("write", self._path, error)) from error


def _newest(raw: bytes) -> tuple[int, str, Told]:
    newest = (0, "", Told())
    for start in (0, _SLOT):
        body = raw[start + _CRC.size : start + _CRC.size + _BODY.size]
        if len(body) == _BODY.size and raw[start : start + _CRC.size] == _CRC.pack(crc32c(body)):
            count, epoch, seq, uuid = _BODY.unpack(body)
            if count > newest[0]:
                newest = (count, uuid.rstrip(b"\0").decode(errors="replace"), Told(epoch, seq))
    return newest
