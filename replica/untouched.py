"""A database read without a trace: not even its information log is begun anew, so its disk may be full or read-only.

RocksDB writes into the directory that it is given, also where it only reads, and the binding keeps a small file of its
own there. So it is given a temporary directory with links to the files of the database, and a copy of that one.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Final

from rocksdict import AccessType, Options, Rdict

_COPIED: Final = "rocksdict-config.json"
_OWN: Final = ("LOG", "LOCK")
"""Begin the names of the files that RocksDB writes although it only reads."""


def open_untouched(path: Path, options: Options, families: dict[str, Options], *, lenient: bool = False) -> Rdict:
    """A database for reading only, as it is at this moment.

    `lenient`: also where tables are damaged or gone; what was in them can't be read, or is as it was before.

    Raises:
        OSError: the directory can't be listed, or there is no room for a few temporary files.
        Exception: as the binding raises it.
    """
    # Every file is opened at once: the names are not needed again.
    options.set_max_open_files(-1)
    options.set_paranoid_checks(not lenient)
    with tempfile.TemporaryDirectory(prefix="lockstep-read-") as name:
        view = Path(name)
        for entry in path.iterdir():
            if entry.name == _COPIED:
                shutil.copyfile(entry, view / entry.name)
            elif not entry.name.startswith(_OWN) and entry.is_file():
                (view / entry.name).symlink_to(entry.resolve())
        return Rdict(name, options, families, AccessType.read_only(False))
