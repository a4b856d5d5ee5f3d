"""Where the `lockstep` script begins; says in one line what is missing if it was installed without what it needs."""

import sys


def main() -> int:
    """Run the command line, or say what is missing."""
    try:
        from lockstep.ops.cli.main import run
        from lockstep.runtime.private import create_privately, leave_no_core_dump
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.split(".")[0] == "lockstep":
            raise
        sys.stderr.write(f"lockstep: the package {missing.name} is missing here: pip install lockstep-cluster\n")
        return 1
    create_privately()
    leave_no_core_dump()
    return run()
