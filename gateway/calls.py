"""What every call of a client goes through before it does anything: who is it, and how is it told that it failed."""

from typing import Any, Final, NoReturn

import grpc

from lockstep.gateway.entitlement import Entitlements, Unauthenticated, may_trade
from lockstep.gateway.sessions import Refused
from lockstep.stream.codes import Code, is_retryable
from lockstep.stream.topology import Client

CODE_METADATA: Final = "lockstep-code"
"""Trailing metadata: the numeric `Code` of a refusal that ended a unary call."""
RETRY_METADATA: Final = "lockstep-retry-after-ms"

_STATUS: Final = {
    Code.NOT_ENTITLED: grpc.StatusCode.PERMISSION_DENIED,
    Code.SESSION_GAP: grpc.StatusCode.ABORTED,
    Code.STALE_CONNECTION: grpc.StatusCode.ABORTED,
}


async def abort(context: Any, status: grpc.StatusCode, text: str) -> NoReturn:
    """End the call."""
    await context.abort(status, text)
    raise AssertionError("abort returns never")


async def abort_refused(context: Any, refused: Refused, text: str) -> NoReturn:
    """End a unary call with a refusal: UNAVAILABLE if it may be tried again as it is, else by what was wrong."""
    default = grpc.StatusCode.UNAVAILABLE if is_retryable(refused.code) else grpc.StatusCode.INVALID_ARGUMENT
    metadata = ((CODE_METADATA, str(int(refused.code))), (RETRY_METADATA, str(refused.retry_after_ms)))
    await context.abort(_STATUS.get(refused.code, default), f"{refused.code.name}: {text}", metadata)
    raise AssertionError("abort returns never")


async def authenticate(context: Any, entitlements: Entitlements) -> Client:
    """The client that makes the call; UNAUTHENTICATED ends it."""
    authorization: str | None = None
    for key, value in context.invocation_metadata() or ():
        if key == "authorization":
            authorization = value if isinstance(value, str) else None
    try:
        return entitlements.authenticate(authorization)
    except Unauthenticated as error:
        await abort(context, grpc.StatusCode.UNAUTHENTICATED, str(error))


async def require_account(context: Any, client: Client, account: int) -> None:
    """PERMISSION_DENIED unless the client may act for the account."""
    if not may_trade(client, account):
        await abort(
            context, grpc.StatusCode.PERMISSION_DENIED, f"client {client.name!r} is not entitled to account {account}"
        )
