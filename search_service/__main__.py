"""Serves vector search on Elasticsearch over gRPC: `python -m search_service --help`."""

from search_service.server import serve
from search_service.settings import Settings
from service_kit.server import run

if __name__ == "__main__":
    run(serve, Settings, "search_service")
