"""gRPC `Accounts`: balances and open orders, asked of the primary engine, lists in pages."""

from typing import Any, Final

import grpc

from lockstep.gateway import listings
from lockstep.gateway.calls import abort, authenticate, require_account
from lockstep.gateway.reading import list_page, require_cursor
from lockstep.gateway.shell import GatewayShell
from lockstep.runtime.engines import EnginesUnavailable
from lockstep.stream.codes import Code
from lockstep.v1 import accounts_pb2, accounts_pb2_grpc, replication_pb2

SERVICE: Final = "lockstep.v1.Accounts"
_U32: Final = 2**32 - 1
_MAX_ACCOUNTS: Final = 150
"""In one page: each is a message that is built here, in about 3 us of the loop that orders go through."""


class AccountsService(accounts_pb2_grpc.AccountsServicer):
    """Committed state as of the stamp; a client sees the accounts that it may trade."""

    def __init__(self, shell: GatewayShell) -> None:
        self._shell = shell

    def register(self, server: grpc.aio.Server) -> None:
        """Add the service."""
        accounts_pb2_grpc.add_AccountsServicer_to_server(self, server)

    async def GetAccount(  # noqa: N802 - gRPC's name
        self, request: accounts_pb2.GetAccountRequest, context: Any
    ) -> accounts_pb2.GetAccountReply:
        """One account."""
        client = await authenticate(context, self._shell.entitlements)
        await require_account(context, client, request.account)
        try:
            reply = await self._shell.query(replication_pb2.QueryRequest(account=request.account))
        except EnginesUnavailable as error:
            await abort(context, grpc.StatusCode.UNAVAILABLE, f"no engine answers: {error}")
        found = listings.accounts(reply).accounts
        if not found:
            text = f"there is no account {request.account}"
            await abort(context, grpc.StatusCode.NOT_FOUND, text, Code.UNKNOWN_ACCOUNT, stamp=reply.stamp)
        return accounts_pb2.GetAccountReply(stamp=reply.stamp, account=found[0])

    async def ListAccounts(  # noqa: N802 - gRPC's name
        self, request: accounts_pb2.ListAccountsRequest, context: Any
    ) -> accounts_pb2.ListAccountsReply:
        """A page of the accounts that the client may trade."""
        client = await authenticate(context, self._shell.entitlements)
        await require_cursor(context, request.cursor, _U32)
        after, limit, own = request.cursor, min(request.limit or _MAX_ACCOUNTS, _MAX_ACCOUNTS), None
        if client.accounts:
            # Of its own accounts those that may stand in one page of the engine's.
            left = sorted(number for number in client.accounts if number > after)
            if not left:
                return accounts_pb2.ListAccountsReply(stamp=self._shell.stamp())
            after = max(after, left[0] - 1)
            own = frozenset(number for number in left if number <= after + limit)
            limit = max(own) - after
        asked = replication_pb2.QueryRequest(accounts_after=after, limit=limit)
        reply = await list_page(self._shell, client, asked, request.min_seq, context)
        page = listings.accounts(reply, own)
        if own is not None and page.next_cursor >= max(client.accounts):
            page.next_cursor = 0
        return page

    async def ListOpenOrders(  # noqa: N802 - gRPC's name
        self, request: accounts_pb2.ListOpenOrdersRequest, context: Any
    ) -> accounts_pb2.ListOpenOrdersReply:
        """A page of the live orders of one account."""
        client = await authenticate(context, self._shell.entitlements)
        await require_account(context, client, request.account)
        asked = listings.ask_open_orders(request)
        return listings.open_orders(await list_page(self._shell, client, asked, request.min_seq, context))
