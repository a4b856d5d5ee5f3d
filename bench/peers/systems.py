"""Which systems Lockstep is compared with, and what the module of each has to have."""

import importlib.util
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from pathlib import Path
from typing import Any, Final, Protocol

from lockstep.bench.peers import nats_jetstream, postgresql, redis_streams
from lockstep.bench.peers.lanes import Lanes
from lockstep.bench.peers.servers import LeftOut, Running


class System(Protocol):
    """An ordered replicated log that syncs before it acknowledges."""

    CLIENT: str
    """Python package of its client; the modules import it only when they are used."""

    def running(self, directory: Path) -> AbstractContextManager[Running]:
        """Its servers, in that folder, and an empty log. Raises LeftOut."""

    def lanes(self, where: Mapping[str, Any], sessions: int, each: int) -> AbstractAsyncContextManager[Lanes]:
        """So many for each session."""

    async def held(self, where: Mapping[str, Any]) -> int:
        """How many messages the log has; those of its second copy, where that can be asked."""


SYSTEMS: Final[Mapping[str, System]] = {"nats": nats_jetstream, "redis": redis_streams, "postgresql": postgresql}


def system(name: str) -> System:
    """A peer whose client is here.

    Raises:
        LeftOut: it is not.
    """
    found = SYSTEMS[name]
    if importlib.util.find_spec(found.CLIENT) is None:
        raise LeftOut(f"the Python package {found.CLIENT} is not here; install the extra `peers`")
    return found
