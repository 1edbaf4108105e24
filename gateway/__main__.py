"""Serves image search over gRPC: `python -m gateway --help`."""

from gateway.server import serve
from gateway.settings import Settings
from service_kit.server import run
from service_kit.settings import read

if __name__ == "__main__":
    run(serve, read(Settings), "gateway")
