"""Serves CLIP embeddings over gRPC: `python -m embedder_service --help`."""

from embedder_service.server import serve
from embedder_service.settings import Settings
from service_kit.server import run

if __name__ == "__main__":
    run(serve, Settings, "embedder_service")
