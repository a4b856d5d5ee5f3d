"""The I/O around a `Resumption`: asks the engines what it wants to know, and does with the stream what it says."""

import asyncio
import time
from typing import Final

import grpc

from lockstep.gateway.client_stream import ClientStream
from lockstep.gateway.machine import GatewayMachine
from lockstep.gateway.reports import route, stamp_message
from lockstep.gateway.resumption import (
    Ask,
    AskEvents,
    AskLastNumber,
    AskWhetherLost,
    Began,
    Compared,
    Counted,
    Effects,
    End,
    Event,
    Failed,
    Fetched,
    FetchedAll,
    Ticked,
)
from lockstep.gateway.sessions import Refused
from lockstep.runtime.engines import Engines, EnginesUnavailable, EventsGone
from lockstep.stream.codes import Code
from lockstep.stream.records import Events
from lockstep.v1 import replication_pb2

_ROWS_AHEAD: Final = 32_768


async def resume(stream: ClientStream, engines: Engines, machine: GatewayMachine) -> None:
    """Put all reports after those of the Hello into the stream, or end it with the reason why they can't be had."""
    effects = _step(stream, machine, Began())
    while not (stream.over or stream.resumption.over):
        if effects.ask is None:
            await asyncio.sleep(max(0, effects.deadline_ns - time.monotonic_ns()) / 1e9)
            event: Event = Ticked()
        else:
            event = await _answer(effects.ask, stream, engines, machine)
        effects = _step(stream, machine, event)


def _step(stream: ClientStream, machine: GatewayMachine, event: Event) -> Effects:
    """One step, and what of its effects is no waiting."""
    effects = stream.resumption.step(
        event, time.monotonic_ns(), epoch=machine.epoch, delivered_seq=machine.delivered_seq
    )
    perform(stream, machine, effects)
    return effects


def perform(stream: ClientStream, machine: GatewayMachine, effects: Effects) -> None:
    """All effects but the question and the deadline."""
    if effects.end is not None:
        _end(stream, effects.end, machine)
    if effects.take_commands:
        stream.past_known.set()
    if effects.release:
        stream.release_live()


def _end(stream: ClientStream, end: End, machine: GatewayMachine) -> None:
    if end.code is Code.REPORTS_GONE:
        stamp = stamp_message(machine.epoch, machine.delivered_seq)
        stream.refuse(stamp, Refused(0, end.code), end.text)
        stream.finish(grpc.StatusCode.OUT_OF_RANGE, end.text, end.code)
    else:
        stream.finish(grpc.StatusCode.UNAVAILABLE, end.text, end.code)
    # The stream has ended, so that no command is taken any more; who waits to read them may go.
    stream.past_known.set()


async def _answer(ask: Ask, stream: ClientStream, engines: Engines, machine: GatewayMachine) -> Event:
    try:
        match ask:
            case AskWhetherLost():
                return Compared(
                    await engines.parted_at(told_epoch=ask.told_epoch, told_seq=ask.told_seq, min_epoch=ask.min_epoch)
                )
            case AskLastNumber():
                request = replication_pb2.QueryRequest(session_id=stream.session_id)
                reply = await engines.query(request, min_epoch=ask.min_epoch)
                return Counted(reply.session_last_no, reply.stamp.seq)
            case AskEvents():
                return await _fetch(ask, stream, engines, machine)
    except EventsGone as gone:
        return Failed(str(gone), gone=True, first_seq=gone.first_seq)
    except EnginesUnavailable as error:
        return Failed(str(error))


async def _fetch(ask: AskEvents, stream: ClientStream, engines: Engines, machine: GatewayMachine) -> Event:
    async for events, through in engines.events(
        after=ask.after,
        to_seq=ask.to_seq,
        session_id=stream.session_id,
        min_epoch=ask.min_epoch,
        client=stream.client,
    ):
        if len(events):
            put_fetched(stream, events, machine)
        _step(stream, machine, Fetched(through))
        while stream.pending_rows > _ROWS_AHEAD and not stream.over:
            stream.drained.clear()
            await stream.drained.wait()
        if stream.over:
            break
    return FetchedAll()


def put_fetched(stream: ClientStream, events: Events, machine: GatewayMachine) -> None:
    """Older events of the stream's session: into the stream, and what they answer is answered here, too."""
    routed = route(events, stream.session_id)
    if routed is not None:
        machine.on_resumed(routed)
        stream.put_resumed(routed.of(0))
