"""What Elasticsearch says of itself, as facts that an operator can act on. Reading it is pure."""

import asyncio
import re
from collections.abc import Mapping
from typing import Any

from imagesearch.common.v1 import cluster_pb2 as pb

from search_service.cluster import Cluster, oldest
from search_service.failures import errors_of

_HEALTH = "cluster_name,status,unassigned_shards"
_NODES = "nodes.*.name,nodes.*.version,nodes.*.roles,nodes.*.http.max_content_length_in_bytes"
_STATISTICS = (
    "nodes.*.jvm.mem.heap_used_percent,nodes.*.jvm.mem.heap_max_in_bytes,nodes.*.breakers.*.tripped"
    ",nodes.*.os.mem.total_in_bytes,nodes.*.os.cgroup.memory.limit_in_bytes,nodes.*.fs.total"
)
_WATERMARKS = "*.cluster.routing.allocation.disk*"
_DISK = "cluster.routing.allocation.disk."
_STAGES = (
    ("flood_stage", pb.DISK_WATERMARK_FLOOD_STAGE),
    ("high", pb.DISK_WATERMARK_HIGH),
    ("low", pb.DISK_WATERMARK_LOW),
)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)(b|kb|mb|gb|tb|pb)", re.IGNORECASE)
_UNITS = {unit: 1024**power for power, unit in enumerate(("b", "kb", "mb", "gb", "tb", "pb"))}


async def describe(cluster: Cluster, bulk_bytes: int) -> pb.Cluster:
    """Asks the cluster how it is.

    Args:
        cluster: The one to ask.
        bulk_bytes: About the largest request that is sent to it.

    Raises:
        ServiceError: It does not answer, or may not be asked.
    """
    client = cluster.reading()
    with errors_of("*"):
        # Not a TaskGroup: it would wrap the errors.
        health, nodes, statistics, settings, state, scripts = await asyncio.gather(
            client.cluster.health(timeout="2s", filter_path=_HEALTH),
            client.nodes.info(metric="http", filter_path=_NODES),
            client.nodes.stats(metric="jvm,fs,os,breaker", filter_path=_STATISTICS),
            client.cluster.get_settings(
                include_defaults=True, flat_settings=True, filter_path=_WATERMARKS
            ),
            client.cluster.state(metric="blocks,version", filter_path="cluster_uuid,blocks"),
            cluster.has_scripts(),
        )
    return pb.Cluster(
        name=health["cluster_name"],
        uuid=state["cluster_uuid"],
        version=oldest(node["version"] for node in nodes["nodes"].values()),
        health=health["status"],
        unassigned_shards=health["unassigned_shards"],
        nodes=_nodes(nodes["nodes"], statistics.get("nodes", {}), _flat(settings)),
        blocks=_blocks(state.get("blocks", {})),
        max_request_bytes=min(
            node["http"]["max_content_length_in_bytes"] for node in nodes["nodes"].values()
        ),
        bulk_bytes=bulk_bytes,
        has_scripts=scripts,
    )


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they are in force: transient before persistent before default."""
    return {
        **settings.get("defaults", {}),
        **settings.get("persistent", {}),
        **settings.get("transient", {}),
    }


def _nodes(
    nodes: Mapping[str, Any], statistics: Mapping[str, Any], settings: Mapping[str, Any]
) -> list[pb.ClusterNode]:
    made = [_node(info, statistics.get(key, {}), settings) for key, info in nodes.items()]
    return sorted(made, key=lambda node: node.name)


def _node(
    info: Mapping[str, Any], found: Mapping[str, Any], settings: Mapping[str, Any]
) -> pb.ClusterNode:
    heap, system = found.get("jvm", {}).get("mem", {}), found.get("os", {})
    disk = found.get("fs", {}).get("total", {})
    total, free = disk.get("total_in_bytes", 0), disk.get("available_in_bytes", 0)
    breakers = found.get("breakers", {}).values()
    return pb.ClusterNode(
        name=info["name"],
        version=info["version"],
        holds_data=any(role.startswith("data") for role in info.get("roles", ())),
        heap_used_percent=heap.get("heap_used_percent", 0),
        heap_max_bytes=heap.get("heap_max_in_bytes", 0),
        memory_bytes=_memory(system),
        disk_total_bytes=total,
        disk_free_bytes=free,
        exceeded=exceeded(total, free, settings),
        breaker_trips=sum(breaker.get("tripped", 0) for breaker in breakers),
    )


def _memory(system: Mapping[str, Any]) -> int:
    """Memory in bytes: the container's where that is less than the machine's."""
    total = int(system.get("mem", {}).get("total_in_bytes", 0))
    limit = str(system.get("cgroup", {}).get("memory", {}).get("limit_in_bytes", ""))
    return min(total, int(limit)) if limit.isdigit() and int(limit) else total


def exceeded(total: int, free: int, settings: Mapping[str, Any]) -> "pb.DiskWatermark.ValueType":
    """The highest watermark that a disk is beyond.

    Args:
        total: Bytes of the disk.
        free: Bytes that are free.
        settings: The cluster's, flat.
    """
    if not total:
        return pb.DISK_WATERMARK_UNSPECIFIED
    if str(settings.get(f"{_DISK}threshold_enabled", "true")) == "false":
        return pb.DISK_WATERMARK_NONE
    for stage, watermark in _STAGES:
        name = f"{_DISK}watermark.{stage}"
        needed = _needed(
            total, str(settings.get(name, "")), str(settings.get(f"{name}.max_headroom", ""))
        )
        if needed is not None and free < needed:
            return watermark
    return pb.DISK_WATERMARK_NONE


def _needed(total: int, watermark: str, headroom: str) -> float | None:
    """Bytes that must be free: by "85%" or "0.85" used, but no more than a headroom; or by "10gb".

    None: the bound is not one of these.
    """
    if (size := _bytes(watermark)) is not None:
        return size
    try:
        used = float(watermark[:-1]) / 100 if watermark.endswith("%") else float(watermark)
    except ValueError:
        return None
    free = total * (1 - used)
    most = _bytes(headroom)  # "-1" where the watermark was set by hand
    return free if most is None else min(free, most)


def _bytes(text: str) -> float | None:
    found = _SIZE.fullmatch(text.strip())
    return float(found[1]) * _UNITS[found[2].lower()] if found else None


def _blocks(blocks: Mapping[str, Any]) -> list[pb.ClusterBlock]:
    """What is blocked, by index; of the indexes only those that are named as ours are."""
    made = [
        pb.ClusterBlock(reason=block["description"]) for block in blocks.get("global", {}).values()
    ]
    for physical, of_index in sorted(blocks.get("indices", {}).items()):
        name, _, number = physical.rpartition("-")
        if name and number.isdigit():
            made += [
                pb.ClusterBlock(index=name, reason=b["description"]) for b in of_index.values()
            ]
    return made
