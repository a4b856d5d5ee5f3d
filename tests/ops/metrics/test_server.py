"""The exposition server as Prometheus sees it."""

import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lockstep.runtime.metrics.families import Families, counters, gauge, histogram
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
