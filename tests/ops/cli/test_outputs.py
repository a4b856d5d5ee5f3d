"""Every command looks at the files that it is to write before it does anything else."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

import click
import pytest

from lockstep.runtime import config

from .conftest import COMMANDS, RunHere, required_words

HEADER = "action,order_id,account,instrument,side,type,tif,price,quantity"
FLOW = f"# instrument: ABC tick=0.01\n# account: A cash=unlimited positions=unlimited\n{HEADER}\n"
EXAMPLE = Path(config.__file__).resolve().parent / "cluster.example.toml"
MODULE = ("-m", "lockstep.ops.cli.main")


def writes(param: click.Parameter) -> bool:
    return type(param.type).__name__ == "_OutputType"


WRITERS = [(path, param.opts[-1]) for path, command in COMMANDS.items() for param in command.params if writes(param)]


def test_the_commands_that_write_files_are_those_known() -> None:
    assert {option for _, option in WRITERS} == {"--json", "--html", "--fills", "--reports", "--out", "--output"}
    assert len(WRITERS) > 30


@pytest.mark.parametrize(
    ("path", "option"), WRITERS, ids=lambda value: value if isinstance(value, str) else "-".join(value)
)
def test_no_command_begins_with_an_output_that_cannot_be_written(
    run_here: RunHere, tmp_path: Path, path: tuple[str, ...], option: str
) -> None:
    given = tmp_path / "given"
    given.mkdir()
    words = required_words(COMMANDS[path], given)
    missing = run_here(*path, *words, option, tmp_path / "nodir" / "x")
    assert (missing.code, missing.out) == (2, "")
    assert missing.err == (
        f"lockstep: {tmp_path}/nodir/x: can't be written: there is no directory {tmp_path}/nodir; "
        f"choose another {option} file\n"
    )
    folder = run_here(*path, *words, option, tmp_path)
    assert (folder.code, folder.err) == (2, f"lockstep: {tmp_path}: is a directory; choose another {option} file\n")


CONFIGURED = [(path, option) for path, option in WRITERS if any(p.opts[0] == "--config" for p in COMMANDS[path].params)]


@pytest.mark.parametrize(
    ("path", "option"), CONFIGURED, ids=lambda value: value if isinstance(value, str) else "-".join(value)
)
def test_no_command_writes_over_its_configuration_or_what_that_names(
    run_here: RunHere, tmp_path: Path, path: tuple[str, ...], option: str
) -> None:
    file = tmp_path / "cluster.toml"
    shutil.copy(EXAMPLE, file)
    before = file.read_bytes()
    given = tmp_path / "given"
    given.mkdir()
    words = (*required_words(COMMANDS[path], given), "--config", file)
    done = run_here(*path, *words, option, file)
    assert (done.code, done.out) == (2, "")
    assert "is the configuration, which is read" in done.err
    for named in ("engine-1", "gateway-1", "reconciler"):
        (tmp_path / named).mkdir(exist_ok=True)
        done = run_here(*path, *words, option, tmp_path / named / "key.pem")
        assert (done.code, done.out) == (2, ""), named
        assert "whose files are not to be touched" in done.err or "is key_file" in done.err
        assert not (tmp_path / named / "key.pem").exists()
    assert file.read_bytes() == before


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    path = tmp_path / "flow.csv"
    path.write_text(FLOW + "N,1,A,ABC,B,limit,gtc,1.00,1\n")
    return path


@pytest.mark.parametrize("option", ["--fills", "--reports", "--json"])
@pytest.mark.parametrize("name", ["flow.csv", "./flow.csv", "link", "hard", "other/flow.csv"])
def test_a_replay_does_not_destroy_its_flow(run_here: RunHere, flow: Path, option: str, name: str) -> None:
    (flow.parent / "link").symlink_to(flow)
    (flow.parent / "hard").hardlink_to(flow)
    (flow.parent / "other").symlink_to(flow.parent)
    before = flow.read_bytes()
    done = run_here("replay", flow, "--local", option, f"{flow.parent}/{name}")
    assert (done.code, done.out) == (2, "")
    assert "is the order flow, which is read" in done.err
    assert flow.read_bytes() == before


@pytest.mark.parametrize("pair", [("--fills", "--reports"), ("--fills", "--json"), ("--reports", "--json")])
def test_two_outputs_of_a_replay_are_two_places(run_here: RunHere, flow: Path, pair: tuple[str, str]) -> None:
    for name in (flow.parent / "x.csv", "-", "/dev/stdout"):
        done = run_here("replay", flow, "--local", pair[0], name, pair[1], name)
        assert (done.code, done.out) == (2, "")
        assert "goes, too" in done.err
    assert not (flow.parent / "x.csv").exists()


def test_a_replay_that_cannot_be_sent_leaves_old_results_alone(run_here: RunHere, flow: Path) -> None:
    old = flow.parent / "fills.csv"
    old.write_text("old\n")
    done = run_here("replay", flow, "--address", "127.0.0.1:1", "--fills", old, "--json", flow.parent / "x.json")
    assert done.code == 1
    assert old.read_text() == "old\n"
    assert sorted(path.name for path in flow.parent.iterdir()) == ["fills.csv", "flow.csv"]


def lockstep(
    *words: object, stdout: IO[str] | int = subprocess.PIPE, stderr: IO[str] | int = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *MODULE, *map(str, words)]
    return subprocess.run(command, text=True, check=False, timeout=60, stdout=stdout, stderr=stderr)


def test_standard_output_that_is_appended_to_an_input_is_refused(flow: Path) -> None:
    before = flow.read_bytes()
    with flow.open("a") as appended:
        done = lockstep("replay", flow, "--local", stdout=appended)
    assert done.returncode == 2
    assert "is the order flow, and standard output goes there" in done.stderr
    assert flow.read_bytes() == before


def test_the_result_may_go_to_standard_output_by_any_name_and_to_a_pipe(tmp_path: Path) -> None:
    words = ("metrics-targets", "--config", EXAMPLE, "--output")
    plain = lockstep(*words, "-")
    assert (plain.returncode, plain.stderr) == (0, "")
    assert lockstep(*words, "/dev/stdout").stdout == plain.stdout
    with (tmp_path / "to file").open("w") as file:
        assert lockstep(*words, "/dev/stdout", stdout=file).returncode == 0
    assert (tmp_path / "to file").read_text() == plain.stdout
    script = '"$0" "$@" 5>piped; "$0" "$@" 5>&1 >/dev/null'
    both = subprocess.run(
        ["sh", "-c", script, sys.executable, *MODULE, *map(str, words), "/dev/fd/5"],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert both.stdout == (tmp_path / "piped").read_text() == plain.stdout


@pytest.mark.parametrize("words", [("metrics-targets", "--config", EXAMPLE), ("--help",), ("completion", "bash")])
def test_a_full_disk_under_standard_output_is_one_message(words: tuple[object, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        done = lockstep(*words, stdout=full)
    assert done.returncode == 1
    assert done.stderr.startswith("lockstep: ")
    assert "No space left on device" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = lockstep("metrics-targets", "--config", EXAMPLE, "--output", "-", stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_full_disk_while_a_result_is_written_is_one_message(run_cli: Callable) -> None:
    done = run_cli("metrics-targets", "--config", EXAMPLE, "--output", "/dev/full")
    assert done.returncode == 1
    assert done.stderr == (
        "lockstep: /dev/full: can't be written: No space left on device; choose another --output file\n"
    )
