"""Who comes next where callers want more than there is: one of each in turn, however much one of them asks. Pure."""

from collections import deque
from collections.abc import Hashable


class FairQueue[K: Hashable, T]:
    """Items by caller: first in, first out for each caller, and the callers in turn.

    Invariant: a caller is in `_callers` once exactly while it has items.
    """

    __slots__ = ("_callers", "_items", "_length")

    def __init__(self) -> None:
        self._callers: deque[K] = deque()
        self._items: dict[K, deque[T]] = {}
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def add(self, caller: K, item: T) -> None:
        """Put one behind the caller's others."""
        if caller not in self._items:
            self._items[caller] = deque()
            self._callers.append(caller)
        self._items[caller].append(item)
        self._length += 1

    def first(self) -> T:
        """What `take` would give. IndexError: nothing waits."""
        return self._items[self._callers[0]][0]

    def take(self) -> T:
        """The next one; its caller goes behind the others. IndexError: nothing waits."""
        caller = self._callers.popleft()
        items = self._items[caller]
        item = items.popleft()
        if items:
            self._callers.append(caller)
        else:
            del self._items[caller]
        self._length -= 1
        return item
