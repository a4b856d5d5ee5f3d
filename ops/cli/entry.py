"""Where the `lockstep` script begins: a base install has the script, but not what the commands need."""

import sys


def main() -> int:
    """Run the command line, or say what is missing."""
    try:
        from lockstep.ops.cli.main import run
        from lockstep.runtime.private import create_privately
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.split(".")[0] == "lockstep":
            raise
        sys.stderr.write(
            f"lockstep: the command line needs the package {missing.name}, which a client does not: "
            "pip install 'lockstep[cluster]'\n"
        )
        return 1
    create_privately()
    return run()
