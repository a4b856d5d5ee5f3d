"""Who may do what: session ids and accounts, as the topology lists them. Who calls is in `runtime/tokens.py`. Pure."""

from lockstep.gateway.sessions import GATEWAY_CLIENT_BASE
from lockstep.runtime.access.callers import OPEN_CLIENT
from lockstep.runtime.topology import Principal


def may_use_session(client: Principal, session_id: int) -> str:
    """Why the client may not use the session id; empty if it may."""
    number = session_id >> 32
    if session_id == 0:
        return "session_id is 0; choose one: upper 32 bits the client number, lower 32 bits any"
    if number >= GATEWAY_CLIENT_BASE:
        return f"session_id {session_id}: client numbers from {GATEWAY_CLIENT_BASE:#x} on belong to the gateways"
    if client is not OPEN_CLIENT and number != client.number:
        return (
            f"session_id {session_id} has client number {number} in its upper 32 bits; yours is {client.number}: give "
            f"it to the client with the token (client_number={client.number})"
        )
    return ""


def may_trade(client: Principal, account: int) -> bool:
    """Whether the client may act for the account."""
    return not client.accounts or account in client.accounts
