"""How a refused command, or an account that is not the caller's, ends a call; the rest: `runtime/client_calls.py`."""

from typing import Any, Final, NoReturn

import grpc

from lockstep.gateway.entitlement import may_trade
from lockstep.gateway.sessions import Refused
from lockstep.runtime.client_calls import EPOCH_METADATA as EPOCH_METADATA
from lockstep.runtime.client_calls import SEQ_METADATA as SEQ_METADATA
from lockstep.runtime.client_calls import abort as abort
from lockstep.runtime.client_calls import authenticate as authenticate
from lockstep.runtime.client_calls import require_instruments as require_instruments
from lockstep.runtime.topology import Principal
from lockstep.stream.codes import Code, is_retryable

_STATUS: Final = {
    Code.BUSY: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Code.NOT_ENTITLED: grpc.StatusCode.PERMISSION_DENIED,
    Code.SESSION_GAP: grpc.StatusCode.ABORTED,
    Code.STALE_CONNECTION: grpc.StatusCode.ABORTED,
}


async def abort_refused(context: Any, refused: Refused, text: str) -> NoReturn:
    """End a unary call with a refusal: RESOURCE_EXHAUSTED where it is too much, UNAVAILABLE if it may be tried again as
    it is for another reason, else by what was wrong."""
    default = grpc.StatusCode.UNAVAILABLE if is_retryable(refused.code) else grpc.StatusCode.INVALID_ARGUMENT
    status = _STATUS.get(refused.code, default)
    named = f"{refused.code.name}: {text}"
    await abort(context, status, named, refused.code, retry_after_ms=refused.retry_after_ms)


async def require_account(context: Any, client: Principal, account: int) -> None:
    """PERMISSION_DENIED unless the client may act for the account."""
    if not may_trade(client, account):
        await abort(
            context, grpc.StatusCode.PERMISSION_DENIED, f"client {client.name!r} is not entitled to account {account}"
        )
