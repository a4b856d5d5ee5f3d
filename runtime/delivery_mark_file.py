"""How far a gateway has delivered, in a file of its own: two slots of 64 bytes, written in turn and in place.

The gateway writes it before it delivers, once for each burst, without a sync: it survives the death of the process, not
that of the host. Whoever continues a cluster's data directory reads it as well.
"""

import os
import struct
from pathlib import Path
from typing import Final

from crc32c import crc32c

from lockstep.runtime.faults import EnvironmentFault, disk_text
from lockstep.stream.delivery_mark import DeliveryMark

_BODY: Final = struct.Struct("<QQQ36s")
"""Count, epoch, seq, cluster uuid as text."""
_CRC: Final = struct.Struct("<I")
_SLOT: Final = 64


def delivery_mark_path(data_dir: Path) -> Path:
    """Where it lies in a gateway's data directory."""
    return data_dir / "delivered"


def read_delivery_mark(data_dir: Path) -> tuple[str, DeliveryMark]:
    """The cluster's uuid and how far the gateway has delivered; empty if nothing is known.

    Raises:
        OSError: it can't be read.
    """
    try:
        raw = delivery_mark_path(data_dir).read_bytes()
    except FileNotFoundError:
        return "", DeliveryMark()
    _count, uuid, delivered = _newest(raw)
    return uuid, delivered


class DeliveryMarkFile:
    """The file, open for writing. Raises EnvironmentFault."""

    def __init__(self, data_dir: Path) -> None:
        self._path = delivery_mark_path(data_dir)
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._count, self.uuid, self.delivered = _newest(os.pread(self._file, 2 * _SLOT, 0))
        except OSError as error:
            raise EnvironmentFault(disk_text("open", self._path, error)) from error

    def begin(self, uuid: str, delivered: DeliveryMark) -> None:
        """What was delivered before means nothing any more, or is part of this."""
        self.uuid, self.delivered = uuid, delivered
        self._put()

    def advance(self, delivered: DeliveryMark) -> None:
        """Events up to there are about to be delivered."""
        if delivered > self.delivered:
            self.delivered = delivered
            self._put()

    def close(self) -> None:
        """Close it."""
        os.close(self._file)

    def _put(self) -> None:
        self._count += 1
        body = _BODY.pack(self._count, self.delivered.epoch, self.delivered.seq, self.uuid.encode())
        try:
            os.pwrite(self._file, _CRC.pack(crc32c(body)) + body, self._count % 2 * _SLOT)
        except OSError as error:
            raise EnvironmentFault(disk_text("write", self._path, error)) from error


def _newest(raw: bytes) -> tuple[int, str, DeliveryMark]:
    newest = (0, "", DeliveryMark())
    for start in (0, _SLOT):
        body = raw[start + _CRC.size : start + _CRC.size + _BODY.size]
        if len(body) == _BODY.size and raw[start : start + _CRC.size] == _CRC.pack(crc32c(body)):
            count, epoch, seq, uuid = _BODY.unpack(body)
            if count > newest[0]:
                newest = (count, uuid.rstrip(b"\0").decode(errors="replace"), DeliveryMark(epoch, seq))
    return newest
