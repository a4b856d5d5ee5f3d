"""What every call of a client goes through before it does anything: who calls, and how a failure is reported.

The same at gateways and feeds.
"""

import time
from collections.abc import Iterable
from typing import Any, Final, NoReturn

import grpc

from lockstep.runtime.access.instruments import why_not
from lockstep.runtime.budget import Budget, spread, used_up
from lockstep.runtime.error_details import details
from lockstep.runtime.refusal import Metadata
from lockstep.runtime.tokens import Entitlements, NotLookedAt, TooManyLogins, Unauthenticated
from lockstep.runtime.topology import Principal
from lockstep.stream.codes import CODE_METADATA, RETRY_METADATA, Code
from lockstep.v1 import common_pb2

EPOCH_METADATA: Final = "lockstep-epoch"
SEQ_METADATA: Final = "lockstep-seq"
"""Trailing metadata of NOT_FOUND: the stamp of the answer that there is none."""
BUDGET_LEFT_METADATA: Final = "lockstep-budget-left"
"""Trailing metadata of calls that cost something: points that the caller may still spend at once, at this process."""
BUDGET_PER_S_METADATA: Final = "lockstep-budget-per-s"
BUDGET_AT_ONCE_METADATA: Final = "lockstep-budget-at-once"

_CODES: Final = {
    grpc.StatusCode.UNAUTHENTICATED: Code.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED: Code.NOT_ENTITLED,
    grpc.StatusCode.INVALID_ARGUMENT: Code.FIELD_OUT_OF_RANGE,
    grpc.StatusCode.FAILED_PRECONDITION: Code.MISSING_FIELD,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Code.BUSY,
    grpc.StatusCode.UNAVAILABLE: Code.UNAVAILABLE,
}
"""What a status says where nothing more exact is known."""
_LATER: Final = (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE)
_RETRY_MS: Final = {Code.UNAVAILABLE: 50, Code.SHUTTING_DOWN: 50, Code.BUSY: 5}


async def abort(
    context: Any,
    status: grpc.StatusCode,
    text: str,
    code: Code | None = None,
    *,
    stamp: common_pb2.Stamp | None = None,
    retry_after_ms: int | None = None,
    also: Metadata = (),
    subject: str = "",
) -> NoReturn:
    """End the call. The metadata always names a code; with a `stamp` also where the answer stands; and `also`.

    Who may come again hears when, in our words and in gRPC's. `subject`: whose budget is used up; empty: nobody's.
    """
    said = _CODES[status] if code is None else code
    pause_ms = _RETRY_MS.get(said, 0) if retry_after_ms is None else retry_after_ms
    metadata: list[tuple[str, str | bytes]] = [(CODE_METADATA, str(int(said))), (RETRY_METADATA, str(pause_ms)), *also]
    if pause_ms and status in _LATER:
        metadata.append(details(status, text, pause_ms, subject))
    if stamp is not None:
        metadata += [(EPOCH_METADATA, str(stamp.epoch)), (SEQ_METADATA, str(stamp.seq))]
    await context.abort(status, text, tuple(metadata))
    raise AssertionError("abort returns never")


def budget_metadata(budget: Budget, now_ns: int) -> Metadata:
    """Where a budget stands, for the trailing metadata of a call."""
    left = budget.left(now_ns)
    return (
        (BUDGET_LEFT_METADATA, str(left.points)),
        (BUDGET_PER_S_METADATA, str(left.per_s)),
        (BUDGET_AT_ONCE_METADATA, str(left.at_once)),
    )


async def spend(context: Any, principal: Principal, budget: Budget, points: int, *, cancels: bool) -> None:
    """Take them out of the caller's budget; RESOURCE_EXHAUSTED ends the call if they are not there."""
    now_ns = time.monotonic_ns()
    wait_ns = budget.take(points, now_ns, cancels=cancels)
    said = budget_metadata(budget, now_ns)
    if not wait_ns:
        context.set_trailing_metadata(said)
        return
    pause_ms = spread(-(-wait_ns // 1_000_000), f"{context.peer()} {now_ns}".encode())
    await abort(
        context,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        f"{used_up(principal.name, budget)}; nothing was executed",
        retry_after_ms=pause_ms,
        also=said,
        subject=principal.name,
    )


def authorization_of(context: Any) -> str | None:
    """What a call shows of who makes it."""
    for key, value in context.invocation_metadata() or ():
        if key == "authorization":
            return value if isinstance(value, str) else None
    return None


async def abort_unknown(context: Any, error: Unauthenticated) -> NoReturn:
    """End the call of somebody who is not known, or not looked at now."""
    if isinstance(error, NotLookedAt):
        late = isinstance(error, TooManyLogins)
        status = grpc.StatusCode.RESOURCE_EXHAUSTED if late else grpc.StatusCode.UNAVAILABLE
        await abort(context, status, str(error), retry_after_ms=1_000 * error.RETRY_S)
    await abort(context, grpc.StatusCode.UNAUTHENTICATED, str(error))


async def require_instruments(context: Any, client: Principal, instruments: Iterable[int]) -> None:
    """PERMISSION_DENIED unless the client may have these; none named stands for all."""
    why = why_not(client, instruments)
    if why:
        await abort(context, grpc.StatusCode.PERMISSION_DENIED, why)


async def authenticate(context: Any, entitlements: Entitlements) -> Principal:
    """The principal that makes the call; UNAUTHENTICATED ends it."""
    try:
        return await entitlements.identify(authorization_of(context))
    except Unauthenticated as error:
        await abort_unknown(context, error)
