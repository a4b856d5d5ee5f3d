"""What a feed is compared with: a plain server on the library `websockets`, which broadcasts frames of the same size.

A process of its own, on the same event loop as the feed. It makes nothing and folds nothing: a payload is there, and
`websockets.broadcast` sends it to everybody at each turn. The readers are those of the feed's bench.
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from typing import Any, Final

import uvloop

from lockstep.bench.offering import announce

_BEGIN: Final = b"\x0a"
"""As a frame with an update begins, so that the readers count it."""


@dataclass(frozen=True, slots=True)
class PeerPlan:
    """What to send, and how often."""

    host: str
    frame_bytes: int
    frames_per_s: float
    """To each reader."""


async def _run(plan: PeerPlan) -> None:
    from websockets.asyncio.server import ServerConnection, broadcast, serve

    connections: set[ServerConnection] = set()
    frames = 0
    payload = _BEGIN + bytes(max(0, plan.frame_bytes - 1))

    async def on_connection(connection: ServerConnection) -> None:
        connections.add(connection)
        try:
            await connection.wait_closed()
        finally:
            connections.discard(connection)

    async def send() -> None:
        nonlocal frames
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        while True:
            due_s = max(due_s + 1 / plan.frames_per_s, loop.time() - 1)
            await asyncio.sleep(due_s - loop.time())
            broadcast(connections, payload)
            frames += len(connections)

    loop = asyncio.get_running_loop()
    async with serve(on_connection, plan.host, 0, compression=None, ping_interval=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        announce({"event": "listening", "port": port})
        sending = loop.create_task(send())
        # "measure" and "end" come as lines.
        await loop.run_in_executor(None, sys.stdin.readline)
        begin = time.process_time(), frames
        await loop.run_in_executor(None, sys.stdin.readline)
        announce({"event": "result", "cpu_s": time.process_time() - begin[0], "frames": frames - begin[1]})
        sending.cancel()


def main() -> int:
    """Run the plan given as JSON in the first argument."""
    given: dict[str, Any] = json.loads(sys.argv[1])
    uvloop.run(_run(PeerPlan(**given)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
