"""What servers of tests are given that let everybody in."""

from pathlib import Path
from types import SimpleNamespace

from lockstep.runtime.access.guard import AccessGuard
from lockstep.runtime.access.trail import Trail
from lockstep.runtime.tokens import Entitlements

NO_TRAIL = Trail(Path(), "")
PLAIN = SimpleNamespace(ssl_context=lambda: None)
"""What a shell has as its `entrance`, where nothing is encrypted."""


def open_guard() -> AccessGuard:
    return AccessGuard(Entitlements(()), NO_TRAIL)


def any_reader(_authorization: str | None, _peer: str) -> None:
    """Of figures."""
