"""The dashboards' files are what the code says, and Grafana finds what it needs in them."""

import json
import re
from pathlib import Path

import pytest

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
