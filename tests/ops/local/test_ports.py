"""Ports that a cluster has chosen are nobody else's, although nothing listens there yet."""

import subprocess
import sys

import pytest

from lockstep.ops.local import ports

CHOOSE = (
    "import sys; from lockstep.ops.local import ports; "
    "print(*ports.free_ports(int(sys.argv[1])), flush=True); sys.stdin.read()"
)


def test_a_block_is_contiguous_and_below_what_the_kernel_gives_away() -> None:
    block = ports.free_ports(12)
    assert list(block) == list(range(block[0], block[0] + 12))
    assert block[0] >= 15_000


def test_who_chooses_at_the_same_time_gets_others(monkeypatch: pytest.MonkeyPatch) -> None:
    program = [sys.executable, "-c", CHOOSE, "40"]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        theirs = [int(port) for port in other.stdout.readline().split()]
        # No choice but theirs.
        monkeypatch.setattr(ports, "_LOWEST", theirs[0])
        monkeypatch.setattr(ports, "_ephemeral_low", lambda: theirs[-1] + 2)
        with pytest.raises(OSError, match="no block of 40 free ports"):
            ports.free_ports(40)
        other.communicate("")
    monkeypatch.undo()
    assert ports._claim(theirs), "a claim ends with its process"
