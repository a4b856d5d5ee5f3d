"""Lockstep's client: place orders, keep a trading session through any failover, follow the market.

Start with `Client` (blocking) or `AsyncClient` (asyncio). Nothing of the cluster's own code is imported from here.

Example:
    >>> from lockstep import Client
    >>> with Client("127.0.0.1:7450") as client:
    ...     client.place(account=1, instrument="ACME", side="buy", quantity_lots=10, price="101.50")
"""

import os
from importlib import import_module
from pkgutil import extend_path
from typing import TYPE_CHECKING

# gRPC's fork handlers are documented as off in Python; its core takes them for on, and with grpc.aio in use they abort
# a forked process at random (a failed check in ev_epoll1_linux.cc). It reads this once, when it is imported.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

# The cluster's distribution adds subpackages to this package, and need not lie in the same folder: what is compiled has
# one of its own on some systems.
__path__ = extend_path(__path__, __name__)

if TYPE_CHECKING:
    from lockstep.admin import (
        AdjustCash,
        AdjustPosition,
        DefineAccount,
        DefineInstrument,
        SetAccountStatus,
        SetBands,
        SetBandWidth,
        SetFees,
        SetIndex,
        SetLots,
        SetMargin,
        SetMarketBreaker,
        SetPhase,
        SetPriceLimits,
        SetRestrictions,
        SetRiskLimits,
        SetShortSales,
        SetThrottle,
        TransferPosition,
    )
    from lockstep.aio import AsyncClient
    from lockstep.alerts import AlertsClient, AsyncAlertsClient
    from lockstep.book import Book, Level, PublicTrade, Quote, TradesMissed
    from lockstep.codes import code_name, is_retryable
    from lockstep.columns import CommandColumns, ReportColumns
    from lockstep.delivery import CommandHandle
    from lockstep.enums import (
        AccountStatus,
        Code,
        CommandKind,
        EventKind,
        Feed,
        OrderFlag,
        OrderType,
        Phase,
        ReportFlag,
        SelfTradePrevention,
        Side,
        TimeInForce,
    )
    from lockstep.errors import (
        CalledAfterFork,
        CalledFromCallback,
        LockstepError,
        ProtocolFault,
        Refused,
        ReportsNotKept,
        SessionEnded,
        SessionFull,
        SubscriptionEnded,
        Unavailable,
    )
    from lockstep.feed_book import BookOrder, FeedBook, FeedState
    from lockstep.feed_machine import Candle, FeedTrade
    from lockstep.feed_reader import AsyncFeedReader
    from lockstep.feeds import FeedReader
    from lockstep.ledger import LedgerClient, Statement
    from lockstep.market_data import AsyncSubscription
    from lockstep.orders import MarketTerms, OrderTerms, price_to_ticks, ticks_to_price
    from lockstep.reference import Instrument
    from lockstep.rows import CommandRow
    from lockstep.session import AsyncSession
    from lockstep.session_events import Checkpoint, ReportId
    from lockstep.subscription import Subscription
    from lockstep.sync import Client, Session
    from lockstep.tls import tls_credentials
    from lockstep.values import Account, Budget, CommandResult, EventId, GatewayStatus, Order, Position, Report

