"""The reconciler process: passes in a steady rhythm, figures for Prometheus, and an orderly end."""

import fcntl
import sqlite3
import time
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Final

from lockstep.reconciler.auditor import Auditor, PassResult
from lockstep.reconciler.case_file import BreakState, CaseFile
from lockstep.reconciler.figures import ReconcilerFigures
from lockstep.reconciler.orphans import OrphanDesk
from lockstep.reconciler.rules import Rule
from lockstep.reconciler.setup import FLAG, AuditSetup
from lockstep.reconciler.sources import LiveEngine
from lockstep.runtime.access.dialing import introduce
from lockstep.runtime.access.entering import enter
from lockstep.runtime.ending import run_to_end
from lockstep.runtime.faults import disk_text
from lockstep.runtime.metrics.disk import DATA, free_space
from lockstep.runtime.metrics.families import Families
from lockstep.runtime.metrics.server import MetricsServer
from lockstep.runtime.process import EnvironmentFault, ProcessLog, StopRequest, open_log
from lockstep.runtime.topology import Topology

_SECOND_NS: Final = 1_000_000_000
_LAST_PASSES_S: Final = 1.5
"""A supervisor gives it a few seconds for its end."""
_BETWEEN_LAST_S: Final = 0.1


def _show(figures: ReconcilerFigures, result: PassResult, case: CaseFile) -> None:
    figures.breaks_open.update(case.counts(BreakState.OPEN))
    figures.verified_seq = result.verified_seq
    figures.behind_commands = max(0, result.target_seq - result.verified_seq)
    figures.through_ns = result.through_ns
    figures.last_pass_ns = int(result.seconds * _SECOND_NS)


def setup_of(topology: Topology, *, replicas: bool = True) -> AuditSetup:
    """What the configuration says. Without `replicas` nothing is connected to."""
    wanted = topology.reconciler
    introduce(topology)
    return AuditSetup(
        data_dir=wanted.data_dir,
        cluster=topology.name,
        replicas=tuple(LiveEngine(engine) for engine in topology.engines) if replicas else (),
        intakes=tuple((gateway.name, gateway.data_dir) for gateway in topology.gateways),
        client_logs=(wanted.client_logs,),
        key_file=wanted.key_file,
        engine=wanted.engine,
        orphan_ns=wanted.orphan_seconds * _SECOND_NS,
        orphan_policy=wanted.orphan_policy,
    )


def hold_directory(directory: Path) -> IO[str]:
    """Hold a reconciler's directory against a second one, until the result is closed.

    Raises:
        EnvironmentFault: another reconciler works in it, or it can't be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = (directory / "reconciler.lock").open("a", encoding="ascii")
    except OSError as error:
        raise EnvironmentFault(f"{directory} can't be used: {error.strerror}; choose another data_dir") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise EnvironmentFault(
            f"another reconciler works in {directory}; stop that one, or choose another --data-dir"
        ) from None
    return lock


def run(topology: Topology) -> int:
    """Reconcile until SIGTERM or SIGINT; the exit code."""
    log = open_log("reconciler")
    stop = StopRequest.install()
    wanted = topology.reconciler

    def reconcile() -> None:
        try:
            with hold_directory(wanted.data_dir):
                _serve(topology, stop, log)
        except (sqlite3.Error, OSError) as fault:
            text = disk_text("write", f"the reconciler's directory {wanted.data_dir}", fault)
            raise EnvironmentFault(text) from fault
        log.info("stopped", reason=stop.reason)

    return run_to_end("reconciler", log, reconcile)


def _serve(topology: Topology, stop: StopRequest, log: ProcessLog) -> None:
    wanted = topology.reconciler
    entrance = enter(topology, "reconciler", log)
    stop_following = entrance.follow()
    figures = ReconcilerFigures(Rule)
    with ExitStack() as served:
        served.callback(stop_following)

        def everything() -> Families:
            yield from figures.families()
            yield from free_space({DATA: wanted.data_dir})

        if wanted.metrics_port:
            server = MetricsServer(
                wanted.host, wanted.metrics_port, everything, entrance.refuse_scrape, entrance.ssl_context()
            )
            served.callback(server.close)
        _work(topology, figures, stop, log)


def _work(topology: Topology, figures: ReconcilerFigures, stop: StopRequest, log: ProcessLog) -> None:
    wanted = topology.reconciler
    case = CaseFile(wanted.data_dir, create=True)
    desk = OrphanDesk(topology, wanted.orphan_policy) if wanted.orphan_policy != FLAG else None
    auditor = Auditor(setup_of(topology), case, desk.act if desk is not None else None)
    try:
        _follow(auditor, case, figures, stop, wanted.pass_ms / 1000, wanted.certificate_seconds, log)
    finally:
        auditor.close()
        case.close()
        if desk is not None:
            desk.close()


def _follow(
    auditor: Auditor,
    case: CaseFile,
    figures: ReconcilerFigures,
    stop: StopRequest,
    pause_s: float,
    certificate_s: int,
    log: ProcessLog,
) -> None:
    due_s = time.monotonic() + certificate_s
    end_s = 0.0
    said = ""
    while True:
        result = auditor.run_pass()
        _show(figures, result, case)
        if result.found:
            log.warning("breaks found", number=result.found, verified_seq=result.verified_seq)
        if result.halted != said:
            said = result.halted
            log.error("halted", why=said)
        ending = stop.requested
        if (ending or time.monotonic() >= due_s) and auditor.certify(result):
            figures.certificates += 1
            due_s = time.monotonic() + certificate_s
        if ending:
            end_s = end_s or time.monotonic() + _LAST_PASSES_S
            # An engine that did not answer just then must not cost the last certificate.
            if result.caught_up or result.halted or time.monotonic() > end_s:
                return
            time.sleep(_BETWEEN_LAST_S)
            continue
        # One that lags works on without a pause.
        if result.verified_seq >= result.target_seq or result.halted:
            stop.wait(pause_s)
