"""What a cluster stores is its owner's alone."""

import os
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
