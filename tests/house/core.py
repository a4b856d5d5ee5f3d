"""What decides: the machines, and all that they import. What does it: their drivers. Run, it prints their files."""

import sys
from pathlib import Path

from .test_rooms import imports_of, modules, room_of

ROOT = Path(__file__).resolve().parents[2]

MACHINES = (
    "lockstep.engine.reference",
    "lockstep.sequencer.machine",
    "lockstep.replica.machine",
    "lockstep.replica.evidence",
    "lockstep.gateway.machine",
    "lockstep.gateway.beginning",
    "lockstep.gateway.numbering",
    "lockstep.gateway.resumption",
    "lockstep.runtime.inquiry",
    "lockstep.runtime.downlink",
    "lockstep.gateway.validation",
    "lockstep.gateway.entitlement",
    "lockstep.edge.fix.entry",
    "lockstep.edge.fix.logins",
    "lockstep.edge.fix.session",
    "lockstep.edge.fix.story",
    "lockstep.edge.rest.lanes",
    "lockstep.edge.rest.prices",
    "lockstep.edge.soup.codec",
    "lockstep.edge.soup.connection",
    "lockstep.edge.soup.logins",
    "lockstep.edge.soup.opening",
    "lockstep.edge.soup.pace",
    "lockstep.marketdata.market",
    "lockstep.marketdata.machine",
    "lockstep.marketdata.feed_beginning",
    "lockstep.session_machine",
    "lockstep.book",
    "lockstep.feed_machine",
    "lockstep.feed_arbiter",
    "lockstep.line_machine",
    "lockstep.stream.detector",
    "lockstep.reconciler.books",
    "lockstep.reconciler.checks",
    "lockstep.reconciler.twin",
)
"""What decides. All that these import, directly or not, keeps the contract, too."""

JUDGES = ("ops/operator/history.py", "ops/operator/plans.py", "ops/operator/view.py", "trials/checker/model.py")
"""Pure themselves, of what others have read for them."""

CONFIGURATION = ("runtime/topology.py",)
"""Data that machines are made with. It names paths, and opens none."""

DRIVERS = (
    "sequencer/driver.py", "replica/driver.py", "gateway/driver.py", "gateway/stream_driver.py", "marketdata/driver.py",
)  # fmt: skip
"""What does what machines say, in both worlds."""


def _core() -> list[Path]:
    known = modules()
    reached: set[str] = set()
    ahead = list(MACHINES)
    while ahead:
        module = ahead.pop()
        if module not in reached and module in known and room_of(module) != "proto":
            reached.add(module)
            ahead += imports_of(module)
    assert reached >= set(MACHINES), f"there is no {set(MACHINES) - reached}"
    found = {known[module] for module in reached} | {ROOT / judge for judge in JUDGES}
    return sorted(path for path in found if str(path.relative_to(ROOT)) not in CONFIGURATION)


CORE = _core()

if __name__ == "__main__":
    sys.stdout.write(",".join((*(str(path.relative_to(ROOT)) for path in CORE), *DRIVERS)))
