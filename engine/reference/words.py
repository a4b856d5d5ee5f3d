"""The words of docs/engine.md as plain ints.

Records hold ints, and comparing one with a member of an enum takes several times as long; `&` and `|` of a flag even
make a new member each time.
"""

from typing import Final

from lockstep.stream.records import (
    AccountStatus,
    LimitState,
    OddLotDisplay,
    OddLots,
    OrderFlag,
    OrderType,
    Phase,
    ReplaceFlag,
    SelfTradePrevention,
    ShortSaleAction,
    Side,
    TimeInForce,
    TradeBar,
)

BUY: Final = int(Side.BUY)
SELL: Final = int(Side.SELL)

LIMIT: Final = int(OrderType.LIMIT)
MARKET: Final = int(OrderType.MARKET)
STOP: Final = int(OrderType.STOP)
STOP_LIMIT: Final = int(OrderType.STOP_LIMIT)
TRAILING_STOP: Final = int(OrderType.TRAILING_STOP)
OCO: Final = int(OrderType.OCO)

DAY: Final = int(TimeInForce.DAY)
GTC: Final = int(TimeInForce.GTC)
IOC: Final = int(TimeInForce.IOC)
FOK: Final = int(TimeInForce.FOK)
GTD: Final = int(TimeInForce.GTD)
AT_OPEN: Final = int(TimeInForce.AT_OPEN)
AT_CLOSE: Final = int(TimeInForce.AT_CLOSE)

NO_PREVENTION: Final = int(SelfTradePrevention.NONE)
CANCEL_NEWEST: Final = int(SelfTradePrevention.CANCEL_NEWEST)
CANCEL_OLDEST: Final = int(SelfTradePrevention.CANCEL_OLDEST)
CANCEL_BOTH: Final = int(SelfTradePrevention.CANCEL_BOTH)
DECREMENT: Final = int(SelfTradePrevention.DECREMENT)

PRE_OPEN: Final = int(Phase.PRE_OPEN)
OPENING_AUCTION: Final = int(Phase.OPENING_AUCTION)
CONTINUOUS: Final = int(Phase.CONTINUOUS)
HALT: Final = int(Phase.HALT)
VOLATILITY_AUCTION: Final = int(Phase.VOLATILITY_AUCTION)
CLOSING_AUCTION: Final = int(Phase.CLOSING_AUCTION)
CLOSED: Final = int(Phase.CLOSED)

REFUSE: Final = int(OddLots.REFUSE)
AGGREGATED: Final = int(OddLotDisplay.AGGREGATED)
OUT: Final = int(OddLotDisplay.OUT)

NO_BUYS: Final = int(TradeBar.NO_BUYS)
NO_SELLS: Final = int(TradeBar.NO_SELLS)
ONLY_CLOSING: Final = int(TradeBar.ONLY_CLOSING)
LOCATES: Final = int(TradeBar.LOCATES)

BEGIN: Final = int(ShortSaleAction.BEGIN)
END: Final = int(ShortSaleAction.END)

NORMAL: Final = int(LimitState.NORMAL)
LIMIT_UP: Final = int(LimitState.LIMIT_UP)
LIMIT_DOWN: Final = int(LimitState.LIMIT_DOWN)
STRADDLE: Final = int(LimitState.STRADDLE)

ACTIVE: Final = int(AccountStatus.ACTIVE)
CLOSE_ONLY: Final = int(AccountStatus.CLOSE_ONLY)
RESTRICTED: Final = int(AccountStatus.RESTRICTED)
BANNED: Final = int(AccountStatus.BANNED)
KILLED: Final = int(AccountStatus.KILLED)

GOOD_FOR_AUCTION: Final = int(TimeInForce.GOOD_FOR_AUCTION)
CANCEL_ON_HALT: Final = int(OrderFlag.CANCEL_ON_HALT)
POST_ONLY: Final = int(OrderFlag.POST_ONLY)
HIDDEN: Final = int(OrderFlag.HIDDEN)
SHORT_EXEMPT: Final = int(OrderFlag.SHORT_EXEMPT)

TOTAL: Final = int(ReplaceFlag.TOTAL)
CUT: Final = int(ReplaceFlag.CUT)
