"""A sequencer process: puts machine, shell, links, watches, etcd and gRPC together, and takes them apart in order."""

import gc
import random
import secrets
import sys
import time
import uuid
from contextlib import ExitStack
from os import getpid
from typing import Any, Final

from lockstep.runtime.access.entering import enter
from lockstep.runtime.access.link_seals import LinkSeals
from lockstep.runtime.ending import run_to_end
from lockstep.runtime.metrics.families import Families
from lockstep.runtime.metrics.server import serve as serve_metrics
from lockstep.runtime.process import (
    EnvironmentFault,
    ProcessLog,
    StopRequest,
    open_doorbell,
    open_log,
    start_grpc_server,
)
from lockstep.runtime.realtime import RealTime
from lockstep.runtime.topology import LinkKind, Member, ProcessKind, Topology, inbound_links, outbound_links
from lockstep.runtime.transport import DriverUnavailable, Transport, wait_for_driver
from lockstep.runtime.watch import PeerStatus, PeerWatch, WatchOptions, WatchServer
from lockstep.runtime.watch_set import WatchSet
from lockstep.sequencer.engine_calls import EngineCalls
from lockstep.sequencer.machine import SequencerMachine
from lockstep.sequencer.operations import ask_status, operations
from lockstep.sequencer.settings import MS, settings_of
from lockstep.sequencer.shell import SequencerShell, Wires
from lockstep.sequencer.store_link import Inbox, StoreLink
from lockstep.v1 import cluster_pb2

_DRIVER_WAIT_S: Final = 5.0
# The loop must hand the interpreter over to the etcd and gRPC threads quickly, also under load (default: 5 ms).
_SWITCH_INTERVAL_S: Final = 0.0005
_HANG_CAP: Final = 10
_JITTER_MS: Final = (10, 60)
_STOP_GRACE_S: Final = 0.5


def run(topology: Topology, member: Member) -> int:
    """Run the sequencer until SIGTERM or SIGINT; returns the exit code."""
    logger = open_log(member.name)
    stop = StopRequest.install()
    sys.setswitchinterval(_SWITCH_INTERVAL_S)

    def lead_or_stand_by() -> None:
        with ExitStack() as stack:
            realtime = RealTime(topology.timing.realtime_priority, logger)
            shell = _assemble(topology, member, stack, logger, realtime)
            gc.collect()
            gc.freeze()
            logger.info("started", grpc=member.grpc_address, watch_port=member.watch_port)
            realtime.take()
            shell.run(lambda: stop.requested)
            logger.info("stopping", reason=stop.reason)

    return run_to_end(member.name, logger, lead_or_stand_by)


def _assemble(
    topology: Topology, member: Member, stack: ExitStack, logger: ProcessLog, realtime: RealTime
) -> SequencerShell:
    entrance = enter(topology, member.name, logger, member)
    stack.callback(entrance.follow())
    incarnation = time.time_ns()
    identity = f"{member.name}-{secrets.token_hex(6)}"
    draw = random.SystemRandom()
    settings = settings_of(
        topology,
        member.id,
        identity=identity,
        fresh_uuid=str(uuid.uuid4()),
        jitter_ns=tuple(draw.randint(*_JITTER_MS) * MS for _ in range(16)),
    )
    bell = open_doorbell(topology, member)
    stack.callback(bell.close)
    inbox = Inbox(bell.ring)
    wires = _open_wires(topology, member, incarnation, entrance.seals, realtime, stack)
    bell.watch(wires.watches.fileno())
    engines = EngineCalls(topology.engines, inbox)
    stack.callback(engines.close)
    store = StoreLink(topology, member.id, identity, inbox)
    stack.callback(store.close)
    store.start()
    server = start_grpc_server(
        member.grpc_address,
        lambda _server: None,
        (),
        lambda: ask_status(inbox),
        access=entrance.guard(),
        credentials=entrance.credentials(mutual=True),
        seals=entrance.seals,
        operations=operations(inbox, store),
    )
    stack.callback(server.stop, _STOP_GRACE_S)
    machine = SequencerMachine(settings, time.monotonic_ns(), time.time_ns())
    shell = SequencerShell(
        machine,
        wires,
        store,
        engines,
        inbox,
        bell=bell,
        logger=logger,
        identity=cluster_pb2.GetStatusReply(
            kind=cluster_pb2.PROCESS_KIND_SEQUENCER, member=member.id, incarnation=incarnation, pid=getpid()
        ),
    )
    configured = tuple(engine.id for engine in topology.engines)

    def families() -> Families:
        return (*shell.figures.families(machine, wires, store, configured), *entrance.families())

    stack.callback(serve_metrics(topology, member, families, entrance.refuse_scrape, entrance.ssl_context()))
    return shell


def _open_wires(
    topology: Topology,
    member: Member,
    incarnation: int,
    seals: LinkSeals | None,
    realtime: RealTime,
    stack: ExitStack,
) -> Wires:
    timing, limits = topology.timing, topology.limits
    try:
        wait_for_driver(topology.aeron_dir, _DRIVER_WAIT_S)
        transport = Transport(topology.aeron_dir, seals=seals, on_attached=realtime.take)
        stack.callback(transport.close)
        outbound = {
            key: transport.outbound(link, queue_limit_bytes=limits.link_queue_bytes)
            for key, link in outbound_links(topology, member).items()
        }
        inbound = {key: transport.inbound(link) for key, link in inbound_links(topology, member).items()}
    except DriverUnavailable as error:
        raise EnvironmentFault(str(error)) from error
    options = WatchOptions(
        interval_ns=timing.heartbeat_ms * MS,
        floor_ns=timing.hang_ms * MS,
        # On a starved host everybody falls silent for a while; a takeover would only add to the load.
        cap_ns=_HANG_CAP * timing.hang_ms * MS,
    )
    status = PeerStatus(member.id, incarnation)
    watches = WatchSet()
    stack.callback(watches.close)
    watched = [*topology.engines, *topology.gateways, *(peer for peer in topology.sequencers if peer.id != member.id)]
    try:
        for peer in watched:
            seal = seals.watching(peer) if seals is not None else None
            watches.add(PeerWatch(peer.name, peer.host, peer.watch_port, identity=status, options=options, seal=seal))
        watch_server = WatchServer(
            member.host, member.watch_port, member.id, incarnation, interval_ns=options.interval_ns, seals=seals
        )
    except OSError as error:
        raise EnvironmentFault(
            f"{error}: stop the program that uses the port, or correct the cluster's configuration"
        ) from error
    stack.callback(watch_server.close)

    def of(kind: LinkKind) -> dict[int, Any]:
        return {peer: end for (which, peer), end in (*outbound.items(), *inbound.items()) if which is kind}

    return Wires(
        transport=transport,
        streams=of(LinkKind.STREAM),
        receipts=of(LinkKind.RECEIPT),
        acks=of(LinkKind.ACK_TO_SEQUENCER),
        submits=of(LinkKind.SUBMIT),
        watches=watches,
        watch_server=watch_server,
        peers={peer.name: (ProcessKind(peer.kind), peer.id) for peer in watched},
    )
