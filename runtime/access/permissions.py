"""The table of every method of every process: which roles may call it. What has no row nobody may call.

A test holds it against the descriptors of the protocol, and makes the table in docs/access.md from what really happens.
"""

from collections.abc import Mapping
from typing import Final

from lockstep.runtime.access.roles import EVERY, Role

Roles = frozenset[Role]


def _roles(*roles: Role) -> Roles:
    return frozenset(roles)


PUBLIC: Final[Roles] = frozenset()
"""In the table: no credentials are asked for."""

_READERS: Final = EVERY - {Role.MONITOR}
_ACCOUNTS: Final = _roles(Role.TRADER, Role.RISK, Role.AUDITOR, Role.ADMINISTRATOR, Role.MEMBER)
_SESSIONS: Final = _roles(Role.TRADER, Role.RISK, Role.OPERATOR, Role.ADMINISTRATOR)
_TRADERS: Final = _roles(Role.TRADER)
MASS_CANCELERS: Final = _roles(Role.RISK, Role.OPERATOR, Role.ADMINISTRATOR)
"""Who may cancel for any account, for all at once, and use the kill switch: by a session, a single call or REST."""
_CANCELERS: Final = MASS_CANCELERS | _TRADERS
"""A trader for its own accounts."""
_OPERATORS: Final = _roles(Role.OPERATOR)
_HISTORY: Final = _roles(Role.MEMBER, Role.OPERATOR, Role.AUDITOR)

_USERS: Final = _roles(Role.TRADER, Role.RISK, Role.ADMINISTRATOR)
_READ_ALERTS: Final = ("ListAlerts", "ListFirings", "FollowFirings", "ListWatchlists", "GetQuotes", "ListWebhooks")
_WRITE_ALERTS: Final = (
    "CreateAlert", "RemoveAlert", "PutWatchlist", "RemoveWatchlist", "CreateWebhook", "RemoveWebhook",
)  # fmt: skip
"""Each for what is the caller's own."""

METHODS: Final[Mapping[str, Roles]] = {
    "/lockstep.v1.OrderEntry/Session": _SESSIONS,
    "/lockstep.v1.OrderEntry/Place": _TRADERS,
    "/lockstep.v1.OrderEntry/Cancel": _TRADERS,
    "/lockstep.v1.OrderEntry/Replace": _TRADERS,
    "/lockstep.v1.OrderEntry/MassCancel": _CANCELERS,
    "/lockstep.v1.OrderEntry/Note": _SESSIONS,
    "/lockstep.v1.OrderEntry/GetOrder": _ACCOUNTS,
    "/lockstep.v1.Accounts/GetAccount": _ACCOUNTS,
    "/lockstep.v1.Accounts/ListAccounts": _ACCOUNTS,
    # Whoever pulls the kill switch sees what it took off; an operator may read the journal in any case.
    "/lockstep.v1.Accounts/ListOpenOrders": _ACCOUNTS | _OPERATORS,
    "/lockstep.v1.Ledger/GetPortfolio": _ACCOUNTS,
    "/lockstep.v1.Ledger/ListOrders": _ACCOUNTS,
    "/lockstep.v1.Ledger/ListTrades": _ACCOUNTS,
    "/lockstep.v1.Ledger/GetOrderHistory": _ACCOUNTS,
    "/lockstep.v1.Ledger/ListLots": _ACCOUNTS,
    "/lockstep.v1.Ledger/ListDays": _ACCOUNTS,
    "/lockstep.v1.Ledger/GetStatement": _ACCOUNTS,
    **{f"/lockstep.v1.Alerts/{name}": _USERS | {Role.AUDITOR} for name in _READ_ALERTS},
    **{f"/lockstep.v1.Alerts/{name}": _USERS for name in _WRITE_ALERTS},
    "/lockstep.v1.MarketData/ListInstruments": _READERS,
    "/lockstep.v1.MarketData/ListFeeds": _READERS,
    "/lockstep.v1.MarketData/Subscribe": _READERS,
    "/lockstep.v1.MarketFeed/Follow": _READERS,
    "/lockstep.v1.MarketFeed/ListCandles": _READERS,
    "/lockstep.v1.MarketFeed/DescribeLine": _READERS,
    "/lockstep.v1.MarketFeed/Retransmit": _READERS,
    "/lockstep.v1.MarketFeed/JoinLine": _READERS,
    "/lockstep.v1.Cluster/GetStatus": EVERY,
    "/lockstep.v1.Cluster/GetHistory": _HISTORY,
    "/lockstep.v1.Cluster/ListSnapshots": _HISTORY,
    "/lockstep.v1.Cluster/SwitchPrimary": _OPERATORS,
    "/lockstep.v1.Cluster/SetAutomaticFailover": _OPERATORS,
    "/lockstep.v1.Cluster/SetAckPolicy": _OPERATORS,
    "/lockstep.v1.Cluster/FenceMember": _OPERATORS,
    "/lockstep.v1.Cluster/ForceFailover": _OPERATORS,
    "/lockstep.v1.Cluster/Reinit": _OPERATORS,
    "/lockstep.v1.Cluster/TakeSnapshot": _OPERATORS,
    "/lockstep.v1.Replication/Fence": _roles(Role.SEQUENCER),
    "/lockstep.v1.Replication/FetchJournal": _HISTORY,
    "/lockstep.v1.Replication/FetchEvents": _HISTORY,
    "/lockstep.v1.Replication/FetchSnapshot": _HISTORY,
    "/lockstep.v1.Replication/Query": _HISTORY,
    # Says SERVING or not, and nothing else: load balancers and orchestrators ask it, and have no credentials.
    "/grpc.health.v1.Health/Check": PUBLIC,
    "/grpc.health.v1.Health/List": PUBLIC,
    "/grpc.health.v1.Health/Watch": PUBLIC,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": EVERY,
}

METRICS: Final = _roles(Role.MONITOR, Role.OPERATOR, Role.AUDITOR, Role.MEMBER)
"""Who may read `/metrics`."""
FEED_SOCKET: Final = METHODS["/lockstep.v1.MarketFeed/Follow"]
"""Who may open the feed's WebSocket."""
ALERT_SOCKET: Final = METHODS["/lockstep.v1.Alerts/FollowFirings"]
"""Who may open the alerts' WebSocket."""
ORDER_DOOR: Final = _TRADERS
"""Who may log in to the binary door."""

AUDITED: Final = frozenset(
    method for method, roles in METHODS.items() if roles == _OPERATORS or method == "/lockstep.v1.Replication/Fence"
)
"""Methods of which each call is written to the audit trail."""

_LIMITERS: Final = _roles(Role.RISK, Role.ADMINISTRATOR)
_PHASES: Final = _roles(Role.OPERATOR, Role.RISK, Role.ADMINISTRATOR)
COMMANDS: Final[Mapping[str, Roles]] = {
    "set_phase": _PHASES,
    "set_account_status": _PHASES,
    "set_risk_limits": _LIMITERS,
    "set_price_limits": _LIMITERS,
    "set_market_breaker": _LIMITERS,
    "set_throttle": _LIMITERS,
    "set_bands": _LIMITERS,
    "set_band_width": _PHASES,
}
"""Administrative commands of a session that more than administrators may give; all others are theirs alone."""


def roles_for(method: str) -> Roles | None:
    """Who may call a method; None: nobody."""
    return METHODS.get(method)


def roles_for_command(name: str) -> Roles:
    """Who may give an administrative command."""
    return COMMANDS.get(name, _roles(Role.ADMINISTRATOR))
