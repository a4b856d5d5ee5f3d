"""What the door does: one entry for each operation. Routes, checks and the OpenAPI document are made of them. Pure."""

from dataclasses import dataclass
from typing import Any, Final

from lockstep.edge.rest.prices import PRICE_PATTERN
from lockstep.marketdata.candles import LENGTHS_S
from lockstep.runtime.access.permissions import METHODS, Roles

PREFIX: Final = "/v1"
DIGITS: Final = r"^(0|[1-9][0-9]{0,18})$"
KEY_HEADER: Final = "Idempotency-Key"
KEY_PATTERN: Final = r"^[!-~]{1,255}$"
MOST_ROWS: Final = 500
_U32: Final = 2**32 - 1
MOST_LOTS: Final = 2**31 - 1
_TIME: Final = {"type": "string", "pattern": DIGITS}
_PRICE_IN: Final = {"type": "string", "pattern": PRICE_PATTERN}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a path or query."""

    name: str
    place: str
    schema: dict[str, Any]
    text: str
    default: Any = None


@dataclass(frozen=True, slots=True)
class Operation:
    """`reply`: a schema of `openapi.py`. `body`: the same, of a command's JSON."""

    name: str
    method: str
    path: str
    tag: str
    text: str
    reply: str
    parameters: tuple[Parameter, ...] = ()
    body: str = ""
    status: int = 200

    @property
    def keyed(self) -> bool:
        """It gives a command, and has an idempotency key."""
        return self.method == "POST"

    @property
    def roles(self) -> Roles:
        """Who may ask for it: those who may call the method of gRPC that does the same."""
        return METHODS[f"/lockstep.v1.{_LIKE_COMMANDS.get(self.name) or _LIKE_READS[self.tag]}"]


_LIKE_COMMANDS: Final = {
    "placeOrder": "OrderEntry/Place",
    "cancelOrder": "OrderEntry/Cancel",
    "replaceOrder": "OrderEntry/Replace",
    "massCancel": "OrderEntry/MassCancel",
}
_LIKE_READS: Final = {
    "orders": "Accounts/ListOpenOrders",
    "accounts": "Accounts/ListAccounts",
    "market data": "MarketFeed/Follow",
    "cluster": "Cluster/GetStatus",
}

ACCOUNT: Final = Parameter(
    "account", "path", {"type": "integer", "minimum": 1, "maximum": _U32}, "Number of the account."
)
ORDER: Final = Parameter(
    "order_id", "path", {"type": "string", "pattern": r"^[1-9][0-9]{0,18}$"}, "The exchange's id of the order."
)
INSTRUMENT: Final = Parameter(
    "instrument", "path", {"type": "string", "pattern": r"^[!-~]{1,32}$"}, "Symbol or number of the instrument."
)
MIN_SEQ: Final = Parameter(
    "min_seq",
    "query",
    {"type": "string", "pattern": DIGITS},
    "The answer is as of this seq or a later one, such as that of a command's answer. Waits for up to two seconds.",
    "0",
)
CURSOR: Final = Parameter(
    "cursor",
    "query",
    {"type": "string", "pattern": DIGITS},
    "next_cursor of the page before; none: the first page.",
    "0",
)
LIMIT: Final = Parameter(
    "limit", "query", {"type": "integer", "minimum": 1, "maximum": MOST_ROWS}, "Rows of the page, at most.", 100
)
PAGE: Final = (CURSOR, LIMIT, MIN_SEQ)

