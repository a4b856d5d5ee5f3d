"""Keeping a lease alive.

A lease serves discovery and clean-up, never safety: etcd can't go below one second, and a former leader's lease stays
alive after it has lost everything else. What a handle says about itself is conservative: it counts from the moment a
keepalive was *sent*, so `alive` turns false before etcd can let the lease end.
"""

import asyncio
import logging
import time

import grpc

from lockstep.runtime.etcd import etcd_subset_pb2 as pb
from lockstep.runtime.etcd.calls import Caller
from lockstep.runtime.etcd.member import Member, Metadata, Stream, StreamEnded, Verdict, judge
from lockstep.runtime.etcd.store import StoreError

_LOG = logging.getLogger(__name__)
_REVOKE_TIMEOUT_S = 0.5
_PAUSE_S = 0.05


class _Dead(Exception):
    """The server says that the lease has ended."""


class EtcdLease:
    """Implements `LeaseHandle`. Make one with `grant_lease`."""

    def __init__(self, caller: Caller, lease_id: int, ttl_s: int, granted_at: float) -> None:
        self._caller = caller
        self._id = lease_id
        self._ttl_s = ttl_s
        self._sure_until = granted_at + ttl_s
        """`time.monotonic()` up to which the lease can't have ended; moves forward with each answered keepalive."""
        self._lost = asyncio.Event()
        self._keeper = asyncio.create_task(self._keep())

    @property
    def id(self) -> int:
        return self._id

    @property
    def ttl_s(self) -> int:
        return self._ttl_s

    @property
    def alive(self) -> bool:
        return not self._lost.is_set() and time.monotonic() < self._sure_until

    async def lost(self) -> None:
        await self._lost.wait()

    async def close(self) -> None:
        """See `LeaseHandle.close`. May be called again."""
        self._keeper.cancel()
        await asyncio.gather(self._keeper, return_exceptions=True)
        if self._lost.is_set():
            return
        self._lost.set()
        request = pb.LeaseRevokeRequest(ID=self._id)

        async def attempt(member: Member, timeout_s: float, metadata: Metadata) -> None:
            await member.lease_revoke(request, timeout_s, metadata)

        try:
            await self._caller.race(attempt, _REVOKE_TIMEOUT_S, writes=True)
        except StoreError:
            return  # already gone, or no member answers: it ends by itself

    async def _keep(self) -> None:
        """Feed one stream until it breaks, then one at another member, until the lease is dead."""
        member_index = 0
        try:
            while time.monotonic() < self._sure_until:
                async with asyncio.timeout(self._sure_until - time.monotonic()):
                    member = await self._caller.connected_member(self._caller.order_from(member_index))
                token = self._caller.token
                stream = member.keep_alive_stream(self._caller.metadata)
                try:
                    await self._feed(stream)
                except (StreamEnded, TimeoutError):
                    pass  # the next member may do better
                except grpc.aio.AioRpcError as error:
                    if judge(error) is Verdict.LOGIN:
                        await self._caller.renew_or_wait(token)
                finally:
                    stream.cancel()
                member_index = self._caller.members.index(member) + 1
                await asyncio.sleep(_PAUSE_S)
        except (_Dead, TimeoutError):
            pass  # both mean that the lease is no more
        except StoreError as error:
            _LOG.warning("etcd lease %x can't be kept: %s", self._id, error)
        self._lost.set()

    async def _feed(self, stream: Stream[pb.LeaseKeepAliveRequest, pb.LeaseKeepAliveResponse]) -> None:
        """Raises `_Dead`, TimeoutError (no answer within a third of the TTL), or what the stream raises."""
        period_s = self._ttl_s / 3
        while True:
            sent_at = time.monotonic()
            async with asyncio.timeout(period_s):
                await stream.send(pb.LeaseKeepAliveRequest(ID=self._id))
                reply = await stream.receive()
            if reply.TTL <= 0:
                raise _Dead
            self._sure_until = sent_at + reply.TTL
            await asyncio.sleep(max(0.0, sent_at + period_s - time.monotonic()))


async def grant_lease(caller: Caller, ttl_s: int, timeout_s: float) -> EtcdLease:
    """Take a lease and begin to keep it. A lease granted twice by hedging ends unused. Raises as `Caller.race`."""
    if ttl_s < 1:
        raise ValueError(f"lease of {ttl_s} s: etcd's shortest is 1 s")
    request = pb.LeaseGrantRequest(TTL=ttl_s)

    async def attempt(member: Member, left_s: float, metadata: Metadata) -> tuple[float, pb.LeaseGrantResponse]:
        # Counted from this very try: a retry may come much later than the call.
        return time.monotonic(), await member.lease_grant(request, left_s, metadata)

    granted_at, reply = await caller.race(attempt, timeout_s)
    return EtcdLease(caller, reply.ID, reply.TTL, granted_at)
