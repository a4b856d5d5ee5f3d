"""Which tests go to one worker of pytest-xdist, and to which.

Those of a file go together, and those of a folder whose files share a cluster. An idle cluster costs a tenth of a core
for each of its processes: one that is made for a folder is made again by each worker that gets a file of it, and runs
until that worker ends. For the same reason one worker takes files with clusters, one after the other, and the others
take those without, as long as there are both.
"""

import re
from typing import Final

from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

SHARING: Final = ("tests/edge/rest/owasp/",)
"""Each has an `__init__.py`: pytest takes a folder without one as a part of the whole session."""
_CLUSTERS: Final = re.compile(
    r"tests/(ops/local/|ops/cli/cluster/|ops/metrics/test_live|edge/rest/|edge/(soup|fix)/test_door|clients/test_\w+_client|"
    r"clients/test_(market_data|ownership)|trials/test_demo|reconciler/|bench/|day/test_live|\w+/test_\w*(live|process))"
)


class LoadSharedScheduling(LoadFileScheduling):  # type: ignore[misc]
    """As `--dist loadfile`, but a folder of `SHARING` counts as one file, and the first worker prefers clusters."""

    def _split_scope(self, nodeid: str) -> str:
        return next((folder for folder in SHARING if nodeid.startswith(folder)), super()._split_scope(nodeid))

    def _assign_work_unit(self, node: WorkerController) -> None:
        clusters = node is next(iter(self.assigned_work), node)
        fits = (scope for scope in self.workqueue if bool(_CLUSTERS.match(scope)) is clusters)
        self.workqueue.move_to_end(next(fits, next(iter(self.workqueue))), last=False)
        super()._assign_work_unit(node)
