"""gRPC `OrderEntry`: the session stream, and single calls for those who have one order now and then."""

import asyncio
from functools import partial
from typing import Any, Final

import grpc

from lockstep.gateway import listings
from lockstep.gateway.admission import accounts_of
from lockstep.gateway.call_driver import Outcome
from lockstep.gateway.calls import abort, abort_refused, authenticate, require_account
from lockstep.gateway.client_stream import ClientStream
from lockstep.gateway.disconnects import MAX_GRACE_MS
from lockstep.gateway.entitlement import may_use_session
from lockstep.gateway.sessions import Refused
from lockstep.gateway.shell import GatewayShell
from lockstep.gateway.single_call import TurnedAway
from lockstep.gateway.stream_driver import REFUSAL_TEXTS
from lockstep.gateway.wire import Unparsable, decode_request
from lockstep.runtime.engines import EnginesUnavailable
from lockstep.runtime.topology import Principal
from lockstep.stream.codes import Code
from lockstep.v1 import orders_pb2, replication_pb2

SERVICE: Final = "lockstep.v1.OrderEntry"
HELLO_PATIENCE_S: float = 30.0
"""A stream that says nothing for so long ends. A client that was stopped in between may come again."""
_TOO_MANY: Final = "too many sessions are open, or are being opened at once; come again when the metadata says"


