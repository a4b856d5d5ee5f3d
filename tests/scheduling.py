"""Which tests go to one worker of pytest-xdist: those of a file, and of a folder whose files share a cluster.

An idle cluster costs a tenth of a core for each of its processes. One that is made for a folder is made again by each
worker that gets a file of it, and runs until that worker ends.
"""

from xdist.scheduler import LoadFileScheduling

SHARING = ("tests/edge/rest/owasp/",)
"""Each has an `__init__.py`: pytest takes a folder without one as a part of the whole session."""


class LoadSharedScheduling(LoadFileScheduling):  # type: ignore[misc]
    """As `--dist loadfile`, but a folder of `SHARING` counts as one file."""

    def _split_scope(self, nodeid: str) -> str:
        return next((folder for folder in SHARING if nodeid.startswith(folder)), super()._split_scope(nodeid))
