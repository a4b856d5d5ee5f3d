"""Write the dashboards' JSON: `python -m lockstep.ops.dashboards.generate`. A test holds the files current."""

import json
import sys
from pathlib import Path
from typing import Final

from lockstep.ops.dashboards.cluster import CLUSTER_DASHBOARD
from lockstep.ops.dashboards.latency import LATENCY_DASHBOARD
from lockstep.ops.dashboards.model import Dashboard, to_json
from lockstep.ops.dashboards.reconciliation import RECONCILIATION_DASHBOARD
from lockstep.ops.dashboards.trading import TRADING_DASHBOARD

DASHBOARDS: Final = (CLUSTER_DASHBOARD, LATENCY_DASHBOARD, TRADING_DASHBOARD, RECONCILIATION_DASHBOARD)
FOLDER: Final = Path(__file__).resolve().parent / "json"


def file_name(dashboard: Dashboard) -> str:
    """Where a dashboard's JSON stands in `FOLDER`."""
    return f"{dashboard.uid}.json"


def render(dashboard: Dashboard) -> str:
    """The file's text."""
    return json.dumps(to_json(dashboard), indent=1) + "\n"


def counts() -> str:
    """How many there are of what."""
    panels = [panel for dashboard in DASHBOARDS for panel in dashboard.panels]
    queries = sum(len(panel.queries) for panel in panels)
    return f"{len(DASHBOARDS)} dashboards, {len(panels)} panels, {queries} queries"


def main() -> None:
    """Write all of them, and say how many."""
    FOLDER.mkdir(exist_ok=True)
    for dashboard in DASHBOARDS:
        (FOLDER / file_name(dashboard)).write_text(render(dashboard), encoding="utf-8")
    sys.stdout.write(counts() + "\n")


if __name__ == "__main__":
    main()
