"""What each process does first: it says who it is, and learns whom it may believe."""

import asyncio
import ssl
from collections.abc import Callable
from concurrent.futures import Future
from http import HTTPStatus
from typing import Any, Final

from lockstep.runtime.access.dialing import introduce, material_for
from lockstep.runtime.access.following import PrincipalsFollower
from lockstep.runtime.access.guard import AccessGuard
from lockstep.runtime.access.kept import KeptDocument
from lockstep.runtime.access.link_seals import LinkSeals, open_seals
from lockstep.runtime.access.permissions import METRICS
from lockstep.runtime.access.trail import Trail
from lockstep.runtime.budget import Budgets
from lockstep.runtime.faults import EnvironmentFault
from lockstep.runtime.grpc_loop import grpc_loop
from lockstep.runtime.metrics.families import Families
from lockstep.runtime.metrics.links import link_families
from lockstep.runtime.process_log import ProcessLog
from lockstep.runtime.tls.material import Material
from lockstep.runtime.tokens import Entitlements, NotLookedAt, Unauthenticated
from lockstep.runtime.topology import PLAINTEXT_WORDS, Member, ProcessKind, Topology
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
    principals: PrincipalsFollower
    """To be run in the loop that serves the process' calls."""
    material: Material | None
    """Its certificate; None: nothing is encrypted."""
    log: ProcessLog
    seals: LinkSeals | None = None
    """Of its links; None: they are not sealed, or it has none."""

    async def run(self) -> None:
        """Follow the principals, and the keys of its links; for ever."""
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self.principals.run())
                if self.seals is not None:
                    both.create_task(self.seals.run())
        finally:
            if self.seals is not None:
                self.seals.write_marks()

    def families(self) -> Families:
        """Figures of its links. From any thread."""
        if self.seals is None:
            return link_families({}, 0)
        return link_families(self.seals.drops, self.seals.keys.sending)

    def follow(self) -> Callable[[], object]:
        """Do so in the loop of this process' gRPC server; returns what ends that."""
        work = asyncio.run_coroutine_threadsafe(self.run(), grpc_loop())
        work.add_done_callback(self._on_end)
        return work.cancel

    def _on_end(self, work: "Future[None]") -> None:
        if not work.cancelled():
            text = "this process does not hear of principals and keys of links any more: restart it"
            self.log.critical("principals_not_followed", text=text, exc_info=work.exception())

    def guard(self) -> AccessGuard:
        """What stands before every call of its gRPC server."""
        return AccessGuard(self.entitlements, self.trail)

    def credentials(self, *, mutual: bool) -> Any:
        """Of its gRPC server; None: plaintext. `mutual`: callers need a certificate."""
        return None if self.material is None else self.material.server_credentials(mutual=mutual)

    def ssl_context(self) -> ssl.SSLContext | None:
        """Of its other servers; None: plaintext."""
        return None if self.material is None else self.material.ssl_context()

    def refuse_scrape(self, authorization: str | None, peer: str) -> tuple[HTTPStatus, str] | None:
        """Why the figures are not for somebody; None: they are. From any thread."""
        if self.entitlements.open:
            return None
        try:
            principal = self.entitlements.authenticate_slowly(authorization)
        except Unauthenticated as error:
            self.trail.refusal("/metrics", "", peer, str(error))
            return error.http if isinstance(error, NotLookedAt) else HTTPStatus.UNAUTHORIZED, str(error)
        if principal.may(METRICS):
            return None
        text = f"{principal.name!r} has no role that may read figures: {', '.join(sorted(METRICS))}"
        self.trail.refusal("/metrics", principal.name, peer, text)
        return HTTPStatus.FORBIDDEN, text


def _sharers(topology: Topology, name: str) -> int:
    """Processes of the same kind, among which a principal's budget is divided."""
    for kind in (ProcessKind.GATEWAY, ProcessKind.FEED):
        members = topology.members(kind)
        if any(member.name == name for member in members):
            return len(members)
    return 1


def enter(topology: Topology, name: str, log: ProcessLog, member: Member | None = None) -> Entrance:
    """From here on this process is `name` to all others. `member`: whose links it has, if it has any.

    Raises:
        EnvironmentFault: the cluster's key, or the keys of its links, can't be had.
    """
    tls = topology.tls
    if not tls.on and not topology.on_loopback and tls.plaintext != PLAINTEXT_WORDS:
        raise EnvironmentFault(
            "this cluster spans hosts and has no certificates: make some with `lockstep certs init` and name their "
            f'directory in cert_dir of [tls]; or accept it there in words: plaintext = "{PLAINTEXT_WORDS}"'
        )
    entitlements = Entitlements.of(topology)
    entitlements.budgets = Budgets(topology.limits.budget_per_s, _sharers(topology, name))
    introduce(topology, name)
    material = material_for(topology)
    if entitlements.open:
        log.warning("open_to_everybody", text=OPEN_TEXT)
    elif not entitlements.key:
        path = topology.access.key_file
        log.error("no_cluster_key", text=f"{path} is missing: no member or operator is let in here, nor elsewhere")
    directory = topology.access.audit_dir
    trail = Trail(directory, name)
    kept = KeptDocument(directory, name) if directory.name else None
    follower = PrincipalsFollower(topology, entitlements, trail, log, material, kept)
    follower.begin()
    seals = open_seals(topology, member, log, trail) if member is not None else None
    if seals is not None:
        follower.on_keys.append(seals.rekey)
    return Entrance(entitlements, trail, follower, material, log, seals)
