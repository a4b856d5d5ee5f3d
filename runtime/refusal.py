"""How a call is refused: the code that handles it raises, whatever serves it answers."""

import random
from typing import Final

import grpc

from lockstep.runtime.error_details import details
from lockstep.stream.codes import CODE_METADATA, RETRY_METADATA, Code

Metadata = tuple[tuple[str, str | bytes], ...]
_BUSY_RETRY_MS: Final = 100


class Refusal(Exception):
    """The call ends with this status; `metadata` goes with it."""

    def __init__(self, code: grpc.StatusCode, text: str, metadata: Metadata = ()) -> None:
        super().__init__(f"{code.name}: {text}")
        self.code = code
        self.text = text
        self.metadata = metadata


def busy(text: str) -> Refusal:
    """Nothing is wrong with the call; there are others before it."""
    # Many hear this at the same moment; they are not to come again together.
    pause_ms = _BUSY_RETRY_MS + random.randrange(_BUSY_RETRY_MS)  # noqa: S311 - keeps no secret
    status = grpc.StatusCode.RESOURCE_EXHAUSTED
    metadata = (
        (CODE_METADATA, str(int(Code.BUSY))),
        (RETRY_METADATA, str(pause_ms)),
        details(status, text, pause_ms),
    )
    return Refusal(status, text, metadata)


def malformed(text: str) -> Refusal:
    """The call is wrong and stays wrong."""
    metadata = ((CODE_METADATA, str(int(Code.MALFORMED_BATCH))), (RETRY_METADATA, "0"))
    return Refusal(grpc.StatusCode.INVALID_ARGUMENT, text, metadata)
