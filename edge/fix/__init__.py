"""The FIX door: order entry in FIX 4.4 and FIX 5.0 SP2."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lockstep.edge.fix.door import Door
    from lockstep.gateway.shell import GatewayShell


def make_fix_door(shell: "GatewayShell") -> "Door | None":
    """The door of a gateway whose configuration has an address for it."""
    if not shell.member.fix:
        return None
    # Imported late: a gateway without the door needs nothing of it.
    from lockstep.edge.fix.door import Door

    return Door(shell, shell.member.fix)
