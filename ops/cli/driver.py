"""`lockstep driver`: this host's Aeron media driver."""

from pathlib import Path

import click

from lockstep.ops.cli.options import config_option, expected_errors
from lockstep.runtime.config import load
from lockstep.runtime.driver import DriverOptions, run_driver, why_tight
from lockstep.runtime.process_log import open_log
from lockstep.runtime.realtime import RealTime
from lockstep.runtime.stop_request import StopRequest
from lockstep.runtime.topology import buffers

_ACROSS_HOSTS_PARK_US = 100


@click.command("driver")
@config_option
@expected_errors
def command(config_path: Path) -> int:
    """Run the media driver: one on each host, started before the other processes.

    It carries the links between the processes of the cluster, in the directory `aeron_dir` of the configuration.
    Processes notice when it dies and attach again to its successor by themselves.
    """
    topology = load(config_path)
    log = open_log("driver")
    stop = StopRequest.install()
    several_hosts = len({member.host for member in topology.all_members()}) > 1
    park_us = _ACROSS_HOSTS_PARK_US if several_hosts else DriverOptions().max_park_us
    term_bytes = topology.term_mib << 20
    options = DriverOptions(
        udp_mtu_bytes=topology.udp_mtu, max_park_us=park_us, ipc_term_bytes=term_bytes, udp_term_bytes=term_bytes
    )
    tight = why_tight(topology.aeron_dir, options, buffers(topology))
    if tight:
        log.warning("shared_memory_tight", text=tight)
    realtime = RealTime(topology.timing.realtime_priority, log)

    def ready() -> None:
        realtime.take()
        log.info("driver ready", directory=str(topology.aeron_dir))

    run_driver(
        topology.aeron_dir,
        stop=lambda: stop.requested,
        options=options,
        on_ready=ready,
    )
    log.info("driver stopped", reason=stop.reason)
    return 0
