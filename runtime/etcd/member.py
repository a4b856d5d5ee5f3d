"""One etcd member: its channel, its methods, and what its errors mean.

Each member has a channel of its own (no gRPC load balancing), because hedging, re-arming a watch and asking for a
status need to name the member. Two settings are here because the obvious ones do not work:

- gRPC's keepalive never fires unless `grpc.http2.ping_timeout_ms` is set too: a frozen member would stay connected
  for ever.
- a member that has lost its quorum keeps streams open in silence; metadata `hasleader` makes it say so after about 2 s.

A channel keeps the certificate that it was opened with for as long as it lives, also when it connects anew. So one with
a newer certificate takes its place as soon as it is connected (`Member.renew`).
"""

import asyncio
import enum
from collections.abc import Coroutine
from typing import Any

import grpc
from google.protobuf.message import Message

from lockstep.runtime.etcd import etcd_subset_pb2 as pb
from lockstep.runtime.etcd.options import EtcdOptions, TlsOptions, target
from lockstep.runtime.etcd.store import StoreClosed

type Metadata = tuple[tuple[str, str], ...]

REQUIRE_LEADER: Metadata = (("hasleader", "true"),)
_RECONNECT_MIN_MS = 100
_RECONNECT_MAX_MS = 500
_NEVER_IDLE_MS = 2**31 - 1
_RENEW_S = 2.0
"""For a new channel to connect while the one before does its work."""


class Verdict(enum.Enum):
    """What a failed call means for its caller."""

    TRANSIENT = "the member could not do it now; whether it did is unknown"
    LOGIN = "not done: the token is missing, too old or forgotten by the server"
    REFUSED = "not done, and asking again would not help"


def judge(error: grpc.aio.AioRpcError) -> Verdict:
    """Sort a failed call. Whatever is not known to be harmless counts as TRANSIENT, i.e. as possibly done."""
    code, details = error.code(), error.details() or ""
    if code is grpc.StatusCode.UNAUTHENTICATED or "revision of auth store is old" in details:
        return Verdict.LOGIN
    if code in (
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNIMPLEMENTED,
    ):
        return Verdict.REFUSED
    return Verdict.TRANSIENT


def names_ended_lease(error: grpc.aio.AioRpcError) -> bool:
    """Whether a refused write named a lease that is no more."""
    return error.code() is grpc.StatusCode.NOT_FOUND and "lease not found" in (error.details() or "")


def describe(error: grpc.aio.AioRpcError) -> str:
    """One line for a person: status code and the server's words."""
    return f"{error.code().name}: {error.details() or 'no details'}"


