"""What an index is made with, as Elasticsearch wants it. Pure."""

from dataclasses import asdict, dataclass
from typing import Any

VECTOR_FIELD = "image_embedding"

DEFAULT_DIMENSIONS = 512
DEFAULT_M = 16
DEFAULT_EF_CONSTRUCTION = 100

_META = "imagesearch"

# Candidates of a quantised search, in multiples of k, that are scored again with the full
# vectors: scores are then exact, and the coarser the vectors the more there must be.
_OVERSAMPLE = {"int8": 1.5, "int4": 2.0, "bbq": 3.0}

_KEYWORD = {"type": "keyword", "ignore_above": 8191}

PROPERTIES: dict[str, Any] = {
    "image_id": {"type": "keyword"},
    "image_name": _KEYWORD,
    "relative_path": _KEYWORD,
    "width": {"type": "integer"},
    "height": {"type": "integer"},
    "format": _KEYWORD,
    "size_bytes": {"type": "long"},
    "phash": {"type": "keyword"},
    "captured_at": {"type": "date"},
    "indexed_at": {"type": "date"},
    "tags": _KEYWORD,
    "caption": {"type": "text", "fields": {"keyword": _KEYWORD}},
    "attributes": {"type": "flattened", "ignore_above": 8191},
    "sources": {
        "properties": {
            "relative_path": _KEYWORD,
            "url": _KEYWORD,
            "page_url": _KEYWORD,
            "first_seen_at": {"type": "date"},
            "last_seen_at": {"type": "date"},
        }
    },
}
"""Every field of a document but its vector."""


@dataclass(frozen=True)
class Options:
    """What an index is made with.

    Attributes:
        dimensions: Values in a vector.
        similarity: "cosine", "dot_product", "l2_norm" or "max_inner_product".
        vector_type: "hnsw", "int8_hnsw", "bbq_flat", … as Elasticsearch names them.
        m: Neighbours of a node of the graph; 0 where there is no graph.
        ef_construction: Candidates while the graph is built; 0 where there is no graph.
        shards: Primary shards.
        replicas: Copies of each shard. None: one where the cluster has a second node.
        refresh_ms: Milliseconds until writes are visible. None: Elasticsearch's default.
    """

    dimensions: int = DEFAULT_DIMENSIONS
    similarity: str = "cosine"
    vector_type: str = "int8_hnsw"
    m: int = DEFAULT_M
    ef_construction: int = DEFAULT_EF_CONSTRUCTION
    shards: int = 1
    replicas: int | None = None
    refresh_ms: int | None = None


@dataclass(frozen=True)
class Definition:
    """An index as it was made.

    Attributes:
        name: The alias, which requests use.
        physical: The index behind it.
        space: What its vectors may be compared with.
        options: What it was made with.
        created_at: RFC 3339.
    """

    name: str
    physical: str
    space: str
    options: Options
    created_at: str


def physical_name(name: str) -> str:
    """Name of the first physical index behind an alias."""
    return f"{name}-000001"


def index_body(definition: Definition) -> dict[str, Any]:
    """Builds the body of the request that creates the index."""
    options = definition.options
    settings: dict[str, Any] = {
        "number_of_shards": options.shards,
        # The default, stated: an acknowledged write is on the disk.
        "translog.durability": "request",
    }
    if options.replicas is None:
        settings["auto_expand_replicas"] = "0-1"
    else:
        settings["number_of_replicas"] = options.replicas
    if options.refresh_ms is not None:
        settings["refresh_interval"] = f"{options.refresh_ms}ms"
    meta = {
        "space": definition.space,
        "options": asdict(options),
        "created_at": definition.created_at,
    }
    return {
        "aliases": {definition.name: {"is_write_index": True}},
        "settings": {"index": settings},
        "mappings": {
            "dynamic": "strict",
            "_meta": {_META: meta},
            "properties": {**PROPERTIES, VECTOR_FIELD: _vector_mapping(options)},
        },
    }


def _vector_mapping(options: Options) -> dict[str, Any]:
    # Stated even where it is Elasticsearch's default: defaults change between versions.
    index: dict[str, Any] = {"type": options.vector_type}
    if options.vector_type.endswith("hnsw"):
        index |= {"m": options.m, "ef_construction": options.ef_construction}
    if (oversample := _OVERSAMPLE.get(options.vector_type.partition("_")[0])) is not None:
        index["rescore_vector"] = {"oversample": oversample}
    return {
        "type": "dense_vector",
        "dims": options.dimensions,
        "similarity": options.similarity,
        "index": True,
        "index_options": index,
    }


def definition_of(physical: str, described: dict[str, Any]) -> Definition | None:
    """Reads an index's description; None if this service has not made the index.

    Args:
        physical: Name of the physical index.
        described: As Elasticsearch's "get index" answers; aliases and `_meta` are enough.
    """
    meta = described.get("mappings", {}).get("_meta", {}).get(_META)
    aliases = [
        name for name, alias in described.get("aliases", {}).items() if alias.get("is_write_index")
    ]
    if meta is None or len(aliases) != 1:
        return None
    try:
        options = Options(**meta["options"])
        return Definition(aliases[0], physical, meta["space"], options, meta["created_at"])
    except (KeyError, TypeError):  # written by somebody else, or by a version to come
        return None
