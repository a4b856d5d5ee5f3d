"""Who makes a request, and what it may do and see: bearer tokens, as gRPC has them. The one place that knows."""

from collections.abc import Mapping

from lockstep.edge.rest.operations import Operation
from lockstep.edge.rest.problems import Problem
from lockstep.gateway.entitlement import may_trade
from lockstep.runtime.access.instruments import why_not
from lockstep.runtime.tokens import Entitlements, PrincipalsUnknown, TooManyLogins, Unauthenticated
from lockstep.runtime.topology import Principal
from lockstep.stream.codes import Code


async def principal_of(headers: Mapping[str, str], entitlements: Entitlements) -> tuple[Principal, str | None]:
    """The client that calls, and the credential to show to a gateway on its behalf.

    Raises:
        Problem: 401; 429: too many log in, or have shown a wrong secret of the same principal; 503: stored principals
            can't be verified now.
    """
    said = headers.get("Authorization")
    try:
        return await entitlements.identify(said), said
    except PrincipalsUnknown as error:
        raise Problem(Code.UNAVAILABLE, str(error), retry_after_s=error.RETRY_S) from None
    except TooManyLogins as error:
        raise Problem(Code.BUSY, f"{error}; nothing was executed", retry_after_s=error.RETRY_S) from None
    except Unauthenticated as error:
        raise Problem(
            Code.UNAUTHENTICATED, str(error), headers={"WWW-Authenticate": "Bearer"}, remedy=_another_token(said)
        ) from None


def _another_token(said: str | None) -> str:
    """What to do about a credential that lets nobody in; empty: none was shown."""
    if said is None:
        return ""
    if said.lower().startswith("bearer eyj"):
        return "sign a new JWT, with the time as it is now: it is good until its exp, and lives for minutes"
    return (
        "show a token as it was printed: `lockstep access issue` and `rotate` make one, "
        "and [[client]] of the configuration has others"
    )


def require_role(client: Principal, operation: Operation) -> None:
    """Raises:
    Problem: 403, if the client's roles do not allow the operation.
    """
    if not client.may(operation.roles):
        has, needs = ", ".join(sorted(client.rights)), ", ".join(sorted(operation.roles))
        text = f"{client.name!r} has the role {has}; {operation.name} is for: {needs}"
        raise Problem(Code.NOT_ENTITLED, text, remedy=f"call as a principal that has one of the roles {needs}")


def require_account(client: Principal, account: int) -> None:
    """Raises:
    Problem: 403, if the client may not act for the account, or see it.
    """
    if not may_trade(client, account):
        text = f"client {client.name!r} is not entitled to account {account}"
        raise Problem(Code.NOT_ENTITLED, text, remedy="name an account of your own; /v1/accounts lists them")


def require_instrument(client: Principal, instrument: int) -> None:
    """Raises:
    Problem: 403, if the client may not trade the instrument, or read its market data.
    """
    why = why_not(client, (instrument,))
    if why:
        raise Problem(Code.NOT_ENTITLED, why, remedy="name an instrument that you are entitled to")
