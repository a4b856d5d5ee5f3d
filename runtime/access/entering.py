"""What each process does first: it says who it is, and learns whom it may believe."""

from http import HTTPStatus
from typing import Final

from lockstep.runtime.access.dialing import introduce
from lockstep.runtime.access.guard import AccessGuard
from lockstep.runtime.access.permissions import METRICS
from lockstep.runtime.access.trail import Trail
from lockstep.runtime.process_log import ProcessLog
from lockstep.runtime.tokens import Entitlements, Unauthenticated
from lockstep.runtime.topology import Topology
from lockstep.stream.values import frozen

OPEN_TEXT: Final = (
    "no client is configured: everybody who reaches a port may do everything, and only this machine does; list clients "
    'in cluster.toml, or set anonymous = "never" in [access], before anybody else may'
)


@frozen
class Entrance:
    """Whom a process knows, and where it writes down whom it did not let in."""

    entitlements: Entitlements
    trail: Trail

    def guard(self) -> AccessGuard:
        """What stands before every call of its gRPC server."""
        return AccessGuard(self.entitlements, self.trail)

    def refuse_scrape(self, authorization: str | None, peer: str) -> tuple[HTTPStatus, str] | None:
        """Why the figures are not for somebody; None: they are. From any thread."""
        if self.entitlements.open:
            return None
        try:
            principal = self.entitlements.authenticate(authorization)
        except Unauthenticated as error:
            self.trail.refusal("/metrics", "", peer, str(error))
            return HTTPStatus.UNAUTHORIZED, str(error)
        if principal.may(METRICS):
            return None
        text = f"{principal.name!r} has no role that may read figures: {', '.join(sorted(METRICS))}"
        self.trail.refusal("/metrics", principal.name, peer, text)
        return HTTPStatus.FORBIDDEN, text


def enter(topology: Topology, name: str, log: ProcessLog) -> Entrance:
    """From here on this process is `name` to all others.

    Raises:
        EnvironmentFault: the cluster's key can't be had.
    """
    entitlements = Entitlements.of(topology)
    introduce(topology, name)
    if entitlements.open:
        log.warning("open_to_everybody", text=OPEN_TEXT)
    elif not entitlements.has_key:
        path = topology.access.key_file
        log.error("no_cluster_key", text=f"{path} is missing: no member or operator is let in here, nor elsewhere")
    return Entrance(entitlements, Trail(topology.access.audit_dir, name))
