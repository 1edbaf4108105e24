"""How Elasticsearch is: version, health, disks, heaps, blocks."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from imagesearch.common.v1 import cluster_pb2 as pb

from imagesearch_client import PermissionDeniedError, UnavailableError, UnimplementedError
from imagesearch_doctor.findings import Finding, ok, problem, warning
from imagesearch_doctor.system import System

SUBJECT = "Elasticsearch"

_OLDEST = (8, 19)
_BUSY_HEAP = 90
_GIB = 1024**3

_IDENTITY = "_cluster/state/version?filter_path=cluster_name,cluster_uuid"

# Faults of single versions that cost data or speed, as Elastic's release notes tell.
_KNOWN_FAULTS = (
    ((9, 1, 0), (9, 1, 0), "searches may take ten times as long", "update to 9.1.1 or later"),
    (
        (9, 5, 0),
        (9, 5, 2),
        "overloaded bulk requests may store documents without their copies",
        "update to a version after 9.5.2",
    ),
)

# Its words for the block that it sets itself when a disk is full.
_FULL = re.compile("allow.delete")

_DISKS = {
    pb.DISK_WATERMARK_LOW: "no new shards are put there",
    pb.DISK_WATERMARK_HIGH: "shards are moved away from there",
    pb.DISK_WATERMARK_FLOOD_STAGE: "indexes with a shard there refuse writes",
}


async def cluster(system: System) -> list[Finding]:
    """What the cluster says of itself, through search_service."""
    answer = await system.cluster()
    error = answer.error
    if isinstance(error, PermissionDeniedError | UnimplementedError):
        return []  # of the gateway, or of search_service to the gateway: others say so
    if isinstance(error, UnavailableError) and not error.reason:
        return []  # who was asked is away, which others say: nothing is known of Elasticsearch
    if error is not None:
        if isinstance(error, UnavailableError) and "search_service" in error.message:
            if "credentials" not in error.message:
                return []  # it is search_service that is away, and others say so
            advice = "set SEARCH_ELASTICSEARCH_API_KEY to a key that may `monitor` and `manage`"
            return [problem(SUBJECT, error.message, advice)]
        advice = "start it, or correct ELASTICSEARCH_URL of search_service; its log has the reason"
        told = error.message
        what = told if "search_service" in told else f"search_service says: {told}"
        return [problem(SUBJECT, what, advice)]
    assert answer.value is not None
    return list(judged(answer.value))


def judged(cluster: pb.Cluster) -> Iterator[Finding]:
    """What is to be said of a cluster."""
    bad = [*_versions(cluster), *_health(cluster), *_blocks(cluster), *_requests(cluster)]
    for node in cluster.nodes:
        bad += [*_heap(node), *_disk(node)]
    yield from bad
    if not any(finding.level == "problem" for finding in bad):
        heaps = max(node.heap_used_percent for node in cluster.nodes)
        yield ok(
            SUBJECT,
            f"{cluster.version}, {cluster.health}, {len(cluster.nodes)} node(s), "
            f"heap at most {heaps} % full",
        )


def _versions(cluster: pb.Cluster) -> Iterator[Finding]:
    if _parsed(cluster.version) < _OLDEST:
        what = f"{cluster.version} is too old"
        yield problem(SUBJECT, what, "update it to 8.19 or later")
    if len({node.version for node in cluster.nodes}) > 1:
        listed = ", ".join(f"{node.name} {node.version}" for node in cluster.nodes)
        yield warning(SUBJECT, f"nodes are of different versions: {listed}", "finish the update")
    for first, last, what, advice in _KNOWN_FAULTS:
        if first <= _parsed(cluster.version) <= last:
            yield warning(SUBJECT, f"{cluster.version} has a known fault: {what}", advice)


def _health(cluster: pb.Cluster) -> Iterator[Finding]:
    missing = f"{cluster.unassigned_shards} shards are on no node"
    where = "GET _cluster/allocation/explain says why"
    if cluster.health == "red":
        yield problem(SUBJECT, f"red: some data cannot be reached; {missing}", where)
    elif cluster.health == "yellow" and sum(node.holds_data for node in cluster.nodes) > 1:
        yield warning(SUBJECT, f"yellow: copies are missing; {missing}", where)
    elif cluster.health == "yellow":
        what = "yellow: an index wants copies, which one node alone cannot hold"
        advice = "add a node, or set replicas to 0: IndexService.UpdateIndex"
        yield warning(SUBJECT, what, advice)


def _blocks(cluster: pb.Cluster) -> Iterator[Finding]:
    for block in cluster.blocks:
        subject = f"index {block.index}" if block.index else SUBJECT
        advice = (
            "make room on the disks: Elasticsearch lifts the block by itself then"
            if _FULL.search(block.reason)
            else "lift it with PUT INDEX/_settings, where nobody has set it on purpose"
        )
        yield problem(subject, f"is blocked: {block.reason}", advice)


def _requests(cluster: pb.Cluster) -> Iterator[Finding]:
    heap = min((n.heap_max_bytes for n in cluster.nodes if n.heap_max_bytes), default=0)
    if 0 < cluster.max_request_bytes < cluster.bulk_bytes:
        what = (
            f"it takes requests of {cluster.max_request_bytes} bytes, and search_service sends "
            f"such of {cluster.bulk_bytes}"
        )
        yield problem(
            SUBJECT, what, "lower SEARCH_MAX_BULK_BYTES, or raise http.max_content_length"
        )
    if heap and cluster.bulk_bytes > heap / 10:
        what = (
            f"a bulk request of {cluster.bulk_bytes} bytes is more than a tenth of a heap of "
            f"{heap} bytes: it will be refused"
        )
        yield problem(SUBJECT, what, "lower SEARCH_MAX_BULK_BYTES, or give it more heap")


def _heap(node: pb.ClusterNode) -> Iterator[Finding]:
    subject = f"{SUBJECT} node {node.name}"
    if node.heap_used_percent >= _BUSY_HEAP:
        what = (
            f"its heap of {node.heap_max_bytes / _GIB:.1f} GiB is {node.heap_used_percent} % full"
        )
        yield warning(subject, what, "give it more heap, or send it less at a time")
    if node.breaker_trips:
        what = f"it refused {node.breaker_trips} requests to save its memory since it started"
        yield warning(subject, what, "give it more heap, or send it less at a time")
    if node.memory_bytes and node.heap_max_bytes > 0.75 * node.memory_bytes:
        what = (
            f"its heap takes {node.heap_max_bytes / _GIB:.1f} of {node.memory_bytes / _GIB:.1f} "
            "GiB of memory; vectors are searched in what is left"
        )
        yield warning(subject, what, "give the heap half of the memory at most")


def _disk(node: pb.ClusterNode) -> Iterator[Finding]:
    if node.exceeded not in _DISKS:
        return
    free, total = node.disk_free_bytes / _GIB, node.disk_total_bytes / _GIB
    stage = pb.DiskWatermark.Name(node.exceeded).removeprefix("DISK_WATERMARK_").lower()
    what = (
        f"its disk is beyond the watermark {stage.replace('_', ' ')} ({free:.1f} of {total:.1f} "
        f"GiB free): {_DISKS[node.exceeded]}"
    )
    say = problem if node.exceeded == pb.DISK_WATERMARK_FLOOD_STAGE else warning
    yield say(f"{SUBJECT} node {node.name}", what, "free or add disk space, or add a node")


def _parsed(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.partition("-")[0].split("."))


async def direct(system: System) -> list[Finding]:
    """Elasticsearch itself, where its address was given: is it there, and is it the same one."""
    url = system.options.elasticsearch
    if not url:
        return []
    shown = urlsplit(url).netloc.rpartition("@")[2] or url
    timeout = aiohttp.ClientTimeout(total=system.options.timeout_s)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{url.rstrip('/')}/{_IDENTITY}") as answer,
        ):
            status, body = answer.status, await answer.json(content_type=None)
    except (TimeoutError, aiohttp.ClientError, ValueError) as error:
        what = f"{shown} cannot be asked: {error or 'no answer in time'}"
        advice = "check scheme (http or https), host and port, and that it runs"
        return [problem(SUBJECT, what, advice)]
    if status in (401, 403):
        what = f"{shown} refuses the doctor: status {status}"
        return [problem(SUBJECT, what, "put user:password@ in front of the host in the URL")]
    if not isinstance(body, dict) or not {"cluster_name", "cluster_uuid"} <= body.keys():
        return [problem(SUBJECT, f"{shown} is no Elasticsearch", "give its HTTP address")]
    return [_same(shown, body, (await system.cluster()).value)]


def _same(shown: str, body: dict[str, Any], seen: pb.Cluster | None) -> Finding:
    if seen is not None and seen.uuid != body["cluster_uuid"]:
        what = (
            f"{shown} is the cluster {body['cluster_name']}, and search_service uses another one, "
            f"{seen.name}"
        )
        advice = "correct ELASTICSEARCH_URL of search_service, or --elasticsearch"
        return problem(SUBJECT, what, advice)
    return ok(SUBJECT, f"{shown} answers: the cluster {body['cluster_name']}")
