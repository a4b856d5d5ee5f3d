"""Watchlists and alerts: asks an alerts process (`lockstep alerts run`) over gRPC, blocking or with asyncio.

What is here belongs to the client that the token names. An alert fires once for each crossing, or each event; each
firing has a number of its own and an id that stays the same: `follow(after=N)` goes on behind the last one you have
dealt with, and misses none, whatever failed in between.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Final

import grpc
from typing_extensions import Self

from lockstep.arguments import U32, U64, integer
from lockstep.errors import Refused, Unavailable
from lockstep.follower_calls import TIMEOUT_S, aio_channel_to, channel_to, metadata_of, raised
from lockstep.v1 import alerts_pb2, alerts_pb2_grpc

_AGAIN: Final = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
)
_PAUSE_S: Final = 0.2


def definition(
    kind: str,
    *,
    instrument: int = 0,
    account: int = 0,
    direction: str = "",
    threshold: int = 0,
    hysteresis: int = 0,
    price: str = "",
    base: str = "",
    base_ticks: int = 0,
    states: "Sequence[str]" = (),
    client_order_id: int = 0,
    once: bool = False,
    expire_ns: int = 0,
    note: str = "",
) -> "alerts_pb2.AlertDefinition":
    """What an alert watches.

    Args:
        kind: "price" (ticks), "change" (millionths of a base), "volume" (lots of the session), "fill", "order_state",
            "buying_power" (micros), "position_limit" (millionths of the limit), "account_status", "margin_call".
        instrument: of a price, a change, a volume, a position limit; of fills and orders: only this one.
        account: of all others.
        direction: "above", "below" (these fire at once where the level is there already) or "crossing".
        threshold: in the unit of the kind.
        hysteresis: how far behind the threshold the level has to come back before the alert is armed again.
        price: "last", "bid" or "ask".
        base: of a change: "open", "close", "reference", or "given" with `base_ticks`.
        base_ticks: see `base`.
        states: of an order: "accepted", "rejected", "partly_filled", "filled", "canceled", "replaced", "triggered".
        client_order_id: of fills and orders: only those of this name.
        once: it fires once, and is over then.
        expire_ns: stamped time from which on it does not fire; 0: never.
        note: a line of your own that is sent along.

    Raises:
        ValueError: a word is none of those that there are.
    """
    bits = 0
    for state in states:
        bits |= _word("ALERT_ORDER_STATE", alerts_pb2.AlertOrderState, "state", state)
    made = alerts_pb2.AlertDefinition(
        instrument=integer("instrument", instrument, 0, U32), account=integer("account", account, 0, U32),
        threshold=threshold, hysteresis=hysteresis, base_ticks=base_ticks, states=bits,
        client_order_id=integer("client_order_id", client_order_id, 0, U64), once=once, expire_ns=expire_ns, note=note,
    )  # fmt: skip
    made.kind = _word("ALERT_KIND", alerts_pb2.AlertKind, "kind", kind)
    made.direction = _word("ALERT_DIRECTION", alerts_pb2.AlertDirection, "direction", direction)
    made.price = _word("ALERT_PRICE", alerts_pb2.AlertPrice, "price", price)
    made.base = _word("ALERT_BASE", alerts_pb2.AlertBase, "base", base)
    return made


def _word(prefix: str, enum: Any, name: str, said: str) -> Any:
    words = {key.removeprefix(f"{prefix}_").lower(): value for key, value in enum.items() if value}
    if said and said.lower() not in words:
        raise ValueError(f"{name} {said!r} is none of {', '.join(words)}")
    return words[said.lower()] if said else 0


class _Requests:
    """What both clients ask."""

    def __init__(self, token: "str | None", timeout_s: float) -> None:
        self._metadata = metadata_of(token)
        self._timeout_s = timeout_s

    def _follow_request(self, after: "int | None") -> "alerts_pb2.FollowFiringsRequest":
        return alerts_pb2.FollowFiringsRequest(after=after)


def _raised(error: Any) -> "Refused | Unavailable":
    return raised(error, "the alerts", _AGAIN)


class AlertsClient(_Requests):
    """Blocking. Use it as a context manager, from any thread.

    Answers are messages of `lockstep.v1`: prices in ticks, quantities in lots, money in micros.

    Raises:
        Refused: by every method: it can't be had (the text says why), or there are too many.
        Unavailable: by every method: the process does not answer now, or is not as far as `min_seq`.
        ValueError: an argument can't be right.
    """

    def __init__(
        self,
        address: str,
        *,
        token: "str | None" = None,
        credentials: "grpc.ChannelCredentials | None" = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """
        Args:
            address: `host:port` of the alerts process.
            token: the client's token; None where the cluster lists no clients.
            credentials: TLS credentials (`tls_credentials`); None: the connection is plaintext.
            timeout_s: how long an answer may take.
        """
        super().__init__(token, timeout_s)
        self._channel = channel_to(address, credentials)
        self._stub: Any = alerts_pb2_grpc.AlertsStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def _ask(self, method: str, request: Any) -> Any:
        try:
            return getattr(self._stub, method)(request, timeout=self._timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise _raised(error) from None

    def create(self, wanted: "alerts_pb2.AlertDefinition") -> "alerts_pb2.Alert":
        """A new alert, of `definition(...)`. It counts from the seq of the answer's `after_seq` on."""
        reply: alerts_pb2.CreateAlertReply = self._ask("CreateAlert", alerts_pb2.CreateAlertRequest(definition=wanted))
        return reply.alert

    def remove(self, number: int) -> None:
        """End one. What it has fired stays."""
        self._ask("RemoveAlert", alerts_pb2.RemoveAlertRequest(number=integer("number", number, 1, U64)))

    def alerts(self) -> "list[alerts_pb2.Alert]":
        """All of yours, oldest first, those that are over too."""
        return list(self._ask("ListAlerts", alerts_pb2.ListAlertsRequest()).alerts)

    def firings(self, *, after: int = 0, limit: int = 100, min_seq: int = 0) -> "alerts_pb2.ListFiringsReply":
        """A page of what has fired behind a number, in order.

        Args:
            after: the number of the last one that you have.
            limit: 1 000 at the most.
            min_seq: not before this seq.
        """
        request = alerts_pb2.ListFiringsRequest(
            after=integer("after", after, 0, U64), limit=integer("limit", limit, 1, 1000),
            min_seq=integer("min_seq", min_seq, 0, U64),
        )  # fmt: skip
        reply: alerts_pb2.ListFiringsReply = self._ask("ListFirings", request)
        return reply

    def follow(self, *, after: "int | None" = None) -> "Iterator[alerts_pb2.Firing]":
        """What fires, in order, without end: behind a number, or (None) from now on. A connection that is lost is made
        again, and none is missed or given twice.

        Raises:
            Refused: the client may not, or not any more.
        """
        if after is None:
            after = self.firings(limit=1).last
        while True:
            try:
                for one in self._stub.FollowFirings(self._follow_request(after), metadata=self._metadata):
                    after = one.number
                    yield one
            except grpc.RpcError as error:
                failure = _raised(error)
                if not isinstance(failure, Unavailable):
                    raise failure from None
            time.sleep(_PAUSE_S)

    def put_watchlist(self, name: str, instruments: "Sequence[int]") -> None:
        """Make a list of instruments (by number), or put another in place of the one with its name."""
        wanted = alerts_pb2.Watchlist(name=name, instruments=instruments)
        self._ask("PutWatchlist", alerts_pb2.PutWatchlistRequest(watchlist=wanted))

    def remove_watchlist(self, name: str) -> None:
        """Remove one."""
        self._ask("RemoveWatchlist", alerts_pb2.RemoveWatchlistRequest(name=name))

    def watchlists(self) -> "dict[str, list[int]]":
        """All of yours, by name."""
        reply = self._ask("ListWatchlists", alerts_pb2.ListWatchlistsRequest())
        return {one.name: list(one.instruments) for one in reply.watchlists}

    def quotes(self, watchlist: str, *, min_seq: int = 0) -> "alerts_pb2.GetQuotesReply":
        """Prices of all instruments of a list, as of one position."""
        request = alerts_pb2.GetQuotesRequest(watchlist=watchlist, min_seq=integer("min_seq", min_seq, 0, U64))
        reply: alerts_pb2.GetQuotesReply = self._ask("GetQuotes", request)
        return reply

    def create_webhook(self, url: str) -> "alerts_pb2.CreateWebhookReply":
        """A webhook that gets all that fires from now on. Keep the secret: it is shown this once."""
        reply: alerts_pb2.CreateWebhookReply = self._ask("CreateWebhook", alerts_pb2.CreateWebhookRequest(url=url))
        return reply

    def remove_webhook(self, number: int) -> None:
        """Remove one."""
        self._ask("RemoveWebhook", alerts_pb2.RemoveWebhookRequest(number=integer("number", number, 1, U64)))

    def webhooks(self) -> "list[alerts_pb2.Webhook]":
        """All of yours, and how they do."""
        return list(self._ask("ListWebhooks", alerts_pb2.ListWebhooksRequest()).webhooks)


