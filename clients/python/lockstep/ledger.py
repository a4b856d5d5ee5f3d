"""What everybody owns and how it came to be: asks a ledger (`lockstep ledger run`) over gRPC.

A ledger follows the cluster by some tens of milliseconds. To read what you have just done, pass the seq of a report as
`min_seq`: the ledger waits for it, up to a second.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import grpc

from lockstep.arguments import U32, U64, integer
from lockstep.follower_calls import TIMEOUT_S, channel_to, metadata_of, raised
from lockstep.v1 import ledger_pb2, ledger_pb2_grpc

_AGAIN: Final = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
)


@dataclass(frozen=True)
class Statement:
    """A statement of an account, as the messages of the protocol have it.

    Attributes:
        seq: as of which seq.
        head: opening, closing and sums (`lockstep.v1.StatementHead`).
        movements: all of the period, in order (`lockstep.v1.LedgerMovement`).
    """

    seq: int
    head: "ledger_pb2.StatementHead"
    movements: "tuple[ledger_pb2.LedgerMovement, ...]" = field(repr=False)


class LedgerClient:
    """One ledger's answers, blocking. Use it as a context manager, from any thread.

    Answers are messages of `lockstep.v1`: prices in ticks, quantities in lots, money in micros; `stamp.seq` says as of
    which seq.

    Raises:
        Refused: by every method: the ledger refuses this and will again (an unknown account, another one's account, a
            statement that does not add up).
        Unavailable: by every method: it does not answer now, or is not as far as `min_seq`.
        ValueError: an argument can't be right.
    """

    def __init__(
        self,
        address: str,
        *,
        token: "str | None" = None,
        credentials: "grpc.ChannelCredentials | None" = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """
        Args:
            address: `host:port` of the ledger.
            token: of a configured client; None where the cluster lists none.
            credentials: TLS credentials (`tls_credentials`); None: the connection is plaintext.
            timeout_s: how long an answer may take.
        """
        self._channel = channel_to(address, credentials)
        self._stub: Any = ledger_pb2_grpc.LedgerStub(self._channel)
        self._metadata = metadata_of(token)
        self._timeout_s = timeout_s

    def __enter__(self) -> "LedgerClient":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def portfolio(self, account: int, *, fifo: bool = False, min_seq: int = 0) -> "ledger_pb2.GetPortfolioReply":
        """Cash, reservations, buying power, positions with profit and loss.

        Args:
            account: whose.
            fifo: cost and realised profit first in, first out; else by average cost, the rule of the engines.
            min_seq: not before this seq.
        """
        request = ledger_pb2.GetPortfolioRequest(account=_account(account), fifo=fifo, min_seq=_seq(min_seq))
        reply: ledger_pb2.GetPortfolioReply = self._ask(self._stub.GetPortfolio, request)
        return reply

    def orders(
        self,
        account: int,
        *,
        instrument: int = 0,
        state: int = 0,
        from_ns: int = 0,
        to_ns: int = 0,
        min_seq: int = 0,
    ) -> "Iterator[ledger_pb2.LedgerOrder]":
        """Orders of an account, newest first, those that are over too; fetched page by page as they are taken.

        Args:
            account: whose.
            instrument: only of this one; 0: of all.
            state: 1 live, 2 filled, 3 canceled, 4 rejected; 0: any.
            from_ns: entered from this stamp on.
            to_ns: entered before this stamp; 0: up to now.
            min_seq: not before this seq.
        """
        request = ledger_pb2.ListLedgerRequest(
            account=_account(account), instrument=instrument, state=state, from_ns=from_ns, to_ns=to_ns,
            min_seq=_seq(min_seq), limit=1000,
        )  # fmt: skip
        for reply in self._pages(self._stub.ListOrders, request):
            yield from reply.orders

    def trades(
        self, account: int, *, instrument: int = 0, from_ns: int = 0, to_ns: int = 0, min_seq: int = 0
    ) -> "Iterator[ledger_pb2.LedgerTrade]":
        """An account's sides of trades, newest first; see `orders` for the arguments."""
        request = ledger_pb2.ListLedgerRequest(
            account=_account(account), instrument=instrument, from_ns=from_ns, to_ns=to_ns, min_seq=_seq(min_seq),
            limit=1000,
        )  # fmt: skip
        for reply in self._pages(self._stub.ListTrades, request):
            yield from reply.trades

    def order_history(self, order_id: int, *, min_seq: int = 0) -> "ledger_pb2.GetOrderHistoryReply":
        """One order and all that happened to it."""
        request = ledger_pb2.GetOrderHistoryRequest(
            order_id=integer("order_id", order_id, 1, U64), min_seq=_seq(min_seq)
        )
        reply: ledger_pb2.GetOrderHistoryReply = self._ask(self._stub.GetOrderHistory, request)
        return reply

    def lots(self, account: int, instrument: int, *, min_seq: int = 0) -> "ledger_pb2.ListLotsReply":
        """Open lots of a position, and what closing others brought: its profit explained, first in, first out."""
        request = ledger_pb2.ListLotsRequest(account=_account(account), instrument=instrument, min_seq=_seq(min_seq))
        reply: ledger_pb2.ListLotsReply = self._ask(self._stub.ListLots, request)
        return reply

    def days(
        self, account: int, *, from_ns: int = 0, to_ns: int = 0, min_seq: int = 0
    ) -> "Iterator[ledger_pb2.LedgerDay]":
        """Sums by day (UTC) and instrument, oldest first; fetched page by page as they are taken.

        Args:
            account: whose.
            from_ns: booked from this stamp on.
            to_ns: booked before this stamp; 0: up to now.
            min_seq: not before this seq.
        """
        request = ledger_pb2.ListDaysRequest(
            account=_account(account), from_ns=from_ns, to_ns=to_ns, min_seq=_seq(min_seq)
        )
        for reply in self._pages(self._stub.ListDays, request):
            yield from reply.days

    def statement(self, account: int, *, from_ns: int = 0, to_ns: int = 0, min_seq: int = 0) -> Statement:
        """Opening, movements, closing of a period: entries stamped from `from_ns` up to but not at `to_ns` (0: now).

        Raises:
            Refused: it does not add up.
        """
        request = ledger_pb2.GetStatementRequest(
            account=_account(account), from_ns=from_ns, to_ns=to_ns, min_seq=_seq(min_seq)
        )
        parts = self._ask(lambda *args, **named: list(self._stub.GetStatement(*args, **named)), request)
        movements = tuple(one for part in parts for one in part.movements)
        return Statement(parts[0].stamp.seq, parts[0].head, movements)

    def _pages(self, method: Any, request: Any) -> "Iterator[Any]":
        """Each reply as it is wanted, up to the last one."""
        while True:
            reply = self._ask(method, request)
            yield reply
            if not reply.next_cursor:
                return
            request.cursor = reply.next_cursor

    def _ask(self, method: Any, request: Any) -> Any:
        try:
            return method(request, timeout=self._timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise raised(error, "the ledger", _AGAIN) from None


def _account(account: int) -> int:
    return integer("account", account, 1, U32)


def _seq(min_seq: int) -> int:
    return integer("min_seq", min_seq, 0, U64)
