"""Calls to the gateways: at one of them, and at the next where it does not answer, until a deadline."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

import grpc

from lockstep.runtime.access.dialing import open_aio_channel
from lockstep.runtime.channel_options import CHANNEL_OPTIONS
from lockstep.runtime.topology import Member
from lockstep.stream.codes import CODE_METADATA, RETRY_METADATA, Code
from lockstep.v1 import accounts_pb2_grpc, orders_pb2_grpc

_STUBS: Final[dict[str, Any]] = {
    "OrderEntry": orders_pb2_grpc.OrderEntryStub,
    "Accounts": accounts_pb2_grpc.AccountsStub,
}
_AGAIN: Final = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
)
"""Another gateway may answer, or this one a little later."""
_ATTEMPT_S: Final = 6.0
"""A gateway ends a call by itself after five."""
_LEAST_PAUSE_S: Final = 0.01
_MOST_PAUSE_S: Final = 0.25


class CallEnded(Exception):
    """A gateway said no, or none answered in time; `code` says why."""

    def __init__(self, status: grpc.StatusCode, code: Code, text: str, retry_after_ms: int = 0) -> None:
        super().__init__(text)
        self.status = status
        self.code = code
        self.retry_after_ms = retry_after_ms

    @property
    def unanswered(self) -> bool:
        """No gateway gave an answer that lasts; it may give one if asked again."""
        return self.status in _AGAIN

    @property
    def refused(self) -> bool:
        """Each gateway that was asked had no room, or the client no budget: this call has carried out nothing."""
        return self.status is grpc.StatusCode.RESOURCE_EXHAUSTED and self.code is Code.BUSY


class Gateways:
    """Connections to all gateways, made at once and kept."""

    def __init__(self, members: Sequence[Member], first: int = 0) -> None:
        """`first`: which one is asked first, so that not all doors ask the same."""
        self._channels = [open_aio_channel(one.grpc_address, CHANNEL_OPTIONS, named=False) for one in members]
        self._stubs = [{name: make(channel) for name, make in _STUBS.items()} for channel in self._channels]
        self._at = first % max(1, len(members))

    async def call(
        self, service: str, method: str, request: Any, authorization: str | None, *, patience_s: float
    ) -> Any:
        """The reply of whichever gateway gives one.

        Raises:
            CallEnded: as the last gateway said it; if that refused, but an earlier one was not heard to the end, as
                that one did, since what was asked for may be carried out.
        """
        unheard: CallEnded | None = None
        metadata = () if authorization is None else (("authorization", authorization),)
        give_up_s = time.monotonic() + patience_s
        while True:
            at = self._at
            left_s = max(_LEAST_PAUSE_S, give_up_s - time.monotonic())
            call = getattr(self._stubs[at][service], method)
            try:
                return await call(request, metadata=metadata, timeout=min(left_s, _ATTEMPT_S))
            except grpc.aio.AioRpcError as error:
                ended = _ended(error)
            if not ended.unanswered:
                raise ended
            if not ended.refused:
                unheard = ended
            if self._at == at:
                self._at = (at + 1) % len(self._stubs)
            pause_s = min(max(ended.retry_after_ms / 1e3, _LEAST_PAUSE_S), _MOST_PAUSE_S)
            if time.monotonic() + pause_s >= give_up_s:
                raise unheard or ended
            await asyncio.sleep(pause_s)

    async def close(self) -> None:
        """End all connections."""
        for channel in self._channels:
            await channel.close()


def _ended(error: grpc.aio.AioRpcError) -> CallEnded:
    said = dict(error.trailing_metadata() or ())
    number = str(said.get(CODE_METADATA, ""))
    pause = str(said.get(RETRY_METADATA, ""))
    known = number.isdigit() and int(number) in Code
    code = Code(int(number)) if known else Code.UNAVAILABLE
    text = error.details() or error.code().name
    return CallEnded(error.code(), code, text, int(pause) if pause.isdigit() else 0)
