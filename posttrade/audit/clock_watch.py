"""Measuring this host's clock against what RTS 25 asks: chrony and gateways are asked, and a line is written."""

import fcntl
import os
import socket
import ssl
import subprocess
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final

from prometheus_client.parser import text_string_to_metric_families

from lockstep.posttrade.audit.clock_figures import clock_families
from lockstep.posttrade.audit.clocks import Clock, ClockFault, Demand, checked, clock_of, demand_of, faults_of, line_of
from lockstep.runtime.access.dialing import headers_for, introduce
from lockstep.runtime.faults import EnvironmentFault, disk_text
from lockstep.runtime.metrics.families import Families
from lockstep.runtime.topology import Topology

CHRONYC: Final = ("chronyc", "-c", "tracking")
_CHRONYC_S: Final = 10.0
_SCRAPE_S: Final = 5.0
_LATENCY: Final = "lockstep_gateway_submit_to_report_seconds"
_NOT_KNOWN_NS: Final = 10**9
"""Counts as the divergence of a clock of which nothing is known."""


class ClockWatch:
    """One host's measurements, and where they are written.

    Raises:
        EnvironmentFault: the record can't be used, or was changed.
    """

    def __init__(self, record: Path, topology: Topology, ask: Callable[[], str]) -> None:
        """`ask`: what `chronyc -c tracking` prints now."""
        self.record = record
        self._topology = topology
        self._ask = ask
        introduce(topology)
        self._lock = _held(record)
        self._last = last_line(record)
        self._clock, self._demand = Clock("", 0, _NOT_KNOWN_NS, "not measured yet"), demand_of({})[0]
        self._at_s = 0.0

    def close(self) -> None:
        """Another one may write now."""
        self._lock.close()

    def measure(self) -> tuple[Clock, Demand, float | None, list[str]]:
        """Measure once, and write it down: the clock, what is asked, the share within 1 ms, what is wrong."""
        try:
            clock = clock_of(self._ask())
        except (ClockFault, EnvironmentFault) as fault:
            clock = Clock("", 0, _NOT_KNOWN_NS, str(fault))
        demand, share = demand_of(latencies(self._topology))
        now = datetime.now(UTC)
        line = line_of(self._last, socket.gethostname(), f"{now:%Y-%m-%dT%H:%M:%S.%fZ}", clock, demand, share)
        try:
            with self.record.open("a", encoding="ascii") as file:
                file.write(line + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise EnvironmentFault(disk_text("write", f"the record of clocks {self.record}", error)) from error
        self._last, self._clock, self._demand, self._at_s = line, clock, demand, time.time()
        return clock, demand, share, faults_of(clock, demand)

    def families(self) -> Families:
        """What the last measurement came to."""
        return clock_families(self._clock, self._demand, self._at_s)


def _held(record: Path) -> IO[bytes]:
    try:
        file = record.open("ab")
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        # Each would write its line behind the one that it knows, and the chain would be broken.
        raise EnvironmentFault(f"another process writes the record of clocks {record}; name another file") from None
    except OSError as error:
        raise EnvironmentFault(disk_text("write", f"the record of clocks {record}", error)) from error
    return file


def chrony(command: Sequence[str] = CHRONYC) -> str:
    """What the host's chrony says.

    Raises:
        EnvironmentFault: it can't be asked.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_CHRONYC_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentFault(
            f"{command[0]} can't be asked: {error}; install chrony, or name it (--chronyc)"
        ) from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[:200]
        raise EnvironmentFault(f"{command[0]} says {said!r} (exit code {done.returncode}): is chronyd running?")
    return done.stdout


def latencies(topology: Topology) -> dict[float, float]:
    """Of all gateways that answer: cumulative counts by upper bound in seconds, since each was started."""
    found: dict[float, float] = defaultdict(float)
    context = ssl.create_default_context(cafile=topology.tls.cert_dir / "ca.pem") if topology.tls.on else None
    for gateway in topology.gateways:
        address = f"{gateway.host}:{gateway.metrics_port}"
        if not gateway.metrics_port:
            continue
        url = f"{'http' if context is None else 'https'}://{address}/metrics"
        asked = urllib.request.Request(url, headers=headers_for(address))  # noqa: S310 - http or https
        try:
            with urllib.request.urlopen(asked, timeout=_SCRAPE_S, context=context) as reply:  # noqa: S310
                text = reply.read().decode()
        except OSError:
            # Without figures the stricter demand counts.
            continue
        for family in text_string_to_metric_families(text):
            for sample in family.samples if family.name == _LATENCY else ():
                if sample.name.endswith("_bucket"):
                    found[float(sample.labels["le"])] += sample.value
    return dict(found)


def last_line(record: Path) -> str:
    """The newest line of a record; empty: there is none. All of it is checked.

    Raises:
        EnvironmentFault: it can't be read, or was changed.
    """
    found = lines_in(record, mend=True)
    try:
        checked(found)
    except ClockFault as fault:
        raise EnvironmentFault(f"{record}: {fault}; keep it for a look, and name another file") from fault
    return found[-1] if found else ""


def lines_in(record: Path, *, mend: bool = False) -> list[str]:
    """All whole lines of a record. `mend`: what a kill has left of one that has no end is taken away.

    Raises:
        EnvironmentFault: it can't be read.
    """
    try:
        raw = record.read_bytes() if record.exists() or not mend else b""
        whole = raw[: raw.rfind(b"\n") + 1]
        if mend and len(whole) < len(raw):
            os.truncate(record, len(whole))
        return whole.decode("ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise EnvironmentFault(f"the record of clocks {record} can't be read: {error}") from error
