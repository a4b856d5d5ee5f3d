"""How much room there is where a process writes: its data directory, and the shared memory of the media driver."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from lockstep.runtime.metrics.families import Families, gauges
from lockstep.runtime.topology import Member, ProcessKind, Topology

DATA: Final = "data"
SHARED_MEMORY: Final = "shared_memory"


def places(topology: Topology, member: Member) -> dict[str, Path]:
    """Where a member writes, by what it is."""
    found = {SHARED_MEMORY: topology.aeron_dir}
    return found if member.kind in (ProcessKind.SEQUENCER, ProcessKind.FEED) else {DATA: member.data_dir, **found}


def free_space(where: Mapping[str, Path]) -> Families:
    """Free and whole size of each place's file system. One that can't be looked at is left out."""
    seen = {}
    for name, path in where.items():
        try:
            # A directory that is not there yet will lie on the file system of the one above it.
            there = next(place for place in (path.absolute(), *path.absolute().parents) if place.exists())
            seen[name] = shutil.disk_usage(there)
        except OSError:
            continue
    yield gauges(
        "lockstep_disk_free_bytes",
        "Room on the file system of the data directory, and of the media driver's shared memory.",
        "place",
        {name: usage.free for name, usage in seen.items()},
    )
    yield gauges(
        "lockstep_disk_size_bytes", "Whole size of that file system.", "place",
        {name: usage.total for name, usage in seen.items()},
    )  # fmt: skip