__all__ = [
    "Account",
    "AccountStatus",
    "AdjustCash",
    "AdjustPosition",
    "AlertsClient",
    "AsyncAlertsClient",
    "AsyncClient",
    "AsyncFeedReader",
    "AsyncSession",
    "AsyncSubscription",
    "Book",
    "BookOrder",
    "Budget",
    "CalledAfterFork",
    "CalledFromCallback",
    "Candle",
    "Checkpoint",
    "Client",
    "Code",
    "CommandColumns",
    "CommandHandle",
    "CommandKind",
    "CommandResult",
    "CommandRow",
    "DefineAccount",
    "DefineInstrument",
    "EventId",
    "EventKind",
    "Feed",
    "FeedBook",
    "FeedReader",
    "FeedState",
    "FeedTrade",
    "GatewayStatus",
    "Instrument",
    "LedgerClient",
    "Level",
    "LockstepError",
    "MarketTerms",
    "Order",
    "OrderFlag",
    "OrderTerms",
    "OrderType",
    "Phase",
    "Position",
    "ProtocolFault",
    "PublicTrade",
    "Quote",
    "Refused",
    "Report",
    "ReportColumns",
    "ReportFlag",
    "ReportId",
    "ReportsNotKept",
    "SelfTradePrevention",
    "Session",
    "SessionEnded",
    "SessionFull",
    "SetAccountStatus",
    "SetBandWidth",
    "SetBands",
    "SetFees",
    "SetIndex",
    "SetLots",
    "SetMargin",
    "SetMarketBreaker",
    "SetPhase",
    "SetPriceLimits",
    "SetRestrictions",
    "SetRiskLimits",
    "SetShortSales",
    "SetThrottle",
    "Side",
    "Statement",
    "Subscription",
    "SubscriptionEnded",
    "TimeInForce",
    "TradesMissed",
    "TransferPosition",
    "Unavailable",
    "code_name",
    "is_retryable",
    "price_to_ticks",
    "ticks_to_price",
    "tls_credentials",
]

# Names are loaded when they are first used: the cluster's own processes live in this namespace too, and an engine that
# comes back after a crash should not spend its first moments importing the client.
_HOMES = {
    "lockstep.admin": (
        "AdjustCash",
        "AdjustPosition",
        "DefineAccount",
        "DefineInstrument",
        "SetAccountStatus",
        "SetFees",
        "SetIndex",
        "SetMargin",
        "SetMarketBreaker",
        "SetPhase",
        "SetPriceLimits",
        "SetRiskLimits",
        "SetBands",
        "SetBandWidth",
        "SetLots",
        "SetRestrictions",
        "SetShortSales",
        "SetThrottle",
        "TransferPosition",
    ),
    "lockstep.aio": ("AsyncClient",),
    "lockstep.alerts": (
        "AlertsClient",
        "AsyncAlertsClient",
    ),
    "lockstep.book": (
        "Book",
        "Level",
        "PublicTrade",
        "Quote",
        "TradesMissed",
    ),
    "lockstep.codes": (
        "code_name",
        "is_retryable",
    ),
    "lockstep.columns": (
        "CommandColumns",
        "ReportColumns",
    ),
    "lockstep.delivery": ("CommandHandle",),
    "lockstep.enums": (
        "AccountStatus",
        "Code",
        "CommandKind",
        "EventKind",
        "Feed",
        "OrderFlag",
        "OrderType",
        "Phase",
        "ReportFlag",
        "SelfTradePrevention",
        "Side",
        "TimeInForce",
    ),
    "lockstep.errors": (
        "CalledAfterFork",
        "CalledFromCallback",
        "LockstepError",
        "ProtocolFault",
        "Refused",
        "ReportsNotKept",
        "SessionEnded",
        "SessionFull",
        "SubscriptionEnded",
        "Unavailable",
    ),
    "lockstep.feed_book": (
        "BookOrder",
        "FeedBook",
        "FeedState",
    ),
    "lockstep.feed_machine": (
        "Candle",
        "FeedTrade",
    ),
    "lockstep.feed_reader": ("AsyncFeedReader",),
    "lockstep.feeds": ("FeedReader",),
    "lockstep.ledger": (
        "LedgerClient",
        "Statement",
    ),
    "lockstep.market_data": ("AsyncSubscription",),
    "lockstep.orders": (
        "MarketTerms",
        "OrderTerms",
        "price_to_ticks",
        "ticks_to_price",
    ),
    "lockstep.reference": ("Instrument",),
    "lockstep.rows": ("CommandRow",),
    "lockstep.session": ("AsyncSession",),
    "lockstep.session_events": (
        "Checkpoint",
        "ReportId",
    ),
    "lockstep.subscription": ("Subscription",),
    "lockstep.sync": (
        "Client",
        "Session",
    ),
    "lockstep.tls": ("tls_credentials",),
    "lockstep.values": (
        "Account",
        "Budget",
        "CommandResult",
        "EventId",
        "GatewayStatus",
        "Order",
        "Position",
        "Report",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
