"""Runs an Elasticsearch for development: `python -m imagesearch_dev.elasticsearch --help`."""

import argparse
import signal
import threading
from pathlib import Path

from imagesearch_dev.elasticsearch.assemble import VERSION, AssembleError
from imagesearch_dev.elasticsearch.node import ElasticsearchNode, NodeError, jdk_for

FOLDER = Path(".imagesearch")


def main() -> None:
    """Runs until Ctrl-C. Exit status 1 if it cannot start."""
    parser = argparse.ArgumentParser(
        description="Runs a real Elasticsearch from packages, without Docker or Java.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--data", type=Path, default=FOLDER / "data", help="where its data is")
    parser.add_argument("--homes", type=Path, default=FOLDER / "elasticsearch", help="its jars")
    parser.add_argument("--http-port", type=int, default=9200, help="port on 127.0.0.1")
    parser.add_argument("--heap", default="512m", help="Java heap")
    parser.add_argument("--version", default=VERSION, help="version of Elasticsearch")
    options = parser.parse_args()
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    try:
        node = ElasticsearchNode(
            options.data,
            options.homes,
            http_port=options.http_port,
            heap=options.heap,
            version=options.version,
            java_home=jdk_for(options.version),
        )
        node.start()
    except (NodeError, AssembleError) as error:
        parser.exit(1, f"error: {error}\n")
    print(f"Elasticsearch {options.version} answers at {node.url}; Ctrl-C stops it.", flush=True)
    stopped.wait()
    node.stop()


if __name__ == "__main__":
    main()
