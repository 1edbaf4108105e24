r"""search_service against elasticsearch-py alone: same server, same documents, one run, in turns.

    python -m benchmarks.search [--quick] [--json FILE] [--elasticsearch URL] [--vectors FILE.npy]

Vectors are random ones that look like CLIP's, or those of a file of shape (n, 512).
"""

import asyncio
import hashlib
import itertools
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
from google.longrunning import operations_pb2, operations_pb2_grpc
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.search.v1 import index_service_pb2 as index_pb
from imagesearch.search.v1 import index_service_pb2_grpc, search_service_pb2_grpc
from imagesearch.search.v1 import search_service_pb2 as pb

from benchmarks import peer_elasticsearch as peer
from benchmarks import vectors as data
from benchmarks.load import percentile
from benchmarks.report import Bar, Report, parser
from benchmarks.servers import elasticsearch, serving_search
from service_kit.client import channel
from service_kit.vectors import to_vector

SPACE = "benchmark@sha256:0"
K = 10

KINDS = list(index_pb.VectorType.keys())[1:]
DEFAULT = "VECTOR_TYPE_INT8_HNSW"


class RefusedError(Exception):
    """A document was refused; the message says why."""


class Ours:
    """The service, called as any client would."""

    def __init__(self, opened: grpc.aio.Channel) -> None:
        self.indexes: Any = index_service_pb2_grpc.IndexServiceStub(opened)
        self.searches: Any = search_service_pb2_grpc.SearchServiceStub(opened)
        self.operations: Any = operations_pb2_grpc.OperationsStub(opened)  # type: ignore[no-untyped-call]

    async def create(self, name: str, kind: str = DEFAULT) -> None:
        """Makes an index."""
        options = index_pb.IndexOptions(vector_type=index_pb.VectorType.Value(kind), replicas=0)
        request = index_pb.CreateIndexRequest(name=name, space=SPACE, options=options)
        await self.indexes.CreateIndex(request)

    async def delete(self, name: str) -> None:
        """Deletes an index."""
        await self.indexes.DeleteIndex(index_pb.DeleteIndexRequest(name=name))

    async def ingest(
        self,
        name: str,
        ids: Sequence[str],
        vectors: data.Vectors,
        *,
        together: int = 200,
        bulk_load: bool = False,
    ) -> float:
        """Stores documents through one stream, so many in a message; gives seconds."""

        def one(n: int) -> pb.UpsertDocumentsRequest:
            document = types.Document(
                image_id=ids[n],
                image_name=f"{n}.jpg",
                relative_path=f"{n % 100}/{n}.jpg",
                width=n % 1000,
                height=600,
                format="JPEG",
                size_bytes=50_000,
            )
            vector = to_vector(vectors[n], SPACE)
            return pb.UpsertDocumentsRequest(
                index=name, document=document, vector=vector, bulk_load=bulk_load
            )

        async def requests() -> AsyncIterator[pb.UpsertDocumentsRequest]:
            for begin in range(0, len(ids), together):
                some = range(begin, min(begin + together, len(ids)))
                if together == 1:
                    yield one(begin)
                else:
                    yield pb.UpsertDocumentsRequest(more=map(one, some))

        began = time.perf_counter()
        done = 0
        async for answer in self.searches.UpsertDocuments(requests()):
            answers = answer.more or [answer]
            for each in answers:
                if each.HasField("error"):
                    raise RefusedError(each.error.message)
            done += len(answers)
        assert done == len(ids)
        return time.perf_counter() - began

    async def merge(self, name: str) -> None:
        """Makes one segment of an index."""
        operation = await self.indexes.OptimizeIndex(index_pb.OptimizeIndexRequest(name=name))
        while not operation.done:
            request = operations_pb2.WaitOperationRequest(name=operation.name)
            request.timeout.FromSeconds(50)
            operation = await self.operations.WaitOperation(request)
        assert not operation.error.code, operation

    async def search(self, name: str, vector: types.Vector, below: int | None = None) -> Any:
        """Searches once."""
        request = pb.SearchRequest(index=name, vector=vector, k=K)
        if below is not None:
            request.filter.range.field = "width"
            request.filter.range.lt.number = below
        return await self.searches.Search(request, timeout=60)

    async def latencies(
        self, name: str, wanted: data.Vectors, seconds: float, below: int | None = None
    ) -> list[float]:
        """Seconds of each of many searches, one after another."""
        source = itertools.cycle(_messages(wanted))
        found = []
        end = time.perf_counter() + seconds
        while (began := time.perf_counter()) < end:
            await self.search(name, next(source), below)
            found.append(time.perf_counter() - began)
        return found

    async def per_second(
        self, name: str, wanted: data.Vectors, callers: int, seconds: float
    ) -> float:
        """Searches a second, so many at a time."""
        source = itertools.cycle(_messages(wanted))
        done = 0
        began = time.perf_counter()

        async def caller() -> None:
            nonlocal done
            while time.perf_counter() < began + seconds:
                await self.search(name, next(source))
                done += 1

        await asyncio.gather(*(caller() for _ in range(callers)))
        return done / (time.perf_counter() - began)

    async def recall(
        self, name: str, wanted: data.Vectors, ids: list[str], exact: list[set[int]]
    ) -> float:
        """Recall@10 against the exact neighbours."""
        shares = []
        for vector, near in zip(_messages(wanted), exact, strict=True):
            hits = (await self.search(name, vector)).hits
            found = {hit.document.image_id for hit in hits}
            shares.append(len(found & {ids[n] for n in near}) / K)
        return statistics.fmean(shares)


