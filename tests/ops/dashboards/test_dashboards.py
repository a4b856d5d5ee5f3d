"""The dashboards' files are what the code says, and Grafana finds what it needs in them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard as GrafanaDashboard

from lockstep.ops.dashboards.generate import DASHBOARDS, FOLDER, file_name, render
from lockstep.ops.dashboards.model import Dashboard, to_json

DEPLOY = FOLDER.parents[1] / "deploy"

each_dashboard = pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.uid)


def test_the_files_are_current() -> None:
    expected = {file_name(dashboard): render(dashboard) for dashboard in DASHBOARDS}
    assert {path.name: path.read_text() for path in FOLDER.glob("*.json")} == expected, "run `make dashboards`"


@each_dashboard
def test_every_panel_has_a_title_of_its_own_a_description_and_a_unit(dashboard: Dashboard) -> None:
    titles = [panel.title for panel in dashboard.panels]
    assert len(set(titles)) == len(titles)
    for panel in dashboard.panels:
        assert panel.description
        assert panel.unit
        assert panel.queries


@each_dashboard
def test_every_query_is_of_the_chosen_cluster_only(dashboard: Dashboard) -> None:
    for panel in dashboard.panels:
        for query in panel.queries:
            selectors = re.findall(r"\b(?:lockstep|up|process|etcd)[\w:]*(\{[^}]*\})?", query.expression)
            assert selectors
            assert all('cluster="$cluster"' in selector for selector in selectors if selector), query.expression


# Grafana knows these; the models of its core do not: annotations are the Prometheus plug-in's, `definition` is the
# editor's.
NOT_MODELLED = re.compile(r"\.annotations\.list\[0\]\.(title|text)Format|\.templating\.list\[1\]\.definition")


def lost(written: Any, read: Any, path: str = "") -> list[str]:
    """What is in one document and not, or otherwise, in the other."""
    if isinstance(written, dict) and isinstance(read, dict):
        return [row for key, value in written.items() for row in lost(value, read.get(key), f"{path}.{key}")]
    if isinstance(written, list) and isinstance(read, list) and len(written) == len(read):
        return [row for i, (a, b) in enumerate(zip(written, read, strict=True)) for row in lost(a, b, f"{path}[{i}]")]
    return [] if written == read else [f"{path}: {written!r}, read as {read!r}"]


@each_dashboard
def test_grafanas_own_models_know_every_key_and_value(dashboard: Dashboard) -> None:
    register_default_plugins()
    written = json.loads(render(dashboard))
    read = json.loads(JSONEncoder(sort_keys=True).encode(GrafanaDashboard.from_json(written)))
    assert [row for row in lost(written, read) if not NOT_MODELLED.match(row)] == []


def test_a_misspelt_key_of_a_panel_would_be_noticed() -> None:
    register_default_plugins()
    written = json.loads(render(DASHBOARDS[0]))
    written["panels"][0]["options"]["colourMode"] = "value"
    read = json.loads(JSONEncoder(sort_keys=True).encode(GrafanaDashboard.from_json(written)))
    assert ".panels[0].options.colourMode: 'value', read as None" in lost(written, read)


@each_dashboard
def test_panels_do_not_overlap(dashboard: Dashboard) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in to_json(dashboard)["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + dx, at["y"] + dy) for dx in range(at["w"]) for dy in range(at["h"])}
        assert not taken & cells, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_provisioning_names_the_folder_and_the_data_source() -> None:
    provisioning = DEPLOY / "grafana" / "provisioning"
    dashboards = (provisioning / "dashboards" / "lockstep.yml").read_text()
    assert "path: /etc/lockstep/dashboards" in dashboards
    assert "type: prometheus" in (provisioning / "datasources" / "prometheus.yml").read_text()
    compose = (DEPLOY / "docker-compose.yml").read_text()
    for source, target in re.findall(r"- (\./\S+|\.\./\S+):(\S+):ro", compose):
        assert (DEPLOY / source).exists() or Path(source).name == "targets.json", (source, target)
    assert json.loads(render(DASHBOARDS[0]))["templating"]["list"][0]["name"] == "datasource"