class Member:
    """A channel to one member. Make and use it inside the running event loop."""

    def __init__(self, endpoint: str, options: EtcdOptions) -> None:
        self.endpoint = endpoint
        self._options = options
        self._retired: set[asyncio.Task[None]] = set()
        """Channels that were replaced, until what runs on them has had its time."""
        self._replaced = asyncio.Event()
        """The channel is another one now."""
        self._use(_open_channel(endpoint, options, options.tls))

    def _use(self, channel: Any) -> None:
        self._channel = channel
        unary, stream = self._channel.unary_unary, self._channel.stream_stream
        self._range = _method(unary, "/etcdserverpb.KV/Range", pb.RangeResponse)
        self._put = _method(unary, "/etcdserverpb.KV/Put", pb.PutResponse)
        self._delete_range = _method(unary, "/etcdserverpb.KV/DeleteRange", pb.DeleteRangeResponse)
        self._txn = _method(unary, "/etcdserverpb.KV/Txn", pb.TxnResponse)
        self._lease_grant = _method(unary, "/etcdserverpb.Lease/LeaseGrant", pb.LeaseGrantResponse)
        self._lease_revoke = _method(unary, "/etcdserverpb.Lease/LeaseRevoke", pb.LeaseRevokeResponse)
        self._authenticate = _method(unary, "/etcdserverpb.Auth/Authenticate", pb.AuthenticateResponse)
        self._status = _method(unary, "/etcdserverpb.Maintenance/Status", pb.StatusResponse)
        self._keep_alive = _method(stream, "/etcdserverpb.Lease/LeaseKeepAlive", pb.LeaseKeepAliveResponse)
        self._watch = _method(stream, "/etcdserverpb.Watch/Watch", pb.WatchResponse)

    @property
    def connected(self) -> bool:
        """Whether the channel is up now; begins to connect if it is not. Raises `StoreClosed`."""
        return self._state() is grpc.ChannelConnectivity.READY

    async def until_connected(self) -> None:
        """Wait, without limit, for the channel to be up: requests before fail unsent. Raises `StoreClosed`."""
        while (state := self._state()) is not grpc.ChannelConnectivity.READY:
            await _either(self._channel.wait_for_state_change(state), self._replaced.wait())

    async def renew(self, tls: TlsOptions | None) -> bool:
        """Make calls by a channel with these certificates from now on; what runs has a few seconds to end.

        False: nobody answers by the new channel, and by the one before somebody does. Nothing has changed then.
        """
        channel = _open_channel(self.endpoint, self._options, tls)
        if not await _comes_up(channel, _RENEW_S) and self._state() is grpc.ChannelConnectivity.READY:
            await channel.close()
            return False
        # Longer than any call: a call that is cut off looks as if its caller had been cancelled.
        retired = asyncio.create_task(_retire(self._channel, 2 * self._options.call_timeout_s))
        self._retired.add(retired)
        retired.add_done_callback(self._retired.discard)
        self._use(channel)
        self._replaced.set()
        self._replaced = asyncio.Event()
        return True

    def _state(self) -> Any:
        try:
            state = self._channel.get_state(try_to_connect=True)
        except grpc.aio.UsageError:
            raise StoreClosed(f"the connection to etcd at {self.endpoint} was closed by its owner") from None
        if state is grpc.ChannelConnectivity.SHUTDOWN:
            raise StoreClosed(f"the connection to etcd at {self.endpoint} was closed by its owner")
        return state

    async def close(self) -> None:
        """Close the channel; running calls end as cancelled."""
        for task in self._retired:
            task.cancel()
        await asyncio.gather(*self._retired, return_exceptions=True)
        await self._channel.close()

    async def range(self, request: pb.RangeRequest, timeout_s: float, metadata: Metadata) -> pb.RangeResponse:
        reply: pb.RangeResponse = await self._range(request, timeout=timeout_s, metadata=metadata)
        return reply

    async def put(self, request: pb.PutRequest, timeout_s: float, metadata: Metadata) -> pb.PutResponse:
        reply: pb.PutResponse = await self._put(request, timeout=timeout_s, metadata=metadata)
        return reply

    async def delete_range(
        self, request: pb.DeleteRangeRequest, timeout_s: float, metadata: Metadata
    ) -> pb.DeleteRangeResponse:
        reply: pb.DeleteRangeResponse = await self._delete_range(request, timeout=timeout_s, metadata=metadata)
        return reply

    async def txn(self, request: pb.TxnRequest, timeout_s: float, metadata: Metadata) -> pb.TxnResponse:
        reply: pb.TxnResponse = await self._txn(request, timeout=timeout_s, metadata=metadata)
        return reply

    async def lease_grant(
        self, request: pb.LeaseGrantRequest, timeout_s: float, metadata: Metadata
    ) -> pb.LeaseGrantResponse:
        reply: pb.LeaseGrantResponse = await self._lease_grant(request, timeout=timeout_s, metadata=metadata)
        return reply

    async def lease_revoke(
        self, request: pb.LeaseRevokeRequest, timeout_s: float, metadata: Metadata
    ) -> pb.LeaseRevokeResponse:
        reply: pb.LeaseRevokeResponse = await self._lease_revoke(request, timeout=timeout_s, metadata=metadata)
        return reply

    async def authenticate(self, request: pb.AuthenticateRequest, timeout_s: float) -> pb.AuthenticateResponse:
        reply: pb.AuthenticateResponse = await self._authenticate(request, timeout=timeout_s)
        return reply

    async def status(self, timeout_s: float, metadata: Metadata) -> pb.StatusResponse:
        reply: pb.StatusResponse = await self._status(pb.StatusRequest(), timeout=timeout_s, metadata=metadata)
        return reply

    def keep_alive_stream(self, metadata: Metadata) -> "Stream[pb.LeaseKeepAliveRequest, pb.LeaseKeepAliveResponse]":
        return Stream(self._keep_alive(metadata=REQUIRE_LEADER + metadata))

    def watch_stream(self, metadata: Metadata) -> "Stream[pb.WatchRequest, pb.WatchResponse]":
        return Stream(self._watch(metadata=REQUIRE_LEADER + metadata))


