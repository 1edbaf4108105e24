"""Is the index as it should be for what is in it."""

from collections.abc import Iterator

from imagesearch.common.v1 import cluster_pb2
from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.search.v1 import index_service_pb2, search_service_pb2

from imagesearch_client import ImageSearchError
from imagesearch_doctor.findings import Finding, ok, problem, warning
from imagesearch_doctor.system import System
from imagesearch_doctor.targets import SEARCH

_MOST_FLAT = 200_000
_MANY = 1_000_000
_FEW = 10_000
_MOST_SEGMENTS = 30
_GIB = 1024**3


async def index(system: System) -> list[Finding]:
    """What the index holds, and whether its options suit that."""
    status = (await system.status()).value
    if status is None:
        return []
    if not status.HasField("index"):
        if any(part.name == SEARCH and not part.serving for part in status.components):
            return []  # nobody could look
        return [ok("index", "there is none of that name yet; the first image makes it")]
    return list(judged(status.index, (await system.cluster()).value))


def judged(index: pb.IndexStatus, cluster: cluster_pb2.Cluster | None) -> Iterator[Finding]:
    """What is to be said of an index.

    Args:
        index: The index.
        cluster: Where it is; None where that is not known.
    """
    subject = f"index {index.name}"
    bad = [*_health(index, subject), *_options(index, subject)]
    if cluster is not None:
        bad += _on(cluster, index, subject)
    yield from bad
    if not bad:
        what = (
            f"{index.document_count} images, {index.vector_type}, {index.shards} shard(s), "
            f"{index.segments} segment(s), {index.health}"
        )
        yield ok(subject, what)


def _health(index: pb.IndexStatus, subject: str) -> Iterator[Finding]:
    where = "GET _cluster/allocation/explain says why"
    if index.health == "red":
        yield problem(subject, "red: some of its data cannot be reached", where)
    elif index.health == "yellow":
        yield warning(subject, "yellow: copies of it are missing", where)


def _options(index: pb.IndexStatus, subject: str) -> Iterator[Finding]:
    documents, kind = index.document_count, index.vector_type
    if kind.endswith("flat") and documents > _MOST_FLAT:
        what = f"{kind} compares all {documents} vectors for every search"
        yield warning(subject, what, "rebuild it as int8_hnsw: RevisionService.RebuildIndex")
    if kind == "hnsw" and documents > _MANY:
        what = f"its {documents} vectors are searched unquantised, in {_gib(index)} GiB of memory"
        advice = "rebuild it as int8_hnsw, in a quarter of that: RevisionService.RebuildIndex"
        yield warning(subject, what, advice)
    if documents > _FEW and index.segments > _MOST_SEGMENTS * max(index.shards, 1):
        what = f"{index.segments} segments, each with a graph that every search walks"
        advice = "if it is written seldom, merge them: IndexService.OptimizeIndex"
        yield warning(subject, what, advice)


def _on(cluster: cluster_pb2.Cluster, index: pb.IndexStatus, subject: str) -> Iterator[Finding]:
    holders = [node for node in cluster.nodes if node.holds_data]
    if index.HasField("replicas") and index.replicas == 0 and len(holders) > 1:
        what = f"no copies, although there are {len(holders)} nodes: one that is lost loses data"
        yield warning(subject, what, "set replicas to 1: IndexService.UpdateIndex")
    room = sum(node.memory_bytes - node.heap_max_bytes for node in holders if node.memory_bytes)
    wanted = index.search_memory_bytes * (1 + index.replicas)
    if room and wanted > room:
        what = (
            f"searches want {wanted / _GIB:.1f} GiB of memory outside the heap, and the nodes have "
            f"{room / _GIB:.1f}: they will read from disk"
        )
        advice = "add memory or nodes, or rebuild it as int4_hnsw or bbq_hnsw"
        yield warning(subject, what, advice)


def _gib(index: pb.IndexStatus) -> str:
    return f"{index.search_memory_bytes / _GIB:.1f}"


async def counts(system: System) -> list[Finding]:
    """Whether documents are counted alike by search and by description; of search_service alone."""
    status = (await system.status()).value
    if SEARCH not in system.targets or status is None or not status.HasField("index"):
        return []
    name = status.index.name
    try:
        counted = await system.call(
            system.documents.CountDocuments, search_service_pb2.CountDocumentsRequest(index=name)
        )
        described = await system.call(
            system.indexes.GetIndex, index_service_pb2.GetIndexRequest(name=name)
        )
    except ImageSearchError as error:
        advice = "see the log of search_service"
        return [problem(f"index {name}", f"cannot be counted: {error.message}", advice)]
    visible, held = counted.count, described.index.document_count
    if visible == held:
        return [ok(f"index {name}", f"counts agree: {visible}")]
    what = f"searches see {visible} images, and its description tells {held}"
    advice = "writes may be under way: run the doctor again; if it stays so, rebuild the index"
    return [warning(f"index {name}", what, advice)]
