"""What elasticsearch-py alone does: the same documents and searches, without our service."""

import base64
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from elasticsearch import Elasticsearch, helpers

from benchmarks.vectors import Vectors

TIMEOUT_S = 120.0


def documents(ids: Sequence[str], vectors: Vectors, packed: bool) -> Iterator[dict[str, Any]]:
    """Bulk actions of the documents that the benchmark stores.

    Args:
        ids: Of the documents.
        vectors: Theirs.
        packed: Send them as base64 of big-endian float32.
    """
    for n, (image_id, vector) in enumerate(zip(ids, vectors, strict=True)):
        value: Any = vector.tolist()
        if packed:
            value = base64.b64encode(vector.astype(">f4").tobytes()).decode()
        yield {
            "_op_type": "create",
            "_id": image_id,
            "image_id": image_id,
            "image_name": f"{n}.jpg",
            "relative_path": f"{n % 100}/{n}.jpg",
            "width": n % 1000,
            "height": 600,
            "format": "JPEG",
            "size_bytes": 50_000,
            "indexed_at": "2026-01-01T00:00:00.000Z",
            "image_embedding": value,
        }


def ingest(url: str, index: str, ids: Sequence[str], vectors: Vectors, packed: bool) -> float:
    """Stores documents with parallel_bulk; gives seconds."""
    with Elasticsearch(url, request_timeout=TIMEOUT_S) as client:
        began = time.perf_counter()
        actions = documents(ids, vectors, packed)
        for ok, item in helpers.parallel_bulk(
            client, actions, thread_count=2, chunk_size=500, index=index
        ):
            assert ok, item
        return time.perf_counter() - began


class Searcher:
    """Searches an index.

    Args:
        url: Of Elasticsearch.
        index: Its name.
        threads: How many will search at a time.
    """

    def __init__(self, url: str, index: str, threads: int) -> None:
        self._client = Elasticsearch(
            url, request_timeout=TIMEOUT_S, connections_per_node=max(10, threads)
        )
        self._index = index

    def close(self) -> None:
        """Closes its connections."""
        self._client.close()

    def search(self, vector: Any, *, k: int = 10, width_below: int | None = None) -> list[str]:
        """The ids of the k nearest."""
        knn: dict[str, Any] = {
            "field": "image_embedding",
            "query_vector": vector,
            "k": k,
            "num_candidates": 100,
        }
        if width_below is not None:
            knn["filter"] = {"range": {"width": {"lt": width_below}}}
        answer = self._client.search(
            index=self._index,
            knn=knn,
            size=k,
            source={"excludes": ["image_embedding"]},
            track_total_hits=False,
        )
        return [hit["_id"] for hit in answer["hits"]["hits"]]

    def latencies(self, wanted: Vectors, seconds: float, **options: Any) -> list[float]:
        """Seconds of each of many searches, one after another."""
        lists = [query.tolist() for query in wanted]
        found: list[float] = []
        end = time.perf_counter() + seconds
        while (began := time.perf_counter()) < end:
            self.search(lists[len(found) % len(lists)], **options)
            found.append(time.perf_counter() - began)
        return found

    def per_second(self, wanted: Vectors, threads: int, seconds: float) -> float:
        """Searches a second, so many at a time."""
        lists = [query.tolist() for query in wanted]
        counts = np.zeros(threads, int)
        began = time.perf_counter()

        def work(number: int) -> None:
            turn = number
            while time.perf_counter() < began + seconds:
                self.search(lists[turn % len(lists)])
                counts[number] += 1
                turn += threads

        workers = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return float(counts.sum() / (time.perf_counter() - began))
