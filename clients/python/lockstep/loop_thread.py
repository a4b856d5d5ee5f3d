"""The thread of an event loop behind the blocking client."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from lockstep.errors import Unavailable
from lockstep.newer_asyncio import Runner
from lockstep.ownership import Owner

T = TypeVar("T")

_LOOP_START_S: Final = 5.0
_LOOK_AGAIN_S: Final = 1.0
_CLOSED: Final = "the client is closed; make a new one"


class LoopThread:
    """An event loop in a daemon thread.

    Raises:
        Unavailable: the loop did not start.
    """

    def __init__(self, loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self._loop_factory = loop_factory
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._broken: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="lockstep-client", daemon=True)
        self._thread.start()
        if not self._started.wait(_LOOP_START_S) or self._broken is not None:
            raise Unavailable(f"the client's event loop did not start: {self._broken or 'no sign of life'}")
        self.owner = Owner(self._thread.ident or 0)

    def _run(self) -> None:
        try:
            with Runner(loop_factory=self._loop_factory) as runner:
                self._loop = runner.get_loop()
                runner.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - top of a thread: who waits for the loop hears it
            self._broken = error
            self._started.set()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        self._started.set()
        await self._stop.wait()

    @property
    def running(self) -> bool:
        """Whether it still takes work."""
        return self._loop is not None and not self._loop.is_closed()

    def run(self, work: Coroutine[Any, Any, T], what: str = "a blocking call of the client") -> T:
        """Run a coroutine in the loop and wait for it. `what`: the call, for the text of a refusal.

        Raises:
            Unavailable: the client is closed, or was closed meanwhile.
            CalledFromCallback, CalledAfterFork: called from where it could only hang.
        """
        try:
            self.owner.check_may_wait(what)
            if self._loop is None or self._loop.is_closed():
                raise Unavailable(_CLOSED)
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        except BaseException as error:
            work.close()
            if isinstance(error, RuntimeError) and self._loop is not None and self._loop.is_closed():
                raise Unavailable(_CLOSED) from error
            raise
        try:
            return self._wait(future)
        except concurrent.futures.CancelledError:
            # Only the end of the loop cancels what it was given.
            raise Unavailable("the client was closed while this call waited; make a new one") from None
        except (KeyboardInterrupt, SystemExit):
            future.cancel()
            raise

    def _wait(self, future: "concurrent.futures.Future[T]") -> T:
        while True:
            concurrent.futures.wait((future,), _LOOK_AGAIN_S)
            if future.done():
                return future.result()
            if not self._thread.is_alive():
                raise Unavailable(f"the client's event loop ended while this call waited ({self._broken or 'closed'})")

    def close(self) -> None:
        """End the loop and its thread."""
        self.owner.check_may_wait("Client.close()")
        if self._loop is not None and self.running:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
