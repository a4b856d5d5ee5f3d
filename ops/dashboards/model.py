"""The little of Grafana's dashboard format that these dashboards need: panels on a grid, each with its queries.

Every query selects by `cluster="$cluster"`, the variable at the top of each dashboard; rates use `$__rate_interval`.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

_COLUMNS: Final = 24
_SCHEMA: Final = 39
_DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}

ROLES: Final = {
    1: "candidate", 2: "taking over", 3: "leader", 4: "learner", 5: "standby", 6: "primary", 7: "diverged",
    8: "serving", 9: "waiting",
}  # fmt: skip


class Kind(Enum):
    """How a panel is drawn: Grafana's names."""

    LINES = "timeseries"
    NUMBER = "stat"
    STATES = "state-timeline"


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression and the legend of its series."""

    expression: str
    legend: str
    after_failover: bool = False
    """Has values only once the cluster has failed over: the test asks again then."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel. `unit` is Grafana's name of a unit (`s`, `short`, `ops`, `percentunit` ...)."""

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    kind: Kind = Kind.LINES
    width: int = 8
    names: dict[int, str] | None = None
    """What the values mean, for codes."""


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Panels in rows, filled from the left."""

    uid: str
    title: str
    description: str
    panels: tuple[Panel, ...]


def to_json(dashboard: Dashboard) -> dict[str, Any]:
    """The dashboard as Grafana imports it."""
    panels = []
    x = y = row_height = 0
    for number, panel in enumerate(dashboard.panels, 1):
        height = 4 if panel.kind is Kind.NUMBER else 8
        if x + panel.width > _COLUMNS:
            x, y, row_height = 0, y + row_height, 0
        panels.append(_panel(panel, number, {"h": height, "w": panel.width, "x": x, "y": y}))
        x += panel.width
        row_height = max(row_height, height)
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.description,
        "tags": ["lockstep"],
        "schemaVersion": _SCHEMA,
        "editable": False,
        "refresh": "5s",
        "time": {"from": "now-15m", "to": "now"},
        "timezone": "utc",
        "links": [
            {"type": "dashboards", "tags": ["lockstep"], "title": "Lockstep", "asDropdown": True, "keepTime": True}
        ],
        "annotations": {"list": [_alerts()]},
        "templating": {"list": _variables()},
        "panels": panels,
    }


def _panel(panel: Panel, number: int, position: dict[str, int]) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit, "mappings": _mappings(panel.names)}
    if panel.kind is Kind.LINES:
        defaults |= {"min": 0, "custom": {"lineWidth": 1, "fillOpacity": 8, "showPoints": "never"}}
    shown: dict[Kind, dict[str, Any]] = {
        Kind.LINES: {
            "legend": {"displayMode": "list", "placement": "bottom"},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        Kind.NUMBER: {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "textMode": "value_and_name"},
        Kind.STATES: {"showValue": "auto", "mergeValues": True},
    }
    return {
        "id": number,
        "type": panel.kind.value,
        "title": panel.title,
        "description": panel.description,
        "datasource": _DATASOURCE,
        "gridPos": position,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": shown[panel.kind],
        "targets": [
            {
                "refId": chr(ord("A") + i),
                "expr": query.expression,
                "legendFormat": query.legend,
                "datasource": _DATASOURCE,
            }
            for i, query in enumerate(panel.queries)
        ],
    }


def _mappings(names: dict[int, str] | None) -> list[dict[str, Any]]:
    if not names:
        return []
    options = {str(value): {"text": text, "index": i} for i, (value, text) in enumerate(names.items())}
    return [{"type": "value", "options": options}]


def _alerts() -> dict[str, Any]:
    """Vertical lines where an alert began to fire."""
    return {
        "name": "alerts",
        "datasource": _DATASOURCE,
        "enable": True,
        "expr": 'ALERTS{alertstate="firing", alertname=~"Lockstep.*", cluster="$cluster"}',
        "titleFormat": "{{alertname}}",
        "textFormat": "{{member}}",
        "iconColor": "red",
    }


def _variables() -> list[dict[str, Any]]:
    query = "label_values(lockstep_epoch, cluster)"
    return [
        {"name": "datasource", "type": "datasource", "query": "prometheus", "hide": 2},
        {
            "name": "cluster",
            "type": "query",
            "datasource": _DATASOURCE,
            "query": {"query": query, "refId": "cluster"},
            "definition": query,
            "refresh": 2,
            "sort": 1,
        },
    ]
