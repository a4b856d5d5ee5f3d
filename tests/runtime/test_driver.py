"""The media driver process: its claim, its directory, its timeouts."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lockstep.runtime.driver import DriverOptions, DriverRefused, claim_path, driver_pid, run_driver, why_tight
from lockstep.runtime.transport import Transport, ipc_link

SUBSCRIBER = """
import sys, time
from lockstep.runtime.transport import Transport, ipc_link
inbound = Transport(sys.argv[1]).inbound(ipc_link("doomed", int(sys.argv[2])))
print("polling", flush=True)
while True:
    inbound.poll(lambda message: None, 10)
    time.sleep(0.001)
"""


def start_subscriber(directory: Path, stream_id: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", SUBSCRIBER, str(directory), str(stream_id)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "polling\n"
    return process


def never() -> bool:
    return True


def test_a_second_driver_in_the_directory_is_refused_with_the_owners_pid(driver: Any) -> None:
    with pytest.raises(DriverRefused, match=f"in use by process {driver.process.pid}"):
        run_driver(driver.directory, stop=never)
    assert driver_pid(driver.directory) == driver.process.pid


def test_the_command_refuses_with_one_line_and_exit_code_1(driver: Any) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "lockstep.runtime.driver", "--dir", str(driver.directory)],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert second.returncode == 1
    assert second.stderr.count("\n") == 1


def test_an_orderly_exit_leaves_nothing_behind(driver: Any) -> None:
    assert driver.directory.exists()
    driver.stop()
    assert driver.process.returncode == 0
    assert list(driver.directory.parent.iterdir()) == []
    assert driver_pid(driver.directory) is None


def test_a_killed_driver_leaves_a_directory_that_the_next_takes_over(driver: Any) -> None:
    first = driver.process.pid
    driver.kill()
    assert driver.directory.exists()
    assert claim_path(driver.directory).exists()
    assert driver_pid(driver.directory) is None
    driver.start()
    assert driver_pid(driver.directory) == driver.process.pid != first


def test_a_predecessors_claim_names_nobody_while_its_successor_starts(tmp_path: Path) -> None:
    directory = tmp_path / "aeron"
    claim_path(directory).write_text("12345 678\n", encoding="ascii")
    seen: list[int | None] = []

    def look(*_: object) -> None:
        claim_path(directory).write_text("12345 678\n", encoding="ascii")  # as before the successor emptied it
        seen.append(driver_pid(directory))
        with pytest.raises(DriverRefused, match="a process that is starting or stopping"):
            run_driver(directory, stop=never)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lockstep.runtime.driver._require_room", look)
        run_driver(directory, stop=never)
    assert seen == [None]
    assert not claim_path(directory).exists()


def test_a_directory_with_other_files_is_refused_and_kept(tmp_path: Path) -> None:
    precious = tmp_path / "aeron" / "precious.txt"
    precious.parent.mkdir()
    precious.write_text("keep", encoding="utf-8")
    with pytest.raises(DriverRefused, match=r"precious\.txt"):
        run_driver(precious.parent, stop=never)
    assert precious.read_text(encoding="utf-8") == "keep"
    assert not claim_path(precious.parent).exists()


def test_a_file_system_without_room_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lockstep.runtime.driver._LINKS_WITH_ROOM", 10**9)
    with pytest.raises(DriverRefused, match="MiB free"):
        run_driver(tmp_path / "aeron", stop=never)
    assert not (tmp_path / "aeron").exists()


def test_it_runs_in_a_thread_until_it_is_told_to_stop(until: Callable[..., float]) -> None:
    base = Path(tempfile.mkdtemp(prefix="lockstep-test-"))
    stop, ready = threading.Event(), threading.Event()
    thread = threading.Thread(
        target=run_driver, args=(base / "aeron",), kwargs={"stop": stop.is_set, "on_ready": ready.set}
    )
    thread.start()
    try:
        assert ready.wait(10)
        Transport(base / "aeron").close()
    finally:
        stop.set()
        thread.join(10)
    assert list(base.iterdir()) == []
    base.rmdir()


def test_a_subscriber_killed_hard_is_let_go_after_the_liveness_time(driver: Any, until: Callable[..., float]) -> None:
    subscriber = start_subscriber(driver.directory, 5)
    transport = Transport(driver.directory)
    outbound = transport.outbound(ipc_link("doomed", 5), queue_limit_bytes=1 << 20)
    until(lambda: outbound.connected)
    time.sleep(0.3)
    subscriber.kill()
    subscriber.wait()
    took_s = until(lambda: not outbound.connected)
    transport.close()
    assert 0.5 < took_s < 2.5


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"publication_unblock_ms": 1500}, "publication_unblock_ms"),
        ({"ipc_term_bytes": 3_000_000}, "ipc_term_bytes"),
        ({"udp_mtu_bytes": 9001}, "udp_mtu_bytes"),
    ],
)
def test_options_that_the_driver_would_choke_on_are_refused(changes: dict[str, int], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        DriverOptions(**changes)


def test_links_that_may_outgrow_the_file_system_are_told_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mib = 1 << 20
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=500 * mib))
    options = DriverOptions(ipc_term_bytes=16 * mib, udp_term_bytes=16 * mib)
    delivered = why_tight(tmp_path / "aeron", options, 17)
    assert "500 MiB free" in delivered
    assert "816 MiB" in delivered
    assert "term_mib" in delivered
    smaller = DriverOptions(ipc_term_bytes=8 * mib, udp_term_bytes=8 * mib)
    assert why_tight(tmp_path / "aeron", smaller, 17) == ""
