"""One Elasticsearch that may be frozen, and the services before it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from imagesearch_dev.elasticsearch.node import ElasticsearchNode
from tests.chaos.loaded import Loaded
from tests.conftest import HOMES


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ElasticsearchNode]:
    with ElasticsearchNode(tmp_path_factory.mktemp("chaos") / "elasticsearch", HOMES) as node:
        yield node


@pytest.fixture(scope="session")
def loaded(node: ElasticsearchNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    """The services, the gateway with few places."""
    env = {"gateway": {"GATEWAY_MAX_CALLS": "64"}}
    with Loaded(tmp_path_factory.mktemp("loaded"), node, env) as loaded:
        yield loaded
