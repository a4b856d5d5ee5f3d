"""How the commands of a decision go into the cluster: under their numbers, by any gateway, as often as it takes.

A number is never chosen here. Commands go as those of a session that is taken up with them unanswered, which is how a
client that was restarted sends again what it had sent before: each is executed once, whoever else sends it, too.
"""

from collections.abc import Callable
from typing import Any, Final

from lockstep.admin import SetPhase as SetPhaseCommand
from lockstep.aio import AsyncClient
from lockstep.columns import ReportColumns
from lockstep.day.decision import Decision
from lockstep.posttrade.chunks import Position
from lockstep.runtime.access.cluster_key import Holder, KeyFiles, load_key
from lockstep.runtime.access.dialing import Identity, material_for
from lockstep.runtime.access.roles import Role
from lockstep.runtime.tokens import number_of, number_of_holder
from lockstep.runtime.topology import OPERATOR_NUMBERS, Topology
from lockstep.session_events import MAX_INDEX, Checkpoint, Parcel, ReportId

NAME: Final = "day"
OPEN_NUMBER: Final = OPERATOR_NUMBERS - 0xDA1
"""Client number of schedulers where everybody may do everything."""
_OPEN_S: Final = 5.0


class Sender:
    """Who the scheduler is to gateways, and how it speaks to them."""

    def __init__(self, topology: Topology, token: str | None = None) -> None:
        """`token`: of a principal that may set phases; None: what the cluster's key makes of `NAME`, an operator.

        Raises:
            EnvironmentFault: the cluster's key can't be read.
        """
        self._addresses = tuple(gateway.grpc_address for gateway in topology.gateways)
        self._topology = topology
        path = topology.access.key_file
        key = load_key(path) if token is None and path.name and not topology.open else None
        self._identity = (
            None if key is None else Identity(key, topology.name, Holder(NAME, Role.OPERATOR), KeyFiles(path))
        )
        self._token = token
        if self._identity is not None:
            self.client_number = number_of_holder(NAME)
        else:
            self.client_number = (number_of(topology, token) if token else 0) or OPEN_NUMBER

    async def send(self, decision: Decision, position: Position) -> None:
        """Give the commands, and return when they are answered, or after a few seconds.

        What they did the stream says. `position`: how far that is read.

        Raises:
            Unavailable: no gateway took them. Refused: this client may not.
        """
        client = AsyncClient(
            self._addresses,
            token=self._identity.token if self._identity is not None else self._token,
            client_number=self.client_number,
            credentials=self._credentials(),
        )
        async with client:
            checkpoint = checkpoint_of(decision, self.client_number, position)
            session = await client.session(resume=checkpoint, on_batch=_IGNORE, timeout_s=_OPEN_S)
            await session.close(_OPEN_S)

    def _credentials(self) -> Any:
        material = material_for(self._topology)
        return None if material is None else material.channel_credentials()


def _ignore(_reports: ReportColumns) -> None:
    """The stream says it, too, and in its order."""


_IGNORE: Final[Callable[[ReportColumns], None]] = _ignore


def checkpoint_of(decision: Decision, client_number: int, position: Position) -> Checkpoint:
    """A session that has the decision's commands unanswered."""
    parcels = tuple(
        Parcel(
            decision.first_no + at,
            SetPhaseCommand(one.instrument, int(one.phase), int(one.next_phase or 0), one.until_ns),
        )
        for at, one in enumerate(decision.commands)
    )
    return Checkpoint(
        decision.mark.session_id(client_number),
        decision.first_no + len(parcels),
        ReportId(position.seq, MAX_INDEX, 1) if position.seq else ReportId(),
        position.epoch,
        parcels,
    )
