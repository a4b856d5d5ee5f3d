"""One HTTP server for each process, on its `metrics_port`: GET /metrics is the exposition that Prometheus reads.

It has threads of its own, one for each connection, few of them (`readers.py`), and reads figures for one of them
at a time. A scrape is written family by family with the interpreter handed over in between: the loop that trades waits
for one family at the most, a tenth of a millisecond, never for a whole scrape.
"""

import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from lockstep.runtime.metrics.readers import Readers, cut_off_after
from lockstep.runtime.topology import Member, Topology

PATH: Final = "/metrics"
_SERVER: Final = "lockstep"
"""As the other HTTP servers say it (`http_connections.py`, which needs more than a process without doors has)."""
_CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_READ_TIMEOUT_S: Final = 1.0
_WHOLE_S: Final = 5.0
"""For one reader to take its answer: one that takes a letter a second is cut off."""
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


class _Reserved(BaseHTTPRequestHandler):
    """Says little of itself, and nothing of what was sent to it."""

    error_message_format = "%(code)d: %(explain)s\n"
    error_content_type = "text/plain; charset=utf-8"

    def version_string(self) -> str:
        """No versions, which say what a server can be attacked with."""
        return _SERVER

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """See `BaseHTTPRequestHandler`. Nothing of what was sent comes back."""
        del message
        super().send_error(code, None, explain)

    def end_headers(self) -> None:
        """With what every answer has."""
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()


class _Server(HTTPServer):
    """Of one port; with `tls` its connections are encrypted. Each connection has a thread, of a bounded number."""

    def __init__(
        self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], tls: ssl.SSLContext | None
    ) -> None:
        super().__init__(address, handler)
        self._tls = tls
        self.readers = Readers()
        self.checking, self.exposing = threading.Lock(), threading.Lock()
        """Held while a reader's credential is looked at, and while figures are read: one at a time."""
        self.closing = False

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """The next connection. Raises OSError, which its caller expects: it is gone."""
        connection, peer = super().get_request()
        connection.settimeout(_READ_TIMEOUT_S)
        if self._tls is None:
            return connection, peer
        try:
            return self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), peer
        except OSError:
            connection.close()
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """See `socketserver.BaseServer`."""
        self.readers.enter(request, client_address[0])
        try:
            threading.Thread(
                target=self._serve_one, args=(request, client_address), name="metrics-reader", daemon=True
            ).start()
        except RuntimeError:
            self.readers.leave(request)
            raise

    def _serve_one(self, request: Any, client_address: Any) -> None:
        try:
            if self._tls is not None:
                request.do_handshake()
            self.finish_request(request, client_address)
        except Exception:  # noqa: BLE001 - the top of a thread
            self.handle_error(request, client_address)
        finally:
            self.readers.leave(request)
            self.shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """See `socketserver.BaseServer`. A connection that broke is worth no line: anybody could fill the disk."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


@contextmanager
def _cut_off(connection: socket.socket) -> Iterator[None]:
    """End the connection when its reader takes too long to take the answer."""
    connection.settimeout(_WHOLE_S)
    timer = cut_off_after(_WHOLE_S, connection)
    try:
        yield
    finally:
        timer.cancel()


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
        self._thread = threading.Thread(target=self._serve, name="metrics", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.server_port

    def _serve(self) -> None:
        # `serve_forever` would look for its end twice a second, and an engine that stops has no such time.
        while not self._server.closing:
            self._server.handle_request()

    def close(self) -> None:
        """End the thread and free the port; does not wait for a slow reader."""
        self._server.closing = True
        self._server.readers.end_mute()
        # Wakes the thread.
        self._server.socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(_LAST_SCRAPE_S)
        if self._server.exposing.acquire(timeout=_LAST_SCRAPE_S):
            self._server.exposing.release()
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
    class Handler(_Reserved):
        """Answers GET /metrics."""

        timeout = _READ_TIMEOUT_S

        server: _Server

        def parse_request(self) -> bool:
            """Whether the whole request is there and is to be answered."""
            return super().parse_request() and self.server.readers.on_headers(self.connection)

        def do_GET(self) -> None:
            """Write the exposition."""
            if self.path.partition("?")[0] != PATH:
                self.send_error(HTTPStatus.NOT_FOUND, explain=f"only {PATH} is served here")
                return
            # No time of these two is the reader's.
            with self.server.checking:
                refused = check(self.headers.get("Authorization"), self.client_address[0])
            if refused is not None:
                self._refuse(*refused)
                return
            with self.server.exposing:
                if self.server.closing:
                    return
                body = exposition(source)
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", _CONTENT_TYPE)
            self._finish(body)

        def _refuse(self, status: HTTPStatus, text: str) -> None:
            self.send_response(status)
            if status is HTTPStatus.UNAUTHORIZED:
                self.send_header("WWW-Authenticate", "Bearer")
            if status is HTTPStatus.TOO_MANY_REQUESTS:
                self.send_header("Retry-After", "1")
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self._finish(f"{text}\n".encode())

        def _finish(self, body: bytes) -> None:
            self.send_header("Content-Length", str(len(body)))
            with _cut_off(self.connection):
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Scrapes are not worth a log line."""

    return Handler
