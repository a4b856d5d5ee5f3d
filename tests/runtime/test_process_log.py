"""The log is one JSON line for each event, and never stops its process."""

import io
import json

import pytest

from lockstep.runtime.process_log import open_log


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_an_event_is_one_line_with_who_when_what_and_the_values(capsys: pytest.CaptureFixture[str]) -> None:
    open_log("engine-1").info("snapshot", seq=7, why=ValueError("x"))
    (row,) = lines(capsys.readouterr().err)
    assert (row["process"], row["event"], row["level"], row["seq"], row["why"]) == (
        "engine-1", "snapshot", "info", 7, "x",
    )  # fmt: skip
    assert str(row["timestamp"]).endswith("Z")
    assert isinstance(row["pid"], int)


def test_an_error_keeps_its_traceback_in_the_same_line(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise AssertionError("seq 7 twice")
    except AssertionError as broken:
        open_log("engine-1").critical("broken_invariant", exc_info=broken)
    (row,) = lines(capsys.readouterr().err)
    assert "seq 7 twice" in str(row["exception"])
    assert "test_process_log.py" in str(row["exception"])


def test_the_level_of_the_environment_silences_what_is_below_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for wanted, shown in (("warning", ["warning", "error"]), ("debug", ["debug", "info", "warning", "error"])):
        monkeypatch.setenv("LOCKSTEP_LOG", wanted)
        log = open_log("x")
        for write in (log.debug, log.info, log.warning):
            write("said")
        log.error("said")
        assert [row["level"] for row in lines(capsys.readouterr().err)] == shown


def test_an_unknown_level_means_info(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("LOCKSTEP_LOG", "loud")
    open_log("x").debug("said")
    open_log("x").info("said")
    assert len(lines(capsys.readouterr().err)) == 1


def test_a_terminal_gets_lines_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    monkeypatch.setattr("sys.stderr", out)
    open_log("engine-1").info("media_driver_back", seq=7)
    assert "media_driver_back" in out.getvalue()
    assert not out.getvalue().startswith("{")


def test_a_log_that_cannot_be_written_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, f"No space left on device for {text}")

    monkeypatch.setattr("sys.stderr", Full())
    open_log("engine-1").info("said")
