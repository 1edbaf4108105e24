"""Serves CLIP embeddings over gRPC: `python -m embedder_service --help`."""

from embedder_service.settings import Settings
from service_kit.server import run
from service_kit.settings import read

if __name__ == "__main__":
    settings = read(Settings)
    # Takes seconds, for which --help and wrong settings need not wait.
    from embedder_service.server import serve

    run(serve, settings, "embedder_service")