class AsyncAlertsClient(_Requests):
    """The same for asyncio: see `AlertsClient` for arguments, answers and errors.

    Example:
        >>> async with AsyncAlertsClient("127.0.0.1:7502") as alerts:
        ...     await alerts.create(definition("price", instrument=1, price="last", direction="above", threshold=101))
        ...     async for firing in alerts.follow(after=0):
        ...         print(firing.number, firing.level)
    """

    def __init__(
        self,
        address: str,
        *,
        token: "str | None" = None,
        credentials: "grpc.ChannelCredentials | None" = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        super().__init__(token, timeout_s)
        self._channel = aio_channel_to(address, credentials)
        self._stub: Any = alerts_pb2_grpc.AlertsStub(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()

    async def _ask(self, method: str, request: Any) -> Any:
        try:
            return await getattr(self._stub, method)(request, timeout=self._timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise _raised(error) from None

    async def create(self, wanted: "alerts_pb2.AlertDefinition") -> "alerts_pb2.Alert":
        """See `AlertsClient.create`."""
        reply = await self._ask("CreateAlert", alerts_pb2.CreateAlertRequest(definition=wanted))
        made: alerts_pb2.Alert = reply.alert
        return made

    async def remove(self, number: int) -> None:
        """See `AlertsClient.remove`."""
        await self._ask("RemoveAlert", alerts_pb2.RemoveAlertRequest(number=integer("number", number, 1, U64)))

    async def alerts(self) -> "list[alerts_pb2.Alert]":
        """See `AlertsClient.alerts`."""
        return list((await self._ask("ListAlerts", alerts_pb2.ListAlertsRequest())).alerts)

    async def firings(self, *, after: int = 0, limit: int = 100, min_seq: int = 0) -> "alerts_pb2.ListFiringsReply":
        """See `AlertsClient.firings`."""
        request = alerts_pb2.ListFiringsRequest(
            after=integer("after", after, 0, U64), limit=integer("limit", limit, 1, 1000),
            min_seq=integer("min_seq", min_seq, 0, U64),
        )  # fmt: skip
        reply: alerts_pb2.ListFiringsReply = await self._ask("ListFirings", request)
        return reply

    async def follow(self, *, after: "int | None" = None) -> "AsyncIterator[alerts_pb2.Firing]":
        """See `AlertsClient.follow`."""
        if after is None:
            after = (await self.firings(limit=1)).last
        while True:
            try:
                async for one in self._stub.FollowFirings(self._follow_request(after), metadata=self._metadata):
                    after = one.number
                    yield one
            except grpc.RpcError as error:
                failure = _raised(error)
                if not isinstance(failure, Unavailable):
                    raise failure from None
            await asyncio.sleep(_PAUSE_S)

    async def put_watchlist(self, name: str, instruments: "Sequence[int]") -> None:
        """See `AlertsClient.put_watchlist`."""
        wanted = alerts_pb2.Watchlist(name=name, instruments=instruments)
        await self._ask("PutWatchlist", alerts_pb2.PutWatchlistRequest(watchlist=wanted))

    async def remove_watchlist(self, name: str) -> None:
        """See `AlertsClient.remove_watchlist`."""
        await self._ask("RemoveWatchlist", alerts_pb2.RemoveWatchlistRequest(name=name))

    async def watchlists(self) -> "dict[str, list[int]]":
        """See `AlertsClient.watchlists`."""
        reply = await self._ask("ListWatchlists", alerts_pb2.ListWatchlistsRequest())
        return {one.name: list(one.instruments) for one in reply.watchlists}

    async def quotes(self, watchlist: str, *, min_seq: int = 0) -> "alerts_pb2.GetQuotesReply":
        """See `AlertsClient.quotes`."""
        request = alerts_pb2.GetQuotesRequest(watchlist=watchlist, min_seq=integer("min_seq", min_seq, 0, U64))
        reply: alerts_pb2.GetQuotesReply = await self._ask("GetQuotes", request)
        return reply

    async def create_webhook(self, url: str) -> "alerts_pb2.CreateWebhookReply":
        """See `AlertsClient.create_webhook`."""
        reply: alerts_pb2.CreateWebhookReply = await self._ask(
            "CreateWebhook", alerts_pb2.CreateWebhookRequest(url=url)
        )
        return reply

    async def remove_webhook(self, number: int) -> None:
        """See `AlertsClient.remove_webhook`."""
        await self._ask("RemoveWebhook", alerts_pb2.RemoveWebhookRequest(number=integer("number", number, 1, U64)))

    async def webhooks(self) -> "list[alerts_pb2.Webhook]":
        """See `AlertsClient.webhooks`."""
        return list((await self._ask("ListWebhooks", alerts_pb2.ListWebhooksRequest())).webhooks)
