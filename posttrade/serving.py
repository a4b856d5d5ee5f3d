"""How a follower that is asked over gRPC says whether it serves, and how it stands."""

import asyncio
import os
from typing import Any, Final

from lockstep.posttrade.shell import FollowerShell
from lockstep.v1 import cluster_pb2

_LOOK_S: Final = 0.05


async def show_health(shell: FollowerShell, health: Any, service: str) -> None:
    """Keep gRPC's health service told whether it has caught up, for the server as a whole and for `service`."""
    from grpc_health.v1 import health_pb2

    reply = health_pb2.HealthCheckResponse
    said = None
    while True:
        status = reply.SERVING if shell.caught_up else reply.NOT_SERVING
        if status != said:
            said = status
            for name in ("", service):
                await health.set(name, status)
        await asyncio.sleep(_LOOK_S)


def status_of(shell: FollowerShell, rows: str) -> cluster_pb2.GetStatusReply:
    """What `lockstep.v1.Cluster/GetStatus` answers; `rows`: the word for what it has written."""
    machine = shell.machine
    why = shell.why_not_serving()
    return cluster_pb2.GetStatusReply(
        role=cluster_pb2.ROLE_WAITING if why else cluster_pb2.ROLE_SERVING,
        epoch=machine.position.epoch,
        seq=machine.position.seq,
        committed_seq=machine.committed_seq,
        counters={rows: shell.figures.rows, "events": shell.figures.events, "lag_commands": machine.lag_commands},
        why=why,
        pid=os.getpid(),
    )
