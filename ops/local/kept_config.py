"""The configuration of a data directory that is continued: what stands in its `cluster.toml` stays in force.

`up` decides anew what belongs to this run alone: ports, etcd, the media driver's directory. Everything else is the
file's, edited by hand or not, but for what the command line says.
"""

import itertools
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from lockstep.ops.local.config_file import HEADING, require_own, write_config
from lockstep.runtime import config
from lockstep.runtime.access.cluster_key import make_key
from lockstep.runtime.driver import claim_path, default_directory, driver_pid
from lockstep.runtime.output import put_whole
from lockstep.runtime.process import EnvironmentFault
from lockstep.runtime.tls.authority import CA, issue, make_authority, names_of
from lockstep.runtime.topology import Topology

FILE: Final = "cluster.toml"


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the command line says itself; the rest may come from the file."""

    engine: bool = False
    snapshots: frozenset[str] = frozenset()
    """Names of keys of [snapshots]."""
    realtime: bool = False


def read(data_dir: Path) -> Topology | None:
    """The topology of an earlier run; None: there was none.

    Raises:
        EnvironmentFault: the file can't be read.
    """
    path = data_dir / FILE
    if not path.exists():
        return None
    try:
        return config.load(path)
    except config.ConfigError as error:
        raise EnvironmentFault(f"{error}; correct the file, or remove it: `lockstep up` then writes it anew") from error


def settle(data_dir: Path, planned: Topology, chosen: Chosen | None) -> tuple[Topology, Path | None]:
    """The topology of this run, written to the file; and the copy of a file that was edited by hand, if one was made.

    Raises:
        EnvironmentFault: the file of an earlier run can't be read.
    """
    before = None if chosen is None else read(data_dir)
    topology = planned if before is None or chosen is None else keep(planned, before, chosen)
    if before is not None and before.aeron_dir != topology.aeron_dir:
        _remove_left(before.aeron_dir)
    if not topology.open:
        make_key(topology.access.key_file)
    if topology.tls.on and not (topology.tls.cert_dir / CA).exists():
        make_authority(topology.tls.cert_dir, topology.name)
    if topology.tls.on:
        for name, hosts in names_of(topology).items():
            if not (topology.tls.cert_dir / f"{name}.pem").exists():
                issue(topology.tls.cert_dir, topology.name, name, hosts)
    return topology, write(data_dir, topology, before)


def _remove_left(aeron_dir: Path) -> None:
    """What the media driver of an earlier run has in memory yet, if everything was killed; a live one keeps its own."""
    ours = default_directory("")
    if aeron_dir.parent == ours.parent and aeron_dir.name.startswith(ours.name) and driver_pid(aeron_dir) is None:
        shutil.rmtree(aeron_dir, ignore_errors=True)
        claim_path(aeron_dir).unlink(missing_ok=True)


def keep(planned: Topology, before: Topology, chosen: Chosen) -> Topology:
    """What is planned for this run, with everything else as it was configured before."""
    snapshots = replace(before.snapshots, **{name: getattr(planned.snapshots, name) for name in chosen.snapshots})
    timing = before.timing
    if chosen.realtime and bool(timing.realtime_priority) != bool(planned.timing.realtime_priority):
        timing = replace(timing, realtime_priority=planned.timing.realtime_priority)
    engines = planned.engines
    if not chosen.engine:
        kept = {engine.id: engine.engine for engine in before.engines}
        engines = tuple(replace(one, engine=kept.get(one.id, one.engine)) for one in planned.engines)
    of_this_run = {
        "etcd_endpoints": planned.etcd_endpoints,
        "aeron_dir": planned.aeron_dir,
        "sequencers": planned.sequencers,
        "engines": engines,
        "gateways": planned.gateways,
        "feeds": planned.feeds,
        "snapshots": snapshots,
        "timing": timing,
        **({"tls": planned.tls, "access": planned.access} if planned.tls.on else {}),
        "reconciler": replace(
            before.reconciler, host=planned.reconciler.host, metrics_port=planned.reconciler.metrics_port
        ),
        "ledger": replace(
            before.ledger,
            host=planned.ledger.host,
            grpc_port=planned.ledger.grpc_port,
            metrics_port=planned.ledger.metrics_port,
        ),
        "alerts": replace(
            before.alerts,
            host=planned.alerts.host,
            grpc_port=planned.alerts.grpc_port,
            http_port=planned.alerts.http_port,
            metrics_port=planned.alerts.metrics_port,
        ),
        "day": replace(planned.day, host=before.day.host),
    }
    return replace(before, **of_this_run)  # type: ignore[arg-type]  # one type for each field


def write(data_dir: Path, topology: Topology, before: Topology | None) -> Path | None:
    """Write the file; of one that was edited by hand in more than its values a copy stays: its path.

    `before`: what the file says, if there is one and it matters.

    Raises:
        EnvironmentFault: the file was made by hand.
    """
    path, copy = data_dir / FILE, None
    if before is not None:
        require_own(path)
        text = path.read_text(encoding="utf-8")
        if _without_heading(text) != _without_heading(config.render(before, heading=HEADING)):
            names = (data_dir / f"{FILE}.edited-{number}" for number in itertools.count(1))
            copy = next(name for name in names if not name.exists())
            put_whole(copy, text)
    write_config(path, topology)
    return copy


def _without_heading(text: str) -> list[str]:
    """The lines of a file but for those that `up` of this or an earlier version begins it with."""
    own = {f"# {line}" for line in (*HEADING.splitlines(), _EARLIER_HEADING)}
    return [line for line in text.splitlines() if line not in own]


_EARLIER_HEADING: Final = "Written by `lockstep up`; other commands read it through --config. Changes are overwritten."
