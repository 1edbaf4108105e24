"""All four services of one's own, each with its metrics."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import embedder_service.server
import embedder_service.settings
import gateway.server
import gateway.settings
import imagesearch_web.server
import imagesearch_web.settings
import search_service.server
import search_service.settings
from imagesearch_dev import models
from imagesearch_dev.elasticsearch.node import free_port


@dataclass
class Observed:
    """Where they are.

    Attributes:
        embedder: host:port.
        search: host:port.
        gateway: host:port.
        web: http://host:port.
        metrics: Ports of the metrics by service.
    """

    embedder: str
    search: str
    gateway: str
    web: str
    metrics: dict[str, int]


@asynccontextmanager
async def running(
    elasticsearch_url: str, folder: Path, **of_gateway: Any
) -> AsyncIterator[Observed]:
    """Runs them.

    Args:
        elasticsearch_url: Where Elasticsearch is.
        folder: For the image store and the page's query images.
        of_gateway: Settings of the gateway.
    """
    metrics = {name: free_port() for name in ("embedder", "search", "gateway", "web")}
    listen = {name: f"127.0.0.1:{port}" for name, port in metrics.items()}
    everywhere: Any = {"listen": "127.0.0.1:0", "grace_s": 1}
    async with AsyncExitStack() as stack:
        embedder = await stack.enter_async_context(
            embedder_service.server.running(
                embedder_service.settings.Settings(
                    **everywhere,
                    metrics_listen=listen["embedder"],
                    image_model=models.TINY.image,
                    text_model=models.TINY.text,
                )
            )
        )
        search = await stack.enter_async_context(
            search_service.server.running(
                search_service.settings.Settings(
                    **everywhere,
                    metrics_listen=listen["search"],
                    elasticsearch_url=elasticsearch_url,
                )
            )
        )
        images = await stack.enter_async_context(
            gateway.server.running(
                gateway.settings.Settings(
                    **everywhere,
                    metrics_listen=listen["gateway"],
                    embedder=f"127.0.0.1:{embedder}",
                    search=f"127.0.0.1:{search}",
                    store_url=(folder / "store").as_uri(),
                    **of_gateway,
                )
            )
        )
        web = await stack.enter_async_context(
            imagesearch_web.server.running(
                imagesearch_web.settings.Settings(
                    **everywhere,
                    metrics_listen=listen["web"],
                    gateway=f"127.0.0.1:{images}",
                    query_folder=folder / "query-images",
                )
            )
        )
        yield Observed(
            f"127.0.0.1:{embedder}",
            f"127.0.0.1:{search}",
            f"127.0.0.1:{images}",
            f"http://127.0.0.1:{web}",
            metrics,
        )