class OrderEntryService:
    """Handlers over one `GatewayShell`."""

    def __init__(self, shell: GatewayShell) -> None:
        self._shell = shell
        self._streams = shell.driver.streams

    def register(self, server: grpc.aio.Server) -> None:
        """Add the service. Session messages stay bytes up to here: they are read by the fast twin."""
        reply = orders_pb2.CommandReply.SerializeToString
        unary = {
            "Place": (self.place, orders_pb2.PlaceRequest.FromString, reply),
            "Cancel": (self.cancel, orders_pb2.CancelRequest.FromString, reply),
            "Replace": (self.replace, orders_pb2.ReplaceRequest.FromString, reply),
            "MassCancel": (self.mass_cancel, orders_pb2.MassCancelRequest.FromString, reply),
            "Note": (self.note, orders_pb2.NoteRequest.FromString, reply),
            "GetOrder": (
                self.get_order,
                orders_pb2.GetOrderRequest.FromString,
                orders_pb2.GetOrderReply.SerializeToString,
            ),
        }
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(call, request_deserializer=read, response_serializer=write)
            for name, (call, read, write) in unary.items()
        }
        handlers["Session"] = grpc.stream_stream_rpc_method_handler(self.session)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))

    # ---- the session stream --------------------------------------------------------------------------------------

    async def session(self, requests: Any, context: Any) -> None:
        """One stream, from Hello to its end."""
        del requests
        client = await authenticate(context, self._shell.entitlements)
        stream = await self._open(client, context)
        reader = asyncio.ensure_future(self._read(stream, client, context))
        # The writer decides when it is over; a reader that broke is one of its reasons.
        reader.add_done_callback(lambda _done: stream.wakeup.set())
        try:
            await self._write(stream, reader, context)
        finally:
            self._streams.close(stream)
            reader.cancel()
            await asyncio.wait([reader])
        if stream.end is not None:
            await abort(context, stream.end.status, stream.end.text, stream.end.code)

    async def _open(self, client: Principal, context: Any) -> ClientStream:
        try:
            async with asyncio.timeout(HELLO_PATIENCE_S):
                raw = await context.read()
        except TimeoutError:
            text = f"no Hello within {HELLO_PATIENCE_S:.0f} s"
            await abort(context, grpc.StatusCode.UNAVAILABLE, text, Code.UNAVAILABLE)
        if raw is grpc.aio.EOF:
            await abort(
                context, grpc.StatusCode.INVALID_ARGUMENT, "the stream ended before a Hello", Code.MISSING_FIELD
            )
        try:
            hello = decode_request(raw).hello
        except Unparsable as error:
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(error), Code.MALFORMED_BATCH)
        if hello is None:
            await abort(context, grpc.StatusCode.FAILED_PRECONDITION, "the first message of a session is Hello")
        why_not = may_use_session(client, hello.session_id)
        if why_not:
            await abort(context, grpc.StatusCode.PERMISSION_DENIED, why_not)
        if hello.cancel_on_disconnect_ms > MAX_GRACE_MS:
            text = f"cancel_on_disconnect_ms is {hello.cancel_on_disconnect_ms}; at most {MAX_GRACE_MS}, or 0 for off"
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, text)
        if hello.cancel_on_disconnect_ms and not hello.connection:
            text = "cancel_on_disconnect_ms needs a connection number, higher than in all Hellos of the session before"
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, text, Code.MISSING_FIELD)
        if self._shell.stopping or self._shell.machine.downlink is None:
            code = Code.SHUTTING_DOWN if self._shell.stopping else Code.UNAVAILABLE
            await abort(context, grpc.StatusCode.UNAVAILABLE, self._shell.why_not_serving(), code)
        opened = self._streams.open(client.name, hello)
        if isinstance(opened, Refused):
            text = _TOO_MANY if opened.code is Code.BUSY else REFUSAL_TEXTS[opened.code]
            await abort_refused(context, opened, text)
        return opened

    async def _write(self, stream: ClientStream, reader: "asyncio.Task[None]", context: Any) -> None:
        machine = self._shell.machine
        while True:
            await stream.wakeup.wait()
            stream.wakeup.clear()
            for message in stream.take(machine.epoch, machine.delivered_seq):
                await context.write(message)
            if not stream.has_rows:
                self._streams.on_drained(stream)
            if stream.wakeup.is_set():
                continue
            if stream.end is not None:
                return
            if reader.done():
                reader.result()
            if stream.half_closed and self._streams.has_all_answers(stream):
                return

    async def _read(self, stream: ClientStream, client: Principal, context: Any) -> None:
        accounts = accounts_of(client)
        await stream.past_known.wait()
        while stream.end is None:
            raw = await context.read()
            if raw is grpc.aio.EOF:
                stream.half_closed = True
                stream.wakeup.set()
                return
            self._streams.on_message(stream, raw, client, accounts)

    # ---- single calls --------------------------------------------------------------------------------------------

    async def place(self, request: orders_pb2.PlaceRequest, context: Any) -> orders_pb2.CommandReply:
        """One new order."""
        command = orders_pb2.Command(new_order=request.order) if request.HasField("order") else None
        return await self._execute(request.key, command, "order", context)

    async def cancel(self, request: orders_pb2.CancelRequest, context: Any) -> orders_pb2.CommandReply:
        """Cancel one order."""
        command = orders_pb2.Command(cancel=request.cancel) if request.HasField("cancel") else None
        return await self._execute(request.key, command, "cancel", context)

    async def replace(self, request: orders_pb2.ReplaceRequest, context: Any) -> orders_pb2.CommandReply:
        """New terms for one order."""
        command = orders_pb2.Command(replace=request.replace) if request.HasField("replace") else None
        return await self._execute(request.key, command, "replace", context)

    async def mass_cancel(self, request: orders_pb2.MassCancelRequest, context: Any) -> orders_pb2.CommandReply:
        """Cancel all orders of an account, an instrument, a session, a side, or what these have in common."""
        present = request.HasField("mass_cancel")
        command = orders_pb2.Command(mass_cancel=request.mass_cancel) if present else None
        return await self._execute(request.key, command, "mass_cancel", context)

    async def note(self, request: orders_pb2.NoteRequest, context: Any) -> orders_pb2.CommandReply:
        """A name under a number."""
        command = orders_pb2.Command(note=request.note) if request.HasField("note") else None
        if request.key.session_no == 0:
            client = await authenticate(context, self._shell.entitlements)
            text = f"client {client.name!r} puts a name down under no number: key.session_no is 0"
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, text, Code.MISSING_FIELD)
        return await self._execute(request.key, command, "note", context)

    async def _execute(
        self, key: orders_pb2.IdempotencyKey, command: orders_pb2.Command | None, field: str, context: Any
    ) -> orders_pb2.CommandReply:
        client = await authenticate(context, self._shell.entitlements)
        if command is None:
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, f"the request has no {field}", Code.MISSING_FIELD)
        if key.session_id or key.session_no:
            why_not = may_use_session(client, key.session_id)
            if why_not:
                await abort(context, grpc.StatusCode.PERMISSION_DENIED, why_not)
            if key.session_no == 0:
                text = "key.session_no is 0; numbers count from 1"
                await abort(context, grpc.StatusCode.INVALID_ARGUMENT, text, Code.MISSING_FIELD)
        said: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        calls = self._shell.driver.calls
        call = calls.begin(client, command, (key.session_id, key.session_no), partial(_tell, said))
        try:
            outcome = await said
        finally:
            calls.drop(call)
        if isinstance(outcome, TurnedAway):
            await abort_refused(context, outcome.refused, outcome.text)
        return outcome

    async def get_order(self, request: orders_pb2.GetOrderRequest, context: Any) -> orders_pb2.GetOrderReply:
        """A live order."""
        client = await authenticate(context, self._shell.entitlements)
        order = request.order
        if order.order_id == 0 and order.client_order_id == 0:
            text = "name the order: order_id or client_order_id"
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, text, Code.MISSING_FIELD)
        await require_account(context, client, order.account)
        try:
            reply = await self._shell.query(replication_pb2.QueryRequest(order=order))
        except EnginesUnavailable as error:
            await abort(context, grpc.StatusCode.UNAVAILABLE, f"no engine answers: {error}")
        found = listings.order(reply, order, client.accounts)
        if found is None:
            text = "no such live order: unknown, filled or canceled"
            await abort(context, grpc.StatusCode.NOT_FOUND, text, Code.UNKNOWN_ORDER, stamp=reply.stamp)
        return orders_pb2.GetOrderReply(stamp=reply.stamp, order=found)


def _tell(said: "asyncio.Future[Outcome]", outcome: Outcome) -> None:
    if not said.done():  # its caller may just have gone
        said.set_result(outcome)
