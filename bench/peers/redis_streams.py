"""Redis: a stream on a server with one replica, both with `appendfsync always`; each append waits for the replica.

WAIT tells that the replica has the append in memory. Since the replica syncs what it has read before it answers, that
is in effect on its disk, too, but it is not what the command promises.
"""

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lockstep.bench.peers.lanes import Lanes
from lockstep.bench.peers.servers import Running, Server, find_program, stopping, wait_until
from lockstep.ops.local.ports import HOST, free_ports

if TYPE_CHECKING:
    from redis.asyncio import Redis

CLIENT: Final = "redis"
_STREAM: Final = "log"
_PATIENCE_MS: Final = 30_000
_SETTINGS: Final = ("--bind", HOST, "--appendonly", "yes", "--appendfsync", "always", "--save", "")


@contextlib.contextmanager
def running(directory: Path) -> Iterator[Running]:
    """The server and its replica, which is in step.

    Raises:
        LeftOut: they don't come up.
    """
    import redis

    program = find_program("redis-server")
    first, second = free_ports(2)
    with stopping([]) as servers:
        for name, port, more in (
            ("redis-1", first, ()),
            ("redis-2", second, ("--replicaof", HOST, str(first), "--repl-diskless-sync-delay", "0")),
        ):
            folder = directory / name
            folder.mkdir()
            arguments = [*_SETTINGS, "--port", str(port), "--dir", str(folder), *more]
            servers.append(Server(name, program, arguments, directory))
        replica = redis.Redis(HOST, second, decode_responses=True)
        found: Mapping[str, Any] = wait_until(
            "the replica of Redis is in step", servers, lambda: _in_step(replica), redis.RedisError
        )
        replica.close()
        about = f"Redis {found['redis_version']}: a stream, 1 replica, appendfsync always, WAIT 1"
        yield Running(about, {"port": first, "replica": second}, servers)


def _in_step(replica: Any) -> Mapping[str, Any] | None:
    found: Mapping[str, Any] = replica.info()
    synced = replica.config_get("appendfsync") == {"appendfsync": "always"}
    return found if found.get("master_link_status") == "up" and found["aof_enabled"] and synced else None


@contextlib.asynccontextmanager
async def lanes(where: Mapping[str, Any], sessions: int, each: int) -> AsyncIterator[Lanes]:
    """A connection for each lane: WAIT holds up whatever follows it on a connection."""
    from redis.asyncio import Redis

    clients = [Redis(host=HOST, port=where["port"]) for _ in range(sessions * each)]
    for client in clients:
        await client.ping()
    appends = [partial(_append, client) for client in clients]
    yield [appends[session * each : (session + 1) * each] for session in range(sessions)]
    for client in clients:
        await client.aclose()


async def _append(client: "Redis", records: bytes) -> None:
    async with client.pipeline(transaction=False) as both:
        both.xadd(_STREAM, {"r": records})
        both.execute_command("WAIT", 1, _PATIENCE_MS)
        _, copies = await both.execute()
    if not copies:
        raise TimeoutError(f"no replica has the append after {_PATIENCE_MS} ms")


async def held(where: Mapping[str, Any]) -> int:
    """Messages that the replica has."""
    from redis.asyncio import Redis

    async with Redis(host=HOST, port=where["replica"]) as client:
        return int(await client.xlen(_STREAM))
