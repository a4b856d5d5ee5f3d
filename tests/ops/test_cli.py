"""The command line: help that says something, and one clear message for each mistake."""

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from lockstep.ops.cli.access import command as access
from lockstep.ops.cli.cluster import command as cluster
from lockstep.ops.cli.lazy_group import LazyGroup
from lockstep.ops.cli.main import COMMANDS, cli

HEADER = "action,order_id,account,instrument,side,type,tif,price,quantity"


def assert_clear(done: subprocess.CompletedProcess[str], code: int, *parts: str) -> None:
    """One message with the thing and the remedy, the exit code, no traceback."""
    text = done.stderr + done.stdout
    assert "Traceback" not in text
    assert done.returncode == code, text
    for part in parts:
        assert part in text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    done = CliRunner().invoke(cli, [name, "--help"])
    assert done.exit_code == 0
    assert done.stdout.startswith("Usage:")
    assert len(done.stdout.splitlines()) > 6


def test_group_help_lists_every_command_with_a_sentence(run_cli: Callable) -> None:
    done = run_cli("--help")
    for name in COMMANDS:
        assert any(line.split()[:1] == [name] and len(line.split()) > 3 for line in done.stdout.splitlines()), name


@pytest.mark.parametrize("group", [cli, access, cluster], ids=lambda group: group.name)
def test_the_list_of_commands_says_what_the_commands_say_themselves(group: LazyGroup) -> None:
    """It is read from their sources, since to import them all takes seconds."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        assert group.sentence_of(context, name) == command.get_short_help_str(200), name


def test_version(run_cli: Callable) -> None:
    assert run_cli("--version").stdout.startswith("lockstep 0.")


def test_unknown_command_is_a_usage_error(run_cli: Callable) -> None:
    assert_clear(run_cli("explode"), 2, "No such command", "explode")


def test_unknown_config_key_is_named(run_here: Callable, tmp_path: Path) -> None:
    path = tmp_path / "cluster.toml"
    path.write_text('[cluster]\nname = "x"\ncolour = "red"\n')
    for command in ("engine", "sequencer", "gateway"):
        done = run_here(command, "--config", path, "--id", 1)
        assert_clear(done, 2, str(path), "unknown key 'colour'", "remove it")
    assert_clear(run_here("status", "--config", path), 2, "unknown key 'colour'")
    assert_clear(run_here("driver", "--config", path), 2, "unknown key 'colour'")


def test_missing_config_says_how_to_get_one(
    run_here: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_clear(run_here("status"), 2, "cluster.toml", "lockstep up")


def test_unknown_member_id_lists_those_that_there_are(run_here: Callable) -> None:
    example = Path(__file__).resolve().parents[2] / "runtime" / "cluster.example.toml"
    assert_clear(run_here("engine", "--config", example, "--id", 9), 2, "no engine 9", "1, 2")


def test_status_of_a_cluster_that_is_down_says_so(run_here: Callable, tmp_path: Path) -> None:
    example = Path(__file__).resolve().parents[2] / "runtime" / "cluster.example.toml"
    out = tmp_path / "status.json"
    done = run_here("status", "--config", example, "--json", out)
    assert_clear(done, 1, "engine-1", "down", "not reachable")
    assert {member["role"] for member in json.loads(out.read_text())["members"]} == {"down"}
    assert_clear(
        run_here("cluster", "switchover", "--config", example), 3, "no sequencer answers", "Nothing was changed"
    )


def test_busy_port_is_named_before_anything_starts(run_here: Callable, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run_here("up", "--port", port, "--data-dir", tmp_path / "data")
    assert_clear(done, 1, f"port {port} is in use", "--port")
    assert not (tmp_path / "data" / "logs").exists()


def test_data_dir_that_is_a_file_is_refused(run_here: Callable, tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_text("")
    assert_clear(run_here("up", "--data-dir", path), 2, "is a file")


@pytest.mark.parametrize(
    ("row", "part"),
    [
        ("N,1,A,NOPE,B,limit,gtc,1,1", "unknown instrument 'NOPE'"),
        ("N,1,A,ABC,B,limit,gtc,1.005,1", "off the tick 0.01"),
        ("N,1,A,ABC,B,limit,gtc,1,0", "quantity 0"),
        ("N,1,A,ABC,B,limit,gtc,1,2147483648", "quantity 2147483648"),
    ],
)
def test_mistake_in_a_flow_is_told_before_a_cluster_is_started(
    run_here: Callable, tmp_path: Path, row: str, part: str
) -> None:
    flow = tmp_path / "flow.csv"
    flow.write_text(f"# instrument: ABC tick=0.01\n# account: A cash=unlimited\n{HEADER}\n{row}\n")
    assert_clear(run_here("replay", flow, "--local"), 2, f"{flow}:4:", part)


def test_wrong_column_in_a_flow_is_named(run_here: Callable, tmp_path: Path) -> None:
    flow = tmp_path / "flow.csv"
    flow.write_text(HEADER.replace("price", "prize") + "\n")
    assert_clear(run_here("replay", flow, "--local"), 2, "unknown column 'prize'", "price")


def test_kill_needs_a_local_cluster_and_a_known_target(run_here: Callable, tmp_path: Path) -> None:
    flow = tmp_path / "flow.csv"
    flow.write_text(HEADER + "\n")
    assert_clear(run_here("replay", flow, "--kill", "primary@5"), 2, "--local")
    assert_clear(run_here("replay", flow, "--local", "--kill", "cat@5"), 2, "primary@N", "'cat@5'")


def test_replay_to_nowhere_names_the_address(run_here: Callable, tmp_path: Path) -> None:
    flow = tmp_path / "flow.csv"
    flow.write_text(HEADER + "\n")
    assert_clear(run_here("replay", flow, "--address", "127.0.0.1:1"), 1, "127.0.0.1:1")
    assert_clear(run_here("replay", flow, "--address", "nonsense"), 2, "nonsense")


def test_an_install_without_what_it_needs_says_so_in_a_line() -> None:
    script = "import sys; sys.modules['click'] = None\nfrom lockstep.ops.cli.entry import main\nsys.exit(main())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "lockstep: the package click is missing here: pip install lockstep-cluster\n"


@pytest.mark.slow
def test_without_the_extra_bench_its_commands_say_so_and_the_others_work() -> None:
    script = "import sys; sys.modules['hdrh'] = None\nfrom lockstep.ops.cli.entry import main\nsys.exit(main())"

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", script, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    said = "needs the package hdrhistogram: pip install 'lockstep-cluster[bench]'"
    for command in (["bench", "cluster", "--rate", "1"], ["replay", "flow.csv"]):
        done = run(*command)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"Error: lockstep {command[0]} {said}\n"
    assert "".join(said.capitalize().split()) in "".join(run("--help").stdout.split())
    assert run("sim", "--help").returncode == 0
