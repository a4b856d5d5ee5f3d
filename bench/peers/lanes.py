"""What a load generator has to know of a peer: how to append to its log."""

from collections.abc import Awaitable, Callable, Sequence

Lane = Callable[[bytes], Awaitable[None]]
"""Appends one message of records to the log; returns when the system has acknowledged it. One at a time."""
Lanes = Sequence[Sequence[Lane]]
"""Those of each session."""
