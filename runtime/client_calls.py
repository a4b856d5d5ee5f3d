"""What every call of a client goes through before it does anything: who calls, and how a failure is reported.

The same at gateways and feeds.
"""

from typing import Any, Final, NoReturn

import grpc

from lockstep.runtime.tokens import Entitlements, TooManyLogins, Unauthenticated
from lockstep.runtime.topology import Principal
from lockstep.stream.codes import CODE_METADATA, RETRY_METADATA, Code
from lockstep.v1 import common_pb2

EPOCH_METADATA: Final = "lockstep-epoch"
SEQ_METADATA: Final = "lockstep-seq"
"""Trailing metadata of NOT_FOUND: the stamp of the answer that there is none."""

_CODES: Final = {
    grpc.StatusCode.UNAUTHENTICATED: Code.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED: Code.NOT_ENTITLED,
    grpc.StatusCode.INVALID_ARGUMENT: Code.FIELD_OUT_OF_RANGE,
    grpc.StatusCode.FAILED_PRECONDITION: Code.MISSING_FIELD,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Code.BUSY,
    grpc.StatusCode.UNAVAILABLE: Code.UNAVAILABLE,
}
"""What a status says where nothing more exact is known."""
_RETRY_MS: Final = {Code.UNAVAILABLE: 50, Code.SHUTTING_DOWN: 50, Code.BUSY: 5}


async def abort(
    context: Any,
    status: grpc.StatusCode,
    text: str,
    code: Code | None = None,
    *,
    stamp: common_pb2.Stamp | None = None,
    retry_after_ms: int | None = None,
) -> NoReturn:
    """End the call. The metadata always names a code; with a `stamp` also where the answer stands."""
    said = _CODES[status] if code is None else code
    pause_ms = _RETRY_MS.get(said, 0) if retry_after_ms is None else retry_after_ms
    metadata = [(CODE_METADATA, str(int(said))), (RETRY_METADATA, str(pause_ms))]
    if stamp is not None:
        metadata += [(EPOCH_METADATA, str(stamp.epoch)), (SEQ_METADATA, str(stamp.seq))]
    await context.abort(status, text, tuple(metadata))
    raise AssertionError("abort returns never")


def authorization_of(context: Any) -> str | None:
    """What a call shows of who makes it."""
    for key, value in context.invocation_metadata() or ():
        if key == "authorization":
            return value if isinstance(value, str) else None
    return None


async def abort_unknown(context: Any, error: Unauthenticated) -> NoReturn:
    """End the call of somebody who is not known, or not looked at now."""
    if isinstance(error, TooManyLogins):
        await abort(context, grpc.StatusCode.RESOURCE_EXHAUSTED, str(error), retry_after_ms=1_000 * error.RETRY_S)
    await abort(context, grpc.StatusCode.UNAUTHENTICATED, str(error))


async def authenticate(context: Any, entitlements: Entitlements) -> Principal:
    """The principal that makes the call; UNAUTHENTICATED ends it."""
    try:
        return await entitlements.identify(authorization_of(context))
    except Unauthenticated as error:
        await abort_unknown(context, error)
