"""Watching one key for ever, without missing its latest state.

A round is: linearizable read, report it if it is news, then watch from the revision after that read. Watching from a
past revision would be simpler and costs up to 100 ms (the server catches such watchers up in a slow loop), so every
new round reads first. Any break (connection, quorum, compaction, token) ends the round, and the next begins at
another member.

A watch that the server refuses is created first and cancelled a moment later; ignoring that means silence for ever.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator

import grpc

from lockstep.runtime.etcd import etcd_subset_pb2 as pb
from lockstep.runtime.etcd.calls import Caller
from lockstep.runtime.etcd.member import Member, Metadata, Stream, StreamEnded, Verdict, judge
from lockstep.runtime.etcd.store import Deleted, StoreRefused, StoreUnavailable, Versioned

_REREAD_TIMEOUT_S = 1.0
_PAUSE_S = 0.01
_SAY_AGAIN_S = 60.0
_LOG = logging.getLogger(__name__)


class _Cancelled(Exception):
    """The server ended the watch; the reason is the argument."""


class _Silence:
    """Says that nothing is heard of a key, when that begins, now and then while it lasts, and when it is over."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._since_s = 0.0
        """Since when nobody answers; 0: somebody does."""
        self._say_s = 0.0

    def on_none(self, error: StoreUnavailable) -> None:
        now_s = time.monotonic()
        self._since_s = self._since_s or now_s
        if now_s >= self._say_s:
            self._say_s = now_s + _SAY_AGAIN_S
            _LOG.warning("nothing is heard of changes of %s since %.0f s: %s", self._key, now_s - self._since_s, error)

    def on_answer(self) -> None:
        if self._since_s:
            _LOG.warning("%s is heard of again after %.0f s", self._key, time.monotonic() - self._since_s)
        self._since_s = self._say_s = 0.0


async def watch_key(caller: Caller, key: bytes) -> AsyncGenerator[Versioned | Deleted]:
    """See `ConfigStore.watch`. Raises `StoreRefused` if the key may not be read."""
    reported: Versioned | Deleted | None = None
    member_index = 0
    silence = _Silence(key)
    while True:
        try:
            state, revision = await _read(caller, key)
        except StoreUnavailable as error:
            silence.on_none(error)  # it has waited for its whole timeout already
            continue
        silence.on_answer()
        if _is_news(state, reported):
            reported = state
            yield state
        try:
            async with asyncio.timeout(_REREAD_TIMEOUT_S):
                member = await caller.connected_member(caller.order_from(member_index))
        except TimeoutError:
            continue  # the read finds out, and says, what is the matter
        token = caller.token
        stream = member.watch_stream(caller.metadata)
        try:
            async with contextlib.aclosing(_changes(stream, key, revision + 1)) as changes:
                async for state in changes:
                    reported = state
                    yield state
        except (StreamEnded, grpc.aio.AioRpcError, _Cancelled) as error:
            await _recover(caller, error, token, key)
        finally:
            stream.cancel()
        member_index = caller.members.index(member) + 1
        await asyncio.sleep(_PAUSE_S)


def from_wire(kv: pb.KeyValue) -> Versioned:
    """A stored key as our value type."""
    return Versioned(
        key=kv.key, value=kv.value, mod_revision=kv.mod_revision, create_revision=kv.create_revision, lease=kv.lease
    )


async def _read(caller: Caller, key: bytes) -> tuple[Versioned | Deleted, int]:
    async def attempt(member: Member, timeout_s: float, metadata: Metadata) -> pb.RangeResponse:
        return await member.range(pb.RangeRequest(key=key), timeout_s, metadata)

    reply = await caller.race(attempt, _REREAD_TIMEOUT_S)
    revision = reply.header.revision
    return (from_wire(reply.kvs[0]) if reply.kvs else Deleted(key=key, mod_revision=revision)), revision


def _is_news(state: Versioned | Deleted, reported: Versioned | Deleted | None) -> bool:
    if isinstance(state, Deleted) and isinstance(reported, Deleted):
        return False  # still absent; only the revision of the look differs
    return state != reported


async def _changes(
    stream: Stream[pb.WatchRequest, pb.WatchResponse], key: bytes, start_revision: int
) -> AsyncGenerator[Versioned | Deleted]:
    create = pb.WatchCreateRequest(key=key, start_revision=start_revision)
    await stream.send(pb.WatchRequest(create_request=create))
    while True:
        reply = await stream.receive()
        for event in reply.events:
            if event.type == pb.Event.DELETE:
                yield Deleted(key=key, mod_revision=event.kv.mod_revision)
            else:
                yield from_wire(event.kv)
        if reply.canceled:
            raise _Cancelled(reply.cancel_reason)


async def _recover(caller: Caller, error: Exception, token: str, key: bytes) -> None:
    """Prepare the next round, or raise `StoreRefused` if no round can ever succeed."""
    reason = str(error)
    if isinstance(error, grpc.aio.AioRpcError):
        verdict = judge(error)
    elif "permission denied" in reason.lower() or "PermissionDenied" in reason:
        verdict = Verdict.REFUSED
    elif "auth token" in reason:
        verdict = Verdict.LOGIN
    else:
        verdict = Verdict.TRANSIENT  # for example compacted: the next round begins behind that
    if verdict is Verdict.REFUSED:
        raise StoreRefused(f"etcd refuses a watch on {key!r}: {reason}") from error
    if verdict is Verdict.LOGIN:
        await caller.renew_or_wait(token)
