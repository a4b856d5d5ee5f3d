"""What a cluster stores is its owner's alone."""

import os
import resource
import stat
import subprocess
import sys

import pytest

from lockstep.runtime.private import make_private


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o750, 0o701])
def test_rights_of_others_are_taken_away_once(tmp_path, mode):
    tmp_path.chmod(mode)
    assert make_private(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == mode & 0o700
    assert not make_private(tmp_path)


@pytest.mark.parametrize("begin", ["m.main()", "lockstep.ops.cli.entry.main()"])
def test_the_command_line_and_its_children_create_files_for_their_owner_only(tmp_path, begin):
    program = (
        "import lockstep.ops.cli.main as m, lockstep.ops.cli.entry, subprocess\n"
        "m.run = lambda _arguments=None: subprocess.call(['sh', '-c', 'echo x > file; mkdir directory'])\n"
        f"{begin}\n"
    )
    environment = {**os.environ}
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, check=True)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "directory").stat().st_mode) == 0o700


BEGUN = """
import resource, sys
from lockstep.ops.cli import entry, main
main.run = lambda *_: 0
try:
    {begin}()
except SystemExit:
    pass
print(resource.getrlimit(resource.RLIMIT_CORE) == (0, 0))
"""


@pytest.mark.parametrize(
    ("begin", "wish", "none"), [("main.main", "", True), ("entry.main", "", True), ("main.main", "1", False)]
)
def test_no_process_of_the_command_line_leaves_a_core_dump_unless_somebody_wants_one(
    begin: str, wish: str, none: bool
) -> None:
    script = (sys.executable, "-c", BEGUN.format(begin=begin))
    environment = {**os.environ, "LOCKSTEP_CORE_DUMPS": wish}

    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    if hard == 0:
        pytest.skip("no process here may leave a core dump")

    def with_cores() -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))

    done = subprocess.run(script, env=environment, preexec_fn=with_cores, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(none)
