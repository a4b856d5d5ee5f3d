"""How many come in: handshakes a second, messages of one connection."""

from lockstep.runtime.rate import Rate as Rate
