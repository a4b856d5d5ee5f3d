"""A stream that takes a session up again: reports that were delivered before it was opened, fetched from the engines.

Live reports wait in the stream meanwhile, so that its client is told everything once and in order.
"""

import asyncio
from typing import Final

import grpc

from lockstep.gateway.client_stream import ClientStream
from lockstep.gateway.engines import LAST_INDEX, Engines, EnginesUnavailable, EventsGone
from lockstep.gateway.machine import GatewayMachine
from lockstep.gateway.reports import route, stamp_message
from lockstep.gateway.sessions import Refused
from lockstep.stream.codes import Code
from lockstep.stream.records import Events
from lockstep.v1 import orders_pb2, replication_pb2

_RETRY_PAUSE_S: Final = 0.05
_PATIENCE_S: Final = 3.0
_ROWS_AHEAD: Final = 32_768


async def resume(stream: ClientStream, hello: orders_pb2.Hello, engines: Engines, machine: GatewayMachine) -> None:
    """Put all reports after those of the Hello into the stream, or end it with the reason why they can't be had."""
    to_seq = machine.delivered_seq
    after = (hello.last_seen.seq, hello.last_seen.index)
    # Told under a lower epoch: what the client has seen may have been given up since (rule 7).
    in_doubt = 0 < hello.last_epoch < machine.epoch and hello.last_seen.seq > 0
    now_s = asyncio.get_running_loop().time
    give_up_s = now_s() + _PATIENCE_S
    while in_doubt or (to_seq and after < (to_seq, LAST_INDEX)):
        try:
            if in_doubt:
                parted_at = await engines.parted_at(
                    told_epoch=hello.last_epoch, told_seq=hello.last_seen.seq, min_epoch=machine.epoch
                )
                if parted_at:
                    _refuse_lost(stream, parted_at, machine)
                    return
                in_doubt = False
                continue
            if after == (0, 0) and not stream.past_known.is_set() and await _is_new(stream, engines, machine):
                break
            stream.past_known.set()
            async for events in engines.events(
                after_seq=after[0],
                after_index=after[1],
                to_seq=to_seq,
                session_id=stream.session_id,
                min_epoch=machine.epoch,
            ):
                after = (int(events["seq"][-1]), int(events["index"][-1]))
                await _put(stream, events, machine)
                if stream.end is not None:
                    return
            break
        except EnginesUnavailable as error:
            # In the middle of a failover the engine that is left may not know yet what is committed.
            stream.past_known.set()
            if now_s() > give_up_s:
                _give_up(stream, after[0], error, machine)
                return
            await asyncio.sleep(_RETRY_PAUSE_S)
    stream.past_known.set()
    stream.release_live()


def _give_up(stream: ClientStream, after_seq: int, error: EnginesUnavailable, machine: GatewayMachine) -> None:
    if not isinstance(error, EventsGone):
        stream.finish(grpc.StatusCode.UNAVAILABLE, f"earlier reports can't be fetched now: {error}")
        return
    text = (
        f"the reports after seq {after_seq} were cut from every engine's journal, the oldest that are kept are of seq "
        f"{error.first_seq}: what happened to this session before seq {error.first_seq} can't be told any more"
    )
    _refuse(stream, text, machine)


def _refuse_lost(stream: ClientStream, parted_at: int, machine: GatewayMachine) -> None:
    text = (
        f"what was told from seq {parted_at} on is void: an operator had to let the cluster go on without it (epoch "
        f"{machine.epoch})"
    )
    _refuse(stream, text, machine)
    # The stream has ended, so that no command is taken any more; who waits to read them may go.
    stream.past_known.set()


def _refuse(stream: ClientStream, text: str, machine: GatewayMachine) -> None:
    stamp = stamp_message(machine.epoch, machine.delivered_seq)
    stream.refuse(stamp, Refused(0, Code.REPORTS_GONE), text)
    stream.finish(grpc.StatusCode.OUT_OF_RANGE, text)


async def _put(stream: ClientStream, events: Events, machine: GatewayMachine) -> None:
    routed = route(events, stream.session_id)
    if routed is not None:
        machine.on_resumed(routed)
        stream.put_resumed(routed.of(0))
    while stream.pending_rows > _ROWS_AHEAD and stream.end is None:
        stream.drained.clear()
        await stream.drained.wait()


async def _is_new(stream: ClientStream, engines: Engines, machine: GatewayMachine) -> bool:
    """Whether the session has no past: then all events need not be searched for it."""
    request = replication_pb2.QueryRequest(session_id=stream.session_id)
    reply = await engines.query(request, min_epoch=machine.epoch)
    return reply.session_last_no == 0 and reply.stamp.seq >= machine.delivered_seq
