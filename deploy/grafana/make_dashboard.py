"""Writes dashboards/imagesearch.json of panels.yml: `python deploy/grafana/make_dashboard.py`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).resolve().parent
DASHBOARD = FOLDER / "dashboards" / "imagesearch.json"

_DATASOURCE = {"type": "prometheus", "uid": "prometheus"}
_WIDTH, _HEIGHT, _ROW_WIDTH = 8, 8, 24  # in Grafana's grid


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana reads it."""
    job = {
        "name": "job",
        "label": "Service",
        "type": "query",
        "datasource": _DATASOURCE,
        "query": "label_values(imagesearch_build_info, job)",
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
    }
    rows = yaml.safe_load((FOLDER / "panels.yml").read_text(encoding="utf-8"))
    return {
        "uid": "imagesearch",
        "title": "Image search",
        "tags": ["imagesearch"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [job]},
        "panels": list(_panels(rows)),
    }


def _panels(rows: dict[str, list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    number, y = 0, 0
    for title, panels in rows.items():
        number += 1
        place = {"x": 0, "y": y, "w": _ROW_WIDTH, "h": 1}
        yield {"id": number, "type": "row", "title": title, "gridPos": place, "panels": []}
        y += 1
        for at, panel in enumerate(panels):
            number += 1
            line, column = divmod(at, _ROW_WIDTH // _WIDTH)
            place = {"x": column * _WIDTH, "y": y + line * _HEIGHT, "w": _WIDTH, "h": _HEIGHT}
            yield _rendered(panel, number, place)
        y += -(-len(panels) * _WIDTH // _ROW_WIDTH) * _HEIGHT


def _rendered(panel: dict[str, Any], number: int, place: dict[str, int]) -> dict[str, Any]:
    kind = panel.get("kind", "timeseries")
    targets = [
        {"refId": chr(ord("A") + i), "expr": query, "legendFormat": legend, "range": True}
        for i, (legend, query) in enumerate(panel["queries"].items())
    ]
    least = {} if kind == "stat" else {"min": 0}
    return {
        "id": number,
        "type": kind,
        "title": panel["title"],
        "datasource": _DATASOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.get("unit", "short"), **least}, "overrides": []},
        "targets": targets,
    }


if __name__ == "__main__":
    DASHBOARD.write_text(json.dumps(dashboard(), indent=1) + "\n", encoding="utf-8")