def _messages(wanted: data.Vectors) -> list[types.Vector]:
    return [to_vector(query, SPACE) for query in wanted]


def image_ids(count: int) -> list[str]:
    """Ids as images have them."""
    return [hashlib.sha256(str(n).encode()).hexdigest() for n in range(count)]


async def measure_ingest(
    report: Report, ours: Ours, url: str, vectors: data.Vectors, rounds: int
) -> None:
    """Documents a second, ours and elasticsearch-py's, in turns."""
    ids = image_ids(len(vectors))
    # A server that has just started compiles what it runs: it gets faster for half a minute.
    for number in range(3):
        await ours.create(f"bench-warm-{number}")
        await ours.ingest(f"bench-warm-{number}", ids, vectors)
        await ours.delete(f"bench-warm-{number}")
        await ours.create(f"bench-warm-{number}")
        await asyncio.to_thread(peer.ingest, url, f"bench-warm-{number}", ids, vectors, False)
        await ours.delete(f"bench-warm-{number}")
    rates: dict[str, list[float]] = {"ours": [], "singly": [], "lists": [], "base64": []}
    for turn in range(rounds):
        for name in rates:
            index = f"bench-ingest-{name}-{turn}"
            await ours.create(index)
            if name in ("ours", "singly"):
                together = 200 if name == "ours" else 1
                seconds = await ours.ingest(index, ids, vectors, together=together)
            else:
                packed = name == "base64"
                try:
                    seconds = await asyncio.to_thread(peer.ingest, url, index, ids, vectors, packed)
                except Exception as error:  # servers before 9.3 take no base64
                    report.note(f"parallel_bulk, {name}", f"refused: {str(error)[:80]}")
                    seconds = float("inf")
            rates[name].append(len(ids) / seconds)
            await ours.delete(index)
    for name, label in (
        ("ours", "UpsertDocuments, 200 in a message"),
        ("singly", "UpsertDocuments, one in a message"),
        ("lists", "parallel_bulk, float lists"),
        ("base64", "parallel_bulk, base64"),
    ):
        report.note(f"ingest, {label}, docs/s", statistics.median(rates[name]))
    ratios = [
        o / max(a, b)
        for o, a, b in zip(rates["ours"], rates["lists"], rates["base64"], strict=True)
    ]
    report.add(Bar("ingest: ours / best of elasticsearch-py", statistics.median(ratios), 0.9))


async def measure_searches(
    report: Report, ours: Ours, url: str, index: str, wanted: data.Vectors, part: float, rounds: int
) -> None:
    """Latency and throughput, ours and elasticsearch-py's, in turns."""
    alone = peer.Searcher(url, index, 32)
    await ours.latencies(index, wanted, 2.0)
    await asyncio.to_thread(alone.latencies, wanted, 2.0)
    for label, below in (("all", None), ("filter 50 %", 500), ("filter 1 %", 10)):
        mine, theirs, extra = [], [], []
        for _ in range(rounds):
            mine.append(await ours.latencies(index, wanted, part, below))
            theirs.append(await asyncio.to_thread(alone.latencies, wanted, part, width_below=below))
            extra.append(percentile(mine[-1], 50) - percentile(theirs[-1], 50))
        for name, found in (("ours", mine), ("elasticsearch-py", theirs)):
            every = [each for some in found for each in some]
            p50, p99 = percentile(every, 50) * 1e3, percentile(every, 99) * 1e3
            report.note(f"{label}: {name}, p50 / p99 ms", f"{p50:.2f} / {p99:.2f}")
        if below is None:
            value = statistics.median(extra) * 1e3
            name = "one search, p50: ours less elasticsearch-py's, ms"
            report.add(Bar(name, value, 2.0, at_least=False))
    for callers in (1, 8, 32):
        ratios, rates = [], []
        for _ in range(2):  # so many at a time are other code for the server's compiler
            await ours.per_second(index, wanted, callers, 2 * part)
            await asyncio.to_thread(alone.per_second, wanted, callers, 2 * part)
        for _ in range(rounds):
            rate = await ours.per_second(index, wanted, callers, part)
            peers = await asyncio.to_thread(alone.per_second, wanted, callers, part)
            ratios.append(rate / peers)
            rates.append((rate, peers))
        shown = " / ".join(f"{statistics.median(each):.0f}" for each in zip(*rates, strict=True))
        report.note(f"{callers} callers: ours / elasticsearch-py, searches/s", shown)
        if callers == 32:
            name = "searches/s at 32 callers: ours / elasticsearch-py"
            report.add(Bar(name, statistics.median(ratios), 0.95))
    alone.close()


