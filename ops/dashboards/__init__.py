"""Grafana dashboards as code. `json/` is what Grafana loads; `make dashboards` writes it."""
