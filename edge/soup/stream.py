"""A gateway's session stream whose reports are taken as arrays, for a codec, and not as messages of gRPC."""

from collections.abc import Callable
from typing import Any, Final

from lockstep.gateway.client_stream import ClientStream
from lockstep.wire.v1 import columns_pb2

_NOBODY: Final[Callable[[], None]] = lambda: None  # noqa: E731


class SoupStream(ClientStream):
    """See the module. Refusals and the like, which gRPC clients are told, are not kept: a link reads them elsewhere."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.on_change = _NOBODY
        """Called when there is something to take, or the stream has ended."""

    def _say(self, message: columns_pb2.SessionResponse) -> None:
        del message

    def _notify(self) -> None:
        self.on_change()
