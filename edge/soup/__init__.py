"""The binary door: OUCH 4.2 order entry over SoupBinTCP 3."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lockstep.edge.soup.door import Door
    from lockstep.gateway.shell import GatewayShell


def make_door(shell: "GatewayShell") -> "Door | None":
    """The door of a gateway whose configuration has an address for it."""
    if not shell.member.soup:
        return None
    # Imported late: a gateway without the door needs nothing of it.
    from lockstep.edge.soup.door import Door

    return Door(shell, shell.member.soup)
