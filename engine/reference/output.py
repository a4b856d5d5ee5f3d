"""Where the events of a batch are put."""


class Output:
    """The events of a batch in the making: seq and stamp of the command at work, and the index of its next event."""

    __slots__ = ("index", "now_ns", "records", "seq")

    def __init__(self, now_ns: int) -> None:
        self.records: list[bytes] = []
        self.now_ns = now_ns
        self.seq = 0
        self.index = 0

    def begin(self, seq: int) -> None:
        """The next command is at work."""
        self.seq = seq
        self.index = 0

    def add(self, record: bytes) -> None:
        """One more event of the command at work, whose `index` it has taken."""
        self.records.append(record)
        self.index += 1