async def load(ours: Ours, index: str, vectors: data.Vectors, kind: str = DEFAULT) -> None:
    """Makes an index of vectors, in one segment."""
    await ours.create(index, kind)
    await ours.ingest(index, image_ids(len(vectors)), vectors, bulk_load=True)
    await ours.merge(index)


async def measure(report: Report, options: Any) -> None:
    """Measures everything."""
    sizes = [20_000] if options.quick else sorted(map(int, options.sizes.split(",")))
    part, rounds = (2.0, 3) if options.quick else (5.0, 5)
    biggest = max(sizes)
    vectors = (
        data.from_file(options.vectors, biggest) if options.vectors else data.like_clip(biggest)
    )
    wanted = data.queries(vectors[: min(sizes)], 200)
    async with AsyncExitStack() as stack:
        url = options.elasticsearch or stack.enter_context(elasticsearch(options.heap))
        address = await stack.enter_async_context(serving_search(url))
        opened = await stack.enter_async_context(channel(address))
        ours = Ours(opened)
        describe = await ours.indexes.ListIndexes(index_pb.ListIndexesRequest())
        for index in describe.indexes:
            if index.name.startswith("bench-"):
                await ours.delete(index.name)
        await measure_ingest(report, ours, url, vectors[:20_000], rounds)
        p50s = {}
        for size in dict.fromkeys(sizes):
            print(f"\n{size} x {data.DIMENSIONS}")
            ids = image_ids(size)
            exact = data.nearest(vectors[:size], wanted, K)
            kinds = KINDS if size <= 20_000 else [DEFAULT]
            for kind in kinds:
                name = f"bench-{size}-{kind.removeprefix('VECTOR_TYPE_').lower()}"
                began = time.perf_counter()
                try:
                    await load(ours, name, vectors[:size], kind)
                except RefusedError as error:
                    report.note(f"{size}, {kind}", f"refused: {error}")
                    await ours.delete(name)
                    continue
                took = time.perf_counter() - began
                recall = await ours.recall(name, wanted, ids, exact)
                found = await ours.latencies(name, wanted, part)
                p50 = percentile(found, 50)
                report.note(
                    f"{size}, {kind}",
                    f"recall@10 {recall:.4f}, p50 {p50 * 1e3:.2f} ms, loaded in {took:.0f} s",
                )
                if kind == DEFAULT:
                    p50s[size] = p50
                    if size == min(200_000, biggest):
                        report.add(Bar(f"recall@10 at the default options, {size}", recall, 0.97))
                    if size == sizes[0]:
                        await measure_searches(report, ours, url, name, wanted, part, rounds)
                if size != sizes[0] or kind != DEFAULT:
                    await ours.delete(name)
        if 100_000 in p50s and biggest > 100_000:
            ratio = p50s[biggest] / p50s[100_000]
            name = f"p50 at {biggest} / p50 at 100000"
            report.add(Bar(name, ratio, 1.6, at_least=False))


def main() -> None:
    """Runs the benchmark."""
    options = parser("search", __doc__)
    options.add_argument("--elasticsearch", metavar="URL", help="instead of a node of our own")
    options.add_argument("--heap", default="4g", help="of the node of our own (default: 4g)")
    options.add_argument("--vectors", type=Path, metavar="FILE", help=".npy of shape (n, 512)")
    options.add_argument(
        "--sizes",
        default="20000,100000,200000,1000000",
        help="vectors in the indexes (default: %(default)s)",
    )
    chosen = options.parse_args()
    report = Report("search", chosen.quick)
    asyncio.run(measure(report, chosen))
    report.write(chosen.json)


if __name__ == "__main__":
    main()
