"""How members of a cluster are numbered."""

from typing import Final

MAX_MEMBER: Final = 63
"""Engine member ids are bits of `in_sync` in the stream's control records."""
