"""The one thread in which a process' gRPC calls are served: a call that waits, for whatever, takes no thread.

One for all: asyncio's gRPC wakes every event loop of a process for each event of any, so a process that has a loop
already (a gateway's) serves in that one, and everybody else here.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import grpc
import uvloop

_PATIENCE_S: Final = 60.0
_guard = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def grpc_loop() -> asyncio.AbstractEventLoop:
    """The loop, which runs until the process ends."""
    global _loop
    with _guard:
        if _loop is None:
            _loop = uvloop.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="grpc", daemon=True).start()
        return _loop


def run_in_loop[T](work: Coroutine[Any, Any, T], timeout_s: float = _PATIENCE_S) -> T:
    """Wait for it, from any other thread."""
    return asyncio.run_coroutine_threadsafe(work, grpc_loop()).result(timeout_s)


class RunningServer:
    """A server of this loop, for those who live outside it. `settled`: waits until no call's code runs any more."""

    def __init__(self, server: grpc.aio.Server, settled: Callable[[], Awaitable[None]]) -> None:
        self._server = server
        self._settled = settled

    def stop(self, grace_s: float) -> None:
        """Its address is free when this returns; calls that last longer than `grace_s` are cut off."""
        run_in_loop(self._stop(grace_s), grace_s + _PATIENCE_S)

    async def _stop(self, grace_s: float) -> None:
        await self._server.stop(grace_s)
        await self._settled()
