"""Serves vector search on Elasticsearch over gRPC: `python -m search_service --help`."""

from search_service.server import serve
from search_service.settings import Settings
from service_kit.server import run
from service_kit.settings import read

if __name__ == "__main__":
    run(serve, read(Settings), "search_service")
