"""NATS JetStream: a stream of three replicas, each of which syncs a message to its file before it is acknowledged.

The clients are connected to the server that leads the stream, which spares each message a hop.
"""

import asyncio
import contextlib
import json
import re
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lockstep.bench.peers.lanes import Lanes
from lockstep.bench.peers.servers import START_S, LeftOut, Running, Server, find_program, run, stopping, wait_until
from lockstep.ops.local.ports import HOST, free_ports

if TYPE_CHECKING:
    from nats.js import JetStreamContext

CLIENT: Final = "nats"
_REPLICAS: Final = 3
_STREAM: Final = "log"
_ANSWER_S: Final = 30.0
_CONFIG: Final = """
server_name: {name}
listen: "{host}:{port}"
http: "{host}:{monitor}"
jetstream {{ store_dir: "{store}", sync_interval: always }}
cluster {{ name: peers, listen: "{host}:{route}", routes: [{routes}] }}
"""


@contextlib.contextmanager
def running(directory: Path) -> Iterator[Running]:
    """Three servers and the stream.

    Raises:
        LeftOut: they don't come up, or don't sync as they are asked to.
    """
    program = find_program("nats-server")
    found = re.search(r"\d+\.\d+\.\d+", run(program, "--version"))
    ports, monitors, cluster = (free_ports(_REPLICAS) for _ in range(3))
    routes = ", ".join(f'"nats://{HOST}:{port}"' for port in cluster)
    with stopping([]) as servers:
        for index in range(_REPLICAS):
            name = f"nats-{index + 1}"
            config = directory / f"{name}.conf"
            text = _CONFIG.format(
                name=name, host=HOST, port=ports[index], monitor=monitors[index], store=directory / name,
                route=cluster[index], routes=routes,
            )  # fmt: skip
            config.write_text(text, encoding="utf-8")
            servers.append(Server(name, program, ["-c", str(config)], directory))
        for monitor in monitors:
            # It answers here before it takes clients; `_make_stream` comes back to those that don't yet.
            settings = wait_until("a NATS server serves", servers, partial(_settings, monitor), OSError)
            if not settings.get("sync_always"):
                raise LeftOut(f"NATS {found and found[0]} does not sync before it acknowledges; it needs a newer one")
        urls = {f"nats-{index + 1}": f"nats://{HOST}:{port}" for index, port in enumerate(ports)}
        leader = asyncio.run(_make_stream(urls))
        about = f"NATS JetStream {found and found[0]}: 3 replicas, file storage, sync_interval always"
        yield Running(about, {"leader": urls[leader], "urls": list(urls.values())}, servers)


def _settings(monitor: int) -> Mapping[str, Any]:
    with urllib.request.urlopen(f"http://{HOST}:{monitor}/varz", timeout=5) as answer:
        return dict(json.load(answer).get("jetstream", {}).get("config", {}))


async def _make_stream(urls: Mapping[str, str]) -> str:
    """The name of the server that leads the stream."""
    import nats
    from nats.errors import Error
    from nats.js.api import StorageType

    try:
        async with asyncio.timeout(START_S):
            client = await nats.connect(list(urls.values()), error_cb=_ignore)
            stream = client.jetstream(timeout=2)
            while True:
                # Refused until the servers have elected who places streams.
                with contextlib.suppress(Error):
                    await stream.add_stream(
                        name=_STREAM, subjects=[_STREAM], storage=StorageType.FILE, num_replicas=_REPLICAS
                    )
                    cluster = (await stream.stream_info(_STREAM)).cluster
                    if cluster and cluster.leader and all(one.current for one in cluster.replicas or ()):
                        break
                await asyncio.sleep(0.2)
            await client.close()
    except TimeoutError:
        raise LeftOut(f"NATS has no stream with {_REPLICAS} replicas within {START_S:.0f} s") from None
    return str(cluster.leader)


async def _ignore(_error: Exception) -> None:
    """Of a server that can't be reached yet; unless asked otherwise the client writes each into the log."""


@contextlib.asynccontextmanager
async def lanes(where: Mapping[str, Any], sessions: int, each: int) -> AsyncIterator[Lanes]:
    """A connection for each session; its messages are distinguished by the client."""
    import nats

    clients = [await nats.connect([where["leader"]]) for _ in range(sessions)]
    yield [[partial(_publish, client.jetstream(timeout=_ANSWER_S))] * each for client in clients]
    for client in clients:
        await client.close()


async def _publish(stream: "JetStreamContext", records: bytes) -> None:
    await stream.publish(_STREAM, records)


async def held(where: Mapping[str, Any]) -> int:
    """Messages in the stream."""
    import nats

    client = await nats.connect([where["leader"]])
    found = await client.jetstream(timeout=_ANSWER_S).stream_info(_STREAM)
    await client.close()
    return found.state.messages
