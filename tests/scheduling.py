"""Which tests of `--dist loadfile` go to one worker of pytest-xdist, and in which order.

Tests on processes wait more than they compute, and those of a file share what they start. Tests that only compute share
nothing, so each goes where there is room. Side by side they fill the machine: the files are spread over the run, the
computed tests fill the gaps between them, and the last part of the run is theirs alone, so that no worker is left with
a long file when the others have nothing more to do.

An idle cluster costs a tenth of a core for each of its processes. One that is made for a folder is made again by each
worker that gets a file of it, and runs until that worker ends.
"""

from collections.abc import Iterable
from zlib import crc32

from xdist.scheduler import LoadFileScheduling

SHARING = ("tests/edge/rest/owasp/",)
"""Each has an `__init__.py`: pytest takes a folder without one as a part of the whole session."""
COMPUTED = ("tests/trials/simulation/", "tests/engine/")
"""What is tested there starts no process."""
_LAST_FILE = 0.85
"""Where in the run the last file begins, counted in computed tests."""


def scope_of(nodeid: str) -> str:
    """What goes to one worker together with this test: its own name, its file, or a folder."""
    if nodeid.startswith(COMPUTED):
        return nodeid
    return next((folder for folder in SHARING if nodeid.startswith(folder)), nodeid.split("::", 1)[0])


def ordered(nodeids: Iterable[str]) -> list[str]:
    """The tests in the order in which they begin; the same in every worker, and within a file as they stand there."""
    scopes: dict[str, list[str]] = {}
    for nodeid in nodeids:
        scopes.setdefault(scope_of(nodeid), []).append(nodeid)
    mixed = sorted(scopes, key=lambda scope: crc32(scope.encode()))
    computed = [scope for scope in mixed if scope.startswith(COMPUTED)]
    files = [scope for scope in mixed if not scope.startswith(COMPUTED)]
    places = {scope: at / len(computed) for at, scope in enumerate(computed)}
    places |= {scope: _LAST_FILE * at / len(files) for at, scope in enumerate(files)}
    return [nodeid for scope in sorted(scopes, key=places.__getitem__) for nodeid in scopes[scope]]


class SpreadScheduling(LoadFileScheduling):  # type: ignore[misc]
    """Gives them out in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)
