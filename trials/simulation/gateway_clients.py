"""Carries the messages of clients' streams to and from a simulated gateway's driver."""

from typing import Any, Final

from lockstep.gateway.client_stream import ClientStream
from lockstep.gateway.driver import GatewayDriver
from lockstep.gateway.sessions import Refused
from lockstep.gateway.wire import decode_request
from lockstep.runtime.topology import Client
from lockstep.stream.codes import Code
from lockstep.trials.simulation.network import Pipe

CLIENT: Final = Client("client", "token", admin=True)
END: Final = b""
"""The gateway's last message on a stream that it ends in order."""


class GatewayClients:
    """For one life of a gateway."""

    def __init__(self, driver: GatewayDriver) -> None:
        self._driver = driver
        self._pipes: dict[Pipe, ClientStream] = {}
        self._unread: dict[Pipe, list[bytes]] = {}  # of streams whose session's past is not known yet

    def on_item(self, item: Any) -> None:
        """Something that is no frame: a message of a client, the end of his stream, or a single call."""
        match item:
            case ("stream", pipe, raw):
                self.on_message(pipe, raw)
            case ("call", serve):
                serve()
            case (_, pipe, *_):
                self.on_ended(pipe)

    def on_message(self, pipe: Pipe, raw: bytes) -> None:
        """A client has sent a message."""
        stream = self._pipes.get(pipe)
        if stream is None:
            self._open(pipe, raw)
        elif stream.past_known.is_set():
            self._driver.streams.on_message(stream, raw, CLIENT, None)
        else:
            self._unread.setdefault(pipe, []).append(raw)

    def _open(self, pipe: Pipe, raw: bytes) -> None:
        hello = decode_request(raw).hello
        if hello is None or self._driver.machine.downlink is None:
            pipe.end("UNAVAILABLE: not in step with the cluster yet")
            return
        opened = self._driver.streams.open(CLIENT.name, hello)
        if isinstance(opened, Refused):
            pipe.end(f"refused: {opened.code.name}")
        else:
            self._pipes[pipe] = opened

    def on_ended(self, pipe: Pipe) -> None:
        """The client, or the way to it, is gone."""
        self._unread.pop(pipe, None)
        stream = self._pipes.pop(pipe, None)
        if stream is not None:
            self._driver.streams.close(stream)

    def write(self) -> None:
        """What waits goes out, and what waited to be read is read."""
        for pipe, stream in list(self._pipes.items()):
            if pipe in self._unread and stream.past_known.is_set():
                for raw in self._unread.pop(pipe):
                    self._driver.streams.on_message(stream, raw, CLIENT, None)
            while stream.wakeup.is_set() and not stream.closed:
                stream.wakeup.clear()
                for message in stream.take(self._driver.machine.epoch, self._driver.machine.delivered_seq):
                    pipe.send(message, up=False)
                self._driver.streams.on_drained(stream)
                if stream.end is not None:
                    if stream.end.code is Code.REPORTS_GONE:
                        pipe.trailer = stream.end.text, int(stream.end.code)
                    pipe.send(END, up=False)
                    break