class StreamEnded(Exception):
    """The server closed a stream in good order; for us as good as a lost connection."""


class Stream[Request: Message, Reply: Message]:
    """An open bidirectional call. Every method may raise `grpc.aio.AioRpcError`."""

    def __init__(self, call: Any) -> None:
        self._call = call

    async def send(self, request: Request) -> None:
        """Raises `StreamEnded`."""
        try:
            await self._call.write(request)
        except asyncio.InvalidStateError:
            # gRPC's way to say that the call has ended since the last use; a read reports the end itself.
            await self.receive()
            raise StreamEnded from None

    async def receive(self) -> Reply:
        """The next reply. Cancelling this ends the whole stream. Raises `StreamEnded`."""
        try:
            reply = await self._call.read()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise StreamEnded from None  # not we but the stream was cancelled: its channel is being closed
        if reply is grpc.aio.EOF:
            raise StreamEnded
        answer: Reply = reply
        return answer

    def cancel(self) -> None:
        """End the stream; harmless if it has ended."""
        self._call.cancel()


def _encode(request: Message) -> bytes:
    # Not the unbound Message.SerializeToString: taken from the base class it encodes every message as empty.
    return request.SerializeToString()


def _method(kind: Any, path: str, reply: type[Message]) -> Any:
    return kind(path, request_serializer=_encode, response_deserializer=reply.FromString)


async def _either(*works: Coroutine[Any, Any, object]) -> None:
    """Wait for one of them."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _comes_up(channel: Any, patience_s: float) -> bool:
    try:
        async with asyncio.timeout(patience_s):
            while (state := channel.get_state(try_to_connect=True)) is not grpc.ChannelConnectivity.READY:
                await channel.wait_for_state_change(state)
    except TimeoutError:
        return False
    return True


async def _retire(channel: Any, patience_s: float) -> None:
    """Streams on it end then, as if the connection had been lost, and are opened on the new one."""
    try:
        await asyncio.sleep(patience_s)
    finally:
        await channel.close()


def _open_channel(endpoint: str, options: EtcdOptions, tls: TlsOptions | None) -> Any:
    ping_timeout_ms = round(options.keepalive_timeout_s * 1000)
    settings = [
        ("grpc.keepalive_time_ms", round(options.keepalive_time_s * 1000)),
        ("grpc.keepalive_timeout_ms", ping_timeout_ms),
        ("grpc.http2.ping_timeout_ms", ping_timeout_ms),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.initial_reconnect_backoff_ms", _RECONNECT_MIN_MS),
        ("grpc.min_reconnect_backoff_ms", _RECONNECT_MIN_MS),
        ("grpc.max_reconnect_backoff_ms", _RECONNECT_MAX_MS),
        # A candidate may do nothing for days and must then be connected: channels don't go idle.
        ("grpc.client_idle_timeout_ms", _NEVER_IDLE_MS),
        # Retrying is ours to decide, and a proxy meant for the web must not get between us and etcd.
        ("grpc.enable_retries", 0),
        ("grpc.enable_http_proxy", 0),
        ("grpc.use_local_subchannel_pool", 1),
    ]
    if tls is None:
        return grpc.aio.insecure_channel(target(endpoint), options=settings)
    credentials = grpc.ssl_channel_credentials(tls.ca, tls.key, tls.cert)
    return grpc.aio.secure_channel(target(endpoint), credentials, options=settings)
