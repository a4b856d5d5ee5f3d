"""What a cluster stores is its owner's alone: tokens, orders, positions.

New files get no rights for others by the process's umask, which the media driver and etcd inherit; what an older
version left open is closed when it is found.
"""

import os
import resource
import stat
from pathlib import Path
from typing import Final

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
CORE_DUMPS: Final = "LOCKSTEP_CORE_DUMPS"


def create_privately() -> None:
    """From here on this process and its children create files as 0600 and directories as 0700."""
    os.umask(_OTHERS)


def leave_no_core_dump() -> None:
    """From here on neither this process nor its children leave what is in their memory in a file when they crash.

    There are keys, tokens and orders in it. Not so where LOCKSTEP_CORE_DUMPS is 1, for whoever looks for a fault.
    """
    if os.environ.get(CORE_DUMPS) != "1":
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def make_private(path: Path) -> bool:
    """Take a file's or directory's rights from others; whether they had any.

    Raises:
        PermissionError: it is another user's. The text names the remedy.
    """
    mode = stat.S_IMODE(path.stat().st_mode)
    if not mode & _OTHERS:
        return False
    try:
        path.chmod(mode & ~_OTHERS)
    except PermissionError as error:
        text = f"others can read {path}, and it is not this user's to change: chmod go-rwx it, or use another directory"
        raise PermissionError(error.errno, text) from error
    return True
