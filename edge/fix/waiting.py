"""Messages that came before their turn. Pure, and bounded in number and bytes."""

from lockstep.edge.fix.wire import Message


class Waiting:
    """By number. Those that find no room come again: what is missing is asked for without an end.

    Invariant: at most `most` messages, of at most `most_bytes` in all.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self.dropped = 0
        self._most, self._most_bytes = most, most_bytes
        self._held: dict[int, Message | None] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._held)

    @property
    def highest(self) -> int:
        """The highest number; 0 if nothing waits."""
        return max(self._held, default=0)

    def hold(self, seq: int, message: Message) -> None:
        """Keep a message until its turn."""
        size = _size(message)
        if seq in self._held:
            return
        if len(self._held) >= self._most or self._bytes + size > self._most_bytes:
            self.dropped += 1
            return
        self._held[seq] = message
        self._bytes += size

    def passed(self, seq: int) -> None:
        """A message that was looked at before its turn: only its number waits."""
        if seq not in self._held and len(self._held) < self._most:
            self._held[seq] = None

    def has(self, seq: int) -> bool:
        """Whether this number waits."""
        return seq in self._held

    def taken(self, seq: int) -> Message | None:
        """A message whose turn it is; None if only its number waited."""
        message = self._held.pop(seq)
        self._bytes -= _size(message)
        return message

    def forget(self, begin: int, end: int) -> None:
        """Numbers from `begin` up to and without `end` are not expected any more."""
        passed = range(begin, end)
        for number in passed if len(passed) < len(self._held) else [seq for seq in self._held if seq in passed]:
            if number in self._held:
                self._bytes -= _size(self._held.pop(number))

    def clear(self) -> None:
        """Numbers start again."""
        self._held.clear()
        self._bytes = 0


def _size(message: Message | None) -> int:
    return 0 if message is None else 16 + sum(8 + len(value) for _, value in message.fields)
