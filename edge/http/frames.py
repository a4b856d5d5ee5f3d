"""WebSocket frames of a server (RFC 6455, section 5.2), made before anybody's connection is looked at. Pure.

A frame of a server is not masked, so its bytes are the same for everybody who gets the same message.
"""

import struct
from typing import Final

BINARY: Final = 0x82
TEXT: Final = 0x81
CLOSE: Final = 0x88
_SHORT: Final = 125
_MEDIUM: Final = 0xFFFF
_MAX_REASON: Final = 123


def frame_of(payload: bytes, kind: int = BINARY) -> bytes:
    """One whole message as one frame."""
    size = len(payload)
    if size <= _SHORT:
        return bytes((kind, size)) + payload
    if size <= _MEDIUM:
        return struct.pack(">BBH", kind, 126, size) + payload
    return struct.pack(">BBQ", kind, 127, size) + payload


def close_frame(code: int, reason: str) -> bytes:
    """The end, with its reason, cut to what a control frame holds."""
    text = reason.encode()[:_MAX_REASON].decode(errors="ignore").encode()
    return frame_of(struct.pack(">H", code) + text, CLOSE)
