"""For clusters that are to stay as they are until a test does something to them, however little CPU there is."""

from typing import Final

from lockstep.runtime.topology import Timing

CALM: Final = Timing(
    heartbeat_ms=200, receipt_ms=100, hang_ms=5_000, fence_ms=3_000, etcd_timeout_ms=10_000, bootstrap_ms=30_000
)
"""Silence says nothing on a starved host; a process that dies is noticed at once all the same. Who is not watched for
silence need not say much either: such a cluster leaves others the CPU while nothing happens in it."""