OPERATIONS: Final = (
    Operation(
        "placeOrder", "POST", "/accounts/{account}/orders", "orders",
        "Enters one order. The answer comes when the order is executed or rests, on every engine's disk.",
        "CommandOutcome", (ACCOUNT,), "NewOrder", 201,
    ),
    Operation(
        "cancelOrder", "POST", "/accounts/{account}/orders/{order_id}/cancel", "orders",
        "Cancels one live order.", "CommandOutcome", (ACCOUNT, ORDER),
    ),
    Operation(
        "replaceOrder", "POST", "/accounts/{account}/orders/{order_id}/replace", "orders",
        "Gives a live order a new price and a new open quantity.", "CommandOutcome", (ACCOUNT, ORDER), "ReplaceOrder",
    ),
    Operation(
        "massCancel", "POST", "/accounts/{account}/mass-cancel", "orders",
        "Cancels all live orders of the account that the body describes.", "CommandOutcome", (ACCOUNT,), "MassCancel",
    ),
    Operation(
        "listOpenOrders", "GET", "/accounts/{account}/orders", "orders",
        "Live orders of the account, by exchange id, in pages.", "OrderPage", (ACCOUNT, *PAGE),
    ),
    Operation(
        "getOrder", "GET", "/accounts/{account}/orders/{order_id}", "orders",
        "One order, live or ended: its terms, what is open, and how it stands.", "OrderState",
        (ACCOUNT, ORDER, MIN_SEQ),
    ),
    Operation(
        "getOrderHistory", "GET", "/accounts/{account}/orders/{order_id}/history", "orders",
        "All that happened to one order, oldest first, in pages.", "HistoryPage", (ACCOUNT, ORDER, *PAGE),
    ),
    Operation(
        "listAccounts", "GET", "/accounts", "accounts",
        "The accounts that the caller may see, by number, in pages.", "AccountPage", PAGE,
    ),
    Operation(
        "getAccount", "GET", "/accounts/{account}", "accounts",
        "Balances, positions and status of one account.", "Account", (ACCOUNT, MIN_SEQ),
    ),
    Operation(
        "listPositions", "GET", "/accounts/{account}/positions", "accounts",
        "Positions of one account.", "PositionList", (ACCOUNT, MIN_SEQ),
    ),
    Operation(
        "getPortfolio", "GET", "/accounts/{account}/portfolio", "accounts",
        "Cash and positions of one account, valued at the last prices.", "Portfolio", (ACCOUNT, MIN_SEQ),
    ),
    Operation(
        "listInstruments", "GET", "/instruments", "market data",
        "Instruments by number, in pages.", "InstrumentPage", PAGE,
    ),
    Operation(
        "getInstrument", "GET", "/instruments/{instrument}", "market data",
        "One instrument: definition, phase, and the figures of its day.", "InstrumentState", (INSTRUMENT, MIN_SEQ),
    ),
    Operation(
        "getBook", "GET", "/instruments/{instrument}/book", "market data",
        "The best price levels of both sides, as displayed.", "Book",
        (
            INSTRUMENT,
            Parameter("depth", "query", {"type": "integer", "minimum": 1, "maximum": MOST_ROWS}, "Levels a side.", 20),
            MIN_SEQ,
        ),
    ),
    Operation(
        "listTrades", "GET", "/instruments/{instrument}/trades", "market data",
        "Trades of the instrument, the latest first, in pages, as far back as this feed keeps them.", "TradePage",
        (
            INSTRUMENT,
            Parameter("cursor", "query", {"type": "string", "pattern": r"^(0|[1-9][0-9]{0,17})-[0-9]{1,9}$"},
                      "next_cursor of the page before; none: the latest."),
            LIMIT,
            MIN_SEQ,
        ),
    ),
    Operation(
        "listCandles", "GET", "/instruments/{instrument}/candles", "market data",
        "Candles of the instrument, oldest first; where nothing traded, the close before stands as all prices.",
        "CandleList",
        (
            INSTRUMENT,
            Parameter("seconds", "query", {"type": "integer", "enum": list(LENGTHS_S)}, "Length of a candle.", 60),
            Parameter("from_ns", "query", _TIME, "From this time on, ns since 1970.", "0"),
            Parameter("to_ns", "query", _TIME, "Before this time; 0: up to now.", "0"),
            LIMIT,
            MIN_SEQ,
        ),
    ),
    Operation(
        "getCluster", "GET", "/cluster", "cluster",
        "Where the cluster stands: epoch, seq, stamped time, primary engine.", "Cluster", (MIN_SEQ,),
    ),
)  # fmt: skip

BODIES: Final[dict[str, dict[str, Any]]] = {
    "ReplaceOrder": {
        "required": ["price", "quantity_lots"],
        "properties": {
            "price": _PRICE_IN,
            "quantity_lots": {
                "type": "integer",
                "minimum": 1,
                "maximum": MOST_LOTS,
                "description": "The new open quantity.",
            },
            "stop_price": {**_PRICE_IN, "description": "Of an order that waits for its stop price."},
        },
    },
    "MassCancel": {
        "required": [],
        "properties": {
            "instrument": {
                "type": "string",
                "pattern": r"^[!-~]{1,32}$",
                "description": "Symbol or number; none: all.",
            },
            "side": {"type": "string", "enum": ["buy", "sell"], "description": "None: both."},
        },
    },
}
"""Bodies that the protocol has no message for with these fields alone."""
