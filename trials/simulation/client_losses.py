"""When simulated clients die again and again, and take their sessions up: in some runs, by dice of their own."""

from collections.abc import Sequence
from random import Random

from lockstep.trials.simulation.host import Host
from lockstep.trials.simulation.kernel import MS
from lockstep.trials.simulation.world import World


def is_taken_up(seed: int) -> bool:
    """Whether clients that come back ask how far their sessions had come. No dice: the other seeds keep their runs."""
    return seed % 11 == 7


class ClientLosses:
    """Until there is peace."""

    def __init__(self, world: World, clients: Sequence[Host]) -> None:
        self._world = world
        self._clients = clients
        self._dice = Random(world.kernel.seed ^ 0xC0DE)  # noqa: S311 - repeatable on purpose

    def begin(self) -> None:
        """If this is such a run."""
        if is_taken_up(self._world.kernel.seed):
            self._next()

    def _next(self) -> None:
        self._world.kernel.after(self._dice.randint(50, 400) * MS, self._lose)

    def _lose(self) -> None:
        if self._world.network.calm:
            return
        client = self._dice.choice(self._clients)
        if client.alive:
            client.crash()
            self._world.kernel.after(self._dice.choice((1, 20, 200)) * MS, client.start)
        self._next()
