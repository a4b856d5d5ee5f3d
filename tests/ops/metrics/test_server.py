"""The exposition server as Prometheus sees it."""

import contextlib
import socket
import struct
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lockstep.runtime.metrics.families import Families, counters, gauge, histogram
from lockstep.runtime.metrics.readers import Readers
from lockstep.runtime.metrics.server import MetricsServer
from lockstep.runtime.metrics.tally import Latencies
from lockstep.runtime.process import EnvironmentFault
from tests.everybody import any_reader


def some_families() -> Families:
    latencies = Latencies()
    latencies.add(1_500_000, 2)
    yield gauge("lockstep_epoch", "Epoch.", 7)
    yield counters("lockstep_things_total", "Things.", "what", {"a": 1, "b": 2})
    yield histogram("lockstep_hop_seconds", "A hop.", latencies)


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    running = MetricsServer("127.0.0.1", 0, some_families, any_reader)
    yield running
    running.close()


def get(server: MetricsServer, path: str = "/metrics") -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=30) as answer:
        return str(answer.read().decode())


def test_a_scrape_reads_every_family_and_the_process_itself(server: MetricsServer) -> None:
    samples = {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(get(server))
        for sample in family.samples
    }
    assert samples["lockstep_epoch", ()] == 7
    assert samples["lockstep_things_total", ("b",)] == 2
    assert samples["lockstep_hop_seconds_count", ()] == 2
    assert samples["lockstep_hop_seconds_sum", ()] == pytest.approx(0.003)
    assert samples["lockstep_hop_seconds_bucket", ("0.001",)] == 0
    assert samples["lockstep_hop_seconds_bucket", ("0.0015",)] == 2
    assert samples["process_open_fds", ()] > 0


def test_closing_is_immediate_and_frees_the_port() -> None:
    first = MetricsServer("127.0.0.1", 0, some_families, any_reader)
    get(first)
    with socket.create_connection(("127.0.0.1", first.port)):
        # A reader that asks for nothing.
        began = time.monotonic()
        first.close()
        assert time.monotonic() - began < 2
    again = MetricsServer("127.0.0.1", first.port, some_families, any_reader)
    get(again)
    again.close()


def test_any_other_path_is_not_found(server: MetricsServer) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(server, "/else")


@pytest.mark.parametrize(
    "asked",
    [b"GET /metrics HTTP/1.1", b"GET /<b>x HTTP/1.1", b"<b>x / HTTP/1.1", b"<b>x", b"GET / HTTP/9.9<b>x",
     b"TRACE /metrics HTTP/1.1", b"GET /" + b"x" * 70_000 + b" HTTP/1.1"],
    ids=["figures", "path", "method", "nothing", "version", "trace", "long"],
)  # fmt: skip
def test_no_answer_says_a_version_or_what_was_sent(server: MetricsServer, asked: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as reader:
        reader.sendall(asked + b"\r\nX: <b>x\r\n\r\n")
        answer = b""
        with contextlib.suppress(ConnectionError):
            while part := reader.recv(65536):
                answer += part
    for word in (b"Python/", b"BaseHTTP", b"<b>", b"text/html"):
        assert word not in answer
    if answer.startswith(b"HTTP"):
        assert b"\r\nServer: lockstep\r\n" in answer
        assert b"\r\nX-Content-Type-Options: nosniff\r\n" in answer
    else:
        # A line that names no version is of HTTP 0.9, whose answers have no headers.
        assert asked in (b"<b>x", b"GET / HTTP/9.9<b>x")


def test_a_busy_port_is_an_error_that_names_it_and_the_remedy(server: MetricsServer) -> None:
    with pytest.raises(EnvironmentFault, match=rf"127.0.0.1:{server.port}.*metrics_port"):
        MetricsServer("127.0.0.1", server.port, some_families, any_reader)


@pytest.mark.parametrize("slow", ["a letter at a time", "taking nothing"])
def test_a_slow_reader_keeps_others_out_for_a_bounded_time(
    server: MetricsServer, monkeypatch: pytest.MonkeyPatch, slow: str
) -> None:
    monkeypatch.setattr("lockstep.runtime.metrics.server._WHOLE_S", 1.5)
    with socket.create_connection(("127.0.0.1", server.port)) as reader:
        reader.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
        stop = threading.Event()

        def drip() -> None:
            while not stop.wait(0.2):
                try:
                    reader.sendall(b"a")
                except OSError:
                    return

        dripping = threading.Thread(target=drip, daemon=True)
        if slow == "a letter at a time":
            dripping.start()
        began_s = time.monotonic()
        try:
            assert "lockstep_epoch 7" in get(server)
        finally:
            stop.set()
        assert time.monotonic() - began_s < 20


def test_those_that_say_nothing_do_not_keep_others_out(server: MetricsServer) -> None:
    stop = threading.Event()
    with contextlib.ExitStack() as stack:
        dripping = []
        for _ in range(12):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            one.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
            dripping.append(one)

        def drip() -> None:
            while not stop.wait(0.2):
                for one in dripping:
                    with contextlib.suppress(OSError):
                        one.sendall(b"a")

        threading.Thread(target=drip, daemon=True).start()
        began_s = time.monotonic()
        try:
            for _ in range(3):
                assert "lockstep_epoch 7" in get(server)
            assert time.monotonic() - began_s < 1.2
            # Their headers have no more time than others' than that.
            for one in dripping:
                one.settimeout(5)
                with contextlib.suppress(ConnectionError):
                    assert one.recv(1) == b""
        finally:
            stop.set()


def test_a_connection_that_breaks_leaves_no_line(server: MetricsServer, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", server.port)) as reader:
            reader.sendall(b"GET /metr")
            time.sleep(0.05)
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    time.sleep(0.2)
    get(server)
    assert capfd.readouterr().err == ""


def test_the_time_that_a_credential_takes_to_check_is_not_the_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lockstep.runtime.metrics.server._WHOLE_S", 0.3)

    def slowly(authorization: str | None, peer: str) -> None:
        time.sleep(0.8)

    running = MetricsServer("127.0.0.1", 0, some_families, slowly)
    try:
        assert "lockstep_epoch 7" in get(running)
    finally:
        running.close()


def test_an_address_elsewhere_has_two_connections_that_say_nothing() -> None:
    with contextlib.ExitStack() as stack:
        pairs = [socket.socketpair() for _ in range(3)]
        for one in (end for pair in pairs for end in pair):
            stack.enter_context(one)
        readers = Readers()
        for ours, _ in pairs:
            readers.enter(ours, "192.0.2.7")
        assert pairs[0][1].recv(1) == b""
        assert [readers.on_headers(ours) for ours, _ in pairs] == [False, True, True]
