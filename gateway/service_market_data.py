"""gRPC `MarketData`: reference data, and books and trades as snapshot and increments."""

from typing import Any, Final

import grpc

from lockstep.gateway.calls import abort, authenticate
from lockstep.gateway.engines import EnginesUnavailable
from lockstep.gateway.market import FEEDS, Subscription
from lockstep.gateway.shell import GatewayShell
from lockstep.v1 import market_data_pb2, market_data_pb2_grpc, replication_pb2

SERVICE: Final = "lockstep.v1.MarketData"


class MarketDataService(market_data_pb2_grpc.MarketDataServicer):
    """Any client may see all instruments."""

    def __init__(self, shell: GatewayShell) -> None:
        self._shell = shell

    def register(self, server: grpc.aio.Server) -> None:
        """Add the service."""
        market_data_pb2_grpc.add_MarketDataServicer_to_server(self, server)

    async def ListInstruments(  # noqa: N802 - gRPC's name
        self, request: market_data_pb2.ListInstrumentsRequest, context: Any
    ) -> market_data_pb2.ListInstrumentsReply:
        """All instruments."""
        del request
        await authenticate(context, self._shell.entitlements)
        try:
            reply = await self._shell.query(replication_pb2.QueryRequest(instruments=True))
        except EnginesUnavailable as error:
            await abort(context, grpc.StatusCode.UNAVAILABLE, f"no engine answers: {error}")
        return market_data_pb2.ListInstrumentsReply(stamp=reply.stamp, instruments=reply.instruments)

    async def Subscribe(  # noqa: N802 - gRPC's name
        self, request: market_data_pb2.SubscribeRequest, context: Any
    ) -> None:
        """Snapshots, then increments until the client ends it."""
        await authenticate(context, self._shell.entitlements)
        unknown_feeds = [feed for feed in request.feeds if feed not in FEEDS]
        if unknown_feeds or not request.feeds:
            text = f"unknown feeds {unknown_feeds}" if unknown_feeds else "name at least one feed"
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, f"{text}; there are FEED_L1, FEED_L2, FEED_TRADES")
        shell = self._shell
        if shell.stopping or shell.machine.downlink is None:
            await abort(context, grpc.StatusCode.UNAVAILABLE, shell.why_not_serving())
        subscription = Subscription(request.instruments, request.feeds, request.depth)
        try:
            wake = await shell.market.subscribe(subscription, request.instruments)
        except EnginesUnavailable as error:
            await abort(context, grpc.StatusCode.UNAVAILABLE, f"the books can't be loaded now: {error}")
        if isinstance(wake, list):
            await abort(context, grpc.StatusCode.NOT_FOUND, f"unknown instruments {wake}; see ListInstruments")
        try:
            await self._feed(subscription, wake, context)
        finally:
            shell.market.unsubscribe(subscription)

    async def _feed(self, subscription: Subscription, wake: Any, context: Any) -> None:
        shell = self._shell
        while not shell.stopping:
            await wake.wait()
            wake.clear()
            if subscription.overflowed:
                await abort(
                    context, grpc.StatusCode.RESOURCE_EXHAUSTED, "too many trades wait for this client; subscribe again"
                )
            books = shell.market.books
            assert books is not None, "books were dropped under a subscriber"
            for update in subscription.take(books, shell.machine.epoch):
                await context.write(update)
        await abort(context, grpc.StatusCode.UNAVAILABLE, shell.why_not_serving())
