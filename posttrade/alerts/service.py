"""gRPC `Alerts`: what belongs to the client that calls."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, cast

import grpc

from lockstep.posttrade.alerts import messages, webhook
from lockstep.posttrade.alerts.addresses import NotAllowed, Rules, check_url
from lockstep.posttrade.alerts.desk import Desk, Page
from lockstep.posttrade.alerts.hub import PAGE, Hub, pause, sight_of, visible
from lockstep.posttrade.alerts.limits import Refused
from lockstep.posttrade.alerts.sender import Asker, Sender
from lockstep.posttrade.alerts.sink import AlertsSink
from lockstep.posttrade.follower import Sink, SinkAway
from lockstep.posttrade.shell import FollowerShell, NotThere, TooManyWait
from lockstep.runtime.access.instruments import why_not
from lockstep.runtime.client_calls import abort, authenticate, require_instruments
from lockstep.runtime.rate import Rate
from lockstep.runtime.tokens import Entitlements
from lockstep.runtime.topology import Principal
from lockstep.stream.codes import Code
from lockstep.v1 import alerts_pb2 as pb
from lockstep.v1 import alerts_pb2_grpc

SERVICE: Final = "lockstep.v1.Alerts"
PATIENCE_S: Final = 1.0
"""How long an answer waits for `min_seq`."""
MOST_CALLS: Final = 64
MOST_FIRINGS: Final = 1_000
CHANGES_PER_S: Final = 20
CHANGES_AT_ONCE: Final = 200
"""Of one user: new alerts, lists and webhooks, and the end of them."""
_MOST_NUMBER: Final = 2**63 - 1
"""That the database holds."""
_MOST_RATES: Final = 10_000


class AlertsService(alerts_pb2_grpc.AlertsServicer):
    """See proto/lockstep/v1/alerts.proto."""

    def __init__(
        self, shell: FollowerShell, ask: Asker, hub: Hub, sender: Sender, rules: Rules, entitlements: Entitlements
    ) -> None:
        self._shell = shell
        self._ask = ask
        self._hub = hub
        self._sender = sender
        self._rules = rules
        self._entitlements = entitlements
        self._calls = 0
        self._rates: dict[int, Rate] = {}

    def register(self, server: grpc.aio.Server) -> None:
        """Add the service."""
        alerts_pb2_grpc.add_AlertsServicer_to_server(self, server)

    async def _answer[T](
        self, context: Any, work: Callable[[Principal], Awaitable[T]], *, min_seq: int = 0, change: bool = False
    ) -> T:
        """What `work` finds for who calls, or the refusal of it."""
        principal = await authenticate(context, self._entitlements)
        if self._calls >= MOST_CALLS:
            await abort(context, grpc.StatusCode.RESOURCE_EXHAUSTED, "others are being answered; ask again")
        wait_ns = self._rate(principal.number).wait_ns(asyncio_now_ns()) if change else 0
        if wait_ns:
            text = f"more than {CHANGES_PER_S} changes a second; ask again"
            await abort(context, grpc.StatusCode.RESOURCE_EXHAUSTED, text, retry_after_ms=1 + wait_ns // 1_000_000)
        self._calls += 1
        try:
            await self._shell.reached(min_seq, PATIENCE_S)
            return await work(principal)
        except Refused as refused:
            status = grpc.StatusCode.INVALID_ARGUMENT
            if refused.full:
                status = grpc.StatusCode.RESOURCE_EXHAUSTED
            elif not refused.known:
                status = grpc.StatusCode.NOT_FOUND
            await abort(context, status, str(refused), refused.code)
        except NotAllowed as refused:
            await abort(context, grpc.StatusCode.FAILED_PRECONDITION, str(refused), Code.FIELD_OUT_OF_RANGE)
        except (NotThere, SinkAway) as error:
            await abort(context, grpc.StatusCode.UNAVAILABLE, str(error))
        except TooManyWait as error:
            await abort(context, grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))
        finally:
            self._calls -= 1

    def _rate(self, owner: int) -> Rate:
        if len(self._rates) >= _MOST_RATES:
            self._rates.clear()
        return self._rates.setdefault(owner, Rate(CHANGES_PER_S, CHANGES_AT_ONCE))

    async def _sink[T](self, work: Callable[[AlertsSink], T]) -> T:
        def done(sink: Sink) -> T:
            return work(cast("AlertsSink", sink))

        return await self._shell.between(done)

    # ---- alerts ----------------------------------------------------------------------------------------------------

    async def CreateAlert(self, request: pb.CreateAlertRequest, context: Any) -> pb.CreateAlertReply:  # noqa: N802
        """A new alert."""

        async def work(principal: Principal) -> pb.CreateAlertReply:
            wanted = messages.definition_from(request.definition)
            if wanted.account and principal.accounts and wanted.account not in principal.accounts:
                # As if there were none.
                raise Refused(
                    f"there is no account {wanted.account} that you may see", known=False, code=Code.UNKNOWN_ACCOUNT
                )
            if wanted.instrument:
                await require_instruments(context, principal, (wanted.instrument,))

            def create(sink: AlertsSink) -> pb.CreateAlertReply:
                number = sink.create(principal.number, wanted)
                position = sink.position()
                made = messages.alert(sink.machine.alerts[number], position.timestamp_ns)
                return pb.CreateAlertReply(stamp=messages.stamp(position), alert=made)

            return await self._sink(create)

        return await self._answer(context, work, change=True)

    async def RemoveAlert(self, request: pb.RemoveAlertRequest, context: Any) -> pb.RemoveAlertReply:  # noqa: N802
        """End one."""

        async def work(principal: Principal) -> pb.RemoveAlertReply:
            def remove(sink: AlertsSink) -> pb.RemoveAlertReply:
                sink.remove(principal.number, request.number)
                return pb.RemoveAlertReply(stamp=messages.stamp(sink.position()))

            return await self._sink(remove)

        return await self._answer(context, work, change=True)

    async def ListAlerts(self, request: pb.ListAlertsRequest, context: Any) -> pb.ListAlertsReply:  # noqa: N802
        """All of the client's."""
        del request

        async def work(principal: Principal) -> pb.ListAlertsReply:
            position, alerts = await self._ask(lambda desk: desk.alerts(principal.number))
            sight = sight_of(principal)
            shown = [messages.alert(one, position.timestamp_ns, sight) for one in alerts]
            return pb.ListAlertsReply(stamp=messages.stamp(position), alerts=shown)

        return await self._answer(context, work)

    async def ListFirings(self, request: pb.ListFiringsRequest, context: Any) -> pb.ListFiringsReply:  # noqa: N802
        """A page of what has fired."""

        async def work(principal: Principal) -> pb.ListFiringsReply:
            limit = min(request.limit or 100, MOST_FIRINGS)
            after = min(request.after, 2**63 - 1)
            sight = sight_of(principal)
            page = await self._ask(lambda desk: desk.firings(principal.number, after, limit, sight))
            return pb.ListFiringsReply(
                stamp=messages.stamp(page.position), first=page.first, last=page.last,
                firings=[messages.firing(*one) for one in page.firings],
            )  # fmt: skip

        return await self._answer(context, work, min_seq=request.min_seq)

    async def FollowFirings(  # noqa: N802
        self, request: pb.FollowFiringsRequest, context: Any
    ) -> AsyncIterator[pb.Firing]:
        """What fires, without end."""
        principal = await authenticate(context, self._entitlements)
        owner, over = principal.number, False

        def end() -> None:
            nonlocal over
            over = True
            event.set()

        try:
            with self._hub.following(owner) as event:
                unwatch = self._entitlements.watch(principal, end)
                try:
                    at = request.after if request.HasField("after") else await self._ask(lambda desk: desk.last(owner))
                    at = min(at, 2**63 - 1)
                    while not over:
                        event.clear()
                        page = await self._page(owner, at)
                        for one in visible(page, principal):
                            yield messages.firing(*one)
                        if page.firings:
                            at = page.firings[-1][0].number
                        elif not over:
                            await pause(event)
                finally:
                    unwatch()
        except Refused as refused:
            await abort(context, grpc.StatusCode.RESOURCE_EXHAUSTED, str(refused))
        text = "the credential was revoked, changed, or is over: log in again"
        await abort(context, grpc.StatusCode.UNAUTHENTICATED, text)

    async def _page(self, owner: int, after: int) -> Page:
        return await self._ask(lambda desk: desk.firings(owner, after, PAGE))

    # ---- watchlists ------------------------------------------------------------------------------------------------

    async def PutWatchlist(self, request: pb.PutWatchlistRequest, context: Any) -> pb.PutWatchlistReply:  # noqa: N802
        """Make one, or change it."""
        wanted = request.watchlist

        async def work(principal: Principal) -> pb.PutWatchlistReply:
            if wanted.instruments:
                await require_instruments(context, principal, wanted.instruments)
            await self._ask(lambda desk: desk.put_watchlist(principal.number, wanted.name, wanted.instruments))
            return pb.PutWatchlistReply()

        return await self._answer(context, work, change=True)

    async def RemoveWatchlist(  # noqa: N802
        self, request: pb.RemoveWatchlistRequest, context: Any
    ) -> pb.RemoveWatchlistReply:
        """Remove one."""

        async def work(principal: Principal) -> pb.RemoveWatchlistReply:
            await self._ask(lambda desk: desk.remove_watchlist(principal.number, request.name))
            return pb.RemoveWatchlistReply()

        return await self._answer(context, work, change=True)

    async def ListWatchlists(  # noqa: N802
        self, request: pb.ListWatchlistsRequest, context: Any
    ) -> pb.ListWatchlistsReply:
        """All of the client's."""
        del request

        async def work(principal: Principal) -> pb.ListWatchlistsReply:
            found = await self._ask(lambda desk: desk.watchlists(principal.number))
            lists = [pb.Watchlist(name=name, instruments=numbers) for name, numbers in found.items()]
            return pb.ListWatchlistsReply(watchlists=lists)

        return await self._answer(context, work)

    async def GetQuotes(self, request: pb.GetQuotesRequest, context: Any) -> pb.GetQuotesReply:  # noqa: N802
        """Prices of all instruments of a list."""

        async def work(principal: Principal) -> pb.GetQuotesReply:
            lists = await self._ask(lambda desk: desk.watchlists(principal.number))
            if request.watchlist not in lists:
                raise Refused(f"you have no watchlist {request.watchlist[:60]!r}", known=False)
            numbers = [one for one in lists[request.watchlist] if not why_not(principal, (one,))]

            def quotes(sink: AlertsSink) -> pb.GetQuotesReply:
                found = messages.quotes(sink.machine.world, numbers)
                return pb.GetQuotesReply(stamp=messages.stamp(sink.position()), quotes=found)

            return await self._sink(quotes)

        return await self._answer(context, work, min_seq=request.min_seq)

    # ---- webhooks --------------------------------------------------------------------------------------------------

    async def CreateWebhook(  # noqa: N802
        self, request: pb.CreateWebhookRequest, context: Any
    ) -> pb.CreateWebhookReply:
        """A new one, with its secret."""

        async def work(principal: Principal) -> pb.CreateWebhookReply:
            check_url(request.url, self._rules)
            secret = secrets.token_bytes(webhook.SECRET_BYTES)
            one = await self._ask(lambda desk: desk.create_endpoint(principal.number, request.url, secret))
            self._sender.add(one)
            shown = messages.webhook(one, one.delivered)
            return pb.CreateWebhookReply(webhook=shown, secret=webhook.secret_text(secret))

        return await self._answer(context, work, change=True)

    async def RemoveWebhook(  # noqa: N802
        self, request: pb.RemoveWebhookRequest, context: Any
    ) -> pb.RemoveWebhookReply:
        """Remove one."""

        async def work(principal: Principal) -> pb.RemoveWebhookReply:
            number = request.number
            if number > _MOST_NUMBER:
                raise Refused(f"you have no webhook {number}", known=False)
            await self._ask(lambda desk: desk.remove_endpoint(principal.number, number))
            self._sender.remove((principal.number, number))
            return pb.RemoveWebhookReply()

        return await self._answer(context, work, change=True)

    async def ListWebhooks(self, request: pb.ListWebhooksRequest, context: Any) -> pb.ListWebhooksReply:  # noqa: N802
        """How each of the client's does."""
        del request

        async def work(principal: Principal) -> pb.ListWebhooksReply:
            def look(desk: Desk) -> list[pb.Webhook]:
                last = desk.last(principal.number, sight_of(principal))
                return [messages.webhook(one, last) for one in desk.endpoints(principal.number)]

            return pb.ListWebhooksReply(webhooks=await self._ask(look))

        return await self._answer(context, work)


def asyncio_now_ns() -> int:
    """The loop's clock."""
    return int(asyncio.get_running_loop().time() * 1e9)
