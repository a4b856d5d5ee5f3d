"""The configuration that `lockstep up` writes into its data directory for the other commands."""

from pathlib import Path
from typing import Final

from lockstep.runtime import config
from lockstep.runtime.output import put_whole
from lockstep.runtime.process import EnvironmentFault
from lockstep.runtime.topology import Topology

HEADING: Final = (
    "Written by `lockstep up`; other commands read it through --config. The next `up` keeps what is changed here,\n"
    "but for ports, addresses and directories of its run."
)


def require_own(path: Path) -> None:
    """A file that somebody made by hand is not to be overwritten, whatever stands in it.

    Raises:
        EnvironmentFault: such a one stands there.
    """
    if path.exists() and not path.read_bytes().startswith(f"# {HEADING[:23]}".encode()):
        raise EnvironmentFault(
            f"{path} was not written by `lockstep up` and would be overwritten; choose another --data-dir, or move it "
            "away"
        )


def write_config(path: Path, topology: Topology) -> None:
    """Write the configuration of a local cluster, whole.

    Raises:
        EnvironmentFault: another one stands there, which somebody wrote by hand.
    """
    require_own(path)
    put_whole(path, config.render(topology, heading=HEADING))
