"""imagesearch_dev.elasticsearch: a real one, without Docker or Java, that can be trusted."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from imagesearch_dev.elasticsearch.node import (
    ElasticsearchCluster,
    ElasticsearchNode,
    NodeError,
    free_port,
)
from tests.conftest import HOMES
from tests.system.conftest import processes_with

pytestmark = pytest.mark.timeout(180)


def ask(url: str, path: str, method: str = "GET", body: dict[str, Any] | None = None) -> Any:
    request = urllib.request.Request(
        f"{url.partition(',')[0]}/{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_it_survives_kill_9_with_its_data_and_stops_cleanly(tmp_path: Path) -> None:
    data = tmp_path / "node"
    with ElasticsearchNode(data, HOMES) as node:
        url = node.url
        ask(url, "test/_doc/1", "PUT", {"said": "before the crash"})
        node.kill()  # no refresh, no flush, no good-bye

        node.start()

        assert node.url == url
        assert ask(url, "test/_doc/1")["_source"] == {"said": "before the crash"}
        with pytest.raises(NodeError, match="another node uses"):
            ElasticsearchNode(data, HOMES).start()
    assert processes_with(str(data)) == []


def test_why_it_cannot_start_is_said(tmp_path: Path) -> None:
    wrong = {"no.such.setting": "x"}

    with pytest.raises(NodeError, match=r"no\.such\.setting"):
        ElasticsearchNode(tmp_path / "node", HOMES, settings=wrong).start()


@pytest.mark.timeout(240)
def test_three_nodes_form_a_cluster_that_outlives_one_of_them(tmp_path: Path) -> None:
    with ElasticsearchCluster(tmp_path / "cluster", HOMES) as cluster:
        assert ask(cluster.url, "_cluster/health")["number_of_nodes"] == 3
        settings = {"settings": {"number_of_shards": 3, "number_of_replicas": 1}}
        ask(cluster.url, "test", "PUT", settings)
        ask(cluster.url, "_cluster/health?wait_for_status=green&timeout=60s")
        ask(cluster.url, "test/_doc/1?refresh=wait_for", "PUT", {"said": "it"})

        cluster.nodes[-1].kill()

        ask(cluster.url, "_cluster/health?wait_for_nodes=2&timeout=60s")
        found = ask(cluster.url, "test/_search?q=said:it")
        assert found["hits"]["total"]["value"] == 1


def test_ports_are_those_that_no_connection_is_given() -> None:
    ports = [free_port() for _ in range(500)]

    assert all(20_000 <= port < 32_000 for port in ports)
    assert len(set(ports)) == 500  # which may all be waited for before one is listened on
