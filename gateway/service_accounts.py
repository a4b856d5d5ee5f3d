"""gRPC `Accounts`: balances and open orders, asked of the primary engine."""

from typing import Any, Final

import grpc

from lockstep.gateway.calls import abort, authenticate, require_account
from lockstep.gateway.engines import EnginesUnavailable
from lockstep.gateway.entitlement import may_trade
from lockstep.gateway.shell import GatewayShell
from lockstep.stream.codes import Code
from lockstep.v1 import accounts_pb2, accounts_pb2_grpc, replication_pb2

SERVICE: Final = "lockstep.v1.Accounts"


class AccountsService(accounts_pb2_grpc.AccountsServicer):
    """Committed state as of the stamp; a client sees the accounts that it may trade."""

    def __init__(self, shell: GatewayShell) -> None:
        self._shell = shell

    def register(self, server: grpc.aio.Server) -> None:
        """Add the service."""
        accounts_pb2_grpc.add_AccountsServicer_to_server(self, server)

    async def _query(self, request: replication_pb2.QueryRequest, context: Any) -> replication_pb2.QueryReply:
        try:
            return await self._shell.query(request)
        except EnginesUnavailable as error:
            await abort(context, grpc.StatusCode.UNAVAILABLE, f"no engine answers: {error}")

    async def GetAccount(  # noqa: N802 - gRPC's name
        self, request: accounts_pb2.GetAccountRequest, context: Any
    ) -> accounts_pb2.GetAccountReply:
        """One account."""
        client = await authenticate(context, self._shell.entitlements)
        await require_account(context, client, request.account)
        reply = await self._query(replication_pb2.QueryRequest(account=request.account), context)
        if not reply.accounts:
            text = f"there is no account {request.account}"
            await abort(context, grpc.StatusCode.NOT_FOUND, text, Code.UNKNOWN_ACCOUNT, stamp=reply.stamp)
        return accounts_pb2.GetAccountReply(stamp=reply.stamp, account=reply.accounts[0])

    async def ListAccounts(  # noqa: N802 - gRPC's name
        self, request: accounts_pb2.ListAccountsRequest, context: Any
    ) -> accounts_pb2.ListAccountsReply:
        """All accounts that the client may trade."""
        del request
        client = await authenticate(context, self._shell.entitlements)
        reply = await self._query(replication_pb2.QueryRequest(all_accounts=True), context)
        mine = [account for account in reply.accounts if may_trade(client, account.account)]
        return accounts_pb2.ListAccountsReply(stamp=reply.stamp, accounts=mine)

    async def ListOpenOrders(  # noqa: N802 - gRPC's name
        self, request: accounts_pb2.ListOpenOrdersRequest, context: Any
    ) -> accounts_pb2.ListOpenOrdersReply:
        """Live orders of one account."""
        client = await authenticate(context, self._shell.entitlements)
        await require_account(context, client, request.account)
        reply = await self._query(replication_pb2.QueryRequest(open_orders=request.account), context)
        return accounts_pb2.ListOpenOrdersReply(stamp=reply.stamp, orders=reply.orders)
