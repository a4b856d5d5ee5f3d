"""What the processes of the cluster say of themselves, asked while somebody looks; one message for all who do."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import grpc

from lockstep.edge.http.page_frames import page_frame
from lockstep.edge.http.release_gap import ReleaseGap
from lockstep.runtime.access.dialing import open_aio_channel
from lockstep.runtime.channel_options import CHANNEL_OPTIONS
from lockstep.runtime.cluster_view import ClusterStatus, MemberStatus, rpc_text
from lockstep.runtime.topology import ProcessKind, Topology
from lockstep.stream.messages import Release
from lockstep.v1 import cluster_pb2, cluster_pb2_grpc, page_pb2

_PAUSE_S: Final = 0.5
_TIMEOUT_S: Final = 0.4


class ClusterWatch:
    """Belongs to one loop. `on_state` gets each state that differs from the one before, as bytes of a PageFrame."""

    def __init__(self, topology: Topology, on_state: Callable[[bytes], None]) -> None:
        self._topology = topology
        self._on_state = on_state
        self._gap = ReleaseGap()
        self._channels: list[Any] = []
        self._stubs: list[Any] = []
        self._epoch = 0
        self._uuid = ""
        self._soon = asyncio.Event()
        self.watchers = 0
        """Pages that are open."""
        self.state = b""
        """The latest one; empty before the first."""

    def on_releases(self, releases: Sequence[Release]) -> None:
        """Frames of one burst came."""
        now_ns, wall_ns = time.monotonic_ns(), time.time_ns()
        for release in releases:
            self._epoch = max(self._epoch, release.epoch)
            if self._gap.on_release(release.epoch, now_ns, wall_ns):
                self._soon.set()

    def look(self) -> None:
        """Somebody begins to look."""
        self.watchers += 1
        self._soon.set()

    async def run(self) -> None:
        """Ask, for ever, as long as there is somebody who looks."""
        while True:
            if not self.watchers:
                self._soon.clear()
                await self._soon.wait()
            state = self._message(await self._ask())
            if state != self.state:
                self.state = state
                self._on_state(state)
            self._soon.clear()
            try:
                await asyncio.wait_for(self._soon.wait(), _PAUSE_S)
            except TimeoutError:
                continue

    async def close(self) -> None:
        """End all connections."""
        for channel in self._channels:
            await channel.close()

    async def _ask(self) -> ClusterStatus:
        members = self._topology.all_members()
        if not self._channels:
            self._channels = [open_aio_channel(one.grpc_address, CHANNEL_OPTIONS) for one in members]
            self._stubs = [cluster_pb2_grpc.ClusterStub(channel) for channel in self._channels]
        return ClusterStatus(
            tuple(
                await asyncio.gather(
                    *(
                        _status(stub, member.name, member.grpc_address)
                        for stub, member in zip(self._stubs, members, strict=True)
                    )
                )
            )
        )

    def _message(self, status: ClusterStatus) -> bytes:
        in_sync = {f"{ProcessKind.ENGINE.name.lower()}-{number}" for number in status.in_sync()}
        members = [
            page_pb2.MemberState(
                name=member.name,
                role=member.role,
                in_sync=member.name in in_sync,
                pid=0 if member.reply is None else member.reply.pid,
                why=member.error if member.reply is None else member.reply.why,
            )
            for member in status.members
        ]
        gap = self._gap.last
        uuids = (member.reply.cluster_uuid for member in status.members if member.reply is not None)
        self._uuid = next(filter(None, uuids), self._uuid)
        state = page_pb2.ClusterState(
            cluster_uuid=self._uuid,
            epoch=self._epoch,
            members=members,
            lacks=() if status.is_whole(self._topology) else status.lacks(self._topology),
            failover=None
            if gap is None
            else page_pb2.Failover(
                from_epoch=gap.from_epoch, to_epoch=gap.to_epoch, gap_us=gap.gap_ns // 1_000, at_ns=gap.at_ns
            ),
        )
        return page_frame("cluster", state.SerializeToString())


async def _status(stub: Any, name: str, address: str) -> MemberStatus:
    try:
        return MemberStatus(name, address, await stub.GetStatus(cluster_pb2.GetStatusRequest(), timeout=_TIMEOUT_S))
    except grpc.aio.AioRpcError as error:
        return MemberStatus(name, address, None, rpc_text(error))
