"""A small file system for one engine, to be filled up or made read-only, seen by nobody else.

It is an ext4 image on a loop device, mounted in a mount namespace of this process and its children, so that whatever
happens to us the kernel takes the mount away with the last of our processes.
"""

import contextlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from lockstep.runtime.process import EnvironmentFault

_IMAGE_MB: Final = 512
_BALLAST: Final = "ballast"
_BLOCK: Final = bytes(4096)


def enter_private_mounts() -> str:
    """Give this thread, and what it starts, mounts of its own; why that is not possible, or nothing.

    Call it before other threads are started: those keep the mounts that they were started with.
    """
    if os.geteuid() != 0:
        return "mounting file systems needs root"
    try:
        os.unshare(os.CLONE_NEWNS)
        _call("mount", "--make-rprivate", "/")
    except (AttributeError, OSError, EnvironmentFault) as error:
        return f"mounts of our own are not possible here: {error}"
    return ""


class SmallDisk:
    """A mounted image at an engine's data directory.

    Raises:
        EnvironmentFault: it can't be made or mounted here.
    """

    def __init__(self, mount_point: Path, image: Path) -> None:
        self.mount_point = mount_point
        self._image = image
        self._read_only = False
        mount_point.mkdir(parents=True, exist_ok=True)
        with image.open("wb") as file:
            file.truncate(_IMAGE_MB << 20)
        _call("mkfs.ext4", "-q", "-m", "0", str(image))
        _call("mount", "-o", "loop", str(image), str(mount_point))
        with contextlib.suppress(OSError):
            (mount_point / "lost+found").rmdir()

    def fill(self) -> None:
        """Take all the room there is."""
        with (self.mount_point / _BALLAST).open("ab", buffering=0) as file, contextlib.suppress(OSError):
            room = os.fstatvfs(file.fileno())
            # Whole megabytes without writing them; what is left over, and what others give back meanwhile, by hand.
            os.posix_fallocate(file.fileno(), 0, max(1, (room.f_bavail * room.f_frsize >> 20) - 1 << 20))
            while file.write(_BLOCK) == len(_BLOCK):
                pass

    def free(self) -> None:
        """Give the room back."""
        (self.mount_point / _BALLAST).unlink(missing_ok=True)

    def make_read_only(self) -> None:
        """Whoever opens a file from now on can only read it."""
        path = str(self.mount_point)
        _call("mount", "--bind", path, path)
        _call("mount", "-o", "remount,bind,ro", path)
        self._read_only = True

    def make_writable(self) -> None:
        """As it was."""
        if self._read_only:
            self._read_only = False
            # Lazily: a process that came up in the meantime may hold a file of it.
            _call("umount", "-l", str(self.mount_point))

    def close(self, *, keep: bool = False) -> None:
        """Unmount. With `keep` the files stay where they were seen, on the file system below, without the image."""
        self.make_writable()
        copy = self.mount_point.with_name(f"{self.mount_point.name}.copy")
        if keep:
            shutil.copytree(self.mount_point, copy)
        _call("umount", "-l", str(self.mount_point))
        if keep:
            self.mount_point.rmdir()
            copy.rename(self.mount_point)
            self._image.unlink()


def _call(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentFault(f"{command[0]} can't be run: {error}; run without disk faults") from error
    if done.returncode:
        words = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise EnvironmentFault(f"{' '.join(command)}: {words[-1]}; run without disk faults")
