"""Market data for programs without an event loop."""

from collections.abc import Iterator

from lockstep.book import Book, MarketUpdate
from lockstep.errors import SubscriptionEnded
from lockstep.loop_thread import LoopThread
from lockstep.market_data import AsyncSubscription


class Subscription:
    """Market data, blocking. See `AsyncSubscription`; books change only while somebody asks for the next update.

    Several threads may ask at once: each update goes to one of them, in order.

    Example:
        >>> for update in client.subscribe(["ACME"], feeds=[Feed.L1]):
        ...     print(update.bid, update.ask)
    """

    def __init__(self, loop: LoopThread, subscription: AsyncSubscription) -> None:
        self._loop = loop
        self._subscription = subscription

    def __iter__(self) -> Iterator[MarketUpdate]:
        """Updates without end; stop by leaving the loop, then `close`. Ends when it is closed meanwhile."""
        self._subscription.raise_if_ended()
        while True:
            try:
                update = self.next()
            except SubscriptionEnded:
                return
            yield update

    def next(self, timeout_s: float | None = None) -> MarketUpdate:
        """The next update.

        Raises:
            Unavailable: none within `timeout_s` seconds (nothing is lost: ask again), or the client is closed.
            Refused: no gateway will ever serve this; every later call says so again. SubscriptionEnded: it was closed.
            CalledFromCallback, CalledAfterFork: called from where it could only hang.
        """
        self._loop.owner.check_may_wait("Subscription.next()")
        self._subscription.raise_if_ended()
        return self._loop.run(self._subscription.next(timeout_s), "Subscription.next()")

    def close(self) -> None:
        """End the subscription. It may be called again, and after the client was closed."""
        self._loop.owner.check_may_wait("Subscription.close()")
        if self._loop.running:
            self._loop.run(self._subscription.close(), "Subscription.close()")

    def book(self, instrument: int) -> Book | None:
        """The book as last updated (feed L2)."""
        return self._subscription.book(instrument)

    @property
    def trades_missed(self) -> int:
        """How often trades could not be had after a break. See `AsyncSubscription.trades_missed`."""
        return self._subscription.trades_missed

    @property
    def resubscriptions(self) -> int:
        """How often it had to subscribe again."""
        return self._subscription.resubscriptions

    @property
    def last_break(self) -> str:
        """Why it did the last time."""
        return self._subscription.last_break
