"""What a page of a list goes through between a client and an engine: its turn, its deadline, and why there is none."""

import asyncio
import zlib
from typing import Any, Final

import grpc

from lockstep.gateway.calls import abort
from lockstep.gateway.shell import GatewayShell
from lockstep.runtime.engines import EnginesBusy, EnginesUnavailable
from lockstep.runtime.topology import Principal
from lockstep.runtime.turns import TooManyWait
from lockstep.stream.codes import Code
from lockstep.v1 import replication_pb2

_LONGEST_S: Final = 5.0
_BUSY_MS: Final = 50


def caller_of(client: str) -> int:
    """The number under which engines know whose turn it is."""
    return zlib.crc32(client.encode())


async def require_cursor(context: Any, cursor: int, highest: int) -> None:
    """INVALID_ARGUMENT for a cursor that no page ended with."""
    if cursor > highest:
        text = f"cursor {cursor} is none: take next_cursor of the page before, or 0"
        await abort(context, grpc.StatusCode.INVALID_ARGUMENT, text)


async def list_page(
    shell: GatewayShell, client: Principal, request: replication_pb2.QueryRequest, min_seq: int, context: Any
) -> replication_pb2.QueryReply:
    """One page, of one engine, as of `min_seq` and everything that was delivered here, or later.

    What is slow is waited for as long as the caller does, and not asked for a second time.
    """
    remaining_s = context.time_remaining()
    limit_s = _LONGEST_S if remaining_s is None else min(_LONGEST_S, remaining_s)
    request.caller = caller_of(client.name)
    try:
        async with asyncio.timeout(limit_s), shell.listings.of(client.name):
            return await shell.list_page(request, min_seq=min_seq, timeout_s=limit_s)
    except (EnginesBusy, TooManyWait, TimeoutError) as error:
        text = f"others list at the moment, try again: {error}"
        await abort(context, grpc.StatusCode.RESOURCE_EXHAUSTED, text, Code.BUSY, retry_after_ms=_BUSY_MS)
    except EnginesUnavailable as error:
        await abort(context, grpc.StatusCode.UNAVAILABLE, f"no engine answers: {error}")
