"""A load on a real local cluster, and waiting for what has to come of a fault."""

import asyncio
import threading
import time
from collections.abc import Callable

import grpc
import pytest

from lockstep.admin import DefineAccount
from lockstep.aio import AsyncClient

PATIENCE_S = 90


class Load:
    """Defines accounts one after the other until it is stopped; `acknowledged` counts the answers."""

    def __init__(self, addresses: tuple[str, ...]) -> None:
        self._addresses = addresses
        self._stop = threading.Event()
        self.acknowledged = 0
        self._thread = threading.Thread(target=lambda: asyncio.run(self._go()), daemon=True)
        self._thread.start()

    async def _go(self) -> None:
        async with AsyncClient(self._addresses) as client:
            session = await client.session(timeout_s=30.0)
            while not self._stop.is_set():
                number = self.acknowledged + 1
                await (await session.submit(DefineAccount(number, f"A{number}")))
                self.acknowledged = number
                await asyncio.sleep(0.002)
            await session.close()

    def end(self) -> int:
        self._stop.set()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "a command was never answered"
        return self.acknowledged


def until(condition, what):
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            found = condition()
        except grpc.RpcError:
            found = None
        if found:
            return found
        time.sleep(0.1)
    return pytest.fail(f"never happened: {what}")


@pytest.fixture
def start_load() -> type[Load]:
    """Begin to trade: `start_load(cluster.gateway_addresses)`."""
    return Load


@pytest.fixture(name="until")
def wait_until() -> Callable[..., object]:
    """Wait until a condition holds, and give what it gave: `until(condition, "what")`."""
    return until
