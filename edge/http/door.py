"""What `lockstep feed` opens for the web, on one port: the feed's WebSocket, the REST door, the trading page."""

from contextlib import AsyncExitStack

from lockstep.edge.http.page import Page
from lockstep.edge.http.websocket import WebSocketDoor
from lockstep.edge.rest.door import RestDoor
from lockstep.marketdata.shell import FeedShell


async def open_door(shell: FeedShell, stack: AsyncExitStack) -> None:
    """Open them, if the feed has a port. See `marketdata.process.Door`."""
    member = shell.member
    if member.http_port:
        rest, page = RestDoor(shell), Page(shell)
        stack.push_async_callback(rest.close)
        stack.push_async_callback(page.close)
        door = WebSocketDoor(shell, also=(rest.add_to, page.add_to))
        page.start(door)
        await door.open(member.host, member.http_port)
        stack.push_async_callback(door.close)
