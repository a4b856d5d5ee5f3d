"""Who makes a request, and what it may see: bearer tokens today, as gRPC has them. The one place that knows."""

from collections.abc import Mapping

from lockstep.edge.rest.problems import Problem
from lockstep.gateway.entitlement import may_trade
from lockstep.runtime.tokens import Entitlements, Unauthenticated
from lockstep.runtime.topology import Client
from lockstep.stream.codes import Code


def principal_of(headers: Mapping[str, str], entitlements: Entitlements) -> tuple[Client, str | None]:
    """The client that calls, and the credential to show to a gateway on its behalf.

    Raises:
        Problem: 401.
    """
    said = headers.get("Authorization")
    try:
        return entitlements.authenticate(said), said
    except Unauthenticated as error:
        raise Problem(Code.UNAUTHENTICATED, str(error), headers={"WWW-Authenticate": "Bearer"}) from None


def require_account(client: Client, account: int) -> None:
    """Raises:
    Problem: 403, if the client may not act for the account, or see it.
    """
    if not may_trade(client, account):
        raise Problem(Code.NOT_ENTITLED, f"client {client.name!r} is not entitled to account {account}")
