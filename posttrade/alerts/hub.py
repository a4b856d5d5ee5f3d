"""Who waits for what fires: streams, WebSockets and webhooks, each with a place of its own in its owner's firings.

Nothing is handed to them: they are woken, and read what is stored behind their place, page by page. So one that takes
nothing keeps nothing in memory, and holds nobody up. Belongs to one loop.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

from lockstep.posttrade.alerts.desk import Desk, Page, Sight
from lockstep.posttrade.alerts.limits import Refused
from lockstep.posttrade.alerts.machine import Firing
from lockstep.runtime.topology import Principal

MOST_FOLLOWERS: Final = 2_000
MOST_OF_ONE: Final = 20
"""Streams and WebSockets of one user."""
PAGE: Final = 100
_LOOK_S: Final = 30.0
"""At the latest then somebody looks who was not woken."""
Ask = Callable[[Callable[[Desk], object]], Awaitable[object]]


class Hub:
    """See the module."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, set[asyncio.Event]] = {}
        self._followers: dict[int, int] = {}

    @property
    def followers(self) -> int:
        """How many streams and WebSockets there are."""
        return sum(self._followers.values())

    def on_fired(self, firings: list[Firing]) -> None:
        """From the follower's thread: these are stored."""
        owners = {one.owner for one in firings}
        self._loop.call_soon_threadsafe(self._wake, owners)

    def _wake(self, owners: set[int]) -> None:
        for owner in owners:
            for event in self._waiting.get(owner, ()):
                event.set()

    @contextmanager
    def waiting(self, owner: int) -> Iterator[asyncio.Event]:
        """An event that is set when something of an owner has fired."""
        event = asyncio.Event()
        waiting = self._waiting.setdefault(owner, set())
        waiting.add(event)
        try:
            yield event
        finally:
            waiting.discard(event)
            if not waiting and self._waiting.get(owner) is waiting:
                del self._waiting[owner]

    @contextmanager
    def following(self, owner: int) -> Iterator[asyncio.Event]:
        """The same for a stream or WebSocket, of which there are only so many.

        Raises:
            Refused: there are as many as there may be.
        """
        if self.followers >= MOST_FOLLOWERS:
            raise Refused(f"{MOST_FOLLOWERS} follow already; try again later", full=True)
        if self._followers.get(owner, 0) >= MOST_OF_ONE:
            raise Refused(f"you follow {MOST_OF_ONE} times already; close one", full=True)
        self._followers[owner] = self._followers.get(owner, 0) + 1
        try:
            with self.waiting(owner) as event:
                yield event
        finally:
            self._followers[owner] -= 1
            if not self._followers[owner]:
                del self._followers[owner]


async def pause(event: asyncio.Event) -> None:
    """Until it is set, or it is time for a look anyway."""
    try:
        async with asyncio.timeout(_LOOK_S):
            await event.wait()
    except TimeoutError:
        return


def visible(page: Page, principal: Principal) -> list[tuple[Firing, str]]:
    """What of a page its owner may see: accounts and instruments may have been taken from him since."""
    sight = sight_of(principal)
    return [one for one in page.firings if sight.has(one[0].account, one[0].instrument)]


def sight_of(principal: Principal) -> Sight:
    """What a principal may see now."""
    return Sight(principal.accounts, principal.instruments)
