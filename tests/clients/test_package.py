"""What the client promises: it needs nothing of the cluster, and runs on any system."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

import lockstep

CLUSTER = ("stream", "sequencer", "engine", "replica", "gateway", "ops")
CLUSTER_PACKAGES = ("pyaeron", "rocksdict", "sortedcontainers", "crc32c", "uvloop", "click", "rich", "structlog")
ON_WINDOWS = """
import asyncio, concurrent.futures, json, logging, os, pkgutil, random, subprocess, tempfile, threading, uuid
import google.protobuf.internal.builder, google.protobuf.runtime_version, grpc.aio, numpy.typing, typing_extensions
for name in ("fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"):
    sys.modules[name] = None
for name in (
    "register_at_fork", "fork", "forkpty", "getuid", "geteuid", "getgid", "getpgid", "setsid", "uname", "pread",
    "pwrite", "fdatasync", "sendfile", "fchmod", "chown", "mkfifo", "sched_getaffinity", "statvfs", "O_CLOEXEC",
    "O_NOFOLLOW", "O_DIRECTORY", "O_NONBLOCK", "O_DSYNC", "killpg", "wait3", "wait4", "WNOHANG", "posix_fallocate",
):
    vars(os).pop(name, None)
import lockstep
from lockstep import *
for found in pkgutil.walk_packages([next(iter(lockstep.__path__))], "lockstep."):
    __import__(found.name)
"""
"""Takes away what Windows lacks, once everything that is not ours has been imported, and imports all of ours."""


def _modules_after(statement: str) -> list[str]:
    script = f"{statement}\nimport sys\nprint(*sys.modules)"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.skipif(find_spec("lockstep.replica") is None, reason="the client alone is installed here")
def test_a_process_of_the_cluster_does_not_import_the_client() -> None:
    assert "lockstep.session_machine" not in _modules_after("import lockstep.replica.process")


def test_importing_the_package_pulls_no_module_of_the_cluster() -> None:
    loaded = _modules_after("from lockstep import *")
    roots = {name.split(".")[0] for name in loaded}
    assert "lockstep.session_machine" in loaded
    assert not [name for name in loaded if name.startswith(tuple(f"lockstep.{part}" for part in CLUSTER))]
    assert not roots & set(CLUSTER_PACKAGES)


def test_every_module_is_imported_where_the_system_is_not_posix() -> None:
    loaded = _modules_after(f"import sys\n{ON_WINDOWS}")
    assert {"lockstep.session_shell", "lockstep.client_log", "lockstep.channel", "lockstep.v1.orders_pb2_grpc"} <= set(
        loaded
    )


def test_everything_exported_exists() -> None:
    assert all(hasattr(lockstep, name) for name in lockstep.__all__)
    assert set(lockstep.__all__) <= set(dir(lockstep))
    with pytest.raises(AttributeError, match="no attribute 'Clinet'"):
        lockstep.Clinet  # noqa: B018


def test_refusal_names_code_text_and_remedy() -> None:
    assert str(lockstep.Refused(4005, "order 9")) == (
        "UNKNOWN_ORDER (4005); order 9; remedy: the order is filled, canceled or another account's"
    )
    assert str(lockstep.Refused(4999)) == "code 4999 (4999)"
