"""Lockstep's client: place orders, keep a trading session through any failover, follow the market.

Start with `Client` (blocking) or `AsyncClient` (asyncio). Nothing of the cluster's own code is imported from here.

Example:
    >>> from lockstep import Client
    >>> with Client("127.0.0.1:7450") as client:
    ...     client.place(account=1, instrument="ACME", side="buy", quantity_lots=10, price="101.50")
"""

from lockstep.admin import AdjustCash, AdjustPosition, DefineAccount, DefineInstrument
from lockstep.aio import AsyncClient
from lockstep.book import Book, Level, PublicTrade, Quote
from lockstep.columns import CommandColumns, ReportColumns
from lockstep.delivery import CommandHandle
from lockstep.enums import (
    Code,
    CommandKind,
    EventKind,
    Feed,
    OrderFlag,
    OrderType,
    SelfTradePrevention,
    Side,
    TimeInForce,
    code_name,
    is_retryable,
)
from lockstep.errors import (
    LockstepError,
    ProtocolFault,
    Refused,
    ReportsNotKept,
    SessionEnded,
    SessionFull,
    Unavailable,
)
from lockstep.market_data import AsyncSubscription
from lockstep.orders import CommandRow, OrderTerms, price_to_ticks, ticks_to_price
from lockstep.reference import Instrument
from lockstep.session import AsyncSession
from lockstep.session_events import Checkpoint, ReportId
from lockstep.sync import Client, Session, Subscription
from lockstep.values import Account, CommandResult, EventId, GatewayStatus, Order, Position, Report

__all__ = [
    "Account",
    "AdjustCash",
    "AdjustPosition",
    "AsyncClient",
    "AsyncSession",
    "AsyncSubscription",
    "Book",
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
    "GatewayStatus",
    "Instrument",
    "Level",
    "LockstepError",
    "Order",
    "OrderFlag",
    "OrderTerms",
    "OrderType",
    "Position",
    "ProtocolFault",
    "PublicTrade",
    "Quote",
    "Refused",
    "Report",
    "ReportColumns",
    "ReportId",
    "ReportsNotKept",
    "SelfTradePrevention",
    "Session",
    "SessionEnded",
    "SessionFull",
    "Side",
    "Subscription",
    "TimeInForce",
    "Unavailable",
    "code_name",
    "is_retryable",
    "price_to_ticks",
    "ticks_to_price",
]
