"""`ConfigStore` on etcd."""

import asyncio
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Self

import grpc

from lockstep.runtime.etcd import etcd_subset_pb2 as pb
from lockstep.runtime.etcd.calls import Caller
from lockstep.runtime.etcd.lease import EtcdLease, grant_lease
from lockstep.runtime.etcd.member import Member, Metadata, describe
from lockstep.runtime.etcd.options import EtcdOptions
from lockstep.runtime.etcd.store import (
    CasLost,
    CasWon,
    Deleted,
    MemberStatus,
    MemberUnreachable,
    Versioned,
    prefix_end,
)
from lockstep.runtime.etcd.watch import from_wire, watch_key


class EtcdStore:
    """Implements `ConfigStore`; what each method promises is written there.

    Use it as `async with EtcdStore(options) as store:` in the one event loop that made it. Opening begins to connect
    but waits for nobody, unless there are credentials: then it logs in.
    """

    def __init__(self, options: EtcdOptions) -> None:
        self._options = options
        self._caller = Caller(options)
        self._leases: list[EtcdLease] = []

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Raises `StoreRefused` for wrong credentials, `StoreUnavailable` if nobody could check them."""
        try:
            await self._caller.open()
        except BaseException:
            await self._caller.close()
            raise

    async def close(self) -> None:
        """Close the leases still open, then all connections. Watches end with `StoreClosed`."""
        await asyncio.gather(*(lease.close() for lease in self._leases))
        await self._caller.close()

    async def get(self, key: bytes, revision: int = 0) -> Versioned | None:
        reply = await self._range(pb.RangeRequest(key=key, revision=revision))
        return from_wire(reply.kvs[0]) if reply.kvs else None

    async def get_prefix(self, prefix: bytes) -> tuple[Versioned, ...]:
        reply = await self._range(pb.RangeRequest(key=prefix, range_end=prefix_end(prefix)))
        return tuple(from_wire(kv) for kv in reply.kvs)

    async def compare_and_swap(
        self,
        key: bytes,
        expected_mod_revision: int,
        value: bytes,
        also_require: tuple[bytes, bytes] | None = None,
        timeout_s: float = 1.0,
    ) -> CasWon | CasLost:
        if expected_mod_revision < 0:
            raise ValueError(f"expected_mod_revision is {expected_mod_revision}; 0 means that the key must not exist")
        request = _swap_request(key, expected_mod_revision, value, also_require)

        async def attempt(member: Member, left_s: float, metadata: Metadata) -> CasWon | CasLost:
            return _swap_outcome(await member.txn(request, left_s, metadata), value, also_require)

        return await self._caller.race(attempt, timeout_s, writes=True)

    async def put(self, key: bytes, value: bytes, lease: int = 0) -> int:
        request = pb.PutRequest(key=key, value=value, lease=lease)

        async def attempt(member: Member, left_s: float, metadata: Metadata) -> int:
            return (await member.put(request, left_s, metadata)).header.revision

        return await self._caller.once(attempt, self._options.call_timeout_s)

    async def delete(self, key: bytes) -> bool:
        request = pb.DeleteRangeRequest(key=key)

        async def attempt(member: Member, left_s: float, metadata: Metadata) -> bool:
            return (await member.delete_range(request, left_s, metadata)).deleted > 0

        return await self._caller.once(attempt, self._options.call_timeout_s)

    def watch(self, key: bytes) -> AsyncGenerator[Versioned | Deleted]:
        return watch_key(self._caller, key)

    async def keep_lease(self, ttl_s: int) -> EtcdLease:
        lease = await grant_lease(self._caller, ttl_s, self._options.call_timeout_s)
        self._leases = [known for known in self._leases if known.alive] + [lease]
        return lease

    async def status(self) -> tuple[MemberStatus | MemberUnreachable, ...]:
        return tuple(await asyncio.gather(*(self._member_status(member) for member in self._caller.members)))

    async def _range(self, request: pb.RangeRequest) -> pb.RangeResponse:
        async def attempt(member: Member, left_s: float, metadata: Metadata) -> pb.RangeResponse:
            return await member.range(request, left_s, metadata)

        return await self._caller.race(attempt, self._options.call_timeout_s)

    async def _member_status(self, member: Member) -> MemberStatus | MemberUnreachable:
        timeout_s = self._options.call_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                await member.until_connected()
                reply = await member.status(timeout_s, self._caller.metadata)
        except TimeoutError:
            return MemberUnreachable(endpoint=member.endpoint, reason=f"no answer within {timeout_s:g} s")
        except grpc.aio.AioRpcError as error:
            return MemberUnreachable(endpoint=member.endpoint, reason=describe(error))
        return MemberStatus(
            endpoint=member.endpoint,
            version=reply.version,
            member_id=reply.header.member_id,
            cluster_id=reply.header.cluster_id,
            leader_id=reply.leader,
            raft_term=reply.raftTerm,
            raft_index=reply.raftIndex,
        )


def _swap_request(
    key: bytes, expected_mod_revision: int, value: bytes, also_require: tuple[bytes, bytes] | None
) -> pb.TxnRequest:
    """The failure branch reads what is there, so that losing costs no second round trip."""
    equal, mod, content = pb.Compare.EQUAL, pb.Compare.MOD, pb.Compare.VALUE
    compares = [pb.Compare(result=equal, target=mod, key=key, mod_revision=expected_mod_revision)]
    reads = [pb.RequestOp(request_range=pb.RangeRequest(key=key))]
    if also_require is not None:
        required_key, required_value = also_require
        compares.append(pb.Compare(result=equal, target=content, key=required_key, value=required_value))
        reads.append(pb.RequestOp(request_range=pb.RangeRequest(key=required_key)))
    write = pb.RequestOp(request_put=pb.PutRequest(key=key, value=value))
    return pb.TxnRequest(compare=compares, success=[write], failure=reads)


def _swap_outcome(reply: pb.TxnResponse, value: bytes, also_require: tuple[bytes, bytes] | None) -> CasWon | CasLost:
    if reply.succeeded:
        return CasWon(mod_revision=reply.header.revision)
    found = [from_wire(kv) for op in reply.responses[:1] for kv in op.response_range.kvs]
    current = found[0] if found else None
    if current is not None and current.value == value:
        # An earlier try of this very attempt was applied, its answer lost: the value is unique to the attempt.
        return CasWon(mod_revision=current.mod_revision)
    held = True
    if also_require is not None:
        held = any(kv.value == also_require[1] for kv in reply.responses[1].response_range.kvs)
    return CasLost(current=current, requirement_held=held)
