"""One HTTP server for each process, on its `metrics_port`: GET /metrics is the exposition that Prometheus reads.

It has a thread of its own, and a scrape is written family by family with the interpreter handed over in between: the
loop that trades waits for one family at the most, a tenth of a millisecond, never for a whole scrape.
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Final

from prometheus_client import ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from lockstep.runtime.faults import EnvironmentFault
from lockstep.runtime.metrics.disk import free_space, places
from lockstep.runtime.metrics.families import Families
from lockstep.runtime.topology import Member, Topology

PATH: Final = "/metrics"
_CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
# One scrape at a time: a reader that says nothing must not keep Prometheus out for long.
_READ_TIMEOUT_S: Final = 1.0
_WHOLE_S: Final = 5.0
"""For one reader, from its first byte to its last: one that sends a letter a second, or takes one, is cut off."""
_BREATH_S: Final = 0.0002
_LAST_SCRAPE_S: Final = 0.1

Source = Callable[[], Families]
Check = Callable[[str | None, str], tuple[HTTPStatus, str] | None]
"""`(authorization, peer)` -> why the figures are not for this reader, or None."""


class _One(Collector):
    """A registry of one family: what `generate_latest` takes."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Families:
        yield self._family


def exposition(source: Source) -> bytes:
    """The families as Prometheus' text format."""
    parts = []
    for family in source():
        parts.append(generate_latest(_One(family)))
        # Hands the interpreter to the loop if it waits for it.
        time.sleep(_BREATH_S)
    return b"".join(parts)


class _Server(HTTPServer):
    """Of one port; with `tls` its connections are encrypted."""

    def __init__(
        self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], tls: ssl.SSLContext | None
    ) -> None:
        super().__init__(address, handler)
        self._tls = tls

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """The next connection. Raises OSError, which its caller expects: it says nothing, or no TLS."""
        connection, peer = super().get_request()
        if self._tls is None:
            return connection, peer
        connection.settimeout(_READ_TIMEOUT_S)
        secured = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        try:
            with _cut_off(secured):
                secured.do_handshake()
        except OSError:
            secured.close()
            raise
        return secured, peer

    def finish_request(self, request: Any, client_address: Any) -> None:
        """See `socketserver.BaseServer`."""
        with _cut_off(request):
            super().finish_request(request, client_address)


@contextmanager
def _cut_off(connection: socket.socket) -> Iterator[None]:
    """End the connection when it has taken too long."""
    timer = threading.Timer(_WHOLE_S, _shut_down, (connection,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _shut_down(connection: socket.socket) -> None:
    with suppress(OSError):
        # Not that of TLS, which says good-bye first: nobody may be there to hear it.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


class MetricsServer:
    """Serves one source until it is closed."""

    def __init__(self, host: str, port: int, source: Source, check: Check, tls: ssl.SSLContext | None = None) -> None:
        """
        Raises:
            EnvironmentFault: the port cannot be had.
        """
        process = ProcessCollector(registry=None)

        def everything() -> Families:
            yield from source()
            yield from process.collect()

        try:
            self._server = _Server((host, port), _handler(everything, check), tls)
        except OSError as error:
            raise EnvironmentFault(
                f"cannot serve metrics on {host}:{port}: {error.strerror}; "
                "stop the program that uses it, or choose another metrics_port in the cluster's configuration"
            ) from error
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name="metrics", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.server_port

    def _serve(self) -> None:
        # `serve_forever` would look for its end twice a second, and an engine that stops has no such time.
        while not self._closing:
            self._server.handle_request()

    def close(self) -> None:
        """End the thread and free the port; does not wait for a slow reader."""
        self._closing = True
        # Wakes the thread.
        self._server.socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(_LAST_SCRAPE_S)
        self._server.server_close()


def serve(
    topology: Topology, member: Member, source: Source, check: Check, tls: ssl.SSLContext | None = None
) -> Callable[[], None]:
    """Serve a member's metrics, and the room on its disks, if it has a `metrics_port`; returns what ends it.

    Raises:
        EnvironmentFault: the port cannot be had.
    """
    if not member.metrics_port:
        return lambda: None
    where = places(topology, member)

    def everything() -> Families:
        yield from source()
        yield from free_space(where)

    return MetricsServer(member.host, member.metrics_port, everything, check, tls).close


def _handler(source: Source, check: Check) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers GET /metrics."""

        timeout = _READ_TIMEOUT_S

        def do_GET(self) -> None:
            """Write the exposition."""
            if self.path.partition("?")[0] != PATH:
                self.send_error(HTTPStatus.NOT_FOUND, f"only {PATH} is served here")
                return
            refused = check(self.headers.get("Authorization"), self.client_address[0])
            if refused is not None:
                self._refuse(*refused)
                return
            body = exposition(source)
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", _CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _refuse(self, status: HTTPStatus, text: str) -> None:
            body = f"{text}\n".encode()
            self.send_response(status)
            if status is HTTPStatus.UNAUTHORIZED:
                self.send_header("WWW-Authenticate", "Bearer")
            if status is HTTPStatus.TOO_MANY_REQUESTS:
                self.send_header("Retry-After", "1")
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Scrapes are not worth a log line."""

    return Handler
