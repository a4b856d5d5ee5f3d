"""What a process imports before it works: a restart after a crash is as late as its imports."""

import subprocess
import sys

HEAVY = {"numpy", "grpc", "prometheus_client", "google"}


def imported(statement: str) -> set[str]:
    script = f"import sys\nbefore = set(sys.modules)\n{statement}\nprint(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in done.stdout.split()}


def test_the_driver_needs_none_of_the_heavy_libraries() -> None:
    assert not imported("import lockstep.ops.cli.main, lockstep.ops.cli.driver") & HEAVY


def test_the_snapshotter_talks_to_nobody_and_needs_no_grpc() -> None:
    found = imported("import lockstep.ops.cli.main, lockstep.ops.cli.snapshotter, lockstep.replica.snapshotter")
    assert not found & {"grpc", "google"}


def test_the_names_of_the_subcommands_cost_no_import_of_them() -> None:
    assert not imported("from lockstep.ops.cli.main import cli; cli.list_commands(None)") & HEAVY
