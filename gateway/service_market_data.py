"""gRPC `MarketData`: reference data, and books and trades as snapshot and increments."""

import asyncio
from typing import Any, Final

import grpc

from lockstep.gateway import listings
from lockstep.gateway.calls import abort, authenticate, require_instruments
from lockstep.gateway.reading import list_page, require_cursor
from lockstep.gateway.shell import GatewayShell
from lockstep.marketdata.encodings import FEEDS, TRADES
from lockstep.marketdata.market import Subscription
from lockstep.marketdata.tape import EventKey, TapeState
from lockstep.runtime.engines import EnginesUnavailable
from lockstep.stream.codes import Code
from lockstep.v1 import market_data_pb2, replication_pb2

SERVICE: Final = "lockstep.v1.MarketData"
_PROGRESS_S: Final = 1.0
_BEHIND_PATIENCE_S: Final = 3.0
_BEHIND_PAUSE_S: Final = 0.02


class MarketDataService:
    """Any client may see which instruments there are; books and trades of those that it is entitled to."""

    def __init__(self, shell: GatewayShell) -> None:
        self._shell = shell

    def register(self, server: grpc.aio.Server) -> None:
        """Add the service."""
        handlers = {
            "ListInstruments": grpc.unary_unary_rpc_method_handler(
                self.list_instruments,
                request_deserializer=market_data_pb2.ListInstrumentsRequest.FromString,
                response_serializer=market_data_pb2.ListInstrumentsReply.SerializeToString,
            ),
            "ListFeeds": grpc.unary_unary_rpc_method_handler(
                self.list_feeds,
                request_deserializer=market_data_pb2.ListFeedsRequest.FromString,
                response_serializer=market_data_pb2.ListFeedsReply.SerializeToString,
            ),
            "Subscribe": grpc.unary_stream_rpc_method_handler(
                self.subscribe, request_deserializer=market_data_pb2.SubscribeRequest.FromString
            ),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))

    async def list_instruments(
        self, request: market_data_pb2.ListInstrumentsRequest, context: Any
    ) -> market_data_pb2.ListInstrumentsReply:
        """A page of the instruments."""
        client = await authenticate(context, self._shell.entitlements)
        await require_cursor(context, request.cursor, 2**32 - 1)
        asked = replication_pb2.QueryRequest(instruments_after=request.cursor, limit=request.limit)
        return listings.instruments(await list_page(self._shell, client, asked, request.min_seq, context), client)

    async def list_feeds(
        self, request: market_data_pb2.ListFeedsRequest, context: Any
    ) -> market_data_pb2.ListFeedsReply:
        """Where the feeds are, as configured; whether they serve is not known here."""
        del request
        await authenticate(context, self._shell.entitlements)
        feeds = self._shell.topology.feeds
        return market_data_pb2.ListFeedsReply(
            addresses=[feed.grpc_address for feed in feeds],
            websockets=[f"{feed.host}:{feed.http_port}" if feed.http_port else "" for feed in feeds],
        )

    async def subscribe(self, request: market_data_pb2.SubscribeRequest, context: Any) -> None:
        """Snapshots, then increments until the client ends it. Messages are written as the bytes that they are."""
        client = await authenticate(context, self._shell.entitlements)
        await require_instruments(context, client, request.instruments)
        unknown_feeds = [feed for feed in request.feeds if feed not in FEEDS]
        if unknown_feeds or not request.feeds:
            text = f"unknown feeds {unknown_feeds}" if unknown_feeds else "name at least one feed"
            code = Code.UNKNOWN_ENUM_VALUE if unknown_feeds else Code.MISSING_FIELD
            text += "; there are FEED_L1, FEED_L2, FEED_TRADES"
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, text, code)
        shell = self._shell
        if shell.stopping or shell.machine.downlink is None:
            code = Code.SHUTTING_DOWN if shell.stopping else Code.UNAVAILABLE
            await abort(context, grpc.StatusCode.UNAVAILABLE, shell.why_not_serving(), code)
        await self._come_up_to(request.at_least.epoch, request.at_least.seq, context)
        last_seen = await self._last_seen(request, context)
        subscription = Subscription(request.instruments, request.feeds, request.depth, last_seen)
        in_doubt = last_seen is not None and 0 < request.last_epoch < shell.machine.epoch
        try:
            wake = await shell.market.subscribe(subscription, request.instruments, in_doubt=in_doubt)
        except EnginesUnavailable as error:
            await abort(context, grpc.StatusCode.UNAVAILABLE, f"the books can't be loaded now: {error}")
        if isinstance(wake, list):
            text = f"unknown instruments {wake}; see ListInstruments"
            await abort(context, grpc.StatusCode.NOT_FOUND, text, Code.UNKNOWN_INSTRUMENT, stamp=shell.stamp())
        bringing = asyncio.ensure_future(shell.missed_trades.bring(subscription, wake, request.last_epoch))
        # A fetch that ends, or breaks, is one of the reasons to look.
        bringing.add_done_callback(lambda _done: wake.set())
        try:
            await self._feed(subscription, wake, bringing, context)
        finally:
            shell.market.unsubscribe(subscription)
            bringing.cancel()

    async def _last_seen(self, request: market_data_pb2.SubscribeRequest, context: Any) -> EventKey | None:
        """Which trade the client has last, if it goes on with a tape. A gateway that is behind the client waits."""
        if not request.HasField("last_seen"):
            return None
        if TRADES not in request.feeds:
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, "last_seen is of FEED_TRADES; ask for it too")
        await self._come_up_to(request.last_epoch, request.last_seen.seq, context)
        return request.last_seen.seq, request.last_seen.index

    async def _come_up_to(self, epoch: int, seq: int, context: Any) -> None:
        """Wait until this gateway is not behind what its client has received; `epoch` 0: under which, is not known."""
        machine = self._shell.machine
        give_up_s = asyncio.get_running_loop().time() + _BEHIND_PATIENCE_S
        while epoch > machine.epoch or (epoch in (0, machine.epoch) and seq > machine.delivered_seq):
            if asyncio.get_running_loop().time() > give_up_s:
                text = (
                    f"this gateway is at seq {machine.delivered_seq} of epoch {machine.epoch}, its client has seen "
                    f"seq {seq} of epoch {epoch}: ask another gateway, or leave last_seen and at_least out if the "
                    "cluster is a new one"
                )
                await abort(context, grpc.StatusCode.UNAVAILABLE, text)
            await asyncio.sleep(_BEHIND_PAUSE_S)

    async def _feed(
        self, subscription: Subscription, wake: asyncio.Event, bringing: "asyncio.Future[str]", context: Any
    ) -> None:
        shell = self._shell
        while not shell.stopping:
            progress = await _wait(wake, _PROGRESS_S)
            wake.clear()
            while not shell.stopping:
                for message in await shell.market.take(subscription, shell.machine.epoch, progress=progress):
                    await context.write(message)
                overflowed = subscription.tape.state is TapeState.OVERFLOWED and not len(subscription.tape)
                if overflowed or not subscription.waiting:
                    break
            if subscription.tape.state is TapeState.OVERFLOWED:
                text = "too many trades wait for this client; subscribe again, with last_seen, for the others"
                await abort(context, grpc.StatusCode.RESOURCE_EXHAUSTED, text)
            if bringing.done() and bringing.result():
                await abort(context, grpc.StatusCode.UNAVAILABLE, bringing.result())
        await abort(context, grpc.StatusCode.UNAVAILABLE, shell.why_not_serving(), Code.SHUTTING_DOWN)


async def _wait(wake: asyncio.Event, limit_s: float) -> bool:
    """Wait for the event; whether the time was over first."""
    try:
        async with asyncio.timeout(limit_s):
            await wake.wait()
    except TimeoutError:
        return True
    return False
