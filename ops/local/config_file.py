"""The configuration that `lockstep up` writes into its data directory for the other commands."""

from pathlib import Path
from typing import Final

from lockstep.ops import config
from lockstep.ops.output import put_whole
from lockstep.ops.process import EnvironmentFault
from lockstep.stream.topology import Topology

_HEADING: Final = "Written by `lockstep up`; other commands read it through --config. Changes are overwritten."


def write_config(path: Path, topology: Topology) -> None:
    """Write the configuration of a local cluster, whole.

    Raises:
        EnvironmentFault: another one stands there, which somebody wrote by hand.
    """
    if path.exists() and not path.read_bytes().startswith(f"# {_HEADING[:23]}".encode()):
        raise EnvironmentFault(
            f"{path} was not written by `lockstep up` and would be overwritten; choose another --data-dir, or move it "
            "away"
        )
    put_whole(path, config.render(topology, heading=_HEADING))
