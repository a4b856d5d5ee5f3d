"""Which start of the machine this is: what was written before another one may not have reached the disk."""

import uuid
from pathlib import Path
from typing import Final

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> bytes:
    """Sixteen bytes that are other ones each time the machine has started; zeros where that is not known."""
    try:
        return uuid.UUID(_BOOT_ID.read_text(encoding="ascii").strip()).bytes
    except (OSError, ValueError):
        return bytes(16)
